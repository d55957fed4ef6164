import { serve, type ServerType } from "@hono/node-server";
import { createServer as createHttpsServer } from "node:https";
import { createServer } from "node:net";
import { StartError } from "#functions/node/start-error";

export type Fetch = (request: Request, env: object) => Response | Promise<Response>;

export interface Listening {
  port: number;
  /** Stops accepting, lets requests in hand end for at most a second, then cuts them. */
  close: () => Promise<void>;
}

export interface ListenOptions {
  /** Address; loopback by default, where whoever may reach it is on this machine. */
  host?: string;
  port: number;
  fetch: Fetch;
  /** PEM; absent = plain HTTP. */
  tls?: { key: string; cert: string };
  /** Whose setting to change when the port is taken. */
  setting: string;
}

const LOOPBACK = "127.0.0.1";
/** A client that takes longer to send its head is cut off. */
const HEADER_TIMEOUT_MS = 20_000;

/** Throws StartError when the port is taken. */
export function listen({ host = LOOPBACK, port, fetch, tls, setting }: ListenOptions): Promise<Listening> {
  return new Promise((resolve, reject) => {
    const server: ServerType = serve(
      {
        fetch,
        port,
        hostname: host,
        ...(tls
          ? { createServer: createHttpsServer, serverOptions: { ...tls, headersTimeout: HEADER_TIMEOUT_MS } }
          : { serverOptions: { headersTimeout: HEADER_TIMEOUT_MS } }),
      },
      (info) => resolve({ port: info.port, close: () => close(server) }),
    );
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") reject(new StartError(`Port ${port} on ${host} is taken; set ${setting} to a free one.`));
      else reject(new StartError(`Port ${port} on ${host} cannot be opened (${error.message}); set ${setting} to another one.`));
    });
  });
}

function close(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      if ("closeAllConnections" in server) server.closeAllConnections();
    }, 1000);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    if ("closeIdleConnections" in server) server.closeIdleConnections();
  });
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, LOOPBACK, () => {
      const address = probe.address();
      probe.close(() => (typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}
