import { lineOf, list, pickVersion, type Version } from "#core/datastore/index";
import { demandImage, type Images } from "#core/datastore/image";
import { transaction } from "#core/db/index";
import { badRequest } from "#core/error";
import { takeServer } from "#core/instance/manage";
import { get } from "#core/instance/row";
import { begin } from "#core/operation/index";

/**
 * Gives an instance another version of its datastore, by name or id, inactive ones too (contract §5.2, §6.10); the version it has is
 * taken for a wish to bring its system up to date. Shown at once, and taken back should the upgrade fail.
 * 400 for another line of releases, whose data only their own programs can convert.
 */
export async function upgrade(wanted: string, versionName: string, images: Images): Promise<void> {
  const { instance: row, version: from } = await get(wanted);
  const stores = await list();
  const store = stores.find((one) => one.versions.some(({ id }) => id === row.datastoreVersionId));
  const before = store?.versions.find(({ id }) => id === row.datastoreVersionId);
  if (!store || !before) throw badRequest(`The datastore version of instance ${row.id} is no longer known.`, { reason: "datastore.unknown" });
  const to = pickVersion(store, versionName);
  sameLine(before, to);
  const [fromImage, toImage] = [await demandImage(images, imageOf(before), from), await demandImage(images, imageOf(to), to)];
  await transaction(async () => {
    const taken = await takeServer(wanted, { task: "UPGRADING", serviceStatus: "building", datastoreVersionId: to.id });
    const input = { imageId: toImage.id, fromImageId: fromImage.id, fromVersionId: before.id, generation: taken.generation + 1 };
    await begin({ instanceId: taken.id, projectId: taken.projectId, kind: "upgrade", input, traits: { datastore_version_id: to.id } });
  });
}

/** What a version is built from: the one image it names, else the newest with its tags. */
function imageOf({ name, image, imageTags }: Version) {
  if (image !== "") return { id: image };
  if (imageTags.length > 0) return { tags: imageTags };
  throw badRequest(`Datastore version '${name}' names no image.`, { reason: "image.missing", next: "An administrator gives it one: PATCH /mgmt/datastore-versions/<id>." });
}

function sameLine(from: Version, to: Version): void {
  const [here, there] = [lineOf(from.manager, from.version), lineOf(to.manager, to.version)];
  if (from.manager === to.manager && here === there) return;
  throw badRequest(
    `datastore_version: ${to.manager} ${there} does not read the data of ${from.manager} ${here}. Only a version of the same line can be taken: this installation has no pg_upgrade, nor the programs of both lines that it needs, to convert the data.`,
    { reason: "upgrade.line", next: `Create an instance of version '${to.name}' and copy the data into it, with pg_dump for example.` },
  );
}
