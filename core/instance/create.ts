import type { Config } from "#core/config";
import { newId, now, user } from "#core/context";
import { batch, transaction } from "#core/db/index";
import { given, statement } from "#core/db/statement";
import * as Datastore from "#core/datastore/index";
import { AppError, badRequest } from "#core/error";
import type { Traits } from "#core/event/event.sql";
import { enqueue } from "#core/guest/client";
import type { JobSpec } from "#core/guest/protocol";
import { offered } from "#core/instance/catalogue";
import { checkDatabases, checkUsers, sealed, type NewDatabase, type NewUser } from "#core/instance/account";
import { instance, type Access, type Nic } from "#core/instance/instance.sql";
import { applicable } from "#core/instance/modules";
import { holdGroup } from "#core/instance/overrides";
import type { Detail } from "#core/instance/row";
import { createdTraits, namesOf } from "#core/instance/told";
import { begin } from "#core/operation/index";
import { charge, defaultLimits } from "#core/quota/index";

export interface NewInstance {
  name: string;
  flavorId?: string;
  volume?: { sizeGb: number; type?: string };
  datastore: Datastore.Choice;
  databases: NewDatabase[];
  users: NewUser[];
  nics: Nic[];
  access: Access;
  availabilityZone?: string;
  locality?: string;
  region?: string;
  /** Id of a configuration group; that it is for this datastore version is not asked (contract §2.1): the server judges its values. */
  configuration?: string;
  /**
   * The backup to begin with, judged once datastore, flavor and volume are known to be right (contract §2.1): it throws, or
   * answers what the guest is to restore and whether root was enabled there.
   */
  restore?: (target: { datastoreId: string; version: string; volumeGb: number }) => Promise<Restoring>;
  /** Ids of modules to apply beside those that apply by themselves. */
  modules: string[];
}

interface Restoring {
  restore: NonNullable<JobSpec<"prepare">["restore"]>;
  rootEnabled: boolean;
}

/** A restore may take so long before anything moves (contract §7.1, `restore_usage_timeout`). */
const RESTORE_MINUTES = 60;

type Group = Awaited<ReturnType<typeof holdGroup>>;

/**
 * Accepts a new instance: checks in the order of contract §2.1, then quota, row, the guest's
 * first job and the operation in one transaction. Everything that takes time comes later.
 */
export async function create(wish: NewInstance, config: Config): Promise<Detail> {
  // Catalogue first and outside: it changes rarely, and a wrong request shall hold no lock.
  const { stores, flavors } = await offered(config);
  const flavor = flavors.find(({ id }) => id === wish.flavorId);
  const { store, version } = Datastore.resolve(stores, wish.datastore, config.COFFER_DEFAULT_DATASTORE);
  const { manager } = version;
  checkDatabases(manager, wish.databases);
  checkUsers(manager, wish.users);
  checkReferences(wish);
  checkNics(wish.nics);
  if (!flavor) throw unknownFlavor(wish.flavorId);
  if (wish.region !== undefined && wish.region !== config.COFFER_REGION) {
    throw badRequest(`Region '${wish.region}' is not served here; '${config.COFFER_REGION}' is.`, { reason: "region.unknown" });
  }
  const { sizeGb, type } = checkVolume(wish.volume, config);
  const restoring = await wish.restore?.({ datastoreId: store.id, version: version.version, volumeGb: sizeGb });
  const modules = await applicable(wish.modules, { datastoreId: store.id, datastoreVersionId: version.id });
  const users = await sealed(manager, wish.users);

  const at = now();
  const { projectId, userId } = user();
  const row = {
    id: newId(),
    generation: 1,
    createdAt: at,
    updatedAt: at,
    projectId,
    createdBy: userId,
    name: wish.name,
    task: "BUILDING",
    serverState: "none",
    serviceStatus: "new",
    serviceStatusAt: at,
    datastoreVersionId: version.id,
    flavorId: flavor.id,
    volumeGb: sizeGb,
    volumeType: type ?? null,
    region: config.COFFER_REGION,
    availabilityZone: wish.availabilityZone ?? null,
    locality: wish.locality ?? null,
    nics: wish.nics,
    access: wish.access,
    rootEnabled: restoring?.rootEnabled ?? false,
  } as const;
  // Executed in this order. The quota comes last: its row is locked until the commit, and every other create of
  // the project waits for it.
  const insert = (group?: Group) =>
    batch((tx) =>
      Promise.all([
        insertInstance(tx, { ...row, configurationId: group?.id ?? null }),
        enqueue({
          instanceId: row.id,
          projectId,
          generation: row.generation,
          kind: "prepare",
          spec: {
            memoryMb: flavor.ramMb,
            volumeGb: sizeGb,
            cidrs: wish.access.allowed_cidrs ?? null,
            ...(group && { overrides: group.values }),
            databases: wish.databases,
            users,
            ...(restoring && { restore: restoring.restore }),
            ...(modules.length > 0 && { modules: modules.map((id) => ({ id })) }),
          },
        }),
        begin({ instanceId: row.id, projectId, kind: "create", traits: told(wish, row, { store, version }, restoring), ...(restoring && { minutes: RESTORE_MINUTES }) }),
        charge(projectId, { instances: 1, ram: flavor.ramMb, volumes: sizeGb }, defaultLimits(config)),
      ]),
    );
  const { stored, group } = await (wish.configuration === undefined ? insert().then(([[made]]) => ({ stored: made, group: undefined })) : withGroup(wish.configuration));
  if (!stored) throw new Error("the instance was not stored");
  return { instance: stored, datastore: store, version, configuration: group ? { id: group.id, name: group.name } : null, replicas: [], position: null, serverId: null, volumeId: null };

  /** The group's values are those of the moment the instance is stored: whoever changes it afterwards finds the instance. */
  function withGroup(wanted: string) {
    return transaction(async () => {
      const group = await holdGroup(wanted, projectId);
      const [[made]] = await insert(group);
      return { stored: made, group };
    });
  }
}

