import { AppError, describe } from "#core/error";
import { backup, restore, type Station } from "#core/guest/agent/backup";
import { diagnostics, hardware } from "#core/guest/agent/figures";
import { notEnrolled, told, type Certificates, type Choice } from "#core/guest/agent/certificates";
import type { Logs } from "#core/guest/agent/logs";
import type { Kept } from "#core/guest/agent/machine";
import { follow, hold, promote, replicationOf, serve, upstreamOf, type Party } from "#core/guest/agent/replicate";
import { rise } from "#core/guest/agent/rise";
import { applyModules, removeModule } from "#core/guest/agent/modules";
import { jobs, PROTOCOL, type JobKind, type JobSpec } from "#core/guest/protocol";
import { log } from "#core/log";

/** What jobs work on. */
export interface Host extends Party, Station {
  logs: Logs;
  certificates: Certificates;
  /** The agent's own. */
  version: string;
}

interface Handler<K extends JobKind> {
  /** Whether the server must take connections before the job begins. */
  online: boolean;
  run(host: Host, spec: JobSpec<K>, id: string): Promise<Done>;
}

/** What a job has to tell beside that it is done. */
type Done = Record<string, unknown> | void;

/** The settings with a change. */
function changed(host: Host, change: Partial<Kept>): Kept {
  const present = host.settings.value;
  if (!present) throw new AppError("conflict", "The database server has not been set up", { reason: "engine.absent" });
  return { ...present, ...change };
}

/** Changes the settings and keeps them, so that the next agent starts the server with them too. */
async function adjust(host: Host, change: Partial<Kept>): Promise<Kept> {
  const settings = changed(host, change);
  await host.settings.update(settings);
  return settings;
}

/** Has the server up, or throws; up with the settings it had before is a failure too (`up` answers with it), but not a loss. */
async function bring(host: Host, up: () => Promise<AppError | undefined>): Promise<void> {
  let leftOut: AppError | undefined;
  await host.supervisor.bring(async () => {
    leftOut = await up();
  });
  if (leftOut) throw leftOut;
}

/** Has the server present this certificate, and demand what goes with it, from now on. */
async function enforce(host: Host, choice: Choice): Promise<void> {
  const tls = host.certificates.chosen(choice);
  if (!tls) throw notEnrolled();
  await host.engine.applyTls(await adjust(host, { tlsMode: tls.mode }), tls.bundle);
}

/** `overrides` of a job: those of the attached group, as they are now. */
const chosen = (overrides: Kept["overrides"]) => (overrides === undefined ? {} : { overrides });

