import { eq, sql } from "drizzle-orm";
import { transaction } from "#core/db/index";
import { AppError } from "#core/error";
import { Position } from "#core/guest/protocol";
import { operation, type Outcome } from "#core/operation/operation.sql";
import type { Context, Instance } from "#core/workflow/context";
import { define, done, go, wait, type Patch } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { asked } from "#core/workflow/guest";
import { waitedSeconds } from "#core/workflow/pace";
import { restingTask } from "#core/workflow/rest";
import { cameAbout, followed, poweredOff, presentOf, promoted, replaceSource, rowOf, served, settleMembers } from "#core/workflow/set";

/** For replicas to say where they stand: those that are as dead as the source are not waited for, s. */
const ANSWER_SECONDS = 30;
const FOLLOW_SECONDS = 15 * 60;

const membersOf = (c: Context) => presentOf(c.operation.input.memberIds);

/** The replica that was chosen; the label before noted it. */
function chosenOf({ operation: { input } }: Context): Promise<Instance> {
  if (input.chosenId === undefined) throw new Error("no replica was chosen");
  return rowOf(input.chosenId);
}

/** A number by which WAL locations can be compared. */
const bytesOf = (location: string) => {
  const [high = "0", low = "0"] = location.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
};

/** One that is a source already, by an earlier attempt; else the one with the latest timeline, and the most of it. */
function foremost(seen: { id: string; position: Position }[]): { id: string; position: Position } | undefined {
  const rank = ({ position: { role, timeline, received } }: { position: Position }) => [role === "source" ? 1n : 0n, BigInt(timeline), bytesOf(received)] as const;
  return seen.toSorted((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    const at = x.findIndex((value, index) => value !== y[index]);
    return at < 0 ? (a.id < b.id ? -1 : 1) : (x[at] ?? 0n) > (y[at] ?? 0n) ? -1 : 1;
  })[0];
}

export const ejectSource = define(
  "eject_source",
  {
    comment: "A dead source is powered off, so that it can never write again beside the replica that takes its place.",
    about: {
      fence: "Powers the source's server off, and waits until the cloud says so.",
      elect: "Asks the replicas how much they have; the one with the most is chosen.",
      advance: "The chosen replica's guest replays what it has, then takes writes.",
      switch: "From now on the set has the new source, and the former one stands alone.",
      serve: "The new source's guest lets the others in.",
      follow: "The other replicas follow the new source.",
      withdraw: "Finds out whether the chosen replica became the source; one that does not say is powered off.",
    },
    rollback: "withdraw",
    settle,
  },
  {
    fence: async (c) => ((await poweredOff(c, c.instance)) ? go("elect") : wait(2)),
    elect: async (c) => {
      const members = await membersOf(c);
      const seen = [];
      let open = 0;
      for (const member of members) {
        const job = await asked(c, "elect", "position", () => ({}), member);
        if (job?.state === "done") seen.push({ id: member.id, position: Position.parse(job.result) });
        else if (job?.state !== "failed") open++;
      }
      if (open > 0 && (await waitedSeconds(c, "elect")) < ANSWER_SECONDS) return wait(1);
      const best = foremost(seen);
      if (!best) throw new AppError("serviceUnavailable", "None of the replicas says where it stands.", { reason: "replica.none_answers", next: "Look at the replicas; then eject again.", final: true });
      await transaction((tx) => tx.update(operation).set({ input: sql`${operation.input} || ${JSON.stringify({ chosenId: best.id })}::jsonb` }).where(eq(operation.id, c.operation.id)));
      return go("advance");
    },
    advance: async (c) => ((await promoted(c, "advance", await chosenOf(c))) ? go("switch") : wait(1)),
    switch: async (c) => {
      await replaceSource(c.instance.id, (await chosenOf(c)).id, { keep: false });
      return go("serve");
    },
    serve: async (c) => ((await served(c, "serve", await chosenOf(c))) ? go("follow") : wait(1)),
    follow: async (c) => {
      const chosen = await chosenOf(c);
      // Not awaited: should the former source ever come back, it keeps nothing for anybody.
      await served(c, "forget", c.instance);
      const failed = await followed(c, "follow", chosen, (await membersOf(c)).filter(({ id }) => id !== chosen.id), FOLLOW_SECONDS);
      if (!failed) return wait(2);
      await transaction(async () => {
        for (const { id, why } of failed) await settleMembers([id], "EJECTING", "EJECTING_ERROR", { faultMessage: `eject source failed at step 'follow' (replica.follow): ${why}` });
      });
      return done();
    },
    withdraw: async (c) => {
      if (c.operation.input.chosenId === undefined) return done();
      const became = await cameAbout(c, "withdraw", "advance", await chosenOf(c));
      if (became === undefined) return wait(2);
      return became ? go("switch") : done();
    },
  },
);

async function settle(c: Context, end: Outcome): Promise<Patch> {
  await settleMembers(c.operation.input.memberIds ?? [], "EJECTING", "rest");
  return end === "done" ? { task: await restingTask(c) } : { task: end === "cancelled" ? await restingTask(c) : "EJECTING_ERROR", ...fault(c, end) };
}
