/** Destinations of a route dump, the default route left out. Reads the text of `ip -json route`. */
export function parseRouteDestinations(text: string): Set<string> {
  const routes: unknown = JSON.parse(text.trim() === "" ? "[]" : text);
  const destinations = new Set<string>();
  for (const route of Array.isArray(routes) ? routes : []) {
    const destination: unknown =
      typeof route === "object" && route !== null ? Reflect.get(route, "dst") : undefined;
    if (typeof destination === "string" && destination !== "default") {
      destinations.add(destination);
    }
  }
  return destinations;
}
