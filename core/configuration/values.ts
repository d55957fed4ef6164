import type { Version } from "#core/datastore/index";
import { listParameters, type Parameter } from "#core/datastore/parameters";
import { unprocessable } from "#core/error";
import { flaw, refusal } from "#core/parameter/index";
import type { Fact, Overrides } from "#core/parameter/fact";

const factOf = ({ name, type, min, max, unit, values }: Parameter): Fact => ({
  name,
  type,
  ...(min !== null && { min }),
  ...(max !== null && { max }),
  ...(unit !== null && { unit }),
  ...(values && { values }),
});

/**
 * The values by the parameters' own spelling. 422 for the first that the version's parameters do
 * not allow, and for a version that has none (contract §2.7).
 */
export async function checkValues(version: Pick<Version, "id" | "name" | "manager">, values: Record<string, unknown>): Promise<Overrides> {
  if (Object.keys(values).length === 0) return {};
  const known = new Map((await listParameters(version.id)).map((one) => [one.name, factOf(one)]));
  const refuse = (message: string) => unprocessable(message, { reason: "configuration.value" });
  if (known.size === 0) throw refuse(`Configuration groups are not supported for datastore version ${version.name}.`);
  const checked: Overrides = {};
  for (const [written, value] of Object.entries(values)) {
    const because = refusal(version.manager, written);
    if (because !== undefined) throw refuse(`The configuration parameter ${written} cannot be set: ${because}.`);
    const fact = known.get(written.toLowerCase());
    if (!fact) throw refuse(`The configuration parameter ${written} is not supported for datastore version ${version.name}.`);
    if (fact.name in checked) throw refuse(`The configuration parameter ${written} is given twice.`);
    const wrong = flaw(fact, value);
    if (wrong !== undefined) throw refuse(`The value provided for the configuration parameter ${written} ${wrong}.`);
    checked[fact.name] = fact.type === "integer" && typeof value === "boolean" ? Number(value) : (value as Overrides[string]);
  }
  return checked;
}
