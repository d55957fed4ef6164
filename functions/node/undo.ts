import { log } from "#core/log";

/** What is to be done at the end: what was started last is stopped first; one that cannot stop does not keep the others running. */
export class Undo {
  readonly #steps: (() => Promise<unknown>)[] = [];

  push(step: () => Promise<unknown>) {
    this.#steps.push(step);
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      await step().catch((error: unknown) => log.error("stop failed", { error: String(error) }));
    }
  }
}
