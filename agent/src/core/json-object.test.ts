import { describe, expect, test } from "vitest";
import { AgentError } from "./errors.ts";
import { openObject, parseJson, type ObjectReader } from "./json-object.ts";

function read(text: string): ObjectReader {
  return openObject(parseJson(text), "config");
}

describe("text", () => {
  test.each([
    ["", "invalid JSON: Unexpected end of JSON input"],
    [
      "{} x",
      "invalid JSON: Unexpected non-whitespace character after JSON at position 3 (line 1 column 4)",
    ],
    ["\u{feff}{}", "invalid JSON: Unexpected token '\u{feff}'"],
    [
      '{"a":1,}',
      "invalid JSON: Expected double-quoted property name in JSON at position 7 (line 1 column 8)",
    ],
    [
      "{} // no",
      "invalid JSON: Unexpected non-whitespace character after JSON at position 3 (line 1 column 4)",
    ],
    [
      '{"PSK":"s3cret" oops}',
      "invalid JSON: Expected ',' or '}' after property value in JSON at position 16 (line 1 column 17)",
    ],
    ['{"PSK":s3cret}', "invalid JSON: Unexpected token 's'"],
    ["[".repeat(65), "invalid JSON: nested deeper than 64"],
  ])("%j is refused in one line that shows none of it", (text, message) => {
    expect(() => parseJson(text)).toThrow(new AgentError("config-invalid", message));
  });

  test("brackets inside strings are no nesting", () => {
    expect(() => parseJson(`${"[".repeat(64)}${"]".repeat(64)}`)).not.toThrow();
    const text = String.raw`${"[".repeat(100)}\"${"{".repeat(100)}\\`;
    expect(parseJson(`["${text}"]`)).toEqual([`${"[".repeat(100)}"${"{".repeat(100)}\\`]);
  });

  test("null is an object without members, anything but an object is refused", () => {
    expect(read("null").present("Network")).toBe(false);
    expect(openObject(undefined, "Backend").raw("Type")).toBeUndefined();
    expect(() => openObject([], "Backend")).toThrow("Backend is an array: expected a JSON object");
    expect(() => openObject("vxlan", "Backend")).toThrow(
      "Backend is a string: expected a JSON object",
    );
  });
});

describe("members", () => {
  test("names match whatever their case and later members win", () => {
    const reader = read('{"network":"a","NETWORK":"b","VNI":1,"vni":7}');
    expect(reader.string("Network", "")).toBe("b");
    expect(reader.raw("nEtWoRk")).toBe("b");
    expect(reader.integer("VNI", 0)).toBe(7);
    expect(read('{"\u017fubnetLen":24}').integer("SubnetLen", 0)).toBe(24);
  });

  test("null leaves the default, or what an earlier member said", () => {
    expect(read('{"EnableIPv4":null}').boolean("EnableIPv4", true)).toBe(true);
    expect(read('{"EnableIPv4":false,"enableipv4":null}').boolean("EnableIPv4", true)).toBe(false);
    expect(read('{"Type":null}').string("Type", undefined)).toBeUndefined();
    expect(read('{"Type":null}').raw("Type")).toBeNull();
    expect(read('{"Type":null}').present("type")).toBe(true);
  });

  test("inherited names are not members", () => {
    expect(read("{}").raw("constructor")).toBeUndefined();
    expect(read("{}").raw("__proto__")).toBeUndefined();
    expect(read('{"__proto__":"x"}').string("__proto__", "")).toBe("x");
  });

  test.each(['"24"', "24.0", "1e1", "-1", "-0", "1.5", "true", "{}", "9007199254740993"])(
    "%s is no whole number",
    (literal) => {
      const reader = read(`{"SubnetLen":${literal}}`);
      expect(() => reader.integer("SubnetLen", 0)).toThrow(AgentError);
      expect(() => reader.integer("SubnetLen", 0)).toThrow(
        /^config: SubnetLen is .+: expected a whole number of at least 0$/,
      );
    },
  );

  test("whole numbers keep to their bounds", () => {
    const reader = read('{"Port":65536,"low":-3,"zero":0}');
    expect(() => reader.integer("Port", 0, { max: 65535 })).toThrow(
      "config: Port is 65536: expected a whole number from 0 to 65535",
    );
    expect(reader.integer("low", 0, { min: -5 })).toBe(-3);
    expect(reader.integer("zero", 9)).toBe(0);
    expect(reader.integer("absent", undefined)).toBeUndefined();
  });

  test("values parsed elsewhere can be read", () => {
    const reader = openObject(JSON.parse('{"VNI":1,"half":0.5}'), "data");
    expect(reader.integer("VNI", 0)).toBe(1);
    expect(() => reader.integer("half", 0)).toThrow("data: half is 0.5: expected a whole number");
  });

  test("a number in a nested object is judged by its own literal", () => {
    const backend = openObject(read('{"Backend":{"VNI":1.0},"VNI":2}').raw("Backend"), "Backend");
    expect(() => backend.integer("VNI", 1)).toThrow("Backend: VNI is 1.0: expected a whole number");
    expect(read('{"Backend":{"VNI":1.0},"VNI":2}').integer("VNI", 1)).toBe(2);
  });

  test("a refused string is not shown", () => {
    expect(() => read('{"PSK":123456}').string("PSK", "")).toThrow(
      "config: PSK is a number: expected a string",
    );
    expect(() => read('{"GBP":"true"}').boolean("GBP", false)).toThrow(
      'config: GBP is "true": expected true or false',
    );
  });

  test("an earlier bad member is refused although a later one is good", () => {
    expect(() => read('{"SubnetLen":"x","subnetlen":24}').integer("SubnetLen", 0)).toThrow(
      AgentError,
    );
  });

  test("unknown names are listed as spelled", () => {
    expect(read('{"type":"vxlan","Vnni":2,"NAME":"x"}').unknownNames(["Type", "VNI"])).toEqual([
      "Vnni",
      "NAME",
    ]);
  });
});
