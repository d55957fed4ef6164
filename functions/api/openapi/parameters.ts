/** What a query may carry, described by itself. Flags are texts: each has words of its own that mean yes (contract §0.7). */
export const queries = {
  limit: { description: "Most rows of the page; lowered to the page size of the installation.", schema: { type: "integer", minimum: 1 } },
  marker: { description: "Where the page begins, as the link `next` of the page before has it.", schema: { type: "string" } },
  count_only: { description: "Rows per version of the module instead of instances: true, 1 or yes.", schema: { type: "string" } },
  deleted: { description: "Of deleted instances, or (false, 0, no) of others: true, 1 or yes.", schema: { type: "string" } },
  project_id: { description: "Of this project alone; another's are for administrators.", schema: { type: "string" } },
  all_projects: { description: "Of every project, for administrators: true, 1 or yes.", schema: { type: "string" } },
  instance_id: { description: "Of this instance alone.", schema: { type: "string" } },
  datastore: { description: "Of this datastore alone.", schema: { type: "string" } },
  include_certificate: { description: "With the certificate itself: 1, t, true, on, y or yes.", schema: { type: "string" } },
  include_contents: { description: "With the contents of modules: any text that is not empty.", schema: { type: "string" } },
} as const;

export type QueryName = keyof typeof queries;

/** Parameters of paths that say more than their name. */
const described: Record<string, string> = {
  project_id: "The project of the token.",
  id: "UUID of the object, or what the list shows as its id.",
  datastore: "Id or name of a datastore.",
  version: "Id of a version; below a datastore also its name.",
  user: "Name of the user, percent-encoded, with @ and the host where that is not %.",
  database: "Name of the database, percent-encoded.",
};

/** Everything that a path template and a row of the route table let a request carry beside its body. */
export function parametersOf(path: string, names: readonly QueryName[] = []) {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    ...(described[name] !== undefined && { description: described[name] }),
    schema: { type: "string" },
  }));
  return [...inPath, ...names.map((name) => ({ name, in: "query", ...queries[name] }))];
}
