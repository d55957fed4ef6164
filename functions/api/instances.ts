import * as z from "zod";
import { badRequest, notFound } from "#core/error";
import * as Backups from "#core/backup/index";
import * as Configuration from "#core/configuration/index";
import * as Flavor from "#core/flavor/index";
import * as Instance from "#core/instance/index";
import type { Access, Nic } from "#core/instance/instance.sql";
import { defaultsOf } from "#core/parameter/index";
import { timeline } from "#core/operation/index";
import * as Ssl from "#core/ssl/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { checkCarried } from "#functions/api/carried";
import { cidrs, databases, datastoreChoice, flavorRef, modules, nes, newChoice, nics, users, uuid, volume } from "#functions/api/fields";
import { idMarker, limitOf } from "#functions/api/paging";
import { windowView } from "#functions/api/views/backup";
import { detailed, listed, shown } from "#functions/api/views/instance";
import { operationView } from "#functions/api/views/operation";

const localities = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"] as const;

const access = z.object({ is_public: z.boolean().optional(), allowed_cidrs: cidrs.optional() });

/** Beyond Trove: a moment, of an instance or counted from a backup. Like all times of the wire it is UTC where it does not say otherwise. */
const moment = z.iso.datetime({ offset: true, local: true }).transform((text) => new Date(/Z|[+-]\d\d:\d\d$/.test(text) ? text : `${text}Z`));
const restorePoint = z.object({ backupRef: uuid.optional(), instance: uuid.optional(), targetTime: moment.optional() }).transform((point, context) => {
  const { backupRef, instance, targetTime } = point;
  if (targetTime && (backupRef ?? instance) !== undefined) return { time: targetTime, ...(instance !== undefined && { instanceId: instance }), ...(backupRef !== undefined && { backupId: backupRef }) };
  if (backupRef !== undefined && instance === undefined) return backupRef;
  context.addIssue({ code: "custom", message: "needs a backupRef, or an instance and a targetTime" });
  return z.NEVER;
});

/** Contract §2.1. */
const Create = z.object({
  instance: z.object({
    name: nes,
    flavorRef: flavorRef.optional(),
    volume: volume.optional(),
    datastore: datastoreChoice.optional(),
    databases: databases.optional(),
    users: users.optional(),
    restorePoint: restorePoint.optional(),
    replica_of: uuid.optional(),
    replica_count: z.int().min(1).max(3).optional(),
    configuration: nes.transform((idOrHref) => idOrHref.split("/").at(-1) ?? "").optional(),
    availability_zone: nes.optional(),
    nics: nics.optional(),
    modules: modules.optional(),
    region_name: nes.optional(),
    locality: z.enum(localities).optional(),
    access: access.optional(),
  }),
});
type Create = z.output<typeof Create>["instance"];

/** An empty list asks for nothing. */
const given = (value: unknown) => value !== undefined && !(Array.isArray(value) && value.length === 0);

/** A replica has from its source what it is made of; only its place, its access and its configuration group can be chosen. */
async function createReplicas(wish: Create, sourceId: string, call: Call) {
  const fixed = (["flavorRef", "volume", "datastore", "databases", "users", "restorePoint", "locality"] as const).find((key) => given(wish[key]));
  if (fixed) throw badRequest(`'${fixed}' cannot be given for a replica.`, { reason: "replica.fixed" });
  const created = await Instance.createReplicas(
    {
      name: wish.name,
      sourceId,
      count: wish.replica_count ?? 1,
      nics: (wish.nics ?? []).map(newNic),
      access: newAccess(wish.access),
      modules: (wish.modules ?? []).map(({ id }) => id),
      ...(wish.availability_zone !== undefined && { availabilityZone: wish.availability_zone }),
      ...(wish.configuration !== undefined && { configuration: wish.configuration }),
      ...(wish.region_name !== undefined && { region: wish.region_name }),
    },
    call.config,
  );
  return { instance: shown(created, call) };
}

const createInstance = taking(Create, async ({ instance: wish }, call) => {
  if (wish.replica_of !== undefined) return createReplicas(wish, wish.replica_of, call);
  if ((wish.replica_count ?? 1) > 1) throw badRequest("replica_count needs replica_of.", { reason: "replica.count" });
  checkCarried(call, wish.databases);
  checkCarried(call, wish.users);
  const created = await Instance.create(
    {
      name: wish.name,
      ...(wish.flavorRef !== undefined && { flavorId: wish.flavorRef }),
      ...(wish.volume && { volume: { sizeGb: wish.volume.size, ...(wish.volume.type && { type: wish.volume.type }) } }),
      datastore: newChoice(wish.datastore),
      databases: (wish.databases ?? []).map(newDatabase),
      users: (wish.users ?? []).map(newUser),
      nics: (wish.nics ?? []).map(newNic),
      access: newAccess(wish.access),
      modules: (wish.modules ?? []).map(({ id }) => id),
      ...(wish.availability_zone !== undefined && { availabilityZone: wish.availability_zone }),
      ...(wish.locality !== undefined && { locality: wish.locality }),
      ...(wish.configuration !== undefined && { configuration: wish.configuration }),
      ...(wish.region_name !== undefined && { region: wish.region_name }),
      ...(wish.restorePoint && { restore: restoreOf(wish.restorePoint, call) }),
    },
    call.config,
  );
  return { instance: shown(created, call) };
});

