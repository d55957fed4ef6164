import { createWriteStream } from "node:fs";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { nameId, type DatastoreSeed } from "#core/datastore/seed";
import { freePort } from "#functions/node/listen";
import { debian, python } from "#test/support/debian/folder";

/** Its Trove is the one that start.py and the suite were written against. */
const SUITE = process.env.COFFER_ORACLE_SUITE ?? "forky";
const here = resolve("test/support/oracle");

export interface OracleOptions {
  /** Identity root without `/v3`, and who may validate tokens there. */
  identity: string;
  username: string;
  password: string;
  datastores: DatastoreSeed[];
  /** Datastore and version of what cannot be ordered. */
  inactive: [string, string][];
  /** Trove's option names (contract §7.1). */
  limits: Record<string, number>;
}

/** Trove's real API, listening on a free port of 127.0.0.1; its clouds are faked. Needs root and apt the first time. */
export async function startOracle({ datastores, inactive, ...told }: OracleOptions) {
  const directory = await debian({ directory: process.env.COFFER_ORACLE_DIR, name: "oracle", suite: SUITE, packages: ["python3-trove"] });
  const port = await freePort();
  // Several may run from one folder.
  const place = join(directory, "tmp", `oracle-${port}`);
  await mkdir(place, { recursive: true });
  for (const name of ["start.py", "clouds.py"]) await copyFile(join(here, name), join(place, name));
  const inside = `/tmp/oracle-${port}`;
  const child = python(directory, `${inside}/start.py`, { ...told, port, directory: inside, catalogue: datastores.map((one) => catalogued(one, inactive)) });
  let text = "";
  let locks = 0;
  // Kept after the run: what a 500 of the reference meant stands there.
  const log = createWriteStream(join(directory, "tmp", "oracle.log"));
  child.stdout.pipe(log);
  child.stderr.pipe(log);
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  await new Promise<void>((done, fail) => {
    const look = (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-10_000);
      if (chunk.includes("database is locked")) locks++;
      if (text.includes("reference Trove listens")) done();
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    void ended.then(() => fail(new Error(`the reference ended at its start:\n${text.slice(-4000)}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    /** How often a request failed because SQLite, in one process with green threads, waited for itself. */
    locks: () => locks,
    /** Keeps accepted work from beginning, or lets it begin. */
    hold: (on: boolean) => (on ? writeFile(join(place, "hold"), "") : rm(join(place, "hold"), { force: true })),
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(place, { recursive: true, force: true });
    },
  };
}

/** Both servers have the same ids, so that paths and replies can be compared as they are. */
const catalogued = ({ name, manager, versions }: DatastoreSeed, inactive: OracleOptions["inactive"]) => ({
  id: nameId(name),
  name,
  manager,
  default: nameId(name, (versions.find((one) => one.isDefault) ?? versions[0])?.name ?? ""),
  versions: versions.map((one) => ({ id: nameId(name, one.name), name: one.name, version: one.version, active: !inactive.some(([store, version]) => store === name && version === one.name) })),
});
