import { isNull, lte, or } from "drizzle-orm";
import { now } from "#core/context";
import { guestJob } from "#core/guest/guest.sql";

/** Whether a queued job may be fetched now, as a condition. */
export const isDue = () => or(isNull(guestJob.notBefore), lte(guestJob.notBefore, now()));
