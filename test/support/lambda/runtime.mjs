// What Lambda's runtime does, over a channel to the test: loads the handler once, answers one event at a time.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const failure = (error) => ({ errorType: error?.name ?? "Error", errorMessage: error?.message ?? String(error) });

let handler;
try {
  const begun = performance.now();
  ({ handler } = await import(pathToFileURL(join(process.env.LAMBDA_TASK_ROOT, "index.mjs")).href));
  process.send({ ready: true, initMs: performance.now() - begun });
} catch (error) {
  process.send({ ready: false, error: failure(error) }, () => process.exit(1));
}
process.on("message", async ({ event }) => {
  try {
    const context = { functionName: process.env.AWS_LAMBDA_FUNCTION_NAME, awsRequestId: "test" };
    process.send({ result: await handler(event, context) });
  } catch (error) {
    process.send({ error: failure(error) });
  }
});
