import { defineConfig } from "vitest/config";

// OpenStack's services are installed by apt, which takes minutes the first time.
export default defineConfig({
  test: {
    include: ["test/openstack/**/*.test.ts"],
    testTimeout: 300_000,
    hookTimeout: 20 * 60_000,
    pool: "forks",
    maxWorkers: 1,
    fileParallelism: false,
  },
});
