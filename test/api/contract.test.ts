import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { handlers } from "#functions/api/handlers";
import { replies } from "#functions/api/replies";
import { routes, type Route, type RouteKey } from "#functions/api/routes";
import { madeBackup } from "#test/api/backup-rig";
import { contract, fixed, type Row } from "#test/api/contract";
import { nobody, startApi, type Api, type Person, type Reply } from "#test/api/rig";

let api: Api;
/** Of whom nobody here may ask anything. */
let still: string;
beforeAll(async () => {
  api = await startApi();
  still = await fixture();
  await api.db.owner`insert into datastore (id, name, manager) values (${nobody}, 'empty', 'postgresql')`;
});
afterAll(() => api.close());

const rows = Object.entries(contract) as [RouteKey, Row][];
const offered = rows.filter(([, { who }]) => who !== "nobody");

test("the code's routes are the contract's, with the same number, policy, status and shape of reply", () => {
  const said = ({ no, who, status, reply }: Route | Row) => ({ no, who, status, ...(reply && { reply }) });
  expect(Object.fromEntries(Object.entries(routes).map(([key, row]) => [key, said(row)]))).toEqual(Object.fromEntries(rows.map(([key, row]) => [key, said(row)])));
});

test("every route that needs a token is served", () => {
  expect(offered.filter(([key]) => !handlers[key]).map(([key]) => key)).toEqual([]);
});

test.each(rows.filter(([, { who }]) => who === "nobody"))("%s needs no token", async (key, row) => {
  demand(await api.ask(undefined, key), row, { admin: false });
});

test.each(offered)("%s without a token, or with one that has ended, is a 401", async (key, row) => {
  for (const headers of [{}, { "x-auth-token": "ended" }]) {
    const [method = "", path = ""] = fill(key, nobody, row).split(" ");
    const reply = await api.ask(undefined, `${method} /v1.0/p1${path}`, { headers, ...sent(row) });
    expect([reply.status, Object.keys(reply.json)]).toEqual([401, ["error"]]);
  }
});

test.each(offered)("%s answers those who may as the contract says, and refuses the others", async (key, row) => {
  for (const person of ["member", "admin", "reader", "other"] as const) {
    const refusal = refusalOf(key, row, person);
    const id = refusal ? still : key.includes("{id}") && !row.at ? await makers[row.of ?? "instance"]() : nobody;
    const applied = row.apply && !refusal ? await apply(id) : nobody;
    if (row.before && !refusal) await api.ask("member", fill(row.before, id, row));
    const reply = await api.ask(person, fill(key, id, row, applied), row.bodyOf ? { body: row.bodyOf(await api.active({}, refusal ? "member" : person)) } : sent(row));
    if (refusal) expect([person, reply.status, Object.keys(reply.json)]).toEqual([person, ...refusal]);
    else if (row.instead) expect([person, reply.status, ...Object.keys(reply.json)], reply.text).toEqual([person, ...row.instead]);
    else demand(reply, row, { admin: person === "admin" });
  }
});

/** Status and envelope for whom a row refuses; undefined for whom it answers. */
function refusalOf(key: RouteKey, { who, status }: Row, person: Person): [number, string[]] | undefined {
  if (who === "admin!" && person !== "admin") return [401, ["unauthorized"]];
  if (who === "admin" && person !== "admin") return [403, ["forbidden"]];
  if (person === "reader" && !key.startsWith("GET ")) return [403, ["forbidden"]];
  if (who === "owner" && person === "other" && status !== 501) return [404, ["itemNotFound"]];
  // The one row whose object is a project.
  if (key.startsWith("GET /mgmt/quotas") && person === "other") return [403, ["forbidden"]];
  return undefined;
}

function demand(reply: Reply, row: Row, reader: { admin: boolean }) {
  expect([reply.status, reply.text && "a body"], reply.text).toEqual([row.status, row.reply ? "a body" : ""]);
  if (!row.reply || row.reply === "text") return;
  const parsed = replies[row.reply](reader).safeParse(reply.json);
  expect(parsed.error?.issues ?? [], reply.text).toEqual([]);
}

const sent = ({ body }: Row) => (body === undefined ? {} : { body });

function fill(key: string, id: string, row: Row, moduleId: string = nobody): string {
  return key.replaceAll(/\{(\w+)\}/g, (_, name: string) => row.at?.[name] ?? (name === "id" ? id : name === "module_id" ? moduleId : (fixed[name] ?? nobody)));
}

/** An instance of the member's with a database and a user that may use it. */
const fixture = () => api.active({ databases: [{ name: "app" }], users: [{ name: "alice", password: "secret", databases: [{ name: "app" }] }] });

/** A configuration group of the member's. */
async function group(): Promise<string> {
  const reply = await api.ask("member", "POST /configurations", { body: { configuration: { name: "tuned", values: { max_connections: 50 } } } });
  return (reply.json as unknown as { configuration: { id: string } }).configuration.id;
}

/** A module of the member's; no two have the same name. */
async function module(): Promise<string> {
  const reply = await api.ask("member", "POST /modules", { body: { module: { name: `m-${randomUUID()}`, module_type: "ping", contents: "bWVzc2FnZT1oaQ==" } } });
  return (reply.json as unknown as { module: { id: string } }).module.id;
}

async function apply(instance: string): Promise<string> {
  const id = await module();
  await api.ask("member", `POST /instances/${instance}/modules`, { body: { modules: [{ id }] } });
  return id;
}

const backup = async () => madeBackup(api, await api.active());

const makers = { instance: fixture, group, module, backup };
