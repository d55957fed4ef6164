import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Certificates as users have them are made by the program `openssl`; in CI its absence is a failure. */
const withOpenssl = ["test/ssl/bundle.test.ts", "test/api/ssl.test.ts", "test/engine/tls.test.ts", "test/guest/agent-tls.test.ts"];
const lacksOpenssl = !process.env.CI && spawnSync("openssl", ["version"]).status !== 0;
if (lacksOpenssl) console.warn(`openssl is not installed: left out are ${withOpenssl.join(", ")}`);

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/e2e/**", "test/oracle/**", "test/openstack/**", ...(lacksOpenssl ? withOpenssl : [])],
    globalSetup: [fileURLToPath(new URL("../test/support/global.ts", import.meta.url))],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
