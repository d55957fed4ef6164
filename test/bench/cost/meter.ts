import { AsyncLocalStorage } from "node:async_hooks";
import { setSink } from "#core/log";
import { percentile } from "#test/bench/load";

/** MB, as the stack gives them. */
const memory = { api: 1024, guest: 512, doorbell: 256, queue: 256, workflow: 512, cron: 512 } as const;
type FunctionName = keyof typeof memory;

/** Lambda gives one vCPU per this much memory, and a share of it below. */
const MB_PER_VCPU = 1769;
/** START, END and REPORT of one invocation, and what a log event is charged beside its text (26 bytes each). */
const RUNTIME_LOG_BYTES = 330;
const EVENT_LOG_BYTES = 26;

interface Use {
  invocations: number;
  /** The median invocation's billed seconds times their number. */
  gbSeconds: number;
  logBytes: number;
  ms: number;
}

const none = () => ({ requests: 0, messages: 0, connects: 0, transitions: 0, sqs: 0, out: 0, calls: 0 });

/** Requests of HTTP APIs, WebSocket messages and connections, state transitions, requests to SQS, bytes to clients, calls that leave by the NAT. */
type Counts = ReturnType<typeof none>;

export interface Usage {
  counts: Counts;
  functions: Record<FunctionName, Use>;
}

/**
 * Counts what functions do in this process. Time is real: the median of each function, stretched as if all of it were
 * computing on the share of a CPU that its memory buys, which is more than what waits for the database is billed.
 */
export class Meter {
  readonly #inside = new AsyncLocalStorage<FunctionName>();
  readonly #times = new Map<FunctionName, number[]>();
  readonly #log = new Map<FunctionName, number>();
  #counts: Counts = none();
  readonly restore: () => void;

  constructor() {
    const before = setSink((line) => {
      const name = this.#inside.getStore();
      if (name) this.#log.set(name, (this.#log.get(name) ?? 0) + Buffer.byteLength(JSON.stringify(line)) + EVENT_LOG_BYTES);
    });
    this.restore = () => void setSink(before);
  }

  count(what: keyof Counts, by = 1): void {
    this.#counts[what] += by;
  }

  async call<T>(name: FunctionName, work: () => T | Promise<T>): Promise<T> {
    const begun = performance.now();
    try {
      return await this.#inside.run(name, work);
    } finally {
      const times = this.#times.get(name) ?? [];
      this.#times.set(name, times);
      times.push(performance.now() - begun);
    }
  }

  #use(name: FunctionName): Use {
    const times = this.#times.get(name) ?? [];
    const ms = percentile(times, 0.5);
    const seconds = (Math.ceil(ms) * MB_PER_VCPU) / memory[name] / 1000;
    const invocations = times.length;
    return { invocations, ms, gbSeconds: (invocations * seconds * memory[name]) / 1024, logBytes: (this.#log.get(name) ?? 0) + invocations * RUNTIME_LOG_BYTES };
  }

  /** What was counted since the last time, divided by `units` of whatever was done. */
  take(units: number): Usage {
    const uses = (Object.keys(memory) as FunctionName[]).map((name) => [name, each(this.#use(name), (value, key) => (key === "ms" ? value : value / units))] as const);
    const usage = { counts: each(this.#counts, (value) => value / units), functions: Object.fromEntries(uses) as Usage["functions"] };
    this.#times.clear();
    this.#log.clear();
    this.#counts = none();
    return usage;
  }
}

/** The values of a record, each changed. */
function each<R extends object>(record: R, change: (value: number, key: string) => number): R {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(Number(value), key)])) as R;
}
