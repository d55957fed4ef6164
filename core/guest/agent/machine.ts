import * as z from "zod";
import type { Machine, Settings } from "#core/engine/engine";
import { tlsModes } from "#core/guest/protocol";
import type { Overrides } from "#core/parameter/fact";

/** `machine.json`, as whoever starts the agent writes it. */
export const MachineFile = z.object({
  stateDirectory: z.string(),
  volumeDirectory: z.string(),
  backingDirectory: z.string().exactOptional(),
  runDirectory: z.string(),
  engineDirectory: z.string(),
  address: z.string(),
  port: z.number().int().min(1).max(65535),
  logFile: z.string().exactOptional(),
  engineUser: z.object({ uid: z.number().int().nonnegative(), gid: z.number().int().nonnegative() }).exactOptional(),
}) satisfies z.ZodType<Machine>;

/** The settings the server shall run with. */
export interface Kept extends Settings {
  /** The overrides it last came up with; absent = none. */
  proven?: Overrides;
  /** An administrator took the server down: no agent brings it up by itself. */
  stopped?: true;
}

const MemberFile = z.object({ name: z.string(), address: z.string() });
const StandbyFile = z.object({
  source: z
    .object({ host: z.string(), port: z.number(), name: z.string(), identity: z.union([z.object({ ca: z.string() }), z.object({ certificate: z.string() })]) })
    .exactOptional(),
  floors: z.record(z.string(), z.number()).exactOptional(),
});

const OverridesFile = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** `settings.json` in the state directory; null until the first `prepare`. */
export const SettingsFile = z
  .object({
    memoryMb: z.number(),
    volumeGb: z.number(),
    cidrs: z.array(z.string()).nullable(),
    overrides: OverridesFile.exactOptional(),
    proven: OverridesFile.exactOptional(),
    stopped: z.literal(true).exactOptional(),
    logs: z.array(z.string()).exactOptional(),
    tlsMode: z.enum(tlsModes).exactOptional(),
    members: z.array(MemberFile).exactOptional(),
    standby: StandbyFile.exactOptional(),
  })
  .nullable() satisfies z.ZodType<Kept | null>;
