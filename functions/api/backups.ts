import * as z from "zod";
import * as Backups from "#core/backup/index";
import * as Datastore from "#core/datastore/index";
import { AppError, badRequest, notFound } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, taking, type Call, type Handler } from "#functions/api/call";
import { nes, uuid } from "#functions/api/fields";
import { flag, limitOf, offsetMarker } from "#functions/api/paging";
import { forbidden } from "#functions/api/policy";
import { backupView, strategyView } from "#functions/api/views/backup";

/** Contract §2.6. */
const Create = z.object({
  backup: z.object({
    name: nes,
    instance: uuid.optional(),
    description: nes.optional(),
    incremental: z.int().min(0).max(1).optional(),
    parent_id: uuid.optional(),
    swift_container: nes.optional(),
    storage_driver: z.string().optional(),
    restore_from: z.object({ remote_location: nes, local_datastore_version_id: uuid, size: z.number().min(0).max(1_000_000) }).optional(),
  }),
});
const Strategy = z.object({ backup_strategy: z.strictObject({ swift_container: nes, instance_id: uuid.optional() }) });

/** Trove has no cap here; a page of this size is still one reasonable reply. */
const CAP = 1000;

const createBackup = taking(Create, async ({ backup: wish }, call) => {
  const described = { name: wish.name, ...(wish.description !== undefined && { description: wish.description }) };
  if (wish.restore_from) {
    const { remote_location: location, local_datastore_version_id: datastoreVersionId, size: sizeGb } = wish.restore_from;
    return { backup: backupView(await Backups.register({ ...described, location, datastoreVersionId, sizeGb }, call.objects, call.config), call) };
  }
  if (wish.instance === undefined) throw badRequest("backup.instance must name the instance to back up.", { reason: "backup.instance" });
  if (wish.storage_driver === "cinder") throw new AppError("notImplemented", "Snapshots of volumes are not offered as backups here.", { reason: "backup.driver", next: "Leave storage_driver out." });
  if (!call.objects) throw notFound("Backups are kept in an object store, and this installation has none.", { reason: "backup.no_store" });
  const created = await Backups.create(
    {
      ...described,
      instanceId: wish.instance,
      incremental: wish.incremental === 1,
      ...(wish.parent_id !== undefined && { parentId: wish.parent_id }),
      ...(wish.swift_container !== undefined && { container: wish.swift_container }),
    },
    call.config,
  );
  return { backup: backupView(created, call) };
});

async function page(call: Call, filter: Backups.Filter) {
  const { rows, next } = await Backups.list(filter, { limit: limitOf(call, CAP), offset: offsetMarker(call) });
  return { backups: rows.map((row) => backupView(row, call)), ...call.links.next(next) };
}

const listBackups: Handler = async (call) => {
  const projectId = call.query.get("project_id");
  const everywhere = flag(call, "all_projects") === true;
  if ((projectId || everywhere) && !call.actor.isAdmin) throw forbidden("backup:index:all_projects");
  const store = call.query.get("datastore");
  const instanceId = call.query.get("instance_id");
  return page(call, {
    ...(projectId ? { projectId } : { everywhere }),
    ...(instanceId && { instanceId }),
    ...(store && { datastoreId: Datastore.pick(await Datastore.list(), store).id }),
  });
};

const listOfInstance: Handler = async (call) => {
  const { instance } = await Instance.get(param(call, "id"));
  return page(call, { instanceId: instance.id, everywhere: call.actor.isAdmin });
};

/** Whose strategies are meant: another project's are an administrator's to see and remove (contract §0.7). */
function projectOf({ query, actor }: Call): string {
  const wanted = query.get("project_id") ?? actor.projectId;
  if (wanted !== actor.projectId && !actor.isAdmin) throw forbidden("backup strategies of another project");
  return wanted;
}

/** Contract §2.6, §6.12. */
export const backups = {
  "GET /backups": listBackups,
  "POST /backups": createBackup,
  "GET /backups/{id}": async (call) => ({ backup: backupView(await Backups.get(param(call, "id")), call) }),
  "DELETE /backups/{id}": (call) => Backups.remove(param(call, "id")),
  "GET /instances/{id}/backups": listOfInstance,
  "GET /backup_strategies": async (call) => ({
    backup_strategies: (await Backups.listStrategies(projectOf(call), call.query.get("instance_id") ?? undefined)).map(strategyView),
  }),
  "POST /backup_strategies": taking(Strategy, async ({ backup_strategy: { instance_id: instanceId = "", swift_container: container } }) => ({
    backup_strategy: strategyView(await Backups.setStrategy(instanceId, container)),
  })),
  "DELETE /backup_strategies": (call) => Backups.removeStrategy(projectOf(call), call.query.get("instance_id") ?? ""),
} satisfies Record<string, Handler>;
