/** Of the event loop: to read the end of a stream, to answer it, to close; and some to spare. */
const TURNS = 6;

/**
 * A handler that is called once everything has been heard that happened while its environment was frozen.
 * The end of a connection waits in the kernel meanwhile, and is read in the same turn of the event loop as
 * the next event, in any order: without this pause a handler may take a connection that is long closed.
 */
export const awake =
  <E, R>(handler: (event: E) => Promise<R>) =>
  async (event: E): Promise<R> => {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((resolve) => setImmediate(resolve));
    return handler(event);
  };
