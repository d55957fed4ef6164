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

/** What a server is made anew from. */
export interface Rebuild {
  image: ServerSpec["image"];
  /** Of the cloud's image service. */
  imageId: string;
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
  /** Replaces the machine's processes, keeping its disks; brings up one that was stopped. */
  reboot(id: string, call: Call): Promise<void>;
  /**
   * Powers the server off, without its consent: once the state is SHUTDOWN nothing of it runs, and nothing will before a reboot or a
   * rebuild. Disks, port and address stay. Twice = once.
   */
  stop(id: string, call: Call): Promise<Server>;
  /**
   * Makes the system anew from an image and this boot data, under the same id, on the same volume and port. What
   * has booted with this generation's boot data already is left as it is.
   */
  rebuild(id: string, what: Rebuild, call: Call): Promise<Server>;
  /** Moves the server to another host, with all that it has; throws, final, where there is none, and leaves the server alone. */
  migrate(id: string, host: string | undefined, call: Call): Promise<Server>;
}