const handlers: { [K in JobKind]: Handler<K> } = {
  prepare: {
    online: false,
    run: async (host, { memoryMb, volumeGb, cidrs, overrides, databases, users, modules, restore: from, following }, id) => {
      const { engine, certificates } = host;
      const source = following && upstreamOf(host, following);
      await bring(host, async () => {
        if (from) await restore(host, from, { memoryMb, volumeGb, cidrs }, id);
        else if (source) await replicationOf(host).seed(source);
        else await engine.initialise();
        const leftOut = await rise(host, "start", { memoryMb, volumeGb, cidrs, ...chosen(overrides), ...(source && { standby: {} }) });
        const tls = certificates.chosen(certificates.present);
        if (tls) await engine.applyTls(changed(host, { tlsMode: tls.mode }), tls.bundle);
        return leftOut;
      });
      if (following) await follow(host, following);
      if (databases.length > 0) await engine.createDatabases({ databases });
      if (users.length > 0) await engine.createUsers({ users });
      // A module that cannot be applied takes nothing from the new instance: the answer says so.
      if (modules) return applyModules(engine, modules, () => true);
    },
  },
  restart: {
    online: false,
    run: async (host, { overrides }) => {
      const settings = changed(host, chosen(overrides));
      await bring(host, () => rise(host, "restart", settings));
    },
  },
  configure: {
    online: false,
    run: async (host, { memoryMb, overrides }) => {
      const settings = changed(host, { memoryMb, ...chosen(overrides) });
      // What does not fit the new size is told before anything is stopped.
      await host.engine.check(settings);
      await bring(host, () => rise(host, "restart", settings));
    },
  },
  apply_configuration: {
    online: true,
    run: async (host, { overrides }) => {
      const settings = changed(host, { overrides });
      const restartRequired = await host.engine.applyConfiguration(settings);
      await host.settings.update(settings);
      return { restartRequired };
    },
  },
  stop: {
    online: false,
    run: async (host) => {
      await host.supervisor.halt();
      if (host.settings.value) await adjust(host, { stopped: true });
    },
  },
  ping: { online: false, run: async () => {} },
  diagnostics: { online: false, run: ({ version }) => diagnostics(version) },
  hwinfo: { online: false, run: () => hardware() },
  grow_volume: { online: false, run: async (host, { volumeGb }) => host.engine.applyAccess(await adjust(host, { volumeGb })) },
  access: { online: true, run: async (host, { cidrs }) => host.engine.applyAccess(await adjust(host, { cidrs })) },
  tls: {
    online: true,
    run: async (host, { id, change }) => {
      const { present } = host.certificates;
      const choice = host.certificates.made(id) ? present : change.to === "given" ? change.given : change.to === "builtin" ? null : change.to === "previous" ? host.certificates.previous : present;
      try {
        await enforce(host, choice);
      } catch (error) {
        // The server goes on with what it had; what failed first is what the user is told.
        if (choice !== present) await enforce(host, present).catch((again: unknown) => log.error("the former TLS configuration could not be put back", { error: describe(again) }));
        throw error;
      }
      await host.certificates.choose(choice, id);
      return told(choice);
    },
  },
  serve: { online: true, run: serve },
  follow: { online: false, run: follow },
  hold: { online: false, run: hold },
  promote: { online: true, run: promote },
  position: { online: true, run: (host) => replicationOf(host).position() },
  create_databases: { online: true, run: ({ engine }, spec) => engine.createDatabases(spec) },
  delete_database: { online: true, run: ({ engine }, spec) => engine.deleteDatabase(spec) },
  create_users: { online: true, run: ({ engine }, spec) => engine.createUsers(spec) },
  change_passwords: { online: true, run: ({ engine }, spec) => engine.changePasswords(spec) },
  update_user: { online: true, run: ({ engine }, spec) => engine.updateUser(spec) },
  delete_user: { online: true, run: ({ engine }, spec) => engine.deleteUser(spec) },
  grant: { online: true, run: ({ engine }, spec) => engine.grant(spec) },
  revoke: { online: true, run: ({ engine }, spec) => engine.revoke(spec) },
  apply_modules: { online: true, run: ({ engine }, { modules }) => applyModules(engine, modules, ({ code }) => code !== "serviceUnavailable") },
  remove_module: { online: true, run: ({ engine }, spec) => removeModule(engine, spec) },
  enable_root: { online: true, run: ({ engine }, spec) => engine.enableRoot(spec) },
  disable_root: { online: true, run: ({ engine }, spec) => engine.disableRoot(spec) },
  log: {
    online: false,
    run: async (host, { name, enable, discard, publish }, id) => {
      const { engine, logs } = host;
      logs.demand(name);
      if (enable !== undefined && enable !== (host.settings.value?.logs ?? []).includes(name)) {
        const others = (host.settings.value?.logs ?? []).filter((one) => one !== name);
        const settings = changed(host, { logs: enable ? [...others, name] : others });
        await engine.applyLogs(settings);
        await host.settings.update(settings);
      }
      if (discard) await logs.discard(name, id);
      if (publish) await logs.publish(name, id);
      return { log: await logs.show(name) };
    },
  },
  backup: { online: true, run: (host, spec, id) => backup(host, spec, id) },
  cancel_backup: { online: false, run: async ({ transfers }, { backupId }) => transfers.cancel(backupId) },
};

/** How long a job waits for a server that is being restarted, and how often it is begun again after a crash under it. */
const availableMs = 30_000;
const tries = 3;

const isKind = (kind: string): kind is JobKind => Object.hasOwn(jobs, kind);

/**
 * Does one job. A crash of the server in its middle is waited out and the job done again, as
 * every kind is idempotent. Throws AppError, or the engine's own error.
 */
export async function perform(host: Host, kind: string, spec: Record<string, unknown>, id: string): Promise<Done> {
  if (!isKind(kind)) {
    throw new AppError("badRequest", `This agent knows no job "${kind.slice(0, 64)}"; it speaks protocol ${PROTOCOL}`, { reason: "job.unknown" });
  }
  return run(host, kind, spec, id);
}

async function run<K extends JobKind>(host: Host, kind: K, spec: Record<string, unknown>, id: string): Promise<Done> {
  const handler: Handler<K> = handlers[kind];
  const parsed = jobs[kind].safeParse(spec);
  if (!parsed.success) {
    const where = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).slice(0, 10).join("; ");
    throw new AppError("badRequest", `The job "${kind}" is not of the form this agent expects: ${where}`, { reason: "job.invalid" });
  }
  for (let left = tries - 1; ; left--) {
    if (handler.online) await host.supervisor.available(availableMs);
    const crashes = host.supervisor.crashes;
    try {
      // The schema was looked up by the same kind; the compiler does not carry that through the index.
      return await handler.run(host, parsed.data as JobSpec<K>, id);
    } catch (error) {
      // A connection breaks before the end of its server is seen.
      await host.supervisor.check();
      if (left === 0 || !handler.online || host.supervisor.crashes === crashes) throw error;
    }
  }
}

/** Words for the user: bounded, and without what the job carried in confidence. */
export function explain(error: unknown, spec: Record<string, unknown>): string {
  let text = describe(error);
  if (error instanceof AppError && error.next) text += ` ${error.next}`;
  for (const secret of secretsOf(spec)) text = text.replaceAll(secret, "***");
  return text.replace(/SCRAM-SHA-256\$[^\s'"]*/g, "***").replace(/-----BEGIN[^]*?(-----END[^-]*-----|$)/g, "***").slice(0, 2000);
}

function secretsOf(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    typeof inner !== "string" ? secretsOf(inner) : /verifier|password|secret|key|contents|sealed/i.test(name) && inner !== "" ? [inner] : [],
  );
}
