import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export type Status = "RUNNING" | "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "ABORTED";

export interface Execution {
  name: string;
  machine: string;
  input: string;
  status: Status;
}

/**
 * Step Functions as far as Coffer calls it, as a real HTTP endpoint (JSON 1.0, `X-Amz-Target`), with the rules of
 * StartExecution: a name may be started again with the same input while it runs, and stays taken once it is closed.
 */
export async function startStates() {
  const executions = new Map<string, Execution>();
  const calls: string[] = [];
  let refuse: string | undefined;

  const act = (action: string, body: Record<string, string>): { status: number; reply: object } => {
    calls.push(action);
    if (refuse) return error(refuse);
    if (action === "StartExecution") {
      const { stateMachineArn: machine = "", name = "", input = "{}" } = body;
      const executionArn = `${machine.replace(":stateMachine:", ":execution:")}:${name}`;
      const known = executions.get(executionArn);
      if (known && (known.status !== "RUNNING" || known.input !== input)) return error("ExecutionAlreadyExists");
      if (!known) executions.set(executionArn, { name, machine, input, status: "RUNNING" });
      return { status: 200, reply: { executionArn, startDate: 1783711145.766 } };
    }
    const found = executions.get(body.executionArn ?? "");
    if (action !== "DescribeExecution" || !found) return error("ExecutionDoesNotExist");
    const { name, machine, input, status } = found;
    return { status: 200, reply: { executionArn: body.executionArn, stateMachineArn: machine, name, input, status, startDate: 1783711145.766 } };
  };

  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const target = String(request.headers["x-amz-target"]);
      const action = /^AWSStepFunctions\.(\w+)$/.exec(target)?.[1] ?? "";
      const { status, reply } = act(action, JSON.parse(body) as Record<string, string>);
      response.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(reply));
    });
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    /** All that were ever started, in order. */
    all: () => [...executions.values()],
    running: () => [...executions.values()].filter(({ status }) => status === "RUNNING"),
    /** Closes an execution: it timed out, an operator aborted it, it failed. */
    close(name: string, status: Exclude<Status, "RUNNING">) {
      const found = [...executions.values()].find((one) => one.name === name);
      if (!found) throw new Error(`no execution ${name}`);
      found.status = status;
    },
    /** Every call is refused with this error until told otherwise. */
    refuseWith(name: string | undefined) {
      refuse = name;
    },
    stop: () => new Promise<void>((done) => server.close(() => done()).closeAllConnections()),
  };
}

const error = (type: string) => ({ status: 400, reply: { __type: type, message: type } });

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
