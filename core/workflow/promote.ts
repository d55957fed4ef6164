import { now } from "#core/context";
import { transaction } from "#core/db/index";
import { outcome } from "#core/guest/client";
import { Position } from "#core/guest/protocol";
import type { Outcome } from "#core/operation/operation.sql";
import type { Context } from "#core/workflow/context";
import { define, done, go, wait, type Patch } from "#core/workflow/define";
import { fault } from "#core/workflow/fault";
import { asked, ended, jobIdOf } from "#core/workflow/guest";
import { sourceIdOf } from "#core/workflow/replica";
import { restingTask } from "#core/workflow/rest";
import { cameAbout, followed, presentOf, promoted, replaceSource, rowOf, served, settleMembers } from "#core/workflow/set";

/** For the others to follow the new source; a copy made anew takes as long as its data. */
const FOLLOW_SECONDS = 15 * 60;

const othersOf = (c: Context) => [sourceIdOf(c), ...(c.operation.input.memberIds ?? [])];

/** Where the source ended, as it said when it was held; undefined before. */
async function endOf(c: Context): Promise<string | undefined> {
  const held = await outcome(jobIdOf(c, "hold", { id: sourceIdOf(c) }));
  return held?.state === "done" ? Position.parse(held.result).received : undefined;
}

export const promoteReplica = define(
  "promote_replica",
  {
    comment: "A replica and its source change places: nobody writes from the end of the one to the beginning of the other, so that nothing is lost.",
    about: {
      hold: "The source's guest ends writing, and says where its log ends.",
      advance: "The replica's guest waits until all of that has arrived, then takes writes.",
      switch: "From now on the set has the new source.",
      serve: "The new source's guest lets the others in.",
      follow: "The former source and the other replicas follow the new one.",
      withdraw: "Finds out whether the replica became the source; one that does not say is powered off.",
      release: "The former source's guest takes writes again.",
    },
    rollback: "withdraw",
    settle,
  },
  {
    hold: async (c) => {
      const job = await asked(c, "hold", "hold", () => ({}), await rowOf(sourceIdOf(c)));
      return job && ended(job) ? go("advance") : wait(1);
    },
    advance: async (c) => {
      const end = await endOf(c);
      // Another run of the operation has other jobs; to hold what is held changes nothing.
      if (end === undefined) return go("hold");
      return (await promoted(c, "advance", c.instance, end)) ? go("switch") : wait(1);
    },
    switch: async (c) => {
      await replaceSource(sourceIdOf(c), c.instance.id, { keep: true });
      return go("serve");
    },
    serve: async (c) => ((await served(c, "serve", c.instance)) ? go("follow") : wait(1)),
    follow: async (c) => {
      const failed = await followed(c, "follow", c.instance, await presentOf(othersOf(c)), FOLLOW_SECONDS);
      if (!failed) return wait(2);
      await strand(c, failed);
      return done();
    },
    withdraw: async (c) => {
      const became = await cameAbout(c, "withdraw", "advance", c.instance);
      if (became === undefined) return wait(2);
      return became ? go("switch") : go("release");
    },
    release: async (c) => {
      const source = await rowOf(sourceIdOf(c));
      // Never held, or never asked to be.
      if ((await outcome(jobIdOf(c, "hold", source))) === undefined) return done();
      return (await promoted(c, "release", source)) ? done() : wait(1);
    },
  },
);

/** Contract §6.8: members that could not be switched show it. */
async function strand({ operation }: Context, failed: { id: string; why: string }[]): Promise<void> {
  await transaction(async () => {
    for (const { id, why } of failed) {
      await settleMembers([id], "PROMOTING", "PROMOTING_ERROR", { faultMessage: `promote replica failed at step 'follow' (replica.follow): ${why} Its source is another one now (operation ${operation.id}).`, faultAt: now() });
    }
  });
}

async function settle(c: Context, end: Outcome): Promise<Patch> {
  const others = othersOf(c);
  if (end === "done" || c.instance.replicaOf === null || (await isReleased(c))) {
    await settleMembers(others, "PROMOTING", "rest");
    return { task: await restingTask(c), ...(end === "done" ? {} : fault(c, end)) };
  }
  // Contract §6.8: nobody knows what the set is, and an administrator must look.
  const why = fault(c, end);
  await settleMembers(others, "PROMOTING", "PROMOTING_ERROR", { faultMessage: why.faultMessage ?? null, faultAt: why.faultAt ?? null });
  return { task: "PROMOTING_ERROR", ...why };
}

/** Whether the former source writes as before: it was never held, or took writes again. */
async function isReleased(c: Context): Promise<boolean> {
  const at = { id: sourceIdOf(c) };
  if ((await outcome(jobIdOf(c, "hold", at))) === undefined) return true;
  return (await outcome(jobIdOf(c, "release", at)))?.state === "done";
}
