import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { rig } from "#test/guest/agent-rig";

async function prepared(modules?: object[]) {
  const made = await rig();
  await made.start();
  const { job } = made;
  const first = await job("prepare", { memoryMb: 512, volumeGb: 1, cidrs: null, databases: [], users: [], ...(modules && { modules }) });
  return { ...made, first };
}

const module = (type: string, contents: string | null, id = randomUUID()) => ({ id, work: { type, name: "m", md5: "5".repeat(32), contents: contents && Buffer.from(contents).toString("base64") } });
const told = ({ id }: { id: string }, status: string, message: string) => ({ id, md5: "5".repeat(32), status, message });

test("modules are applied in order, each with its own end: one that fails keeps none from its turn", async () => {
  const { world, job } = await prepared();
  const list = [module("ping", "a=b\nMessage = hello there \n"), module("sql", "refused"), module("ping", "no word"), module("sql", null), module("sql", "fine")] as const;
  expect(await job("apply_modules", { modules: list })).toMatchObject({
    ok: true,
    result: {
      modules: [
        told(list[0], "OK", "hello there"),
        told(list[1], "ERROR", "The engine refuses it."),
        told(list[2], "ERROR", "Message not found in contents file"),
        told(list[3], "ERROR", "The contents of the module cannot be read by the control plane."),
        told(list[4], "OK", "applied fine"),
      ],
    },
  });
  expect([...world.modules]).toEqual([[list[4].id, "fine"]]);
  expect(await job("remove_module", { id: list[4].id, type: "sql" })).toMatchObject({ ok: true });
  expect(await job("remove_module", { id: list[4].id, type: "sql" })).toMatchObject({ ok: true });
  expect(await job("remove_module", { id: list[0].id, type: "ping" })).toMatchObject({ ok: true });
  expect(world.modules.size).toBe(0);
});

test("a server that is away ends the job, so that it may be repeated; a new instance is not lost by it", async () => {
  const away = module("sql", "away");
  const { job, first } = await prepared([away]);
  expect(first).toMatchObject({ ok: true, result: { modules: [told(away, "ERROR", "The engine is away.")] } });
  const failed = await job("apply_modules", { modules: [away] });
  expect(failed).toMatchObject({ ok: false, error: "The engine is away." });
  expect(failed).not.toHaveProperty("result");
});

test("what waits for its contents is not applied", async () => {
  const { job } = await prepared();
  const id = randomUUID();
  expect(await job("apply_modules", { modules: [{ id }] })).toMatchObject({ ok: true, result: { modules: [{ id, md5: "", status: "ERROR" }] } });
});
