import type { Fact, Overrides } from "#core/parameter/fact";
import { defaults, type Size } from "#core/parameter/postgresql/defaults";
import { beyondList, refusedBecause } from "#core/parameter/postgresql/refused";
import { postgresql16 } from "#core/parameter/postgresql/16";
import { postgresql17 } from "#core/parameter/postgresql/17";
import { postgresql18 } from "#core/parameter/postgresql/18";
import { inUnit, unitsLike } from "#core/parameter/units";

const postgresql: Readonly<Record<string, readonly Fact[]>> = { "16": postgresql16, "17": postgresql17, "18": postgresql18 };

/**
 * The parameters that a configuration group of a datastore version may set, as its server tells
 * them; none for a version nobody has asked a server of. `version` is the exact number, `17.10`.
 */
export function factsOf(manager: string, version: string): readonly Fact[] {
  return (manager === "postgresql" && postgresql[version.split(".")[0] ?? ""]) || [];
}

/** Why no configuration group may set this parameter, whoever asks; undefined when it may. */
export const refusal = (manager: string, name: string): string | undefined => (manager === "postgresql" ? refusedBecause(name) : undefined);

/** What the platform sets by itself on a machine of this size; numbers as numbers. */
export const defaultsOf = (manager: string, size: Size): Overrides =>
  Object.fromEntries(Object.entries(manager === "postgresql" ? defaults(size) : {}).map(([name, value]) => [name, /^-?\d+$/.test(value) ? Number(value) : value]));

/** Longest value as text (contract §7.2). */
const LONGEST = 128;

/**
 * What is wrong with a value for this parameter, to be put behind its name; undefined when nothing
 * is. JSON types count (contract §2.7), with two allowances: a float may be written without a
 * fraction, as JSON makes no difference, and where the server counts in a unit a text such as `256MB` does.
 */
export function flaw({ name, type, min, max, unit, values }: Fact, value: unknown): string | undefined {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return `is not of type ${type}`;
  if (String(value).length > LONGEST) return `is longer than ${LONGEST} characters`;
  switch (type) {
    case "boolean":
      return typeof value === "boolean" ? undefined : "is not of type boolean";
    case "string":
      return typeof value === "string" ? flawOfText(name, value, values) : "is not of type string";
    case "integer":
    case "float": {
      // Upstream lets booleans through as integers (contract §2.7).
      const given = type === "integer" && typeof value === "boolean" ? Number(value) : value;
      if (typeof given === "boolean" || (typeof given === "string" && unit === undefined)) return `is not of type ${type}`;
      const number = inUnit(given, unit);
      if (number === undefined) return `is neither a number nor one with a unit (${unitsLike(unit ?? "").join(", ")})`;
      if (type === "integer" && typeof given === "number" && !Number.isSafeInteger(given)) return "is not of type integer";
      return outside(number, min, max, unit);
    }
  }
}

function outside(number: number, min?: number, max?: number, unit = ""): string | undefined {
  if (min !== undefined && number < min) return `is less than the minimum of ${min}${unit}`;
  if (max !== undefined && number > max) return `is greater than the maximum of ${max}${unit}`;
  return undefined;
}

function flawOfText(name: string, value: string, values: readonly string[] | undefined): string | undefined {
  // A line of a settings file cannot hold them.
  if (/\p{Cc}/u.test(value)) return "holds a control character";
  if (values && !values.includes(value.toLowerCase())) return `is not one of ${values.join(", ")}`;
  return beyondList(name, value);
}
