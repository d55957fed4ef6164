import type { Settings } from "#core/engine/engine";
import { badRequest } from "#core/error";
import { reservedSessions } from "#core/parameter/postgresql/defaults";
import { inUnit } from "#core/parameter/units";

interface Bound {
  /** What PostgreSQL counts a plain number in. */
  unit?: string;
  /** In that unit. */
  least?: { value: number; why: string };
  /** A value below the least that means "off". */
  off?: number;
  most: (size: Pick<Settings, "memoryMb" | "volumeGb">) => number;
  why: string;
}

const kBperMb = 1024;
const pagesPerMb = 128;
const volume = { unit: "MB", most: ({ volumeGb }: { volumeGb: number }) => (volumeGb * 1024) / 2, why: "half of the volume" };
const memory = { unit: "kB", most: ({ memoryMb }: { memoryMb: number }) => memoryMb * kBperMb, why: "the memory of the flavor" };

/** What a machine of a size can carry. PostgreSQL itself would accept more, and be killed for it, or fill the volume. */
const bounds: Readonly<Record<string, Bound>> = {
  shared_buffers: { unit: "8kB", most: ({ memoryMb }) => memoryMb * pagesPerMb * 0.75, why: "three quarters of the memory of the flavor" },
  wal_buffers: { unit: "8kB", most: ({ memoryMb }) => (memoryMb * pagesPerMb) / 4, why: "a quarter of the memory of the flavor" },
  temp_buffers: { ...memory, unit: "8kB", most: ({ memoryMb }) => memoryMb * pagesPerMb },
  work_mem: memory,
  maintenance_work_mem: memory,
  autovacuum_work_mem: memory,
  logical_decoding_work_mem: memory,
  min_dynamic_shared_memory: { unit: "MB", most: ({ memoryMb }) => memoryMb / 2, why: "half of the memory of the flavor" },
  max_connections: { least: { value: reservedSessions + 5, why: `${reservedSessions} are the platform's` }, most: ({ memoryMb }) => memoryMb, why: "one session for each MB of the flavor's memory" },
  // It runs while a session is being opened, before a session could have its own: nobody would get in, the agent neither.
  transaction_timeout: { unit: "ms", off: 0, least: { value: 1000, why: "no session could begin" }, most: () => Infinity, why: "" },
  max_wal_size: volume,
  min_wal_size: volume,
  wal_keep_size: volume,
};

/** Throws AppError `badRequest` when what a configuration group sets is more than a machine of this size can carry. */
export function checkBounds({ overrides = {}, ...size }: Settings): void {
  for (const [name, value] of Object.entries(overrides)) {
    const bound = bounds[name.toLowerCase()];
    const number = bound && typeof value !== "boolean" ? inUnit(value, bound.unit) : undefined;
    if (!bound || number === undefined) continue;
    const unit = bound.unit ? ` x ${bound.unit}` : "";
    const refuse = (how: string) =>
      badRequest(`${name} = ${value} is ${how}.`, { reason: "configuration.bound", next: "Change the value in the configuration group, or resize the instance.", final: true });
    if (number > bound.most(size)) throw refuse(`more than ${bound.why} (${Math.floor(bound.most(size))}${unit})`);
    if (bound.least && number < bound.least.value && number !== bound.off) throw refuse(`less than ${bound.least.value}${unit}: ${bound.least.why}`);
  }
}
