import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#core/clock";
import type { Engine, Health, Machine } from "#core/engine/engine";
import type { JobSpec } from "#core/guest/protocol";
import { run } from "#functions/agent/run";

/** The agent as a process of its own, over an engine whose server is a real process and whose data are files. */
class ProcessEngine implements Engine {
  readonly version = "1.0";
  readonly #volume: string;

  constructor(machine: Machine) {
    this.#volume = machine.volumeDirectory;
  }

  async initialised() {
    return existsSync(this.#path("data"));
  }
  async initialise() {
    if (!existsSync(this.#path("data"))) writeFileSync(this.#path("data"), "");
  }
  async start() {
    if (this.#alive()) return;
    const server = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
    server.unref();
    writeFileSync(this.#path("pid"), String(server.pid));
    appendFileSync(this.#path("starts"), `${server.pid}\n`);
  }
  async stop() {
    if (!this.#alive()) return;
    process.kill(this.#pid(), "SIGKILL");
    await this.exited();
  }
  async restart() {
    await this.stop();
    await this.start();
  }
  async check() {}
  logs() {
    return [];
  }
  async applyLogs() {}
  async applyConfiguration() {
    return [];
  }
  async health(): Promise<Health> {
    return this.#alive() ? "healthy" : "crashed";
  }
  async exited() {
    while (this.#alive()) await systemClock.sleep(10);
  }
  async inventory() {
    const names = readFileSync(this.#path("data"), "utf8").split("\n").filter(Boolean);
    return { databases: names.map((name) => ({ name })), users: [] };
  }
  async usage() {
    return { usedBytes: 2 ** 30, totalBytes: 2 ** 31, freeBytes: 2 ** 30 };
  }
  async limitWrites() {}
  async applyModule() {
    return "";
  }
  async removeModule() {}
  async createDatabases({ databases }: JobSpec<"create_databases">) {
    appendFileSync(this.#path("began"), `${databases[0]?.name}\n`);
    while (existsSync(this.#path("hold"))) await systemClock.sleep(5);
    for (const { name } of databases) appendFileSync(this.#path("data"), `${name}\n`);
  }
  async applyAccess() {}
  async applyTls() {}
  async deleteDatabase() {}
  async createUsers() {}
  async changePasswords() {}
  async updateUser() {}
  async deleteUser() {}
  async grant() {}
  async revoke() {}
  async enableRoot() {}
  async disableRoot() {}
  async close() {}

  #path(name: string) {
    return join(this.#volume, name);
  }
  #pid() {
    return Number(readFileSync(this.#path("pid"), "utf8"));
  }
  #alive() {
    if (!existsSync(this.#path("pid"))) return false;
    try {
      return !/\) [ZX]/.test(readFileSync(`/proc/${this.#pid()}/stat`, "latin1"));
    } catch {
      return false; // No such process.
    }
  }
}

process.exit(await run(process.argv[2], (_, machine) => new ProcessEngine(machine)));
