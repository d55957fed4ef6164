// The last line of CI: the sums over vitest's reports and the gates. Non-zero exit on any failure.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const directory = process.argv[2];
const lines = (name) => (existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8").trim().split("\n").length : 0);
let passed = lines("gates.passed");
let failed = lines("gates.failed");
for (const name of readdirSync(directory).filter((file) => file.endsWith(".json"))) {
  const report = JSON.parse(readFileSync(join(directory, name), "utf8"));
  passed += report.numPassedTests;
  // A suite that did not load has no failed test; a skipped test is a defect here.
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.every((one) => one.status !== "failed")).length;
  failed += report.numFailedTests + report.numPendingTests + report.numTodoTests + broken;
}
console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
