/** Says what is wrong with a value, or undefined when nothing is. `at` is where in the whole it stands. */
export interface Shape<T> {
  readonly complaint: (value: unknown, at: string) => string | undefined;
  readonly optional?: true;
  /** Never there: ties a shape to the type it stands for. */
  readonly type?: T;
}

type Shapes<T> = { readonly [K in keyof T]-?: Shape<Exclude<T[K], undefined>> };

export const text: Shape<string> = {
  complaint: (value, at) => (typeof value === "string" ? undefined : `${at} is no text`),
};

export const amount: Shape<number> = {
  complaint: (value, at) =>
    typeof value === "number" && Number.isFinite(value) && value >= 0
      ? undefined
      : `${at} is no number from 0`,
};

export const count: Shape<number> = {
  complaint: (value, at) =>
    Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : `${at} is no whole number`,
};

export const flag: Shape<boolean> = {
  complaint: (value, at) =>
    typeof value === "boolean" ? undefined : `${at} is neither true nor false`,
};

export function oneOf<const T extends string | number>(...words: readonly T[]): Shape<T> {
  return {
    complaint: (value, at) =>
      words.some((word) => word === value)
        ? undefined
        : `${at} is none of ${words.map(String).join(", ")}`,
  };
}

export function list<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    complaint: (value, at) =>
      Array.isArray(value)
        ? first(value.map((one, index) => item.complaint(one, `${at}[${index}]`)))
        : `${at} is no list`,
  };
}

export function optional<T>(shape: Shape<T>): Shape<T> {
  return { ...shape, optional: true };
}

/** Exactly these members: a missing or unknown one is a complaint. */
export function members<T>(shapes: Shapes<T>): Shape<T> {
  const known = new Map<string, Shape<unknown>>(Object.entries(shapes));
  return {
    complaint: (value, at) => {
      if (typeof value !== "object" || value === null || Array.isArray(value)) {
        return `${at} is no object`;
      }
      const there = new Map<string, unknown>(Object.entries(value));
      const extra = [...there.keys()].find((name) => !known.has(name));
      if (extra !== undefined) {
        return `${at} has the unknown member ${JSON.stringify(extra)}`;
      }
      return first(
        [...known].map(([name, shape]) =>
          there.has(name)
            ? shape.complaint(there.get(name), `${at}.${name}`)
            : shape.optional === true
              ? undefined
              : `${at}.${name} is missing`,
        ),
      );
    },
  };
}

function first(complaints: readonly (string | undefined)[]): string | undefined {
  return complaints.find((complaint) => complaint !== undefined);
}
