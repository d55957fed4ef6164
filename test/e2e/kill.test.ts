import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Kind } from "#core/operation/index";
import type { Workflow } from "#core/workflow/define";
import { workflows } from "#core/workflow/index";
import { seededRandom } from "#test/support/clock";
import { until } from "#test/support/cluster";
import { proc } from "#test/support/processes";
import { rest } from "#test/support/rest";
import { installation, start, type Running } from "#test/support/service";

/**
 * The real service, killed by SIGKILL at named points of its work, and started again: each life
 * of an instance is created, restarted, resized and deleted with a kill in every one of them.
 */
const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
const { number: random } = seededRandom(seed);
const lives = 2;
const within = 30_000;
/** The API limits how often one asks. */
const pace = 250;

let place: Awaited<ReturnType<typeof installation>>;
let service: Running | undefined;
let api: ReturnType<typeof rest>;
beforeAll(async () => {
  place = await installation({ COFFER_POOL: "1" });
  api = rest(place);
});
afterAll(async () => {
  await service?.stop();
  await place?.remove();
});

/** One point of the labels that a run passes when nothing fails. */
function pick(kind: Kind): string {
  const { labels, options }: Workflow = workflows[kind];
  const names = Object.keys(labels);
  const forward = options.rollback ? names.slice(0, names.indexOf(options.rollback)) : names;
  const one = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T;
  return `${kind}.${one(forward)}.${one(["before", "effect", "committed"])}`;
}
const armed = async (point?: string) => (service = await start({ ...place.settings, ...(point && { COFFER_FAILPOINT: point }) }));

/** Asks, and waits until the service has killed itself; the answer may be lost on the way. */
async function dying(ask: () => Promise<unknown>) {
  const victim = service;
  if (!victim) throw new Error("no service");
  await ask().catch(() => undefined);
  // npm passes on how its child ended.
  expect(await victim.ended).not.toBe(0);
  await until(() => fetch(`${place.url}/healthcheck`).then(() => false, () => true), "the port to close", within, pace);
}

/** What of an instance is on this machine: its directories, and processes that work in them. */
async function traces() {
  const { installation: own } = JSON.parse(await readFile(join(place.home, "secrets.json"), "utf8")) as { installation: string };
  const roots = [join(place.home, "data"), join("/var/lib/coffer", own)];
  const found: string[] = [];
  for (const root of roots) {
    for (const kind of ["servers", "volumes", "ports"]) {
      const names = await readdir(join(root, kind)).catch(() => []);
      found.push(...names.map((name) => join(root, kind, name)));
    }
  }
  for (const pid of (await readdir("/proc")).map(Number).filter(Number.isInteger)) {
    const line = proc(pid, "cmdline").replaceAll("\0", " ");
    if (roots.some((root) => line.includes(`${root}/servers`) || line.includes(`${root}/volumes`))) found.push(`${pid} ${line}`);
  }
  return found;
}

test.each(Array.from({ length: lives }, (_, life) => [life]))(`life %i goes on after every kill and leaves nothing (seed ${seed})`, async (life) => {
  const points = { create: pick("create"), restart: pick("restart"), resize: pick(life % 2 ? "resize_volume" : "resize_flavor"), destroy: pick("destroy") };
  process.stdout.write(`COFFER_SEED=${seed} ${Object.values(points).join(" ")}\n`);
  const [flavor, size] = life % 2 ? ["1", 2] : ["2", 1];
  let id = "";
  const ready = (what: string) =>
    until(async () => {
      const seen = await api.show(id);
      if (seen.status === "ERROR") throw new Error(`${what}: ${seen.fault?.message}`);
      return seen.status === "ACTIVE" && seen.operating_status === "HEALTHY";
    }, what, within, pace);

  if (service) await service.stop();
  await armed(points.create);
  await dying(() => api.create(`life${life}`));

  await armed(points.restart);
  const [found, ...more] = await api.list();
  expect([found?.name, more]).toEqual([`life${life}`, []]);
  id = found?.id ?? "";
  await ready(`ACTIVE after ${points.create}`);
  expect(await api.usage()).toMatchObject({ instances: 1, volumes: 1 });
  await dying(() => api.ask("POST", `/instances/${id}/action`, { restart: {} }));

  await armed(points.resize);
  await ready(`ACTIVE after ${points.restart}`);
  await dying(() => api.ask("POST", `/instances/${id}/action`, { resize: life % 2 ? { volume: { size } } : { flavorRef: flavor } }));

  await armed(points.destroy);
  await ready(`ACTIVE after ${points.resize}`);
  expect(await api.show(id)).toMatchObject({ flavor: { id: flavor }, volume: { size } });
  expect(await api.usage()).toMatchObject({ instances: 1, volumes: size });
  expect((await traces()).length).toBeGreaterThan(2);
  await dying(() => api.ask("DELETE", `/instances/${id}`));

  await armed();
  await until(async () => (await api.ask("GET", `/instances/${id}`)).status === 404, `gone after ${points.destroy}`, within, pace);
  expect(await api.list()).toEqual([]);
  expect(await api.usage()).toMatchObject({ instances: 0, volumes: 0, ram: 0 });
  await until(async () => (await traces()).length === 0, `no trace after ${points.destroy}`, within, pace);
});
