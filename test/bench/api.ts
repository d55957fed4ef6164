import { serve } from "@hono/node-server";
import { configOf } from "#core/config";
import { Database } from "#core/db/index";
import { setSink } from "#core/log";
import { createApp } from "#functions/api/app";
import { testSeal } from "#test/support/seal";

/** The API alone, in a process of its own: real app, real database, a token that is cached already (`admin` is an administrator's), a queue that takes at once. */
const { url, socketDirectory, project } = JSON.parse(process.argv[2] ?? "{}") as { url: string; socketDirectory: string; project: string };
setSink(() => {});
const app = createApp({
  db: new Database(url, { max: 10, prepare: true, socketDirectory }),
  verifier: {
    authUrl: "http://127.0.0.1/identity/v3",
    verify: (token) => Promise.resolve({ kind: "user", userId: "bench", projectId: project, roles: [token === "admin" ? "admin" : "member"], isAdmin: token === "admin" }),
  },
  publisher: { publish: (messages) => Promise.resolve(messages.map(({ id }) => id)) },
  doorbell: { ring: async () => {} },
  seal: testSeal,
  config: configOf({ COFFER_MAX_INSTANCES: "-1", COFFER_MAX_VOLUMES_GB: "-1", COFFER_HTTP_RATE_PER_MINUTE: "100000000" }),
});
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => process.send?.({ port }));
