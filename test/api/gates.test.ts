import { afterAll, beforeAll, expect, test } from "vitest";
import { installedImageId } from "#core/datastore/image";
import { routes, type RouteKey } from "#functions/api/routes";
import { asks, gates, states, statusIn, tasks, type Ask, type State } from "#test/api/gates";
import { startApi, type Api } from "#test/api/rig";

let api: Api;
let id: string;
const made: Record<string, string> = {};
let count = 0;
beforeAll(async () => {
  // Guests have done what they were told before the reply, so that no report of theirs comes into the next state.
  api = await startApi({ deps: { doorbell: { ring: async (id) => void (await api.guestActs(id)) } } });
  id = await api.active({ databases: [{ name: "app" }], users: [{ name: "alice", password: "secret", databases: [{ name: "app" }] }] });
  const group = await api.ask("member", "POST /configurations", { body: { configuration: { name: "g", values: { work_mem: "8MB" } } } });
  const module = await api.ask("member", "POST /modules", { body: { module: { name: "m", module_type: "ping", contents: "bWVzc2FnZT1oaQ==" } } });
  Object.assign(made, { group: (group.json.configuration as { id: string }).id, module: (module.json.module as { id: string }).id, image: installedImageId("postgresql", "17") });
});
afterAll(() => api.close());

test("the table has every route of one instance, and every status there is", () => {
  const wanted = (Object.keys(routes) as RouteKey[]).filter((key) => /^\S+ (\/mgmt)?\/instances\/\{id\}/.test(key));
  expect([...new Set(asks.map(({ route }) => route))].sort()).toEqual(wanted.sort());
  expect([...new Set(states.map(statusIn))].sort()).toEqual(["ACTIVE", "BACKUP", "BUILD", "DETACH", "EJECT", "ERROR", "PROMOTE", "REBOOT", "RESIZE", "RESTART_REQUIRED", "SHUTDOWN", "UPGRADE"]);
  expect(new Set(states.map(({ task }) => task)).size).toBe(tasks.length);
});

/** Whatever was begun has ended, and the instance is in this state. */
async function enter(state: State, put: Ask["put"]) {
  await api.db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id} and outcome is null`;
  await api.db.owner`update guest_job set state = 'done' where instance_id = ${id} and state not in ('done', 'failed')`;
  const further = Object.fromEntries(Object.entries(put ?? {}).map(([column, value]) => [column, value && fill(value)]));
  await api.put(id, { configuration_id: null, configuration_pending: false, flavor_id: "1", volume_gb: 1, ...state, ...further });
}

const fill = (text: string) => text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => made[name] ?? whole).replace("{n}", () => `n${++count}`);

async function play({ route, body, as, user = "alice" }: Ask) {
  const path = route.replace("{id}", id).replace("{module_id}", "{module}").replace("/databases/{database}", "/databases/nothing").replace("{user}", user);
  return api.ask(as ?? "member", fill(path), body === undefined ? {} : { body: JSON.parse(fill(JSON.stringify(body))) as unknown });
}

function expected({ gate, then, says = "", first }: Ask, state: State): [number, string] {
  const refusal = gates[gate](state);
  if (refusal) return refusal;
  return first ?? [then, says];
}

test.each(states.map((state) => [`${state.task} ${state.server_state} ${state.service_status}${state.backup_id ? " backed up" : ""}`, state] as const))("what an instance that is %s may be asked", async (_, state) => {
  const wrong: string[] = [];
  for (const ask of asks) {
    await enter(state, ask.put);
    const [status, says] = expected(ask, state);
    const reply = await play(ask);
    if (reply.status !== status || !reply.text.includes(says)) {
      wrong.push(`${ask.route} ${JSON.stringify(ask.body) ?? ""} by gate ${ask.gate}: ${reply.status} ${status < 300 && reply.status < 300 ? "" : reply.text} instead of ${status} ${says}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("what is gone can be asked nothing", async () => {
  await api.put(id, { desired: "absent", task: "DELETING", deleted_at: new Date() });
  const answers = new Set<string>();
  for (const ask of asks) {
    // The record of its work stays, and what nobody offers is not offered for it either.
    const wanted = ask.route.endsWith("/operations") ? 200 : ask.then === 501 && ask.gate === "none" ? 501 : 404;
    const { status } = await play(ask);
    if (status !== wanted) answers.add(`${ask.route} ${JSON.stringify(ask.body)} ${status}`);
  }
  expect([...answers]).toEqual([]);
});
