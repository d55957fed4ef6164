import type { Call, Resource, Resources } from "#core/driver/resource";

/**
 * Exactly one resource of that name: adopts what is there, creates it if nothing is, and
 * where earlier attempts left several keeps one and removes the rest. Kept is the one that our
 * row already knows (`known`, the cloud's id), because others depend on it; else the oldest.
 *
 * The look after a create finds what an earlier create, given up by its caller, landed in the
 * meantime. A cloud whose lists lag may still hide it; the next `ensure` removes it then.
 */
export async function ensure<Spec extends { name: string }, R extends Resource>(
  resources: Resources<Spec, R>,
  spec: Spec,
  call: Call,
  known?: string,
): Promise<R> {
  const present = await resources.find(spec.name, call);
  if (present.length > 0) return keepOne(resources, present, call, known);
  const made = await resources.create(spec, call);
  const found = await resources.find(spec.name, call);
  return found.length > 0 ? keepOne(resources, found, call, known) : made;
}

async function keepOne<R extends Resource>(
  resources: Resources<never, R>,
  found: R[],
  call: Call,
  known: string | undefined,
): Promise<R> {
  const kept = found.find((one) => one.id === known) ?? oldest(found);
  for (const extra of found) if (extra.id !== kept.id) await resources.remove(extra.id, call);
  return kept;
}

/** The same one for everybody who looks, also where two were made in the same instant. */
const oldest = <R extends Resource>(found: R[]): R =>
  found.reduce((a, b) => (b.createdAt < a.createdAt || (+b.createdAt === +a.createdAt && b.id < a.id) ? b : a));

/** Removes all of that name; true when a fresh look finds none. */
export async function removeAll(resources: Resources<never, Resource>, name: string, call: Call): Promise<boolean> {
  for (const one of await resources.find(name, call)) await resources.remove(one.id, call);
  return (await resources.find(name, call)).length === 0;
}
