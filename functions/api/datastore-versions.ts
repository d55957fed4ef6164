import * as z from "zod";
import { changeVersion, createVersion, getManaged, listManaged, type VersionRule } from "#core/datastore/manage";
import { removeVersion } from "#core/instance/retire";
import { param, taking, type Handler } from "#functions/api/call";
import { nes, unique, uuid } from "#functions/api/fields";
import { managedVersionView } from "#functions/api/views/datastore";

const text = z.string().max(255);
const rule = {
  datastore_manager: nes,
  image: uuid,
  image_tags: z.array(z.string().max(20)).max(5).refine(unique, "has non-unique elements"),
  packages: z.array(text).refine(unique, "has non-unique elements"),
  registry_ext: text,
  repl_strategy: text,
  active: z.boolean(),
  default: z.boolean(),
};
const optional = z.strictObject({ name: nes, ...rule }).partial().shape;

/** Contract §2.9: no further keys in either. */
const Create = z.object({
  version: z.strictObject({ ...optional, name: nes, datastore_name: nes, datastore_manager: nes, active: z.boolean(), version: nes.optional() }),
});
const Patch = z.strictObject(optional);

/** One empty text is how clients write no tags at all (`--image-tags ""`). */
const some = (list: string[]) => list.filter((one) => one !== "");

const ruleOf = (given: z.output<typeof Patch>): Partial<VersionRule> => ({
  ...(given.name !== undefined && { name: given.name }),
  ...(given.datastore_manager !== undefined && { manager: given.datastore_manager }),
  ...(given.active !== undefined && { active: given.active }),
  ...(given.image !== undefined && { image: given.image }),
  ...(given.image_tags && { imageTags: some(given.image_tags) }),
  ...(given.packages && { packages: some(given.packages) }),
  ...(given.registry_ext !== undefined && { registryExt: given.registry_ext }),
  ...(given.repl_strategy !== undefined && { replStrategy: given.repl_strategy }),
});

const blank = { image: "", imageTags: [], packages: [], registryExt: "", replStrategy: "" };

/** What administrators offer: contract §2.9, §5.9. */
export const datastoreVersions = {
  "GET /mgmt/datastore-versions": async () => ({ versions: (await listManaged()).map(managedVersionView) }),
  "POST /mgmt/datastore-versions": taking(Create, async ({ version: wish }, call) => {
    const { name, datastore_name: datastoreName, datastore_manager: manager, active, version = name } = wish;
    await createVersion({ ...blank, ...ruleOf(wish), name, manager, active, datastoreName, version, isDefault: wish.default ?? false }, call.images);
  }),
  "GET /mgmt/datastore-versions/{id}": async (call) => ({ version: managedVersionView(await getManaged(param(call, "id"))) }),
  "PATCH /mgmt/datastore-versions/{id}": taking(Patch, (wish, call) => changeVersion(param(call, "id"), ruleOf(wish), wish.default, call.images)),
  "DELETE /mgmt/datastore-versions/{id}": (call) => removeVersion(param(call, "id")),
} satisfies Record<string, Handler>;
