import { AppError, badRequest } from "#core/error";

/** No request of the contract comes near it. */
const LIMIT_BYTES = 1 << 20;
/** So much of a body that is too large is still read, and dropped: half-read, its connection could not be used again. */
const DISCARD_BYTES = 8 << 20;

/**
 * The JSON a request carries; undefined when it has none, or says nothing of its type (contract
 * §0.3). Strings that PostgreSQL cannot hold are refused here once, for every route.
 */
export async function readBody(request: Request): Promise<unknown> {
  const bytes = await collect(request);
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (bytes.length === 0 || !type) return undefined;
  if (type !== "application/json") {
    throw new AppError("badMediaType", `Content type ${type} is not supported; application/json is.`, { reason: "body.type" });
  }
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw badRequest("The body is not valid JSON.", { reason: "body.json", cause });
  }
  refuseUnstorable(body);
  return body;
}

async function collect(request: Request): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (Number(declared ?? 0) > LIMIT_BYTES) throw tooLarge();
  // No more can come than was declared (RFC 9112 §6.3), and whole is much faster than by the stream.
  if (declared !== null) return new Uint8Array(await request.arrayBuffer());
  if (!request.body) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size <= LIMIT_BYTES) chunks.push(chunk);
    if (size > DISCARD_BYTES) break;
  }
  if (size > LIMIT_BYTES) throw tooLarge();
  return Buffer.concat(chunks);
}

const tooLarge = () => new AppError("overLimit", `A body may have ${LIMIT_BYTES} bytes at most.`, { reason: "body.size" });

/** NUL and lone surrogates. Not recursive: a megabyte can nest half a million levels deep. */
function refuseUnstorable(body: unknown): void {
  const waiting: unknown[] = [body];
  while (waiting.length > 0) {
    const next = waiting.pop();
    if (typeof next === "string") {
      if (/\0|\p{Surrogate}/u.test(next)) throw badRequest("The body has a string with a NUL or half a character in it.", { reason: "body.text" });
    } else if (typeof next === "object" && next !== null) {
      for (const [key, value] of Object.entries(next)) waiting.push(key, value);
    }
  }
}
