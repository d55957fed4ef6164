import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { built } from "../node/build.mjs";

const { build } = await built("server", { server: "functions/server/main.ts" });
const { main } = await import(pathToFileURL(join(build, "server.mjs")).href);
await main(build, process.argv[2]);
