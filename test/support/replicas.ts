import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import type { Settings } from "#core/engine/engine";
import type { Replication, Upstream } from "#core/engine/replication";
import type { Position } from "#core/guest/protocol";
import { scramVerifier } from "#core/guest/scram";
import { createAuthority, issue, type Authority } from "#core/pki";
import { engineRig, settings, type Rig } from "#test/support/engine";

/** An engine of a replica set, with what its agent would keep. */
export interface Node extends Rig {
  name: string;
  /** As the agent keeps them. */
  kept: Settings;
  replication: Replication;
  position(): Promise<Position>;
}

export interface Set {
  authority: Authority;
  passwords: Map<string, string>;
  node(name: string): Promise<Node>;
  /** What a follower is told to follow `source`. */
  upstream(source: Node, follower: Node, superuser?: string): Upstream;
  /** Makes `source` let in exactly these. */
  serve(source: Node, followers: Node[]): Promise<void>;
  /** Seeds a fresh node and has it follow. */
  join(source: Node, followers: Node[]): Promise<void>;
  close(): Promise<void>;
}

/** Real engines with certificates of one installation. */
export async function replicaSet(major: string): Promise<Set> {
  const authority = await createAuthority("test", new Date());
  const nodes: Node[] = [];
  const passwords = new Map<string, string>();
  const set: Set = {
    authority,
    passwords,
    async node(name) {
      const rig = await engineRig(major);
      const { replication } = rig.engine;
      if (!replication) throw new Error("this engine does not replicate");
      const node: Node = { ...rig, name: `coffer_replica_${name}`, kept: settings, replication, position: () => replication.position() };
      passwords.set(node.name, randomBytes(32).toString("hex"));
      nodes.push(node);
      return node;
    },
    upstream: (source, follower, superuser) => ({
      source: { host: source.machine.address, port: source.machine.port, name: follower.name, identity: { ca: authority.certificate } },
      password: passwords.get(follower.name) ?? "",
      ...(superuser !== undefined && { superuser }),
    }),
    async serve(source, followers) {
      source.kept = { ...source.kept, members: followers.map(({ name, machine }) => ({ name, address: machine.address })) };
      const verifiers: Record<string, string> = {};
      for (const { name } of followers) verifiers[name] = await scramVerifier(passwords.get(name) ?? "");
      await source.replication.serve(source.kept, verifiers);
    },
    async join(source, followers) {
      await set.serve(source, followers);
      for (const one of followers) {
        const from = set.upstream(source, one, await source.replication.superuser());
        await one.replication.seed(from);
        one.kept = (await one.replication.follow(one.kept, from)).settings;
        await certify(one, authority);
      }
    },
    async close() {
      for (const node of nodes) await node.close();
    },
  };
  return set;
}

/** What enrolment gives an engine: a certificate of the installation, for its address. */
export async function certify(node: Node, authority: Authority): Promise<void> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  const certificate = await issue(authority, spki, [node.machine.address], new Date());
  await node.engine.applyTls(node.kept, { certificate, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(), ca: authority.certificate });
}

/** A running source with its certificate. */
export async function sourceOf(set: Set, name = "source"): Promise<Node> {
  const node = await set.node(name);
  await node.engine.initialise();
  await node.engine.start(node.kept);
  await certify(node, set.authority);
  return node;
}
