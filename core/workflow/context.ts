import { and, eq, isNull } from "drizzle-orm";
import { createHash } from "node:crypto";
import { deadline } from "#core/clock";
import { ambient, now } from "#core/context";
import { read, transaction } from "#core/db/index";
import type { Compute, Flavor } from "#core/driver/compute";
import type { Network } from "#core/driver/network";
import type { ObjectStore } from "#core/driver/objectstore";
import type { Call } from "#core/driver/resource";
import type { Volumes } from "#core/driver/volume";
import { AppError } from "#core/error";
import { flavor as flavorTable } from "#core/flavor/flavor.sql";
import type { Doorbell } from "#core/guest/client";
import { external, type ExternalKind } from "#core/id";
import { resource, type instance } from "#core/instance/instance.sql";
import type { Operation } from "#core/operation/index";
import type { Input } from "#core/operation/operation.sql";

export type Instance = typeof instance.$inferSelect;

/** What workflows need from where they run; made once by a composition root. */
export interface Workshop {
  installation: string;
  compute: Compute;
  volumes: Volumes;
  network: Network;
  doorbell: Doorbell;
  /** Where backups are; absent where there is no object store. */
  objects?: ObjectStore;
  /** Guests' way to the control plane, e.g. `https://127.0.0.1:41234/guest/v1`. */
  guestUrl: string;
  /** PEM of the CAs by which guests know the control plane; empty = the public ones. */
  ca: string;
  /** 32 bytes; enrolment tokens are derived from it. */
  rootKey: Buffer;
}

/** Every driver call gives up before the lease of the label that made it ends. */
export const CALL_SECONDS = 15;
/** A function that runs one label is stopped after this: its calls have given up before, its lease ends later. */
export const STEP_SECONDS = 20;
export const LEASE_SECONDS = 25;
/** A create whose answer we never saw is believed to land within this, if at all; later ones the sweep removes. */
const LANDING_SECONDS = 2 * CALL_SECONDS;

/** What one label sees. Fresh for every run of a label. */
export interface Context extends Workshop {
  operation: Operation;
  instance: Instance;
  call(): Call;
}

export const call = (): Call => ({ signal: deadline(ambient().clock, CALL_SECONDS * 1000) });

/** What the run was asked for; the API never begins one without it. */
export function wanted<K extends keyof Input>({ operation: { input } }: Context, field: K): NonNullable<Input[K]> {
  const value = input[field];
  if (value === undefined) throw new Error(`the operation has no ${field}`);
  return value;
}

export const nameOf = (c: Context, kind: ExternalKind) => external(c.installation, kind, c.instance.id);

export async function flavorOf(id: string): Promise<Flavor> {
  const [row] = await read((tx) => tx.select().from(flavorTable).where(eq(flavorTable.id, id)));
  if (!row) {
    throw new AppError("badRequest", `Flavor ${id} is no longer offered.`, {
      reason: "flavor.unknown",
      final: true,
      next: "Choose another flavor.",
    });
  }
  return { id: row.id, ramMb: row.ramMb, vcpus: row.vcpus };
}

/**
 * Commits that a create is about to be called, before it is called. Until the call's outcome is
 * known, a delete does not believe an empty list.
 */
export async function intend(c: Context, kind: ExternalKind): Promise<string> {
  const name = nameOf(c, kind);
  const callDeadline = new Date(now().getTime() + LANDING_SECONDS * 1000);
  await transaction((tx) =>
    tx
      .insert(resource)
      .values({ instanceId: c.instance.id, projectId: c.instance.projectId, kind, name, callDeadline })
      .onConflictDoUpdate({ target: resource.name, set: { callDeadline, removedAt: null } }),
  );
  return name;
}

/** The create's outcome is known: nothing of it can still land. */
export async function landed(name: string, externalId: string) {
  await transaction((tx) =>
    tx.update(resource).set({ externalId, callDeadline: null }).where(eq(resource.name, name)),
  );
}

/** The external resource of one kind that this instance has or may have. */
export const resourceOf = (c: Context, kind: ExternalKind) => resourceAt(c.instance.id, kind);

async function resourceAt(instanceId: string, kind: ExternalKind) {
  const [row] = await read((tx) =>
    tx
      .select()
      .from(resource)
      .where(and(eq(resource.instanceId, instanceId), eq(resource.kind, kind), isNull(resource.removedAt))),
  );
  return row;
}

/** The same of any instance; undefined where none was made. */
export const externalIdOf = async (instanceId: string, kind: ExternalKind): Promise<string | undefined> => (await resourceAt(instanceId, kind))?.externalId ?? undefined;

/** The cloud's id of a resource that an earlier label made. */
export async function externalId(c: Context, kind: ExternalKind): Promise<string> {
  const row = await resourceOf(c, kind);
  if (!row?.externalId) {
    throw new AppError("serviceUnavailable", `The instance has no ${kind}.`, { reason: `${kind}.missing`, final: true });
  }
  return row.externalId;
}

/** A uuid that is the same whenever the same label of the same run asks. */
export function stableId(...parts: (string | number)[]): string {
  const hex = createHash("sha256").update(parts.join("/")).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
