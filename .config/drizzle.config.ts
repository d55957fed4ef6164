import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: ["./core/**/*.sql.ts", "./functions/{identity,keymanager}/*.sql.ts"],
  out: "./core/db/migrations",
});
