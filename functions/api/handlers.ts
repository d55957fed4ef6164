import { actionRoutes } from "#functions/api/actions";
import { backups } from "#functions/api/backups";
import type { Handler } from "#functions/api/call";
import { catalogue } from "#functions/api/catalogue";
import { clusters } from "#functions/api/clusters";
import { configurations } from "#functions/api/configurations";
import { databases } from "#functions/api/databases";
import { instances } from "#functions/api/instances";
import { datastoreVersions } from "#functions/api/datastore-versions";
import { logs } from "#functions/api/logs";
import { management } from "#functions/api/management";
import { modules } from "#functions/api/modules";
import { parameters } from "#functions/api/parameters";
import { quotas } from "#functions/api/quotas";
import { root } from "#functions/api/root";
import type { RouteKey } from "#functions/api/routes";
import { ssl } from "#functions/api/ssl";
import { users } from "#functions/api/users";

/** Who answers which row of the route table; a row that is missing here answers 501. */
export const handlers: Partial<Record<RouteKey, Handler>> = {
  ...instances,
  ...actionRoutes,
  ...backups,
  ...databases,
  ...users,
  ...root,
  ...logs,
  ...catalogue,
  ...clusters,
  ...datastoreVersions,
  ...configurations,
  ...modules,
  ...parameters,
  ...quotas,
  ...management,
  ...ssl,
};
