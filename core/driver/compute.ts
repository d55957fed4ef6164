import type { Boot } from "#core/guest/protocol";
import type { Call, Resource, Resources } from "#core/driver/resource";

export interface Flavor {
  id: string;
  ramMb: number;
  vcpus: number;
}

export interface ServerSpec {
  name: string;
  instanceId: string;
  flavor: Flavor;
  /** Which engine build the machine must carry. */
  image: { manager: string; version: string };
  volumeId: string;
  portId: string;
  boot: Boot;
}

export interface Server extends Resource {
  state: "BUILD" | "ACTIVE" | "SHUTDOWN" | "ERROR";
  flavorId: string;
  /** Why the state is ERROR. */
  fault?: string;
}

export interface Compute extends Resources<ServerSpec, Server> {
  /** The same flavor twice = once. */
  resize(id: string, flavor: Flavor, call: Call): Promise<Server>;
  /** Replaces the machine's processes, keeping its disks. */
  reboot(id: string, call: Call): Promise<void>;
}
