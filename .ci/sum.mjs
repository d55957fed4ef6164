// The end of CI: every failed test once more, as the suites' own output is long, and the sums over vitest's reports and the gates. Non-zero exit on any failure.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const directory = process.argv[2];
const lines = (name) => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8").trim().split("\n").length : 0);
let passed = lines("gates.passed");
let failed = lines("gates.failed");
/** The first lines of what a test or a file failed with. */
const tell = (suite, what, messages) => console.log(`FAILED in ${suite}: ${what}\n  ${messages.join("\n").split("\n").slice(0, 8).join("\n  ").slice(0, 1200)}`);
console.log("\n== failures");
for (const name of readdirSync(directory).filter((file) => file.endsWith(".json"))) {
  const report = JSON.parse(readFileSync(join(directory, name), "utf8"));
  passed += report.numPassedTests;
  const suite = name.replace(/\.json$/, "");
  for (const file of report.testResults) {
    const tests = file.assertionResults.filter((one) => one.status !== "passed");
    for (const one of tests) tell(suite, `${file.name.split("/test/").at(-1)}: ${one.fullName} (${one.status})`, one.failureMessages ?? []);
    if (file.status === "failed" && tests.length === 0) tell(suite, file.name.split("/test/").at(-1), [file.message ?? ""]);
  }
  // A suite that did not load has no failed test; a skipped test is a defect here.
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.every((one) => one.status !== "failed")).length;
  failed += report.numFailedTests + report.numPendingTests + report.numTodoTests + broken;
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
