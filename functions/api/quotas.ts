import * as z from "zod";
import { transaction } from "#core/db/index";
import { badRequest, notFound } from "#core/error";
import { defaultLimits, resources, setLimits, usageOf } from "#core/quota/index";
import type { Resource } from "#core/quota/quota.sql";
import { param, taking, type Handler } from "#functions/api/call";
import { forbidden } from "#functions/api/policy";

/** Contract §2.10: null is skipped, -1 means unlimited. */
const Limits = z.object({ quotas: z.record(z.string(), z.int32().min(-1).nullable()) });

const isResource = (name: string): name is Resource => resources.some((one) => one === name);

export const quotas = {
  "GET /mgmt/quotas/{project}": async (call) => {
    const project = param(call, "project");
    if (project !== call.actor.projectId && !call.actor.isAdmin) throw forbidden("quotas of another project");
    const usage = await usageOf(project, defaultLimits(call.config));
    return { quotas: usage.map(({ resource, inUse, limit }) => ({ resource, in_use: inUse, reserved: 0, limit })) };
  },
  "PUT /mgmt/quotas/{project}": taking(Limits, async (wish, call) => {
    const given = Object.entries(wish.quotas);
    const changed: Partial<Record<Resource, number>> = {};
    for (const [name, value] of given) {
      if (!isResource(name)) throw notFound(`Quota resource '${name}' cannot be found.`, { reason: "quota.unknown" });
      if (value !== null) changed[name] = value;
    }
    const project = param(call, "project");
    if (project.length > 255) throw badRequest("The project id is too long.", { reason: "project.invalid" });
    await transaction(() => setLimits(project, changed));
    return { quotas: changed };
  }),
  "GET /limits": async (call) => {
    const { projectId } = call.actor;
    const [usage, states] = await Promise.all([usageOf(projectId, defaultLimits(call.config)), call.rates.state(projectId)]);
    const absolute = Object.fromEntries(usage.map(({ resource, limit }) => [`max_${resource}`, limit]));
    const rates = states.map(({ method: verb, value, remaining, nextAvailable }) => {
      const at = `${nextAvailable.toISOString().slice(0, 19)}Z`;
      return { verb, uri: "*", regex: ".*", value, unit: "MINUTE", remaining, nextAvailable: at };
    });
    // Clients take the first entry to be the absolute one.
    return { limits: [{ verb: "ABSOLUTE", ...absolute }, ...rates] };
  },
} satisfies Record<string, Handler>;
