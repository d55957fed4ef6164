import { fork, type ChildProcess } from "node:child_process";
import { chmod, copyFile, cp, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { FunctionName } from "#functions/aws/environment";
import { serverUser, temporary } from "#test/support/cluster";
import { bundle, entryOf } from "#test/support/lambda/bundle";

export interface LambdaOptions {
  env: Record<string, string>;
  /** Drivers of a cloud in memory instead of what `functions/aws/cloud` chooses. */
  fakes?: boolean;
}

export interface Lambda {
  /** What the handler answered; rejects with what it threw. */
  invoke<T = unknown>(event?: unknown): Promise<T>;
  /** Between two events an environment does not run at all. */
  freeze(): void;
  thaw(): void;
  /** Everything it has logged. */
  output(): string;
  /** Its only writable directory. */
  tmp: string;
  task: string;
  stop(): Promise<void>;
}

interface Message {
  ready?: boolean;
  result?: unknown;
  error?: { errorType: string; errorMessage: string };
}

/** Node's own permission model; its flag lost a word when it became stable. */
const permission = Number(process.versions.node.split(".")[0]) >= 23 ? "--permission" : "--experimental-permission";

/**
 * One execution environment of a function: its bundle in a process of its own, with Lambda's variables and
 * no others, one event at a time, the code read-only and one directory writable (by Node's permission model, and
 * as root also as another user). Rejects with the error of the cold start.
 */
export async function startLambda(name: FunctionName, { env, fakes = false }: LambdaOptions): Promise<Lambda> {
  const root = await temporary("coffer-lambda-");
  const [task, tmp, runtime] = [join(root, "task"), join(root, "tmp"), join(root, "runtime.mjs")];
  await bundle(entryOf(name), join(task, "index.mjs"), { fakes });
  if (name === "migrate") await cp("core/db/migrations", join(task, "migrations"), { recursive: true });
  await copyFile(resolve("test/support/lambda/runtime.mjs"), runtime);
  await mkdir(tmp);
  await chmod(tmp, 0o777);
  let output = "";
  const child = fork(runtime, [], {
    execArgv: [permission, `--allow-fs-read=${root}`, `--allow-fs-write=${tmp}`],
    cwd: task,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    ...serverUser,
    env: {
      PATH: "/usr/bin:/bin",
      TZ: ":UTC",
      LANG: "en_US.UTF-8",
      TMPDIR: tmp,
      LAMBDA_TASK_ROOT: task,
      LAMBDA_RUNTIME_DIR: root,
      _HANDLER: "index.handler",
      AWS_LAMBDA_FUNCTION_NAME: `coffer-${name}`,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "512",
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/coffer-${name}`,
      AWS_LAMBDA_LOG_STREAM_NAME: `2026/11/24/[$LATEST]${name}`,
      AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x",
      AWS_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "test",
      AWS_SECRET_ACCESS_KEY: "test",
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
      ...env,
    },
  });
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    await rm(root, { recursive: true, force: true });
  };
  try {
    await next(child, () => output);
  } catch (error) {
    await stop();
    throw error;
  }
  // One at a time: who comes while an event is in hand waits, as a second environment would not.
  let last: Promise<unknown> = Promise.resolve();
  return {
    invoke<T>(event: unknown = {}) {
      const answer = last.then(() => {
        if (!child.connected) throw new Error(`the function's process has ended: ${output.slice(-2000)}`);
        const coming = next(child, () => output);
        child.send({ event });
        return coming as Promise<T>;
      });
      last = answer.catch(() => {});
      return answer;
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    output: () => output,
    tmp,
    task,
    stop,
  };
}

/** The next message; rejects with the error it carries, or when the process ends instead. */
function next(child: ChildProcess, output: () => string): Promise<unknown> {
  return new Promise((done, fail) => {
    const settle = () => {
      child.off("message", onMessage);
      child.off("exit", onExit);
    };
    const onMessage = ({ result, error }: Message) => {
      settle();
      if (error) fail(Object.assign(new Error(error.errorMessage), { name: error.errorType }));
      else done(result);
    };
    const onExit = (code: number | null) => {
      settle();
      fail(new Error(`the function's process ended with ${code}: ${output().slice(-2000)}`));
    };
    child.on("message", onMessage);
    child.on("exit", onExit);
  });
}
