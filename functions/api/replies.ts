import * as z from "zod";

/**
 * What replies look like on the wire (contract §2): strict, so that a member nobody declared is found, and
 * `optional` where the contract says that it is left out rather than null.
 */

const time = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
const count = z.int().min(0);
const links = z.tuple([z.strictObject({ href: z.url(), rel: z.literal("self") }), z.strictObject({ href: z.url(), rel: z.literal("bookmark") })]);
const next = { links: z.tuple([z.strictObject({ rel: z.literal("next"), href: z.url() })]).optional() };
const list = <K extends string>(key: K, item: z.ZodType) => z.strictObject({ [key]: z.array(item), ...next });
const one = <K extends string>(key: K, item: z.ZodType) => z.strictObject({ [key]: item });

/** What only administrators are told. */
export type Reader = { admin: boolean };

const listed = ({ admin }: Reader) => ({
  id: z.uuid(),
  name: z.string(),
  status: z.string().regex(/^[A-Z_]+$/),
  operating_status: z.string(),
  links,
  flavor: z.strictObject({ id: z.string(), links }),
  datastore: z.strictObject({ type: z.string(), version: z.string() }),
  region: z.string(),
  access: z.strictObject({ is_public: z.boolean().optional(), allowed_cidrs: z.array(z.string()).optional() }),
  volume: z.strictObject({ size: count }),
  ip: z.array(z.string()).optional(),
  addresses: z.array(z.strictObject({ address: z.string(), type: z.enum(["private", "public"]), network: z.string().optional() })).optional(),
  port: z.int().optional(),
  replica_of: z.strictObject({ id: z.uuid(), links }).optional(),
  replicas: z.array(z.strictObject({ id: z.uuid(), links })).min(1).optional(),
  ...(admin && { tenant_id: z.string() }),
});
const detailed = (reader: Reader) => ({
  ...listed(reader),
  datastore: z.strictObject({ type: z.string(), version: z.string(), version_number: z.string() }),
  created: time,
  updated: time,
  service_status_updated: time,
  configuration: z.strictObject({ id: z.uuid(), name: z.string(), links }).optional(),
  fault: z.strictObject({ message: z.string(), created: time, details: reader.admin ? z.string().nullable() : z.null() }).optional(),
  ...(reader.admin && { server_id: z.string().nullable(), volume_id: z.string().nullable(), encrypted_rpc_messaging: z.boolean() }),
});
const shown = (reader: Reader) => ({
  ...detailed(reader),
  locality: z.string().optional(),
  replication: z
    .strictObject({
      role: z.enum(["source", "replica"]),
      timeline: z.int(),
      received: z.string(),
      replayed: z.string(),
      connected: z.boolean().optional(),
      lag_bytes: count.optional(),
      lag_seconds: z.number().optional(),
      stalled: z.literal(true).optional(),
      seen: time,
    })
    .optional(),
  point_in_time: z.strictObject({ earliest: time.nullable(), latest: time.nullable(), gaps: z.array(z.strictObject({ from: time, to: time })), pending_bytes: count, error: z.string().optional() }).optional(),
  volume: z.strictObject({ size: count, read_only_since: time.optional(), used: z.number().optional(), used_percent: z.number().optional() }),
});
const server = { id: z.string(), name: z.string(), status: z.string(), tenant_id: z.string(), host: z.string().nullable() };
const managed = {
  ...detailed({ admin: true }),
  service_status: z.string().nullable(),
  deleted: z.boolean(),
  deleted_at: time.nullable(),
  task_description: z.string(),
  server: z.strictObject(server).nullable(),
};
const managedDetail = {
  ...managed,
  server: z.strictObject({ ...server, addresses: z.record(z.string(), z.array(z.strictObject({ addr: z.string(), version: z.literal(4) }))) }).nullable(),
  volume: z.strictObject({ id: z.string(), size: count, used: z.number().optional(), total: z.number().optional() }).nullable(),
  guest_status: z.strictObject({ state_description: z.string() }),
  root_enabled: time.optional(),
  root_enabled_by: z.string().optional(),
};

const version = ({ admin }: Reader, nested = false) =>
  z.strictObject({
    id: z.uuid(),
    name: z.string(),
    version: z.string(),
    links,
    ...(!nested && { datastore: z.uuid() }),
    ...(admin && { active: z.boolean(), packages: z.string().nullable(), image: z.string(), image_tags: z.array(z.string()), registry_ext: z.string(), repl_strategy: z.string() }),
  });
