import type { Call, Resource, Resources } from "#core/driver/resource";

export interface VolumeSpec {
  name: string;
  sizeGb: number;
  type?: string;
}

export interface Volume extends Resource {
  state: "creating" | "available" | "in-use" | "error";
  sizeGb: number;
}

export interface Volumes extends Resources<VolumeSpec, Volume> {
  /** Grows only; the present size = success. */
  resize(id: string, sizeGb: number, call: Call): Promise<Volume>;
}
