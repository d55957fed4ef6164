import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// The system suites start a whole service each, so they run one after the other.
export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    globalSetup: [fileURLToPath(new URL("../test/support/global.ts", import.meta.url))],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
  },
});