/** Contract §8.6. */
function told(wish: NewInstance, row: Parameters<typeof createdTraits>[0], { store, version }: ReturnType<typeof Datastore.resolve>, restoring: Restoring | undefined): Traits {
  const { databases, users, modules, locality } = wish;
  return {
    ...createdTraits(row, { datastore: store.name, version: version.name, image: version.image }, wish),
    ...(databases.length > 0 && { databases: namesOf(databases) }),
    ...(users.length > 0 && { users: namesOf(users) }),
    ...(modules.length > 0 && { modules: modules.join(",") }),
    ...(locality !== undefined && { locality }),
    ...(restoring && { backup_id: restoring.restore.chain.at(-1)?.backupId ?? null }),
    ...(restoring?.restore.until && { restore_point: restoring.restore.until.time }),
  };
}

const insertInstance = statement((tx) => tx.insert(instance).values(given(columns)).returning());

const columns = [
  "id",
  "generation",
  "createdAt",
  "updatedAt",
  "projectId",
  "createdBy",
  "name",
  "task",
  "serverState",
  "serviceStatus",
  "serviceStatusAt",
  "datastoreVersionId",
  "flavorId",
  "volumeGb",
  "volumeType",
  "region",
  "availabilityZone",
  "locality",
  "nics",
  "access",
  "configurationId",
  "rootEnabled",
] as const satisfies (keyof typeof instance.$inferInsert)[];

export const unknownFlavor = (id: string | undefined) =>
  badRequest(`Flavor ${id ?? "None"} cannot be found.`, { reason: "flavor.unknown", next: "GET /flavors lists what is offered." });

/** 413 above the largest volume of this installation (contract §2.1). */
export const tooLarge = (config: Config) =>
  new AppError("overLimit", `A volume may have ${config.COFFER_MAX_VOLUME_SIZE_GB} GB at most.`, { reason: "volume.too_large" });

function checkVolume(volume: NewInstance["volume"], config: Config) {
  if (!volume) throw badRequest("A volume size is required.", { reason: "volume.required" });
  if (volume.sizeGb > config.COFFER_MAX_VOLUME_SIZE_GB) throw tooLarge(config);
  return volume;
}

/** Every database that a user is to use must be created with the instance. */
function checkReferences({ databases, users }: NewInstance) {
  const names = new Set(databases.map(({ name }) => name));
  for (const one of users) {
    const missing = one.databases.find((name) => !names.has(name));
    if (missing !== undefined) throw badRequest(`User '${one.name}' refers to database '${missing}', which is not in the request.`, { reason: "database.unknown" });
  }
}

function checkNics(nics: Nic[]) {
  for (const nic of nics) {
    if (!nic.network_id && !nic.subnet_id) throw badRequest("A NIC needs a network or a subnet.", { reason: "network.missing" });
    if (nic.ip_address && !nic.subnet_id) throw badRequest("A NIC with an ip_address needs a subnet.", { reason: "network.subnet_missing" });
  }
}
