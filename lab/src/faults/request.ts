import { parseCidr } from "../addresses.ts";
import { LabError } from "../errors.ts";
import type { FaultStep } from "../scenario.ts";
import { hostIndex } from "../topology.ts";
import type { FaultRequest } from "../lab.ts";
import { parseDuration } from "./durations.ts";
import type { AnyFault, Parameter } from "./fault.ts";
import { faultNamed } from "./registry.ts";

export { parseDuration };

/** IFNAMSIZ without the zero byte at its end. Source: linux/if.h. */
const LINK_NAME = /^[^\s/]{1,15}$/;
const MAX_FOR_MS = 86_400_000;

/**
 * Fills in the defaults of a fault's parameters.
 * @throws LabError "usage" for an unknown fault, a missing or needless host, and a parameter that is unknown, missing or bad
 */
export function checkFaultRequest(request: FaultRequest): FaultRequest {
  const fault = faultNamed(request.fault);
  checkPlace(fault, request.host);
  const { forMs } = request;
  if (forMs !== undefined && !(forMs >= 1 && forMs <= MAX_FOR_MS)) {
    throw usage(fault, `it can last from 1 ms to ${MAX_FOR_MS} ms`);
  }
  const known = Object.keys(fault.parameters);
  const unknown = Object.keys(request.parameters).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    const list = known.map((name) => `--${name}`).join(" ");
    throw usage(
      fault,
      `takes no --${unknown}; ${known.length === 0 ? "it takes none" : `known are ${list}`}`,
    );
  }
  const parameters: Record<string, string> = {};
  for (const [name, parameter] of Object.entries(fault.parameters)) {
    const text = request.parameters[name] ?? parameter.byDefault;
    if (text === undefined) {
      throw usage(fault, `wants --${name}: ${parameter.help}`);
    }
    checkValue(fault, name, parameter, text);
    parameters[name] = text;
  }
  if (parameters["peer"] !== undefined && parameters["peer"] === request.host) {
    throw usage(fault, `${request.host} is no peer of itself`);
  }
  return { ...request, parameters };
}

/** A scenario's step as a request: `{ node: 1, peer: 2 }` means hosts n1 and n2. @throws LabError "usage" */
export function requestOfStep(step: FaultStep): FaultRequest {
  const { fault: name, forMs, ...rest } = step;
  const { node, ...others } = rest as Readonly<Record<string, string | number | undefined>>;
  const table = faultNamed(name).parameters;
  const parameters = Object.fromEntries(
    Object.entries(others).flatMap(([key, value]): [string, string][] =>
      value === undefined
        ? []
        : [[key, table[key]?.value.kind === "host" ? `n${value}` : String(value)]],
    ),
  );
  return checkFaultRequest({
    fault: name,
    ...(node === undefined ? {} : { host: `n${node}` }),
    parameters,
    ...(forMs === undefined ? {} : { forMs }),
  });
}

/** `delete-route n1 peer=n2` */
export function formatRequest({ fault, host, parameters }: FaultRequest): string {
  const words = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return [fault, ...(host === undefined ? [] : [host]), ...words].join(" ");
}

function checkPlace(fault: AnyFault, host: string | undefined): void {
  if (fault.place !== "host" && host !== undefined) {
    const whom = fault.place === "store" ? "the store, not a host" : "all hosts, not one";
    throw usage(fault, `strikes ${whom}: leave out "${host}"`);
  }
  if (fault.place === "host" && host === undefined) {
    throw usage(fault, "wants a host, such as n1");
  }
  if (host !== undefined && hostIndex(host) === undefined) {
    throw usage(fault, `"${host}" is no host name`);
  }
}

function checkValue(fault: AnyFault, name: string, { value }: Parameter, text: string): void {
  switch (value.kind) {
    case "host":
      if (hostIndex(text) === undefined) {
        throw usage(fault, `--${name} wants a host such as n2, not "${text}"`);
      }
      return;
    case "link":
      if (!LINK_NAME.test(text)) {
        throw usage(fault, `--${name} wants the name of a link, not "${text}"`);
      }
      return;
    case "prefix":
      if (parseCidr(text) === undefined) {
        throw usage(fault, `--${name} wants an address with its prefix length, not "${text}"`);
      }
      return;
    case "number":
      if (!/^\d{1,10}$/.test(text) || Number(text) < value.min || Number(text) > value.max) {
        throw usage(
          fault,
          `--${name} wants a whole number from ${value.min} to ${value.max}, not "${text}"`,
        );
      }
      return;
    case "time": {
      const ms = parseDuration(`--${name}`, text);
      if (ms < value.minMs || ms > value.maxMs) {
        throw usage(fault, `--${name} can be from ${value.minMs} ms to ${value.maxMs} ms`);
      }
      return;
    }
    case "word":
      if (!value.words.includes(text)) {
        throw usage(fault, `--${name} wants one of ${value.words.join(", ")}, not "${text}"`);
      }
  }
}

function usage(fault: AnyFault, message: string): LabError {
  return new LabError("usage", `fault ${fault.name}: ${message}`);
}
