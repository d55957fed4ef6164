import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// The reference is installed by apt, which takes minutes the first time.
export default defineConfig({
  test: {
    include: ["test/oracle/**/*.test.ts"],
    globalSetup: [fileURLToPath(new URL("../test/support/global.ts", import.meta.url))],
    testTimeout: 60_000,
    hookTimeout: 20 * 60_000,
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
  },
});
