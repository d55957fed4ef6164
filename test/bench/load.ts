import { Agent, request } from "node:http";

export interface Shot {
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  body?: string;
  expect: number;
}

export interface Rate {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

export const percentile = (values: number[], share: number) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};

/** Sends `count` requests over `concurrency` kept-alive connections. Rejects at the first wrong status. */
export async function load(port: number, shot: Shot, concurrency: number, count: number): Promise<Rate> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency });
  const times: number[] = [];
  let left = count;
  const one = () =>
    new Promise<void>((done, fail) => {
      const begun = performance.now();
      const call = request({ host: "127.0.0.1", port, agent, method: shot.method, path: shot.path, headers: shot.headers }, (reply) => {
        reply.resume();
        reply.once("end", () => {
          times.push(performance.now() - begun);
          if (reply.statusCode === shot.expect) done();
          else fail(new Error(`${shot.method} ${shot.path}: ${reply.statusCode}`));
        });
      });
      call.once("error", fail);
      call.end(shot.body);
    });
  const worker = async () => {
    while (left-- > 0) await one();
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: concurrency }, worker));
  const seconds = (performance.now() - begun) / 1000;
  agent.destroy();
  return { perSecond: count / seconds, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}
