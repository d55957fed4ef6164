import type { Api } from "#test/api/rig";

const call = { signal: new AbortController().signal };

/** The run of a backup has ended well, as its workflow would have it. */
export async function completeBackup({ db }: Api, id: string, set: Record<string, string | number> = {}): Promise<void> {
  await db.owner`update backup set ${db.owner({ state: "COMPLETED", data_bytes: 2 ** 29, stored_bytes: 2 ** 26, updated_at: new Date(), ...set })} where id = ${id}`;
  await db.owner`update operation set outcome = 'done', finished_at = now() where kind = 'backup' and input ->> 'backupId' = ${id}`;
  await db.owner`update instance set backup_id = null where backup_id = ${id}`;
}

/** A completed backup of an instance of the member's, with a manifest in the store; its id. */
export async function madeBackup(api: Api, instance: string, change: object = {}): Promise<string> {
  const reply = await api.ask("member", "POST /backups", { body: { backup: { name: "nightly", instance, ...change } } });
  if (reply.status !== 202) throw new Error(`${reply.status} ${reply.text}`);
  const { id } = (reply.json as unknown as { backup: { id: string } }).backup;
  const [row] = await api.db.owner<{ container: string; checksum: string }[]>`select container, encode(sha256(convert_to(${`manifest of ${id}`}, 'UTF8')), 'hex') as checksum from backup where id = ${id}`;
  if (!row) throw new Error(`there is no backup ${id}`);
  await api.objects.put({ projectId: "p1", name: row.container }, `backups/${id}/manifest`, (async function* () { yield Buffer.from(`manifest of ${id}`); })(), {}, call);
  await completeBackup(api, id, { checksum: row.checksum });
  return id;
}
