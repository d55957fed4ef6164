import type { Engine, Settings } from "#core/engine/engine";
import type { Replication, Upstream } from "#core/engine/replication";
import type { Clock } from "#core/clock";
import { AppError, badRequest } from "#core/error";
import { notEnrolled } from "#core/guest/agent/certificates";
import type { JsonFile } from "#core/guest/agent/file";
import type { Keys } from "#core/guest/agent/keys";
import type { Kept } from "#core/guest/agent/machine";
import type { Supervisor } from "#core/guest/agent/supervisor";
import { replicaBound, type Boot, type Following, type JobSpec, type Position, type PromoteResult } from "#core/guest/protocol";
import { seal } from "#core/guest/seal";

/** What a replica set's jobs work on. */
export interface Party {
  engine: Engine;
  settings: JsonFile<Kept | null>;
  supervisor: Supervisor;
  keys: Pick<Keys, "tls" | "unseal">;
  boot: Pick<Boot, "instanceId" | "generation">;
  clock: Clock;
}

export function replicationOf({ engine }: Pick<Party, "engine">): Replication {
  if (engine.replication) return engine.replication;
  throw new AppError("notImplemented", "This database server does not replicate.", { reason: "replica.unsupported", final: true });
}

function kept({ settings }: Party): Kept {
  if (!settings.value) throw new AppError("conflict", "The database server has not been set up", { reason: "engine.absent" });
  return settings.value;
}

/** Opens what was confided; AppError `badRequest` for what was meant for another replica or source. */
export function upstreamOf({ keys, boot }: Pick<Party, "keys" | "boot">, { sourceId, host, port, name, password, superuser, certificate }: Following): Upstream {
  if (!keys.tls) throw notEnrolled();
  const open = (what: "password" | "superuser", sealed: string) => keys.unseal(replicaBound(what, sourceId, boot.instanceId, boot.generation), sealed);
  return {
    source: { host, port, name, identity: certificate === undefined ? { ca: keys.tls.ca } : { certificate } },
    password: open("password", password),
    ...(superuser !== undefined && { superuser: open("superuser", superuser) }),
  };
}

/** Lets these follow; the answer confides to each the password that its copy will know the agent by. */
export async function serve(party: Party, { followers }: JobSpec<"serve">): Promise<{ superuser: Record<string, string> }> {
  const replication = replicationOf(party);
  const settings = { ...kept(party), members: followers.map(({ name, address }) => ({ name, address })) };
  await party.settings.update(settings);
  await replication.serve(settings, Object.fromEntries(followers.map(({ name, verifier }) => [name, verifier])));
  const own = await replication.superuser();
  const sealed = followers.flatMap(({ instanceId, generation, sealingKey }) =>
    sealingKey === undefined ? [] : [[instanceId, seal(sealingKey, replicaBound("superuser", party.boot.instanceId, instanceId, generation), own)] as const],
  );
  return { superuser: Object.fromEntries(sealed) };
}

/** Becomes, or stays, a replica. What is on disk first keeps a restart in the middle from bringing up a server that writes. */
export async function follow(party: Party, following: Following): Promise<{ seeded: boolean }> {
  const replication = replicationOf(party);
  const from = upstreamOf(party, following);
  const before = kept(party);
  await party.settings.update({ ...before, members: [], standby: { source: from.source } });
  let seeded = false;
  await party.supervisor.bring(async () => {
    const done = await replication.follow(before, from);
    seeded = done.seeded;
    await party.settings.update({ ...before, ...setting(done.settings) });
  });
  return { seeded };
}

/** Writes nothing any more. */
export async function hold(party: Party): Promise<Position> {
  const replication = replicationOf(party);
  const before = kept(party);
  // Done before, by a job that told nobody: what it follows stays.
  const held: Kept = { ...before, standby: before.standby ?? {} };
  await party.settings.update(held);
  let position: Position | undefined;
  await party.supervisor.bring(async () => {
    ({ position } = await replication.hold(before));
  });
  if (!position) throw new Error("the server was held and stands nowhere");
  return position;
}

/** Writes again, or for the first time. */
export async function promote(party: Party, { until, before }: JobSpec<"promote">): Promise<PromoteResult> {
  const replication = replicationOf(party);
  const present = kept(party);
  const position = await replication.position();
  if (position.role === "source" && !present.standby) return position;
  try {
    // Whoever asked has given up, and the former source may be writing again.
    if (before !== undefined && party.clock.now() > new Date(before)) throw badRequest("The promotion came too late.", { reason: "replica.late" });
    await replication.promote(present, until);
  } catch (error) {
    if (!(error instanceof AppError) || !["replica.late", "replica.behind"].includes(error.reason)) throw error;
    return { ...position, why: error.message };
  }
  const free = { ...present };
  delete free.standby;
  // Last: a standby that is told so twice is promoted twice; one that forgot it would write its source's timeline.
  await party.settings.update(free);
  return replication.position();
}

/** What following changes of the settings. */
const setting = ({ members = [], standby }: Settings) => ({ members, ...(standby && { standby }) });
