import { build } from "esbuild";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { scratch, until } from "#test/guest/agent-rig";

// Waits for a common moment, so that the claims really meet; then says how it went and lives on.
const contender = `
  import { lock } from "#core/lock";
  process.stdin.resume().once("data", async (moment) => {
    while (Date.now() < Number(moment)) continue;
    console.log(await lock(process.argv[2], "agent").then(() => "won", (error) => error.reason));
  });
  console.log("ready");
`;

test("of claims made at the same moment one wins, over a free directory and over a dead owner's", async () => {
  const directory = await scratch();
  const { outputFiles } = await build({ stdin: { contents: contender, resolveDir: process.cwd() }, bundle: true, platform: "node", format: "esm", write: false });
  const program = join(await scratch(), "contender.mjs");
  await writeFile(program, outputFiles[0]?.text ?? "");
  for (let round = 1; round <= 8; round++) {
    const contenders = Array.from({ length: 4 }, () => {
      const child = spawn(process.execPath, [program, directory], { stdio: ["pipe", "pipe", "inherit"] });
      onTestFinished(() => void child.kill("SIGKILL"));
      const said: string[] = [];
      child.stdout.on("data", (part: Buffer) => said.push(...part.toString().trim().split("\n")));
      return { child, said };
    });
    await until("all are ready", () => contenders.every(({ said }) => said.length === 1));
    const moment = String(Date.now() + 30);
    for (const { child } of contenders) child.stdin.write(moment);
    await until("all have claimed", () => contenders.every(({ said }) => said.length === 2));
    expect(contenders.map(({ said }) => said[1]).sort()).toEqual(["locked", "locked", "locked", "won"]);
    // Dead without a word, as by kill -9: the next round finds a claim without an owner.
    for (const { child } of contenders) {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
  }
});
