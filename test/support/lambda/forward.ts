import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface Forward {
  port: number;
  /** Connections open now, and the most there ever were at once. */
  open(): number;
  peak(): number;
  /** Cuts all that are open, as what stands between does with an idle connection. */
  cut(): void;
  close(): Promise<void>;
}

/** A TCP port of 127.0.0.1 before a Unix socket: the test server has no port, and a function has no socket. */
export async function forwardTo(path: string): Promise<Forward> {
  const sockets = new Set<Socket>();
  let peak = 0;
  const server = createServer((near) => {
    const far = connect(path);
    sockets.add(near);
    peak = Math.max(peak, sockets.size);
    near.on("close", () => {
      sockets.delete(near);
      far.destroy();
    });
    far.on("close", () => near.destroy());
    // Either end may go away at any time; the close event tells.
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    port: (server.address() as AddressInfo).port,
    open: () => sockets.size,
    peak: () => peak,
    cut,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        cut();
      }),
  };
}
