import { type IncomingMessage, request } from "./node-http.ts";
import { text } from "node:stream/consumers";
import { LabError } from "../errors.ts";

const REQUEST_TIMEOUT_MS = 5000;

/** A line longer than this is no answer of a store. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

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

interface Question {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
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
  return answerOf(url, questionOf(body, token), timeoutMs);
}

/** @throws LabError "store-refused" as `postJson` */
export async function getJson(
  url: string,
  timeoutMs: number = REQUEST_TIMEOUT_MS,
): Promise<HttpAnswer> {
  return answerOf(url, { method: "GET" }, timeoutMs);
}

/**
 * Sends JSON and reads the lines of an answer that goes on until the server, or the signal, ends it.
 * @throws LabError "store-refused" when there is no answer, or one that is cut off; RangeError for a line without end
 */
export async function* postForLines(
  url: string,
  body: unknown,
  { token, signal }: { readonly token: string | undefined; readonly signal: AbortSignal },
): AsyncGenerator<string, void> {
  try {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of await ask(url, questionOf(body, token), signal)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > MAX_LINE_BYTES) {
        throw new RangeError("a line of the answer is too long");
      }
      yield* lines.filter((line) => line !== "");
    }
  } catch (error) {
    throw error instanceof RangeError ? error : refusal(url, error);
  }
}

function questionOf(body: unknown, token: string | undefined): Question {
  const headers = {
    "content-type": "application/json",
    ...(token === undefined ? {} : { authorization: token }),
  };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

async function answerOf(url: string, question: Question, timeoutMs: number): Promise<HttpAnswer> {
  try {
    const response = await ask(url, question, AbortSignal.timeout(timeoutMs));
    return { status: response.statusCode ?? 0, body: JSON.parse(await text(response)) };
  } catch (error) {
    throw refusal(url, error);
  }
}

/**
 * Over a connection of its own, so that none is found dead that was left from before a fault. Not by `fetch`: it compiles a parser of
 * WebAssembly in the supervisor of each lab, which was 4 % of the processor time of a whole matrix.
 */
async function ask(url: string, question: Question, signal: AbortSignal): Promise<IncomingMessage> {
  const { method, headers = {}, body } = question;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request(url, { method, headers, signal, agent: false }, resolve);
  asked.on("error", reject);
  asked.end(body);
  return promise;
}

function refusal(url: string, error: unknown): LabError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LabError("store-refused", `${url}: ${why}`, { cause: error });
}
