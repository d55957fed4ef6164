import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { built } from "../node/build.mjs";

const place = await built("service", { service: "functions/local/main.ts", agent: "functions/agent/main.ts" });
const { main } = await import(pathToFileURL(join(place.build, "service.mjs")).href);
await main(place);