const datastore = (reader: Reader) => z.strictObject({ id: z.uuid(), name: z.string(), links, versions: z.array(version(reader, true)), default_version: z.uuid().optional() });
const managedVersion = z.strictObject({
  id: z.uuid(),
  name: z.string(),
  version: z.string(),
  datastore_id: z.uuid(),
  datastore_name: z.string(),
  datastore_manager: z.string(),
  image: z.string(),
  image_tags: z.array(z.string()).min(1),
  packages: z.array(z.string()).min(1),
  active: z.boolean(),
  registry_ext: z.string(),
  repl_strategy: z.string(),
  default: z.boolean(),
});
const flavor = z.strictObject({
  id: z.int().nullable(),
  str_id: z.string(),
  links,
  name: z.string(),
  ram: count,
  vcpus: count,
  disk: count,
  ephemeral: count,
  local_storage: count,
});

const name = z.strictObject({ name: z.string() });
const account = z.strictObject({ name: z.string(), host: z.string(), databases: z.array(name) });
const amounts = z.int().min(-1);
const quota = { instances: amounts, volumes: amounts, ram: amounts, backups: amounts };
const absolute = z.strictObject({ verb: z.literal("ABSOLUTE"), max_instances: amounts, max_ram: amounts, max_volumes: amounts, max_backups: amounts });
const rate = z.strictObject({
  verb: z.enum(["GET", "POST", "PUT", "DELETE"]),
  uri: z.literal("*"),
  regex: z.literal(".*"),
  value: count,
  unit: z.literal("MINUTE"),
  remaining: count,
  nextAvailable: z.string().regex(/Z$/),
});
const words = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
const groupListed = {
  id: z.uuid(),
  name: z.string(),
  description: z.string().nullable(),
  created: time,
  updated: time,
  datastore_version_id: z.uuid(),
  datastore_name: z.string(),
  datastore_version_name: z.string(),
};
const group = z.strictObject({ ...groupListed, datastore_version_number: z.string(), values: words, instance_count: count });
const ruled = { name: z.string(), datastore_version_id: z.uuid(), restart_required: z.boolean(), type: z.string() };
const parameter = z.strictObject({ ...ruled, min: z.number().optional(), max: z.number().optional(), unit: z.string().optional(), allowed_values: z.array(z.string()).optional() });
const managedParameter = z.strictObject({ ...ruled, min_size: z.number().optional(), max_size: z.number().optional() });
const moduleListed = {
  id: z.uuid(),
  name: z.string(),
  type: z.string(),
  description: z.string().nullable(),
  tenant_id: z.string().nullable(),
  datastore_id: z.uuid().nullable(),
  datastore_version_id: z.uuid().nullable(),
  auto_apply: z.boolean(),
  priority_apply: z.boolean(),
  apply_order: z.int().min(0).max(9),
  is_admin: z.boolean(),
  md5: z.string().length(32),
  visible: z.boolean(),
  created: time,
  updated: time,
  tenant: z.string(),
  datastore: z.string(),
  datastore_version: z.string(),
};
/** With `count_only`. */
const versionCount = z.strictObject({ module_name: z.string(), module_id: z.uuid(), module_md5: z.string(), instance_count: count, current: z.boolean(), min_updated_date: time, max_updated_date: time });
const moduleShown = { ...moduleListed, live_update: z.boolean() };
const { id, name: moduleName, type, tenant, datastore: moduleStore, datastore_version, md5, auto_apply, visible, is_admin, created, updated } = moduleListed;
const appliedModule = z.strictObject({
  ...{ id, name: moduleName, type, tenant, datastore: moduleStore, datastore_version, md5, auto_apply, visible, is_admin, created, updated },
  status: z.enum(["OK", "ERROR"]),
  message: z.string().nullable(),
  removed: z.null(),
  contents: z.base64().nullable().optional(),
});
const sslModes = ["builtin", "basic", "enforced", "mtls"] as const;
const log = z.strictObject({
  name: z.string(),
  type: z.enum(["USER", "SYS"]),
  status: z.enum(["Disabled", "Enabled", "Ready", "Published", "Partial", "Rotated"]),
  published: count,
  pending: count,
  container: z.string(),
  prefix: z.string(),
  metafile: z.string(),
});
const step = z.strictObject({
  label: z.string(),
  attempt: count,
  started: time,
  finished: time.nullable(),
  polls: count,
  outcome: z.string().nullable(),
  error: z.string().nullable(),
});
const operation = z.strictObject({
  id: z.uuid(),
  kind: z.string(),
  status: z.string(),
  run: count,
  label: z.string(),
  created: time,
  updated: time,
  finished: time.nullable(),
  error: z.strictObject({ code: z.string(), message: z.string(), label: z.string(), next: z.string().nullable() }).nullable(),
  request_id: z.string().nullable(),
  steps: z.array(step),
});
const backup = z.strictObject({
  id: z.uuid(),
  name: z.string(),
  description: z.string().nullable(),
  locationRef: z.url().nullable(),
  instance_id: z.uuid().nullable(),
  created: time,
  updated: time,
  size: z.number().nullable(),
  status: z.enum(["NEW", "BUILDING", "SAVING", "COMPLETED", "FAILED", "RESTORED", "DELETE_FAILED"]),
  parent_id: z.uuid().nullable(),
  project_id: z.string(),
  datastore: z.strictObject({ type: z.string(), version: z.string(), version_id: z.uuid() }),
  stored_size: z.number().optional(),
  fault: z.strictObject({ message: z.string(), created: time }).optional(),
});
const strategy = z.strictObject({ project_id: z.string(), instance_id: z.string(), backend: z.literal("swift"), swift_container: z.string() });

