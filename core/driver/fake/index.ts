import type { Compute, Server, ServerSpec } from "#core/driver/compute";
import { Faults, type Fault, type Verb, type Weather } from "#core/driver/fake/faults";
import { Table } from "#core/driver/fake/table";
import type { Network, Port, PortSpec } from "#core/driver/network";
import type { Call, Resource, Resources } from "#core/driver/resource";
import type { Volume, Volumes, VolumeSpec } from "#core/driver/volume";
import { AppError, badRequest } from "#core/error";


/** What a test lets run on a fake server. */
export interface FakeGuest {
  reboot?(): void;
  /** The server is removed. */
  stop?(): void;
}

export interface FakeOptions extends Weather {
  /** From create to ACTIVE, on the clock. 0 if absent. */
  activeAfterMs?: number;
  /** How far find and list always lag behind. 0 if absent. */
  visibleAfterMs?: number;
  /** Called when a server becomes ACTIVE. */
  onServer?: (spec: ServerSpec, server: Server) => FakeGuest | undefined;
}

export interface FakeServer extends Server {
  spec: ServerSpec;
  reboots: number;
  rebuilds: number;
  migrations: number;
}
export interface FakeVolume extends Volume {
  spec: VolumeSpec;
}
export interface FakePort extends Port, Omit<PortSpec, "name"> {}

export interface FakeCloud {
  compute: Compute;
  volumes: Volumes;
  network: Network;
  /** What exists in truth, past every lag and fault. */
  all(): { servers: FakeServer[]; volumes: FakeVolume[]; ports: FakePort[] };
  inject(fault: Fault): void;
  /** Another cloud with the same resources, which goes its own way from here; faults and guests stay behind. */
  copy(options: FakeOptions): FakeCloud;
}

interface Tables {
  servers: Table<FakeServer>;
  volumes: Table<FakeVolume>;
  ports: Table<FakePort>;
  addresses: number;
}

/** A cloud in memory, as unreliable as asked for. The same random and the same calls give the same course. */
export const createFakeCloud = (options: FakeOptions): FakeCloud => cloudOf(options);

