import { request } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import type { FakeCloud } from "#core/driver/fake/index";
import { Guest } from "#test/guest/endpoint-rig";

/** A guest for every server that runs: enrols and syncs by HTTPS at whichever port answers, and does every job at once. */
export function actAll(cloud: FakeCloud, ca: string, ports: () => number[]) {
  const stopping = new AbortController();
  const lives = new Map<string, Promise<void>>();
  let turn = 0;

  const send: Guest["post"] = (path, body, headers = {}) =>
    new Promise((done, fail) => {
      const all = ports();
      const asked = request({ host: "127.0.0.1", port: all[turn++ % all.length], path: `/guest/v1${path}`, method: "POST", ca, headers, timeout: 15_000, signal: stopping.signal }, (reply) => {
        let text = "";
        reply.on("data", (chunk: Buffer) => (text += chunk.toString()));
        reply.on("error", fail);
        reply.on("end", () => done({ status: reply.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }));
      });
      asked.on("timeout", () => asked.destroy(new Error("no answer")));
      asked.on("error", fail);
      asked.end(body);
    });

  /** Until it is refused for good, or the end; a port that does not answer is followed by another. */
  async function live(guest: Guest) {
    let enrolled = false;
    let results: { id: string; ok: boolean }[] = [];
    while (!stopping.signal.aborted) {
      try {
        const { status, body } = enrolled ? await guest.sync({ results, holdSeconds: 5 }) : await guest.enrol();
        if (status === 401) return;
        if (status !== 200) throw new Error(`answered with ${status}`);
        if (enrolled) results = (body.jobs as { id: string }[]).map(({ id }) => ({ id, ok: true }));
        enrolled = true;
      } catch {
        // The process was killed, or was about to stop: the guest asks again, as agents do.
        await pause(50);
      }
    }
  }

  const look = setInterval(() => {
    for (const { id, state, spec } of cloud.all().servers) {
      if (state === "ACTIVE" && !lives.has(id)) lives.set(id, live(new Guest(spec.boot, send)));
    }
  }, 20);
  return async () => {
    clearInterval(look);
    stopping.abort();
    await Promise.all(lives.values());
  };
}