const restoreOf =
  (point: NonNullable<Create["restorePoint"]>, { objects }: Call) =>
  (target: Parameters<typeof Backups.restoring>[1]) =>
    Backups.restoring(point, target, objects?.objects);

export const newDatabase = (one: z.output<typeof databases>[number]): Instance.NewDatabase => ({
  name: one.name,
  ...(one.character_set !== undefined && { characterSet: one.character_set }),
  ...(one.collate !== undefined && { collate: one.collate }),
});

export const newUser = (one: z.output<typeof users>[number]): Instance.NewUser => ({
  name: one.name,
  password: one.password,
  ...(one.host !== undefined && { host: one.host }),
  databases: one.databases ?? [],
});

function newNic(nic: z.output<typeof nics>[number]): Nic {
  const network = nic.network_id ?? nic["net-id"];
  return {
    ...(network !== undefined && { network_id: network }),
    ...(nic.subnet_id !== undefined && { subnet_id: nic.subnet_id }),
    ...(nic.ip_address !== undefined && { ip_address: nic.ip_address }),
  };
}

export const newAccess = (given: z.output<typeof access> | undefined): Access => ({
  ...(given?.is_public !== undefined && { is_public: given.is_public }),
  ...(given?.allowed_cidrs && { allowed_cidrs: given.allowed_cidrs }),
});

const page =
  (view: typeof listed | typeof detailed): Handler =>
  async (call) => {
    const marker = idMarker(call);
    const { rows, next } = await Instance.list({ limit: limitOf(call), ...(marker !== undefined && { marker }) });
    return { instances: rows.map((row) => view(row, call)), ...call.links.next(next) };
  };

const showInstance: Handler = async (call) => {
  const id = param(call, "id");
  const [detail, window] = await Instance.getWith(id, Backups.windowOf);
  return { instance: { ...shown(detail, call), ...(window && { point_in_time: windowView(window) }) } };
};

const deleteInstance: Handler = async (call) => {
  const removed = await Instance.remove(param(call, "id"));
  await Ssl.forget(removed, call);
};

/** What may be changed: the keys of contract §2.3; presence of `replica_of` means detach, whatever its value. */
const change = {
  name: nes.optional(),
  replica_of: z.unknown().optional(),
  configuration: uuid.nullish(),
  datastore_version: nes.optional(),
};
const Put = z.object({
  instance: z.strictObject({ ...change, access: z.strictObject({ is_public: z.boolean().optional(), allowed_cidrs: cidrs.optional() }).optional() }),
});
const Patch = z.object({ instance: z.strictObject({ ...change, slave_of: z.unknown().optional() }) });

const update = (schema: typeof Put | typeof Patch) =>
  taking(schema, async ({ instance: wish }, call) => {
    const id = param(call, "id");
    const others = Object.keys(wish).filter((key) => key !== "name");
    if (others.length > 1) throw badRequest(`Only one of ${others.join(", ")} can be changed at a time.`, { reason: "update.several" });
    // The name is changed even if the second part fails then (contract §2.3).
    if (wish.name !== undefined) await Instance.rename(id, wish.name);
    if ("access" in wish && wish.access) return Instance.updateAccess(id, newAccess(wish.access));
    if (others.length > 0 || wish.name === undefined) await changeOther(call, others[0], wish);
  });

async function changeOther(call: Call, key: string | undefined, wish: z.output<typeof Put | typeof Patch>["instance"]) {
  const id = param(call, "id");
  if (wish.datastore_version !== undefined) return Instance.upgrade(id, wish.datastore_version, call.images);
  // No key at all means detach as well: gophercloud sends it so (contract §2.3).
  if (key === "configuration" || key === undefined) return wish.configuration ? Configuration.attach(id, wish.configuration, call.reach) : Configuration.detach(id, call.reach);
  return Instance.detach(id);
}

/** What the platform sets by itself for an instance of this version and size, whatever its group says. */
const showDefaults: Handler = async (call) => {
  await Instance.loaded(param(call, "id"));
  const { instance, version } = await Instance.get(param(call, "id"));
  const flavor = await Flavor.find(instance.flavorId);
  const values = defaultsOf(version.manager, { memoryMb: flavor?.ramMb ?? 0, volumeGb: instance.volumeGb });
  return { instance: { configuration: values } };
};

const showOperations: Handler = async (call) => {
  const { instance } = await Instance.get(param(call, "id"), { deleted: true });
  return { operations: (await timeline(instance.id)).map(operationView) };
};

export const unknownPath = () => notFound("The resource could not be found.", { reason: "path.unknown" });

export const instances = {
  "GET /instances": page(listed),
  "GET /instances/detail": page(detailed),
  "POST /instances": createInstance,
  "GET /instances/{id}": showInstance,
  "PUT /instances/{id}": update(Put),
  "PATCH /instances/{id}": update(Patch),
  "DELETE /instances/{id}": deleteInstance,
  "GET /instances/{id}/configuration": showDefaults,
  "GET /instances/{id}/operations": showOperations,
} satisfies Record<string, Handler>;
