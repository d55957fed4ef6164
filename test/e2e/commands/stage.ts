import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openstackOf, type OpenStack } from "#test/support/clients";
import { until } from "#test/support/cluster";
import { rest, type Shown } from "#test/support/rest";
import { installation, run, type Running } from "#test/support/service";

/** Long enough that no log line holds one by chance. */
export const passwords = { alice: "pw-of-alice-8Qz1", bob: "pw-of-bob-hidden-3Xk", robert: "pw-of-bob-changed-5Rt", root: "pw-of-root-chosen-7Lm" };

/**
 * One started service for the cases of all commands, which run in order. `pg1` is the project's ordinary instance;
 * `pg2` is the one that administrators have their way with.
 */
export class Stage {
  place!: Awaited<ReturnType<typeof installation>>;
  service!: Running;
  /** The project's API, and the administrator's. */
  api!: ReturnType<typeof rest>;
  admin!: ReturnType<typeof rest>;
  /** A directory for what clients write; gone in the end. */
  scratch = "";
  /** What no log may show. */
  readonly secrets: string[] = [...Object.values(passwords)];
  /** All that services printed that have ended since. */
  readonly printed: string[] = [];
  /** Every command line that has ended, and whether it succeeded. */
  readonly ends: { line: string; succeeded: boolean }[] = [];
  private client!: OpenStack;

  async raise(): Promise<void> {
    this.place = await installation({ COFFER_HTTP_RATE_PER_MINUTE: "100000" });
    this.service = await this.place.start();
    this.api = rest(this.place);
    this.admin = rest(this.place, "admin");
    this.scratch = await mkdtemp(join(tmpdir(), "coffer-commands-"));
    this.client = openstackOf(this.place, { ended: (words, { code }) => void this.ends.push({ line: words.join(" "), succeeded: code === 0 }) });
  }

  async strike(): Promise<void> {
    await this.service?.stop();
    await this.place?.remove();
    await rm(this.scratch, { recursive: true, force: true });
  }

  async restart(): Promise<number | null> {
    const code = await this.service.stop();
    this.printed.push(this.service.output());
    this.service = await this.place.start();
    return code;
  }

  readonly openstack: OpenStack["openstack"] = (...words) => this.client.openstack(...words);
  readonly ok: OpenStack["ok"] = (...words) => this.client.ok(...words);
  readonly json: OpenStack["json"] = (...words) => this.client.json(...words);
  readonly refused: OpenStack["refused"] = (...words) => this.client.refused(...words);

  /** The project's instance of that name, as its API shows it. */
  async seen(name: string): Promise<Shown> {
    const found = (await this.api.list()).find((one) => one.name === name);
    if (!found) throw new Error(`no instance ${name}`);
    return this.api.show(found.id);
  }

  /** Waits until an instance is as wanted; ERROR ends the wait. */
  async until(name: string, what: string, wanted: (row: Shown) => boolean): Promise<void> {
    await until(async () => {
      const row = await this.seen(name);
      if (row.status === "ERROR") throw new Error(JSON.stringify(row));
      return wanted(row);
    }, `${name}: ${what}`, 90_000, 200);
  }

  healthy(name = "pg1"): Promise<void> {
    return this.until(name, "ACTIVE and HEALTHY", ({ status, operating_status }) => status === "ACTIVE" && operating_status === "HEALTHY");
  }

  /** One statement at an instance's server. */
  async psql(sql: string, { at = "pg1", user = "alice", password = passwords.alice, database = "app", options = "sslmode=require" } = {}) {
    const [address] = (await this.seen(at)).ip ?? [];
    return run("psql", ["-X", "-A", "-t", "-c", sql, `host=${address} port=5432 user=${user} dbname=${database} connect_timeout=5 ${options}`], { PGPASSWORD: password });
  }
}
