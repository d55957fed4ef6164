import { createHash } from "node:crypto";
import type postgres from "postgres";

/** A writer that commits one step after the other and knows what the table holds after each. */
export interface Recorder {
  /** The last step whose commit was begun, or acknowledged. */
  readonly begun: number;
  readonly acknowledged: number;
  digestAt(step: number): string;
  /** When each step was begun and acknowledged, ms since 1970. */
  readonly times: { begun: number; acknowledged: number }[];
  stop(): Promise<void>;
}

const rows = 400;
const valueOf = (step: number) => createHash("md5").update(String(step)).digest("hex");
/** Each step changes a row somewhere in the table. */
const rowOf = (step: number) => (step * 7919) % rows;

/** The rows after a step, from the steps alone. */
function digestAt(step: number): string {
  const table = new Map<number, string>();
  for (let at = 1; at <= step; at++) table.set(rowOf(at), valueOf(at));
  return digest([...table].sort(([a], [b]) => a - b));
}

const digest = (table: [number, string][]) => createHash("sha256").update(table.map(([id, value]) => `${id}=${value}`).join("\n")).digest("hex");

export async function startWriter(sql: postgres.Sql, pauseMs = 0): Promise<Recorder> {
  await sql`create table steps (id int primary key, value text, step int)`;
  const times: Recorder["times"] = [{ begun: 0, acknowledged: 0 }];
  let [begun, acknowledged, isStopping] = [0, 0, false];
  const working = (async () => {
    while (!isStopping) {
      begun++;
      const at = { begun: Date.now(), acknowledged: Infinity };
      times.push(at);
      await sql`insert into steps values (${rowOf(begun)}, ${valueOf(begun)}, ${begun}) on conflict (id) do update set value = excluded.value, step = excluded.step`;
      at.acknowledged = Date.now();
      acknowledged = begun;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  })();
  let failure: Error | undefined;
  working.catch((error: Error) => (failure = error));
  return {
    get begun() {
      return begun;
    },
    get acknowledged() {
      if (failure) throw failure;
      return acknowledged;
    },
    times,
    digestAt,
    async stop() {
      isStopping = true;
      await working;
    },
  };
}

/** The last step that a table holds, and what it holds. */
export async function stateAfter(sql: postgres.Sql): Promise<{ step: number; digest: string }> {
  const found = await sql<{ id: number; value: string; step: number }[]>`select id, value, step from steps order by id`;
  return { step: Math.max(0, ...found.map(({ step }) => step)), digest: digest(found.map(({ id, value }) => [id, value])) };
}
