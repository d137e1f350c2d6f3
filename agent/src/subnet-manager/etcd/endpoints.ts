import { AgentError } from "../../core/errors.ts";

/** etcd's registered client port. Source: IANA etcd-client. */
const CLIENT_PORT = 2379;

/** Where one member of the store listens. */
export interface Endpoint {
  /** For messages: without user name, password and path. */
  readonly url: string;
  /** `host:port`, or `unix:PATH`. */
  readonly target: string;
  readonly secure: boolean;
}

/**
 * Reads the endpoints as `--etcd-endpoints` gives them: `http`, `https`, `unix` and `unixs` URLs, or `host:port` for
 * TLS when certificate files are given and plain text otherwise.
 * Mixed schemes are refused: the first would silently decide for all in the reference (spec 10, E18).
 * @throws AgentError "options-invalid"
 */
export function parseEndpoints(
  texts: readonly string[],
  { secureByDefault = false }: { readonly secureByDefault?: boolean } = {},
): readonly Endpoint[] {
  const usualScheme = secureByDefault ? "https" : "http";
  const endpoints = texts
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .map((text) => parseEndpoint(text, usualScheme));
  const first = endpoints[0];
  if (first === undefined)
    throw new AgentError("options-invalid", "no etcd endpoint: give --etcd-endpoints one URL");
  const other = endpoints.find((endpoint) => endpoint.secure !== first.secure);
  if (other !== undefined)
    throw new AgentError(
      "options-invalid",
      `etcd endpoints mix plain text and TLS: ${first.url} and ${other.url}; use one scheme for all`,
    );
  return endpoints;
}

function parseEndpoint(text: string, usualScheme: string): Endpoint {
  const [, scheme = usualScheme, rest = ""] = /^(?:([a-z]+):\/\/)?(.*)$/i.exec(text) ?? [];
  switch (scheme.toLowerCase()) {
    case "http":
    case "https":
      return parseHostAndPort(text, scheme.toLowerCase(), rest);
    case "unix":
    case "unixs":
      return {
        url: `${scheme}://${rest}`,
        target: `unix:${rest}`,
        secure: scheme.toLowerCase() === "unixs",
      };
    default:
      throw invalid(text, `unknown scheme ${JSON.stringify(scheme)}`);
  }
}

function parseHostAndPort(text: string, scheme: string, rest: string): Endpoint {
  let url: URL;
  try {
    url = new URL(`${scheme}://${rest}`);
  } catch {
    throw invalid(text, "not a URL");
  }
  // URL leaves out the port that is usual for the scheme.
  const usual = new RegExp(`:(80|443)(/|$)`).exec(rest)?.[1];
  const port = url.port === "" ? (usual ?? CLIENT_PORT) : url.port;
  const target = `${url.hostname}:${port}`;
  return { url: `${scheme}://${target}`, target, secure: scheme === "https" };
}

function invalid(text: string, reason: string): AgentError {
  const shown = text.replace(/\/\/[^@/]*@/, "//").slice(0, 100);
  return new AgentError(
    "options-invalid",
    `invalid etcd endpoint ${JSON.stringify(shown)}: ${reason}; use http://HOST:PORT or https://HOST:PORT`,
  );
}
