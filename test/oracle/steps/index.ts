import type { Step } from "#test/oracle/step";
import { accounts } from "#test/oracle/steps/accounts";
import { backups } from "#test/oracle/steps/backups";
import { catalogue } from "#test/oracle/steps/catalogue";
import { changes } from "#test/oracle/steps/changes";
import { creation } from "#test/oracle/steps/creation";
import { end } from "#test/oracle/steps/end";
import { logs } from "#test/oracle/steps/logs";
import { management } from "#test/oracle/steps/management";
import { lists } from "#test/oracle/steps/lists";
import { modules } from "#test/oracle/steps/modules";
import { protocol } from "#test/oracle/steps/protocol";
import { quotas } from "#test/oracle/steps/quotas";
import { ssl } from "#test/oracle/steps/ssl";

/** The life of two servers, in this order. */
export const life: Record<string, Step[]> = { protocol, catalogue, creation, lists, accounts, modules, logs, ssl, backups, changes, quotas, management, end };