/** By the name that a row of the route table uses. */
export const replies = {
  openapi: () => z.looseObject({ openapi: z.string(), info: z.looseObject({}), paths: z.looseObject({}) }),
  versions: () => one("versions", z.array(z.strictObject({ id: z.string(), status: z.string(), updated: z.string(), links: z.array(z.strictObject({ rel: z.string(), href: z.url() })) }))),
  instances: (reader: Reader) => list("instances", z.strictObject(listed(reader))),
  detailedInstances: (reader: Reader) => list("instances", z.strictObject(detailed(reader))),
  moduleInstances: (reader: Reader) => z.union([list("instances", z.strictObject(listed(reader))), one("instances", z.array(versionCount))]),
  instance: (reader: Reader) => one("instance", z.strictObject(shown(reader))),
  managedInstances: () => list("instances", z.strictObject(managed)),
  managedInstance: () => one("instance", z.strictObject(managedDetail)),
  datastores: (reader: Reader) => one("datastores", z.array(datastore(reader))),
  datastore: (reader: Reader) => one("datastore", datastore(reader)),
  datastoreVersions: (reader: Reader) => one("versions", z.array(version(reader))),
  datastoreVersion: (reader: Reader) => one("version", version(reader)),
  managedVersions: () => one("versions", z.array(managedVersion)),
  managedVersion: () => one("version", managedVersion),
  flavors: () => one("flavors", z.array(flavor)),
  flavor: () => one("flavor", flavor),
  volumeTypes: () => one("volume_types", z.array(z.strictObject({ id: z.string(), name: z.string() }))),
  limits: () => one("limits", z.tuple([absolute], rate)),
  databases: () => list("databases", name),
  grants: () => one("databases", z.array(name)),
  users: () => list("users", account),
  user: () => one("user", account),
  rootEnabled: () => one("rootEnabled", z.boolean()),
  rootUser: () => one("user", z.strictObject({ name: z.literal("root"), password: z.string().min(1) })),
  rootHistory: () => one("root_history", z.strictObject({ id: z.uuid(), enabled: z.union([time, z.literal("Never")]), user: z.string() })),
  quotas: () => one("quotas", z.array(z.strictObject({ resource: z.string(), in_use: count, reserved: count, limit: amounts }))),
  quotasSet: () => one("quotas", z.strictObject(quota).partial()),
  defaults: () => one("instance", z.strictObject({ configuration: words })),
  groups: () => list("configurations", z.strictObject(groupListed)),
  group: () => one("configuration", group),
  groupInstances: () => list("instances", z.strictObject({ id: z.uuid(), name: z.string() })),
  modules: () => one("modules", z.array(z.strictObject(moduleListed))),
  module: () => one("module", z.strictObject(moduleShown)),
  moduleCounted: () => one("module", z.strictObject({ ...moduleShown, instance_count: count })),
  appliedModules: () => one("modules", z.array(appliedModule)),
  parameters: () => one("configuration-parameters", z.array(parameter)),
  parameter: () => parameter,
  managedParameters: () => one("configuration-parameters", z.array(managedParameter)),
  managedParameter: () => managedParameter,
  diagnostics: () => one("diagnostics", z.strictObject({ version: z.string(), threads: count, fdSize: count, vmSize: count, vmPeak: count, vmRss: count, vmHwm: count })),
  hwinfo: () => one("hwinfo", z.strictObject({ mem_total: count, num_cpus: count })),
  clusters: () => one("clusters", z.array(z.never())),
  logs: () => one("logs", z.array(log)),
  log: () => one("log", log),
  ssl: () => one("ssl", z.strictObject({ status: z.enum(["on", "off"]), mode: z.enum(sslModes), certificate: z.strictObject({ cn: z.string(), expire_at: time, san: z.array(z.string()), payload: z.string().optional() }).optional() })),
  sslDone: () => one("ssl", z.strictObject({ restart_required: z.boolean(), status: z.literal("on").optional(), mode: z.enum(sslModes).optional() })),
  backups: () => list("backups", backup),
  backup: () => one("backup", backup),
  strategies: () => one("backup_strategies", z.array(strategy)),
  strategy: () => one("backup_strategy", strategy),
  operations: () => one("operations", z.array(operation)),
  notImplemented: () => one("notImplemented", z.strictObject({ code: z.literal(501), message: z.string() })),
} satisfies Record<string, (reader: Reader) => z.ZodType>;

export type Reply = keyof typeof replies;
