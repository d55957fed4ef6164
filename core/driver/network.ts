import type { Call, Resource, Resources } from "#core/driver/resource";

/** Who may connect: CIDRs; null = everyone on the network, empty = nobody. */
export type Ingress = string[] | null;

export interface PortSpec {
  name: string;
  /** The engine's standard TCP port. */
  servicePort: number;
  ingress: Ingress;
  isPublic: boolean;
}

export interface Port extends Resource {
  address: string;
  /** Differs from the standard one only where the system has a single address. */
  port: number;
}

export interface Network extends Resources<PortSpec, Port> {
  setIngress(id: string, ingress: Ingress, isPublic: boolean, call: Call): Promise<void>;
}
