/**
 * Named crash points between effects. Inert unless armed: by a test in the same process, or
 * by the composition root from its configuration for a real `kill -9`.
 */
const armed = new Map<string, () => void | Promise<void>>();

/** Thrown by a test's crash; nothing in the product may catch it as a failure of the work. */
export class Crash extends Error {
  constructor(point: string) {
    super(`crashed at ${point}`);
    this.name = "Crash";
  }
}

export function failpoint(name: string): void | Promise<void> {
  if (armed.size === 0) return;
  return armed.get(name)?.();
}

/** Arms one point; the returned function disarms it. */
export function arm(name: string, action: () => void | Promise<void>): () => void {
  armed.set(name, action);
  return () => armed.delete(name);
}

/** Crashes the first time the point is reached. */
export const crashOnce = (name: string) =>
  arm(name, () => {
    armed.delete(name);
    throw new Crash(name);
  });
