import { writeFile } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { until } from "#test/support/cluster";
import { openssl } from "#test/support/pkcs12";
import type { Stage } from "#test/e2e/commands/stage";

/** A certificate of one's own by the commands that clients have for it since 8.11. */
export function ssl(stage: Stage) {
  test("ssl show, enable, disable and rollback; psql meets the certificate", async () => {
    const { ok, json, place } = stage;
    const tool = await openssl();
    onTestFinished(() => tool.close());
    const ca = await tool.authority();
    const [address = ""] = (await stage.seen("pg1")).ip ?? [];
    const own = await tool.issue(ca, { san: `IP:${address}` });
    const bytes = await tool.bundle(own, { password: "pw-of-p12-6Wn", chain: [ca] });
    stage.secrets.push("pw-of-p12-6Wn");
    await writeFile(tool.at("their.pem"), ca.certificate);
    const store = (payload: string, type: string[]) => ok(["secret", "store", "--payload", payload, ...type, "-f", "value", "-c", "Secret href"]);
    const bundle = await store(bytes.toString("base64"), ["-t", "application/octet-stream", "-e", "base64"]);
    const password = await store("pw-of-p12-6Wn", ["-t", "text/plain"]);
    const shown = () => json<{ mode?: string; status?: string }>("database ssl show pg1");
    const builtin = `sslmode=verify-full sslrootcert=${place.ca}`;
    const theirs = `sslmode=verify-full sslrootcert=${tool.at("their.pem")}`;
    const codes = async () => [await stage.psql("select 1", { options: "sslmode=disable" }), await stage.psql("select 1", { options: builtin }), await stage.psql("select 1", { options: theirs })].map(({ code }) => code);

    expect(await shown()).toMatchObject({ mode: "builtin" });
    expect(await codes()).toEqual([0, 0, 2]);
    await ok(`database ssl enable pg1 ${bundle} --mode enforced --password_ref ${password}`);
    await until(async () => (await shown()).mode === "enforced", "the new mode");
    expect(await ok("database ssl show --include-certificate pg1")).toContain("BEGIN CERTIFICATE");
    expect(await codes()).toEqual([2, 2, 0]);
    await ok("database ssl disable pg1");
    expect(await codes()).toEqual([0, 0, 2]);
    await ok("database ssl rollback pg1");
    expect(await codes()).toEqual([2, 2, 0]);
    await ok("database ssl disable pg1");
    expect(await shown()).toMatchObject({ mode: "builtin" });
  });
}
