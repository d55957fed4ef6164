import type { Parameter } from "#core/datastore/parameters";

/** Bounds are left out when there is none, or it is 0 (contract §2.7). */
const bounds = ({ min, max }: Parameter, least: string, most: string) => ({ ...(max && { [most]: max }), ...(min && { [least]: min }) });

const common = (parameter: Parameter) => ({
  name: parameter.name,
  datastore_version_id: parameter.datastoreVersionId,
  restart_required: parameter.restartRequired,
  type: parameter.type,
});

/** What users see of a parameter. Beyond Trove: the unit that a plain number counts, and the words that are allowed. */
export const parameterView = (parameter: Parameter) => ({
  ...common(parameter),
  ...bounds(parameter, "min", "max"),
  ...(parameter.unit !== null && { unit: parameter.unit }),
  ...(parameter.values && { allowed_values: parameter.values }),
});

/** What administrators see, with the names that they set. */
export const managedParameterView = (parameter: Parameter) => ({ ...common(parameter), ...bounds(parameter, "min_size", "max_size") });
