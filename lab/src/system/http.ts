import { LabError } from "../errors.ts";

const REQUEST_TIMEOUT_MS = 5000;

/** An answer of a server, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface PostOptions {
  readonly timeoutMs?: number;
  /** Who asks. */
  readonly token?: string | undefined;
}

/**
 * Sends JSON and reads JSON. The only place of the lab that talks HTTP.
 * @throws LabError "store-refused" when there is no answer, or one that is no JSON
 */
export async function postJson(
  url: string,
  body: unknown,
  { timeoutMs = REQUEST_TIMEOUT_MS, token }: PostOptions = {},
): Promise<HttpAnswer> {
  const headers = {
    "content-type": "application/json",
    ...(token === undefined ? {} : { authorization: token }),
  };
  return request(url, { method: "POST", headers, body: JSON.stringify(body) }, timeoutMs);
}

/** @throws LabError "store-refused" as `postJson` */
export async function getJson(
  url: string,
  timeoutMs: number = REQUEST_TIMEOUT_MS,
): Promise<HttpAnswer> {
  return request(url, {}, timeoutMs);
}

async function request(url: string, init: RequestInit, timeoutMs: number): Promise<HttpAnswer> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LabError("store-refused", `${url}: ${why}`, { cause: error });
  }
}
