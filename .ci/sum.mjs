// The end of CI: every failed test once more, as the suites' own output is long, and the sums over vitest's reports and the gates. Non-zero exit on any failure.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const directory = process.argv[2];
const lines = (name) => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8").trim().split("\n") : []);
const gates = lines("gates.failed");
let passed = lines("gates.passed").length;
let failed = gates.length;
/** The first lines of what a test or a file failed with. */
const tell = (suite, what, messages) => console.log(`FAILED in ${suite}: ${what}\n  ${messages.join("\n").split("\n").slice(0, 8).join("\n  ").slice(0, 1200)}`);
console.log("\n== failures");
for (const gate of gates) console.log(`FAILED: ${gate}`);
for (const name of readdirSync(directory).filter((file) => file.endsWith(".json"))) {
  const report = JSON.parse(readFileSync(join(directory, name), "utf8"));
  passed += report.numPassedTests;
  const suite = name.replace(/\.json$/, "");
  for (const { name: path, status, message, assertionResults } of report.testResults) {
    const file = path.split("/test/").at(-1);
    // A skipped test is a defect here.
    const tests = assertionResults.filter((one) => one.status !== "passed");
    for (const one of tests) tell(suite, `${file}: ${one.fullName} (${one.status})`, one.failureMessages ?? []);
    // A file that did not load, or whose hooks failed, has no failed test.
    const isBroken = status === "failed" && tests.every((one) => one.status !== "failed");
    if (isBroken) tell(suite, file, [message ?? ""]);
    failed += tests.length + (isBroken ? 1 : 0);
  }
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
