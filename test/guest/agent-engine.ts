import type { Engine, Health, LogFile, Settings, Usage, Writes } from "#core/engine/engine";
import { AppError } from "#core/error";
import type { Inventory, JobSpec, TlsBundle } from "#core/guest/protocol";

/** A machine's disk and processes: what stays when an agent goes. */
export class World {
  initialised = false;
  settings: Settings | undefined;
  certificate: string | undefined;
  logs: LogFile[] = [];
  usage: Usage = { usedBytes: 1024 ** 3, totalBytes: 2 * 1024 ** 3, freeBytes: 1024 ** 3 };
  writes: Writes = "open";
  readonly databases = new Set<string>();
  readonly users = new Map<string, { verifier: string; databases: string[] }>();
  /** Contents by module. */
  readonly modules = new Map<string, string>();
  /** Names of the engine methods called, in order. */
  readonly calls: string[] = [];
  /** Server processes started so far. */
  starts = 0;
  /** Methods whose next call fails. */
  readonly failing = new Set<string>();
  /** How many of the next starts fail. */
  failingStarts = 0;
  isRunning = false;
  #onExit: (() => void)[] = [];
  readonly #blocked = new Map<string, Promise<void>>();

  crash() {
    this.isRunning = false;
    for (const resolve of this.#onExit.splice(0)) resolve();
  }

  exited(): Promise<void> {
    return this.isRunning ? new Promise((resolve) => this.#onExit.push(resolve)) : Promise.resolve();
  }

  /** Calls of this method wait until the returned function is called. */
  block(method: string): () => void {
    let open = () => {};
    this.#blocked.set(method, new Promise((resolve) => (open = resolve)));
    return () => {
      this.#blocked.delete(method);
      open();
    };
  }

  async enter(method: string) {
    this.calls.push(method);
    await this.#blocked.get(method);
    if (this.failing.delete(method)) throw new Error(`${method} failed`);
  }

  up({ overrides = {} }: Settings) {
    if (!this.isRunning && "fatal" in overrides) throw new Error("fatal cannot be together with another");
    if (this.failingStarts > 0) {
      this.failingStarts--;
      throw new Error("could not bind");
    }
    if (this.isRunning) return;
    this.isRunning = true;
    this.starts++;
  }
}

/** An engine in memory: deterministic, and as picky about being down as a real one. */
export class MemoryEngine implements Engine {
  readonly version = "1.0";
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  async initialised() {
    return this.#world.initialised;
  }
  async initialise() {
    await this.#world.enter("initialise");
    this.#world.initialised = true;
  }
  async start(settings: Settings) {
    await this.#world.enter("start");
    this.#world.up(settings);
    this.#world.settings = settings;
  }
  async stop() {
    await this.#world.enter("stop");
    this.#world.crash();
  }
  async restart(settings: Settings) {
    await this.#world.enter("restart");
    this.#world.crash();
    this.#world.up(settings);
    this.#world.settings = settings;
  }
  async applyAccess(settings: Settings) {
    await this.#online("applyAccess");
    this.#world.settings = settings;
  }
  async check({ overrides = {} }: Settings) {
    await this.#world.enter("check");
    if ("invalid" in overrides) throw new Error("invalid: no such parameter");
  }
  async applyConfiguration(settings: Settings) {
    await this.check(settings);
    await this.#online("applyConfiguration");
    this.#world.settings = settings;
    return Object.keys(settings.overrides ?? {}).filter((name) => name.startsWith("static"));
  }
  logs() {
    return this.#world.logs;
  }
  async applyLogs(settings: Settings) {
    await this.#world.enter("applyLogs");
    this.#world.settings = settings;
  }
  async applyTls(settings: Settings, { certificate }: TlsBundle) {
    await this.#world.enter("applyTls");
    if (certificate === "unusable") throw new Error("the server does not take it");
    this.#world.certificate = certificate;
    this.#world.settings = settings;
  }
  async health(): Promise<Health> {
    return this.#world.isRunning ? "healthy" : "crashed";
  }
  exited() {
    return this.#world.exited();
  }
  async inventory(): Promise<Inventory> {
    if (!this.#world.isRunning) throw new Error("connection refused");
    const users = [...this.#world.users].map(([name, { databases }]) => ({ name, host: "%", databases }));
    return { databases: [...this.#world.databases].map((name) => ({ name })), users };
  }
  async usage() {
    return this.#world.usage;
  }
  async limitWrites(writes: Writes) {
    await this.#world.enter("limitWrites");
    this.#world.writes = writes;
  }
  async createDatabases({ databases }: JobSpec<"create_databases">) {
    await this.#online("createDatabases");
    for (const { name } of databases) this.#world.databases.add(name);
  }
  async deleteDatabase({ name }: JobSpec<"delete_database">) {
    await this.#online("deleteDatabase");
    this.#world.databases.delete(name);
  }
  async createUsers({ users }: JobSpec<"create_users">) {
    await this.#online("createUsers");
    for (const { name, verifier, databases } of users) {
      if (name === "bad") throw new Error(`syntax error near '${verifier}'`);
      this.#world.users.set(name, { verifier, databases });
    }
  }
  async changePasswords({ users }: JobSpec<"change_passwords">) {
    await this.#online("changePasswords");
    for (const { name, verifier } of users) this.#user(name).verifier = verifier;
  }
  async updateUser({ name, newName }: JobSpec<"update_user">) {
    await this.#online("updateUser");
    this.#world.users.set(newName ?? name, this.#user(name));
    if (newName) this.#world.users.delete(name);
  }
  async deleteUser({ name }: JobSpec<"delete_user">) {
    await this.#online("deleteUser");
    this.#world.users.delete(name);
  }
  async grant({ name, databases }: JobSpec<"grant">) {
    await this.#online("grant");
    this.#user(name).databases.push(...databases);
  }
  async revoke({ name, database }: JobSpec<"revoke">) {
    await this.#online("revoke");
    const user = this.#user(name);
    user.databases = user.databases.filter((one) => one !== database);
  }
  async enableRoot({ verifier }: JobSpec<"enable_root">) {
    await this.#online("enableRoot");
    this.#world.users.set("root", { verifier, databases: [] });
  }
  async disableRoot({ verifier }: JobSpec<"disable_root">) {
    await this.#online("disableRoot");
    this.#user("root").verifier = verifier;
  }
  async applyModule({ id, contents }: { id: string; contents: string }) {
    await this.#online("applyModule");
    if (contents.includes("refused")) throw new AppError("badRequest", "The engine refuses it.");
    if (contents.includes("away")) throw new AppError("serviceUnavailable", "The engine is away.");
    this.#world.modules.set(id, contents);
    return `applied ${contents}`;
  }
  async removeModule({ id }: { id: string }) {
    await this.#online("removeModule");
    this.#world.modules.delete(id);
  }
  async close() {}

  #user(name: string) {
    const user = this.#world.users.get(name);
    if (!user) throw new Error(`user ${name} does not exist`);
    return user;
  }

  async #online(method: string) {
    await this.#world.enter(method);
    if (!this.#world.isRunning) throw new Error("connection refused");
  }
}
