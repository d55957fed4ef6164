import { spawn } from "node:child_process";

export interface ServerProcess {
  pid: number;
  url: string;
  guestPort: number;
  output(): string;
  /** Resolves with the exit code, null after a signal. */
  ended: Promise<number | null>;
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

const PROGRAM = "const { main } = await import(process.argv[1]); await main(process.argv[2]);";

/** `functions/server/main` of a bundle, beside which there are the migrations; resolves when it says that it is ready. */
export async function startServerProcess(bundle: string, build: string, env: Record<string, string>): Promise<ServerProcess> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, bundle, build], { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  const ended = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
  const [, url = "", port] = await new Promise<RegExpExecArray>((done, fail) => {
    const look = (chunk: Buffer) => {
      text += chunk.toString();
      const ready = /Coffer is ready: API (\S+), guests \S+ on port (\d+)/.exec(text);
      if (ready) done(ready);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    void ended.then((code) => fail(new Error(`the server ended with code ${code}:\n${text.slice(-4000)}`)));
  });
  return {
    pid: child.pid ?? 0,
    url,
    guestPort: Number(port),
    output: () => text,
    ended,
    kill(signal) {
      child.kill(signal);
      return ended;
    },
  };
}
