import { request } from "node:http";

export interface Asked {
  method: string;
  path: string;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, instead of `body`, without a content type of its own. */
  raw?: string;
}

export interface Reply {
  status: number;
  headers: Record<string, string | undefined>;
  text: string;
  /** Undefined when the text is no JSON. */
  json: unknown;
}

/** One request on a connection of its own, with no header that was not asked for but Host. */
export function send(url: string, { method, path, headers = {}, body, raw }: Asked): Promise<Reply> {
  const text = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const sent = {
    accept: "application/json",
    ...(body !== undefined && { "content-type": "application/json" }),
    ...(text !== undefined && { "content-length": String(Buffer.byteLength(text)) }),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const call = request({ hostname, port, method, path, headers: sent, agent: false, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const seen = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
        resolve({ status: response.statusCode ?? 0, headers: Object.fromEntries(seen) as Reply["headers"], text, json: parsed(text) });
      });
    });
    call.on("error", reject);
    call.on("timeout", () => call.destroy(new Error(`${method} ${path}: no answer within 30 s`)));
    call.end(text);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
