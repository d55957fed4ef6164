import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { randomUUID } from "node:crypto";
import postgres from "postgres";

/**
 * The least that the same stack can do: Hono and `postgres`, one indexed SELECT of one or of 21
 * rows, or one transaction of three inserts. Its own process, like the API's.
 */
const { url, socketDirectory, project } = JSON.parse(process.argv[2] ?? "{}") as { url: string; socketDirectory: string; project: string };
const sql = postgres(url, { path: `${socketDirectory}/.s.PGSQL.5432`, max: 10 });
const app = new Hono();
app.get("/one/:id", async (c) => c.json(await sql`select * from floor_instance where id = ${c.req.param("id")}`));
app.get("/list", async (c) => c.json(await sql`select * from floor_instance where project_id = ${project} order by id limit 21`));
app.post("/create", async (c) => {
  const { instance } = await c.req.json<{ instance: { name: string } }>();
  const id = randomUUID();
  await sql.begin((tx) => [
    tx`insert into floor_instance (id, project_id, name) values (${id}, ${project}, ${instance.name})`,
    tx`insert into floor_operation (id, instance_id) values (${randomUUID()}, ${id})`,
    tx`insert into floor_outbox (payload) values (${JSON.stringify({ id })})`,
  ]);
  return c.json({ id });
});
serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => process.send?.({ port }));