function cloudOf(options: FakeOptions, from?: Tables): FakeCloud {
  const { random, clock, activeAfterMs = 0, visibleAfterMs = 0 } = options;
  const faults = new Faults(options);
  const servers = new Table(clock, visibleAfterMs, from?.servers);
  const volumes = new Table(clock, visibleAfterMs, from?.volumes);
  const ports = new Table(clock, visibleAfterMs, from?.ports);
  const guests = new Map<string, FakeGuest>();
  let addresses = from?.addresses ?? 0;

  const base = (name: string): Resource => ({ id: random.uuid(), name, createdAt: clock.now() });
  const holder = (volumeId: string) => servers.all().find((one) => one.spec.volumeId === volumeId);

  /** Clones, so that nobody holds the truth in hands. */
  const shownVolume = ({ id, name, createdAt, sizeGb }: FakeVolume): Volume => ({
    id,
    name,
    createdAt,
    sizeGb,
    state: holder(id) ? "in-use" : "available",
  });
  const shownServer = ({ id, name, createdAt, state, flavorId, fault }: FakeServer): Server => ({
    id,
    name,
    createdAt,
    state,
    flavorId,
    ...(fault && { fault }),
  });
  const shownPort = ({ id, name, createdAt, address, port }: FakePort): Port => ({ id, name, createdAt, address, port });

  async function boot(server: FakeServer): Promise<void> {
    if (activeAfterMs > 0) await clock.sleep(activeAfterMs);
    if (!servers.get(server.id)) return;
    if (faults.draw("server.boot")) {
      server.state = "ERROR";
      server.fault = "No valid host was found.";
      return;
    }
    server.state = "ACTIVE";
    const guest = options.onServer?.(server.spec, shownServer(server));
    if (guest) guests.set(server.id, guest);
  }

  function createServer(spec: ServerSpec): Server {
    const { state } = shownVolume(volumes.mustGet(spec.volumeId));
    if (state === "in-use") throw new AppError("conflict", `Volume ${spec.volumeId} is in use.`, { reason: "volume.in_use" });
    ports.mustGet(spec.portId);
    const server = servers.insert({ ...base(spec.name), state: "BUILD", flavorId: spec.flavor.id, spec, reboots: 0, rebuilds: 0, migrations: 0 });
    void boot(server);
    return shownServer(server);
  }

  function resizeVolume(id: string, sizeGb: number): Volume {
    const volume = volumes.mustGet(id);
    if (sizeGb < volume.sizeGb) throw badRequest("A volume cannot shrink.", { reason: "volume.shrink", final: true });
    volume.sizeGb = sizeGb;
    return shownVolume(volume);
  }

  return {
    compute: {
      ...verbs("server", faults, servers, shownServer, createServer, (server) => {
        guests.get(server.id)?.stop?.();
        guests.delete(server.id);
      }),
      resize: (id, flavor, call) =>
        faults.pass("server.resize", call, () => {
          const server = servers.mustGet(id);
          server.flavorId = flavor.id;
          server.spec = { ...server.spec, flavor };
          return shownServer(server);
        }),
      reboot: (id, call) =>
        faults.pass("server.reboot", call, () => {
          const server = servers.mustGet(id);
          server.reboots += 1;
          if (server.state === "SHUTDOWN") void boot(server);
          else guests.get(id)?.reboot?.();
        }),
      stop: (id, call) =>
        faults.pass("server.stop", call, () => {
          const server = servers.mustGet(id);
          guests.get(id)?.stop?.();
          guests.delete(id);
          server.state = "SHUTDOWN";
          return shownServer(server);
        }),
      rebuild: (id, what, call) =>
        faults.pass("server.rebuild", call, () => {
          const server = servers.mustGet(id);
          if (server.spec.boot.generation === what.boot.generation) return shownServer(server);
          guests.get(id)?.stop?.();
          guests.delete(id);
          Object.assign(server, { spec: { ...server.spec, image: what.image, boot: what.boot }, rebuilds: server.rebuilds + 1, state: "BUILD" });
          void boot(server);
          return shownServer(server);
        }),
      migrate: (id, _host, call) =>
        faults.pass("server.migrate", call, () => {
          const server = servers.mustGet(id);
          server.migrations += 1;
          guests.get(id)?.reboot?.();
          return shownServer(server);
        }),
    },
    volumes: {
      ...verbs(
        "volume",
        faults,
        volumes,
        shownVolume,
        (spec: VolumeSpec) => shownVolume(volumes.insert({ ...base(spec.name), state: "available", sizeGb: spec.sizeGb, spec })),
        () => {},
        (volume) => {
          if (holder(volume.id)) throw new AppError("conflict", `Volume ${volume.name} is in use.`, { reason: "volume.in_use" });
        },
      ),
      resize: (id, sizeGb, call) => faults.pass("volume.resize", call, () => resizeVolume(id, sizeGb)),
    },
    network: {
      ...verbs(
        "port",
        faults,
        ports,
        shownPort,
        ({ name, ...spec }: PortSpec) => {
          addresses += 1;
          const address = `10.0.${addresses >> 8}.${addresses & 255}`;
          return shownPort(ports.insert({ ...base(name), ...spec, address, port: spec.servicePort }));
        },
        () => {},
      ),
      setIngress: (id, ingress, isPublic, call) =>
        faults.pass("port.setIngress", call, () => {
          Object.assign(ports.mustGet(id), { ingress, isPublic });
        }),
    },
    all: () => ({ servers: servers.all(), volumes: volumes.all(), ports: ports.all() }),
    inject: (fault) => faults.inject(fault),
    copy: (other) => cloudOf(other, { servers, volumes, ports, addresses }),
  };
}

/** The verbs that all kinds of resource have. `guard` may refuse a removal by throwing. */
function verbs<Spec extends { name: string }, Row extends Resource, R extends Resource>(
  kind: "server" | "volume" | "port",
  faults: Faults,
  table: Table<Row>,
  shown: (row: Row) => R,
  create: (spec: Spec) => R,
  removed: (row: Row) => void,
  guard: (row: Row) => void = () => {},
): Resources<Spec, R> {
  const pass = <T>(verb: "create" | "get" | "find" | "list" | "remove", call: Call, effect: (staleMs: number) => T) =>
    faults.pass(`${kind}.${verb}` satisfies Verb, call, effect);
  return {
    create: (spec, call) => pass("create", call, () => create(spec)),
    get: (id, call) =>
      pass("get", call, () => {
        const found = table.get(id);
        return found && shown(found);
      }),
    find: (name, call) => pass("find", call, (staleMs) => table.seen(staleMs).filter((one) => one.name === name).map(shown)),
    list: (call) => pass("list", call, (staleMs) => table.seen(staleMs).map(shown)),
    remove: (id, call) =>
      pass("remove", call, () => {
        const found = table.get(id);
        if (!found) return;
        guard(found);
        table.remove(id);
        removed(found);
      }),
  };
}
