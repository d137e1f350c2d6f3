import { LabError } from "../errors.ts";

const REQUEST_TIMEOUT_MS = 5000;

/** An answer of a server, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Sends JSON and reads JSON. The only place of the lab that talks HTTP.
 * @throws LabError "store-refused" when there is no answer, or one that is no JSON
 */
export async function postJson(url: string, body: unknown): Promise<HttpAnswer> {
  return request(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** @throws LabError "store-refused" as `postJson` */
export async function getJson(url: string): Promise<HttpAnswer> {
  return request(url, {});
}

async function request(url: string, init: RequestInit): Promise<HttpAnswer> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    return { status: response.status, body: await response.json() };
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LabError("store-refused", `${url}: ${why}`, { cause: error });
  }
}
