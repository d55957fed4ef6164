import { afterAll, beforeAll, expect, test } from "vitest";
import { nobody, startApi, type Api } from "#test/api/rig";

let api: Api;
let id: string;
beforeAll(async () => {
  api = await startApi();
  id = await api.active();
  // A report in the middle of a row would say what the row says otherwise.
  api.sleep(true);
});
afterAll(() => api.close());

/** What is asked of an instance, in the order of the columns below. */
const asks: [string, unknown?][] = [
  ["POST /action", { restart: {} }],
  ["POST /action", { resize: { flavorRef: "2" } }],
  ["POST /action", { resize: { volume: { size: 2 } } }],
  ["POST /action", { promote_to_replica_source: {} }],
  ["POST /action", { eject_replica_source: {} }],
  ["PUT ", { instance: { name: "renamed" } }],
  ["PUT ", { instance: { configuration: null } }],
  ["PUT ", { instance: { access: { is_public: true } } }],
  ["GET /users"],
  ["POST /databases", { databases: [{ name: "d1" }] }],
  ["GET /root"],
  ["POST /action", { reset_status: { force_delete: true } }],
  ["DELETE "],
];

/**
 * Contract §3.4, row by row. An access update is an operation here, and operations are exclusive: it waits where
 * upstream would let two changes run into each other.
 */
const gates: [string, Record<string, string>, number[]][] = [
  ["serves", {}, [202, 202, 202, 400, 400, 202, 202, 202, 200, 202, 200, 202, 202]],
  ["has no server yet", { task: "BUILDING", server_state: "none", service_status: "new" }, [422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 202, 422]],
  ["is being built", { task: "BUILDING", service_status: "building" }, [422, 422, 422, 422, 400, 202, 202, 422, 422, 422, 422, 202, 422]],
  ["could not be built", { task: "BUILDING_ERROR", server_state: "none", service_status: "new" }, [422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 422, 202, 202]],
  ["restarts", { task: "REBOOTING", service_status: "restarting" }, [422, 422, 422, 422, 400, 202, 202, 422, 422, 422, 422, 202, 202]],
  ["is resized", { task: "RESIZING" }, [422, 422, 422, 422, 400, 202, 202, 422, 200, 202, 200, 202, 202]],
  ["needs a restart", { task: "RESTART_REQUIRED" }, [202, 202, 202, 400, 400, 202, 202, 202, 200, 202, 200, 202, 202]],
  ["needs a restart of its service", { service_status: "restart_required" }, [202, 202, 202, 400, 400, 202, 202, 202, 422, 422, 422, 202, 202]],
  ["has crashed", { service_status: "crashed" }, [202, 202, 202, 400, 400, 202, 202, 202, 422, 422, 422, 202, 202]],
  ["was shut down", { service_status: "shutdown" }, [202, 202, 202, 400, 400, 202, 202, 202, 422, 422, 422, 202, 202]],
  ["could not start", { service_status: "failed" }, [422, 422, 422, 422, 400, 202, 202, 202, 422, 422, 422, 202, 202]],
  ["says nothing", { service_status: "unknown" }, [422, 422, 422, 422, 400, 202, 202, 202, 422, 422, 422, 202, 202]],
  ["has a server in error", { server_state: "ERROR" }, [422, 422, 422, 422, 400, 202, 202, 202, 200, 202, 200, 202, 202]],
  ["has a stopped server", { server_state: "SHUTDOWN" }, [422, 422, 422, 422, 400, 202, 202, 202, 200, 202, 200, 202, 202]],
  ["is backed up", { backup_id: nobody }, [422, 422, 422, 422, 400, 202, 202, 202, 200, 202, 200, 202, 202]],
  ["is being deleted", { task: "DELETING", desired: "absent" }, [422, 422, 422, 422, 400, 202, 202, 422, 422, 422, 422, 202, 202]],
];

const serving = { desired: "present", task: "NONE", server_state: "ACTIVE", service_status: "healthy", backup_id: null };

/** Whatever was begun has ended, and the instance is in this state. */
async function enter(state: Record<string, string>) {
  await api.db.owner`update operation set outcome = 'done', finished_at = now() where instance_id = ${id} and outcome is null`;
  await api.put(id, { ...serving, ...state });
}

test.each(gates)("what an instance that %s may be asked", async (name, state, statuses) => {
  const answers: [string, number][] = [];
  // A database of that name is not there yet, whatever the states before have accepted.
  const fresh = (body: unknown) => JSON.parse(JSON.stringify(body).replace('"d1"', JSON.stringify(name))) as unknown;
  for (const [ask, body] of asks) {
    await enter(state);
    const reply = await api.ask("member", ask.replace(/ /, ` /instances/${id}`), body === undefined ? {} : { body: fresh(body) });
    answers.push([`${ask} ${JSON.stringify(body) ?? ""}`, reply.status]);
  }
  expect(answers).toEqual(asks.map(([ask, body], at) => [`${ask} ${JSON.stringify(body) ?? ""}`, statuses[at]]));
});
