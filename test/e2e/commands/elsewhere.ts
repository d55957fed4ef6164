import { expect, test } from "vitest";
import type { Stage } from "#test/e2e/commands/stage";

/** Of a line below, in which `{pg1}` is the instance's id. */
interface Told {
  line: string;
  /** What the client says of it. */
  says: RegExp;
  why: string;
}

const nothing = "11111111-2222-4333-8444-555555555555";
const noCluster = (line: string): Told => ({ line, says: /nothing/, why: "no engine here forms clusters (501 of upstream for postgresql), so that there is none to name" });

/** Commands that nobody can serve here, and why. One that succeeds must leave. */
export const unserved: Record<string, Told> = {
  "database backup execution delete": { line: `database backup execution delete ${nothing}`, says: /./, why: "it asks the service `workflowv2` (Mistral), which Trove itself is not" },
  "database cluster create": { line: "database cluster create c1 postgresql 17 --instance flavor=tiny,volume=1", says: /HTTP 501/, why: "upstream's strategy for postgresql has no clusters either" },
  "database cluster delete": noCluster("database cluster delete nothing"),
  "database cluster force delete": noCluster("database cluster force delete nothing"),
  "database cluster grow": noCluster("database cluster grow nothing --instance flavor=1,volume=1"),
  "database cluster list instances": noCluster("database cluster list instances nothing"),
  "database cluster modules": noCluster("database cluster modules nothing"),
  "database cluster reset status": noCluster("database cluster reset status nothing"),
  "database cluster show": noCluster("database cluster show nothing"),
  "database cluster shrink": noCluster("database cluster shrink nothing {pg1}"),
  "database cluster upgrade": noCluster("database cluster upgrade nothing 17"),
};

/** Commands of replica sets: what they answer where there is none. `replicas.test.ts` runs them at one. */
export const alone: Record<string, Told> = {
  "database instance promote": { line: "database instance promote pg1", says: /not a replica/, why: "it follows nobody" },
  "database instance eject": { line: "database instance eject pg1", says: /no replicas/, why: "nobody follows it" },
  "database instance detach": { line: "database instance detach pg1", says: /not a replica/, why: "it follows nobody" },
};

export function elsewhere(stage: Stage) {
  const refusal = async (line: string) => stage.refused(line.replace("{pg1}", (await stage.seen("pg1")).id));

  test.each(Object.entries(unserved))("%s is refused in words", async (_, { line, says }) => {
    expect(await refusal(line)).toMatch(says);
  });

  test("there are no clusters", async () => {
    expect(await stage.json("database cluster list")).toEqual([]);
  });

  test.each(Object.entries(alone))("%s is refused in words where there is no replica set", async (_, { line, says }) => {
    expect(await refusal(line)).toMatch(says);
  });
}
