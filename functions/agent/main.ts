import { createEngine } from "#core/engine/index";
import { run } from "#functions/agent/run";

// The guest agent's process: `node agent.mjs <directory>`.
process.exit(await run(process.argv[2], createEngine));
