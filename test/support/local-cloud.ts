import { chmod, copyFile, link, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeAll } from "#core/driver/ensure";
import { createLocalCloud, type LocalCloud, type LocalOptions } from "#core/driver/index";
import type { ServerSpec } from "#core/driver/compute";
import { findAgents } from "#core/driver/local/processes";
import type { Machine } from "#core/engine/engine";
import type { Call } from "#core/driver/resource";

/**
 * Stands in for the real agent: starts an "engine" that works inside the volume, as the engine's
 * user and with nothing of the agent's environment; stops it when told; adopts it when it runs.
 */
const agentProgram = `
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
const directory = process.argv[2];
const machine = JSON.parse(readFileSync(directory + "/machine.json", "utf8"));
const boot = JSON.parse(readFileSync(directory + "/boot.json", "utf8"));
if (boot.token === "refuse") { console.error("this boot data will not do"); process.exit(3); }
const note = machine.stateDirectory + "/engine";
// A zombie is dead, whoever ought to have waited for it.
const alive = () => { try { return !/\\) Z /.test(readFileSync("/proc/" + readFileSync(note, "utf8") + "/stat", "utf8")); } catch { return false; } };
if (!alive()) {
  const engine = spawn(machine.engineDirectory + "/node", ["-e", "setInterval(() => {}, 60000)"], {
    cwd: machine.volumeDirectory, detached: true, stdio: "ignore", env: {}, ...machine.engineUser,
  });
  engine.unref();
  writeFileSync(note, String(engine.pid));
}
process.on("SIGTERM", () => {
  if (!existsSync(machine.stateDirectory + "/careless")) process.kill(Number(readFileSync(note, "utf8")), "SIGKILL");
  process.exit(0);
});
setInterval(() => {}, 60000);
`;

export const call = (ms = 25_000): Call => ({ signal: AbortSignal.timeout(ms) });

export const privileged = process.getuid?.() === 0;
let installations = 0;
const nothing = () => {};
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A root directory with the stand-in agent, and as many clouds one after the other on it as a test wants. */
export class Site {
  readonly root: string;
  readonly base: string;
  readonly installation: string;
  readonly clouds: LocalCloud[] = [];

  private constructor(base: string) {
    this.base = base;
    this.root = join(base, "data");
    installations += 1;
    this.installation = `${process.pid.toString(16)}${installations.toString(16)}${Date.now().toString(16)}`.padEnd(16, "0");
  }

  static async make(): Promise<Site> {
    const base = await mkdtemp(join(tmpdir(), "coffer-driver-"));
    await chmod(base, 0o711);
    const site = new Site(base);
    await writeFile(join(base, "agent.mjs"), agentProgram);
    await mkdir(join(base, "engine"), { mode: 0o755 });
    // The engine's program lies in a directory of its own, as a real one does.
    const program = join(base, "engine", "node");
    await link(process.execPath, program).catch(() => copyFile(process.execPath, program));
    return site;
  }

  async open(change: Partial<LocalOptions> = {}): Promise<LocalCloud> {
    const cloud = createLocalCloud({
      root: this.root,
      installation: this.installation,
      agentBundle: join(this.base, "agent.mjs"),
      node: process.execPath,
      engines: () => join(this.base, "engine"),
      privileged,
      log: silent,
      // Groups are made by the tests that are about them.
      limits: false,
      // As fast as they can be, where a test is not about volumes.
      images: false,
      ...change,
    });
    await cloud.start();
    this.clouds.push(cloud);
    return cloud;
  }

  async close(): Promise<void> {
    for (const cloud of this.clouds.slice(0, -1)) await cloud.stop({ leaveRunning: true });
    await this.clouds.at(-1)?.stop({ leaveRunning: false });
    await rm(this.base, { recursive: true, force: true });
  }

  directory = (server: string) => join(this.root, "servers", server);
  agent = (server: string) => findAgents().get(this.directory(server))?.[0]?.pid;

  async engine(server: string): Promise<number> {
    return Number(await readFile(join(this.directory(server), "state", "engine"), "utf8"));
  }

  async machine(server: string): Promise<Machine> {
    return JSON.parse(await readFile(join(this.directory(server), "machine.json"), "utf8")) as Machine;
  }
}

export const boot: ServerSpec["boot"] = {
  protocol: 1,
  instanceId: "11111111-1111-4111-8111-111111111111",
  generation: 1,
  url: "https://127.0.0.1:1/guest/v1",
  ca: "",
  token: "token",
  datastore: { manager: "postgresql", version: "17" },
};

export const flavor = { id: "1", ramMb: 512, vcpus: 1 };

/** Whether volumes can be file systems of their own here, found out where the tests' clouds have theirs. */
export async function imagesWork(): Promise<boolean> {
  const site = await Site.make();
  const cloud = await site.open({ images: true });
  await site.close();
  return cloud.level().volume === "ext4";
}

/** A port number that nothing in these tests listens on. */
export const SERVICE_PORT = 15_432;

type Drivers = Pick<LocalCloud, "compute" | "volumes" | "network">;

/** Volume, port and server under derived names. */
export async function build(cloud: Drivers, name: string, change: Partial<ServerSpec> = {}) {
  const volume = await cloud.volumes.create({ name: `${name}-volume`, sizeGb: 1 }, call());
  const port = await cloud.network.create({ name: `${name}-port`, servicePort: SERVICE_PORT, ingress: null, isPublic: false }, call());
  const spec: ServerSpec = {
    name: `${name}-server`,
    instanceId: boot.instanceId,
    flavor,
    image: boot.datastore,
    volumeId: volume.id,
    portId: port.id,
    boot,
    ...change,
  };
  const server = await cloud.compute.create(spec, call());
  return { volume, port, server, spec };
}

/** What the destroy workflow does. Bounded by `turns` looks. */
export async function demolish(cloud: Drivers, name: string, turns = 5) {
  for (const [resources, kind] of [[cloud.compute, "server"], [cloud.network, "port"], [cloud.volumes, "volume"]] as const) {
    for (let turn = 0; turn < turns; turn++) if (await removeAll(resources, `${name}-${kind}`, call())) break;
  }
}
