import * as z from "zod";
import { AppError } from "#core/error";
import * as Instance from "#core/instance/index";
import { param, taking, type Handler } from "#functions/api/call";
import { checkCarried } from "#functions/api/carried";
import { databases as databaseList } from "#functions/api/fields";
import { newDatabase } from "#functions/api/instances";
import { pageByName } from "#functions/api/paging";

const Databases = z.object({ databases: databaseList });

export const databases = {
  "GET /instances/{id}/databases": async (call) => {
    const names = await Instance.listDatabases(param(call, "id"));
    const { page, next } = pageByName(call, names.map((name) => ({ name })));
    return { databases: page, ...call.links.next(next) };
  },
  "POST /instances/{id}/databases": taking(Databases, async (wish, call) => {
    checkCarried(call, wish.databases);
    await Instance.createDatabases(param(call, "id"), wish.databases.map(newDatabase), call.reach);
  }),
  "GET /instances/{id}/databases/{database}": () =>
    Promise.reject(new AppError("notImplemented", "A single database cannot be shown; list them.", { reason: "database.show" })),
  "DELETE /instances/{id}/databases/{database}": (call) =>
    Instance.deleteDatabase(param(call, "id"), param(call, "database"), call.reach),
} satisfies Record<string, Handler>;
