import type { Fact, ParameterType } from "#core/parameter/fact";
import { refusedBecause } from "#core/parameter/postgresql/refused";
import type { Rig } from "#test/support/engine";

interface Row {
  name: string;
  vartype: "bool" | "integer" | "real" | "string" | "enum";
  context: string;
  unit: string | null;
  min_val: string | null;
  max_val: string | null;
  enumvals: string[] | null;
  category: string;
}

const types: Record<Row["vartype"], ParameterType> = { bool: "boolean", integer: "integer", real: "float", string: "string", enum: "string" };
/** Where the language of the server, not a decision, sets the limit. */
const endless = 1e300;

/** Every parameter that can be given to a running server in its file. */
export const settable = (rig: Rig): Promise<Row[]> =>
  rig.inside("postgres", async (sql) => [
    ...(await sql<Row[]>`
      select lower(name) as name, vartype, context, unit, min_val, max_val, to_json(enumvals) as enumvals, category
      from pg_settings where context <> 'internal' and name not like '%.%' order by lower(name) collate "C"`),
  ]);

const bound = (text: string | null) => (text === null || Math.abs(Number(text)) > endless ? undefined : Number(text));

function factOf({ name, vartype, context, unit, min_val, max_val, enumvals }: Row): Fact {
  const [min, max] = [bound(min_val), bound(max_val)];
  return {
    name,
    type: types[vartype],
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(unit && { unit }),
    ...(enumvals && { values: enumvals }),
    ...(context === "postmaster" && { restart: true }),
  };
}

const line = (fact: Fact) => `  { ${Object.entries(fact).map(([key, value]) => `${key}: ${JSON.stringify(value).replaceAll(",", ", ")}`).join(", ")} },`;

/** The text of `core/parameter/postgresql/<major>.ts`, from what a server says. */
export async function generated(rig: Rig, major: string): Promise<string> {
  const version = await rig.inside("postgres", (sql) => sql<{ server_version: string }[]>`show server_version`);
  const facts = (await settable(rig)).filter(({ name }) => refusedBecause(name) === undefined).map(factOf);
  return [
    `// Made by \`npm run parameters\` from pg_settings of a running PostgreSQL ${version[0]?.server_version}. Not to be edited.`,
    'import type { Fact } from "#core/parameter/fact";',
    "",
    `export const postgresql${major}: readonly Fact[] = [`,
    ...facts.map(line),
    "];",
    "",
  ].join("\n");
}
