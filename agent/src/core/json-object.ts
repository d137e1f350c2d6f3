/**
 * JSON as flannel's agents read it (Go's encoding/json v1, spec 02 section 2): member names match whatever their case,
 * later members win, `null` leaves a default alone, whole numbers are plain digits. Everything read here comes from an
 * operator or from another node, so each refusal says which member, what was found and what is expected.
 */
import { AgentError } from "./errors.ts";

/** Deepest nesting accepted; real documents need three. Keeps recursion over hostile values bounded. */
const MAX_JSON_DEPTH = 64;

/** Bounds of a whole number, both included. */
export interface IntegerBounds {
  /** 0 unless given. */
  readonly min?: number;
  /** 2⁵³−1 unless given. */
  readonly max?: number;
}

/** The members of one JSON object. A fallback is returned for an absent member and for `null`. */
export interface ObjectReader {
  /** @throws AgentError "config-invalid"; never shows the value, which may be a secret */
  string<Fallback extends string | undefined>(name: string, fallback: Fallback): string | Fallback;
  /** @throws AgentError "config-invalid" */
  boolean<Fallback extends boolean | undefined>(
    name: string,
    fallback: Fallback,
  ): boolean | Fallback;
  /** Digits only: `24.0`, `1e1` and `"24"` are refused. @throws AgentError "config-invalid" */
  integer<Fallback extends number | undefined>(
    name: string,
    fallback: Fallback,
    bounds?: IntegerBounds,
  ): number | Fallback;
  /** The value as parsed, `null` included; undefined when absent. */
  raw(name: string): unknown;
  /** Whether the member is there, even as `null`. */
  present(name: string): boolean;
  /** The members that are none of these, as spelled, for a warning. */
  unknownNames(known: readonly string[]): readonly string[];
}

/** How numbers that are not plain digits were written, by the object and the member they are in. */
const otherNumbers = new WeakMap<object, Map<string, string>>();

/**
 * Reads one JSON value and nothing after it; `what` names the text in messages.
 * @throws AgentError "config-invalid" with one line that shows none of the text, which may hold secrets
 */
export function parseJson(text: string, what?: string): unknown {
  const prefix = what === undefined ? "" : `${what}: `;
  const { isTooDeep, hasOtherNumbers } = scan(text);
  if (isTooDeep)
    throw new AgentError(
      "config-invalid",
      `${prefix}invalid JSON: nested deeper than ${MAX_JSON_DEPTH}`,
    );
  try {
    // Being told of every member takes several times as long as all the rest.
    return JSON.parse(text, hasOtherNumbers ? noteOtherNumbers : undefined) as unknown;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AgentError("config-invalid", `${prefix}invalid JSON: ${withoutExcerpt(reason)}`);
  }
}

/**
 * Opens a parsed value as an object; `what` names it in every message. `null` and absent are an object without members.
 * @throws AgentError "config-invalid"
 */
export function openObject(value: unknown, what: string): ObjectReader {
  if (value !== undefined && (typeof value !== "object" || Array.isArray(value)))
    throw new AgentError("config-invalid", `${what} is ${typeName(value)}: expected a JSON object`);
  return new FoldedMembers(value ?? {}, what);
}

/** A type of member. Constants, since thousands of objects of few members are read at once. */
interface Kind<Value> {
  /** @param written how a number was written that is not plain digits */
  fits(value: unknown, written: string | undefined, bounds: IntegerBounds): value is Value;
  found(value: unknown, written: string | undefined): string;
  expected(bounds: IntegerBounds): string;
}

const TEXT: Kind<string> = {
  fits: (value): value is string => typeof value === "string",
  found: typeName,
  expected: () => "a string",
};

const TRUTH: Kind<boolean> = {
  fits: (value): value is boolean => typeof value === "boolean",
  found: describeValue,
  expected: () => "true or false",
};

const WHOLE_NUMBER: Kind<number> = {
  fits: (value, written, { min = 0, max = Number.MAX_SAFE_INTEGER }): value is number =>
    typeof value === "number" &&
    Number.isSafeInteger(value) &&
    written === undefined &&
    value >= min &&
    value <= max,
  found: (value, written) => written ?? describeValue(value),
  expected: ({ min = 0, max = Number.MAX_SAFE_INTEGER }) => `a whole number ${rangeText(min, max)}`,
};

/** So few members are looked through faster than they are put into a map. */
const FEW_MEMBERS = 8;

class FoldedMembers implements ObjectReader {
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #what: string;
  readonly #names: readonly string[];
  /** Folded name → the members that fold to it, in order; only where there are more than a few. */
  readonly #byFolded: ReadonlyMap<string, readonly string[]> | undefined;

  constructor(object: object, what: string) {
    this.#object = object as Readonly<Record<string, unknown>>;
    this.#what = what;
    this.#names = Object.keys(object);
    this.#byFolded =
      this.#names.length > FEW_MEMBERS ? Map.groupBy(this.#names, foldName) : undefined;
  }

  string<Fallback extends string | undefined>(name: string, fallback: Fallback): string | Fallback {
    return this.#last(name, fallback, TEXT, {});
  }

