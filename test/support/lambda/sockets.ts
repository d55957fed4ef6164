import { randomBytes } from "node:crypto";
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { socketEvent } from "#test/support/lambda/events";

type Handler = (event: ReturnType<typeof socketEvent>) => Promise<{ statusCode: number }>;

export interface SocketsOptions {
  /** PEM. */
  tls: { cert: string; key: string };
  handler: Handler;
}

/**
 * A WebSocket API of API Gateway: real sockets, the function behind `$connect`, `$default` and `$disconnect`, and the
 * management endpoint. A message for a connection whose handshake is not answered yet is refused as gone, as it is there.
 */
export async function startSockets({ tls, handler }: SocketsOptions) {
  const sockets = new Map<string, WebSocket>();
  const counts = { connects: 0, refused: 0, messages: 0, posts: 0, disconnects: 0 };
  let deaf = false;
  let mute = false;
  const accept = new WebSocketServer({ noServer: true });

  const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const connectionId = `${randomBytes(11).toString("base64").slice(0, 15)}=`;
    counts.connects++;
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith("x-")).map(([name, value]) => [name, String(value)]));
    const { statusCode } = await handler(socketEvent("CONNECT", { connectionId, headers }));
    if (statusCode !== 200) {
      counts.refused++;
      socket.end(`HTTP/1.1 ${statusCode === 401 ? "401 Unauthorized" : "403 Forbidden"}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    accept.handleUpgrade(request, socket, head, (opened) => {
      sockets.set(connectionId, opened);
      opened.on("error", () => {});
      opened.on("message", (data: Buffer) => {
        counts.messages++;
        void handler(socketEvent("MESSAGE", { connectionId, body: data.toString() }));
      });
      opened.on("close", () => {
        sockets.delete(connectionId);
        if (mute) return;
        counts.disconnects++;
        void handler(socketEvent("DISCONNECT", { connectionId }));
      });
    });
  };

  const manage = (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    const [, name = ""] = /^\/live\/@connections\/([^/]+)$/.exec(request.url ?? "") ?? [];
    const socket = sockets.get(decodeURIComponent(name));
    counts.posts++;
    if (!socket) return void response.writeHead(410, { "x-amzn-errortype": "GoneException", "content-type": "application/json" }).end("{}");
    if (!deaf) socket.send("!");
    response.writeHead(200).end();
  };

  const front = createServer(tls);
  front.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {});
    upgrade(request, socket, head).catch(() => socket.destroy());
  });
  const management = createPlainServer(manage);
  for (const server of [front, management]) await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const portOf = (server: typeof front | typeof management) => (server.address() as AddressInfo).port;

  const cut = () => {
    for (const socket of sockets.values()) socket.terminate();
  };
  return {
    url: `wss://127.0.0.1:${portOf(front)}/live`,
    endpoint: `http://127.0.0.1:${portOf(management)}/live`,
    counts,
    open: () => [...sockets.keys()],
    /** Posts are accepted and get lost on the way. */
    deafen(on: boolean) {
      deaf = on;
    },
    /** Nobody is told of connections that end. */
    silence(on: boolean) {
      mute = on;
    },
    /** Ends every connection, as the gateway does after two hours. */
    cut,
    async stop() {
      mute = true;
      cut();
      for (const server of [front, management]) {
        await new Promise<void>((done) => {
          server.close(() => done());
          server.closeAllConnections();
        });
      }
    },
  };
}
