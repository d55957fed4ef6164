import type { Log } from "#core/instance/index";

/** Contract §2.4. Where nothing was published there is nothing to look into: the word "None", as clients print it. */
export const logView = (log: Log) => ({
  name: log.name,
  type: log.type,
  status: statusOf(log),
  published: log.published,
  pending: log.pending,
  container: log.published > 0 ? log.container : "None",
  prefix: log.published > 0 ? log.prefix : "None",
  metafile: log.metafile,
});

/** Computed from what is known (contract §5.5). */
function statusOf({ enabled, published, pending, rotated }: Log): string {
  if (!enabled) return "Disabled";
  if (rotated) return "Rotated";
  if (pending > 0) return published > 0 ? "Partial" : "Ready";
  return published > 0 ? "Published" : "Enabled";
}
