/** Resolves at SIGINT or SIGTERM. Stays in force: npm and a terminal each pass the signal on, and the second one may not cut the stop short. */
export function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => resolve());
  });
}
