/** UTC with seconds and without its zone: a trailing Z breaks gophercloud (contract §0.4). */
export const stamp = (date: Date) => date.toISOString().slice(0, 19);
