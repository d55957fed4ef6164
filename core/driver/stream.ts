import { AppError } from "#core/error";

/** A request's body, piece by piece; AppError `overLimit` once it is longer than this, bytes. */
export async function* bounded(body: ReadableStream<Uint8Array> | null, mostBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > mostBytes) throw tooLarge(mostBytes);
    yield part;
  }
}

export const tooLarge = (mostBytes: number) => new AppError("overLimit", `An object may have ${mostBytes} bytes at most.`);

/** A reply's body: as fast as the client reads, and no further; a client that goes away ends it. */
export function bodyOf(content: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const pieces = content[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await pieces.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
