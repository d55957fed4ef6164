import type { Kind } from "#core/operation/index";
import { changes, readied } from "#test/support/changes";
import { createWorld, type World } from "#test/support/world";

/** Where a kind of operation can begin: made once, and one world after the other goes on from there. */
export interface Stand {
  kind: Kind;
  /** The instance for which it is asked; a create is for none. */
  at?: string;
  /** A world in which nothing has begun yet; it ends the one that was opened before. */
  open(): Promise<World>;
  /** Asks for the operation, as its user; the id of the instance at which it runs. */
  begin(world: World): Promise<string>;
  close(): Promise<void>;
}

export async function standing(kind: Kind): Promise<Stand> {
  const first = await createWorld();
  if (kind === "create") return { kind, ...(await first.mark()), begin: (world) => world.create() };
  const made = await first.create();
  await first.drive();
  const id = await readied(kind, made, first);
  return { kind, at: id, ...(await first.mark()), begin: async (world) => (await world.as(world.tenant, () => changes[kind](id, world))) ?? id };
}