  boolean<Fallback extends boolean | undefined>(
    name: string,
    fallback: Fallback,
  ): boolean | Fallback {
    return this.#last(name, fallback, TRUTH, {});
  }

  integer<Fallback extends number | undefined>(
    name: string,
    fallback: Fallback,
    bounds: IntegerBounds = {},
  ): number | Fallback {
    return this.#last(name, fallback, WHOLE_NUMBER, bounds);
  }

  raw(name: string): unknown {
    const spelled = this.#spellings(name).at(-1);
    return spelled === undefined ? undefined : this.#object[spelled];
  }

  present(name: string): boolean {
    return this.#spellings(name).length > 0;
  }

  unknownNames(known: readonly string[]): readonly string[] {
    const names = new Set(known.map(foldOwnName));
    return this.#names.filter((name) => !names.has(foldName(name)));
  }

  /** `null` leaves what an earlier member of the same name said. */
  #last<Value, Fallback>(
    name: string,
    fallback: Fallback,
    kind: Kind<Value>,
    bounds: IntegerBounds,
  ): Value | Fallback {
    let result: Value | Fallback = fallback;
    const key = foldOwnName(name);
    const candidates = this.#byFolded === undefined ? this.#names : (this.#byFolded.get(key) ?? []);
    for (const spelled of candidates) {
      if (foldName(spelled) !== key) continue;
      const value = this.#object[spelled];
      if (value === null || value === undefined) continue;
      const written = otherNumbers.get(this.#object)?.get(spelled);
      if (!kind.fits(value, written, bounds))
        throw this.#refusal(name, kind.found(value, written), kind.expected(bounds));
      result = value;
    }
    return result;
  }

  /** The members that fold to this name, in order. */
  #spellings(name: string): readonly string[] {
    const key = foldOwnName(name);
    if (this.#byFolded !== undefined) return this.#byFolded.get(key) ?? [];
    return this.#names.filter((spelled) => foldName(spelled) === key);
  }

  #refusal(name: string, found: string, expected: string): AgentError {
    return new AgentError(
      "config-invalid",
      `${this.#what}: ${name} is ${found}: expected ${expected}`,
    );
  }
}

/** Names as our own code spells them, which are those that are met, and how they fold. */
const folded = new Map<string, string>();

/** As Go folds names: case, and the one letter outside ASCII whose case folding JavaScript's lower-casing leaves out (ſ). */
function foldName(name: string): string {
  return folded.get(name) ?? name.toLowerCase().replaceAll("\u017f", "s");
}

/** The same for a name of ours. */
function foldOwnName(name: string): string {
  const known = folded.get(name);
  if (known !== undefined) return known;
  const found = foldName(name);
  folded.set(name, found);
  return found;
}

function noteOtherNumbers(
  this: object,
  key: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  const source = context?.source ?? "";
  if (typeof value === "number" && !/^(0|-?[1-9]\d*)$/.test(source)) {
    const written = otherNumbers.get(this);
    if (written === undefined) otherNumbers.set(this, new Map([[key, clip(source)]]));
    else written.set(key, clip(source));
  }
  return value;
}

/** Letters of JSON. */
const [QUOTE, BACKSLASH, COMMA, MINUS, POINT, NINE] = [0x22, 0x5c, 0x2c, 0x2d, 0x2e, 0x39];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
const [CAPITAL_E, SMALL_E] = [0x45, 0x65];

/**
 * Looks at what is outside of strings: how deep it is, and whether a number may be there that is not written in plain digits. Text that
 * is not JSON may count wrongly, and is refused by the parser anyway.
 */
function scan(text: string): { readonly isTooDeep: boolean; readonly hasOtherNumbers: boolean } {
  let depth = 0;
  let inString = false;
  let hasOtherNumbers = false;
  let before = COMMA;
  for (let index = 0; index < text.length; index++) {
    const letter = text.charCodeAt(index);
    if (letter === QUOTE) inString = !inString;
    else if (inString) {
      if (letter === BACKSLASH) index++;
    } else if (letter === OPEN_BRACKET || letter === OPEN_BRACE) depth++;
    else if (letter === CLOSE_BRACKET || letter === CLOSE_BRACE) depth--;
    else if (letter === MINUS || letter === POINT || letter === CAPITAL_E) hasOtherNumbers = true;
    // `true` and `false` have an e too.
    else if (letter === SMALL_E && before <= NINE) hasOtherNumbers = true;
    if (depth > MAX_JSON_DEPTH) return { isTooDeep: true, hasOtherNumbers };
    before = letter;
  }
  return { isTooDeep: false, hasOtherNumbers };
}

/** V8 quotes the text around the error: cut that off, keep what and where. */
function withoutExcerpt(reason: string): string {
  const [short = ""] = reason.split(/, (?:\.\.\.)?"/);
  return short.replaceAll(/\p{Cc}/gu, "?");
}

/** A value for an error message: scalars as written, arrays and objects by their kind, long text cut. */
export function describeValue(value: unknown): string {
  if (typeof value === "object") return typeName(value);
  return clip(JSON.stringify(value) ?? typeName(value));
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function rangeText(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
}
