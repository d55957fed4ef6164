import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock";
import { createFakeCloud } from "#core/driver/index";
import { ensure, removeAll } from "#core/driver/ensure";
import { systemRandom } from "#core/id";
import { boot, build, call, flavor, imagesWork, SERVICE_PORT, Site } from "#test/support/local-cloud";
import { eventually } from "#test/support/processes";

const kinds = {
  fake: async () => ({ cloud: createFakeCloud({ random: systemRandom, clock: systemClock, latencyMs: 2 }), close: async () => {} }),
  local: async () => {
    const site = await Site.make();
    return { cloud: await site.open(), close: () => site.close() };
  },
  ...((await imagesWork()) && {
    "local, file system per volume": async () => {
      const site = await Site.make();
      return { cloud: await site.open({ images: true }), close: () => site.close() };
    },
  }),
};

describe.each(Object.entries(kinds))("the %s cloud", (_, make) => {
  let cloud: Awaited<ReturnType<typeof make>>["cloud"];
  let close: () => Promise<void>;
  beforeEach(async () => {
    ({ cloud, close } = await make());
  });
  afterEach(() => close());

  const volumeSpec = { name: "a-volume", sizeGb: 2 };
  const portSpec = (name: string) => ({ name, servicePort: SERVICE_PORT, ingress: null, isPublic: false });

  test("what was created is got by id, found by name and listed", async () => {
    const { volume, port, server } = await build(cloud, "a");
    expect((await cloud.volumes.get(volume.id, call()))?.name).toBe("a-volume");
    expect((await cloud.network.get(port.id, call()))?.address).toBe(port.address);
    expect((await cloud.compute.get(server.id, call()))?.flavorId).toBe(flavor.id);
    for (const [resources, one] of [[cloud.volumes, volume], [cloud.network, port], [cloud.compute, server]] as const) {
      expect((await resources.find(one.name, call())).map(({ id }) => id)).toEqual([one.id]);
      expect((await resources.list(call())).map(({ id }) => id)).toEqual([one.id]);
      expect(await resources.find("another", call())).toEqual([]);
      expect(await resources.get("another", call())).toBeUndefined();
    }
  });

  test("a server becomes ACTIVE and stays under the same id", async () => {
    const { server } = await build(cloud, "a");
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
  });

  test("removing twice, or what never was, is a success and leaves nothing", async () => {
    const { volume, port, server } = await build(cloud, "a");
    for (const [resources, one] of [[cloud.compute, server], [cloud.network, port], [cloud.volumes, volume]] as const) {
      await resources.remove(one.id, call());
      await resources.remove(one.id, call());
      await resources.remove("another:0123abcd", call());
      expect(await resources.get(one.id, call())).toBeUndefined();
      expect(await resources.list(call())).toEqual([]);
      expect(await removeAll(resources, one.name, call())).toBe(true);
    }
  });

  test("a late removal of an earlier resource does not touch its successor of the same name", async () => {
    const first = await cloud.volumes.create(volumeSpec, call());
    await cloud.volumes.remove(first.id, call());
    const second = await cloud.volumes.create(volumeSpec, call());
    expect(second.id).not.toBe(first.id);
    await cloud.volumes.remove(first.id, call());
    expect(await cloud.volumes.get(second.id, call())).toBeDefined();
  });

  test("ensure twice, and a create after it, leave what ensure can bring back to exactly one", async () => {
    const first = await ensure(cloud.volumes, volumeSpec, call());
    await cloud.volumes.create(volumeSpec, call());
    const again = await ensure(cloud.volumes, volumeSpec, call());
    expect(again.id).toBe(first.id);
    expect(await cloud.volumes.find("a-volume", call())).toHaveLength(1);
  });

  test("a volume in use is not removed, and shows that it is in use", async () => {
    const { volume } = await build(cloud, "a");
    await expect(cloud.volumes.remove(volume.id, call())).rejects.toMatchObject({ code: "conflict", reason: "volume.in_use" });
    expect((await cloud.volumes.get(volume.id, call()))?.state).toBe("in-use");
  });

  test("a server cannot take a volume that another has, nor one that does not exist", async () => {
    const { spec } = await build(cloud, "a");
    await expect(cloud.compute.create({ ...spec, name: "b-server" }, call())).rejects.toMatchObject({ reason: "volume.in_use" });
    await expect(cloud.compute.create({ ...spec, name: "b-server", volumeId: "none:00" }, call())).rejects.toMatchObject({ code: "itemNotFound" });
    expect(await cloud.compute.find("b-server", call())).toEqual([]);
  });

  test("a volume grows, keeps its size when asked twice, and never shrinks", async () => {
    const { id } = await cloud.volumes.create(volumeSpec, call());
    expect((await cloud.volumes.resize(id, 3, call())).sizeGb).toBe(3);
    expect((await cloud.volumes.resize(id, 3, call())).sizeGb).toBe(3);
    await expect(cloud.volumes.resize(id, 2, call())).rejects.toMatchObject({ code: "badRequest", reason: "volume.shrink" });
    expect((await cloud.volumes.get(id, call()))?.sizeGb).toBe(3);
    await expect(cloud.volumes.resize("none:00", 3, call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("a server resized twice to one flavor has that flavor", async () => {
    const { server } = await build(cloud, "a");
    const next = { id: "2", ramMb: 1024, vcpus: 2 };
    expect((await cloud.compute.resize(server.id, next, call())).flavorId).toBe("2");
    expect((await cloud.compute.resize(server.id, next, call())).flavorId).toBe("2");
    expect((await cloud.compute.get(server.id, call()))?.flavorId).toBe("2");
    await expect(cloud.compute.resize("none:00", next, call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("a server rebuilt has the new boot data, and its old id, volume and port; the same boot data again leaves it alone", async () => {
    const { volume, server, spec } = await build(cloud, "a");
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
    const what = { image: spec.image, imageId: "11111111-1111-4111-8111-111111111111", boot: { ...boot, generation: 2, token: "another" } };
    for (let time = 0; time < 2; time++) {
      expect((await cloud.compute.rebuild(server.id, what, call())).id).toBe(server.id);
      await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
      expect((await cloud.volumes.get(volume.id, call()))?.state).toBe("in-use");
    }
    await expect(cloud.compute.rebuild("none:00", what, call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("a server that is powered off says so once it is, and comes up by a reboot, with what it had", async () => {
    const { volume, server } = await build(cloud, "a");
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
    for (let time = 0; time < 2; time++) expect(await cloud.compute.stop(server.id, call())).toMatchObject({ id: server.id, state: "SHUTDOWN" });
    expect([(await cloud.compute.get(server.id, call()))?.state, (await cloud.volumes.get(volume.id, call()))?.state]).toEqual(["SHUTDOWN", "in-use"]);
    await cloud.compute.reboot(server.id, call());
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
    await expect(cloud.compute.stop("none:00", call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("a server that is moved keeps its id, or there is no host and it goes on as it was", async () => {
    const { server } = await build(cloud, "a");
    await eventually(async () => (await cloud.compute.get(server.id, call()))?.state === "ACTIVE");
    const moved = await cloud.compute.migrate(server.id, undefined, call()).catch((error: unknown) => error);
    if (moved instanceof Error) expect(moved).toMatchObject({ code: "badRequest", reason: "server.no_host", final: true });
    else expect(moved).toMatchObject({ id: server.id });
    expect((await cloud.compute.get(server.id, call()))?.state).toBe("ACTIVE");
    await expect(cloud.compute.migrate("none:00", undefined, call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("ports created at the same time have distinct addresses", async () => {
    const names = Array.from({ length: 20 }, (__, n) => `p${n}`);
    const made = await Promise.all(names.map((name) => cloud.network.create(portSpec(name), call())));
    expect(new Set(made.map(({ address, port }) => `${address}:${port}`)).size).toBe(20);
  });

  test("access rules can be set twice, and not on a port that is gone", async () => {
    const { id } = await cloud.network.create(portSpec("p"), call());
    await cloud.network.setIngress(id, ["10.0.0.0/8"], false, call());
    await cloud.network.setIngress(id, ["10.0.0.0/8"], false, call());
    await cloud.network.remove(id, call());
    await expect(cloud.network.setIngress(id, null, false, call())).rejects.toMatchObject({ code: "itemNotFound" });
  });

  test("a call whose time is up has no effect and says so", async () => {
    const late = { signal: AbortSignal.abort() };
    await expect(cloud.volumes.create(volumeSpec, late)).rejects.toMatchObject({ reason: "driver.timeout" });
    await expect(cloud.network.create(portSpec("p"), late)).rejects.toMatchObject({ reason: "driver.timeout" });
    const { volume, port } = await build(cloud, "a");
    const spec = { name: "late", instanceId: boot.instanceId, flavor, image: boot.datastore, volumeId: volume.id, portId: port.id, boot };
    await expect(cloud.compute.create(spec, late)).rejects.toMatchObject({ reason: "driver.timeout" });
    await expect(cloud.compute.list(late)).rejects.toMatchObject({ reason: "driver.timeout" });
    expect(await cloud.compute.find("late", call())).toEqual([]);
    expect(await cloud.volumes.list(call())).toHaveLength(1);
    expect(await cloud.network.list(call())).toHaveLength(1);
  });
});
