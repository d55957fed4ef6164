import * as z from "zod";
import * as Instance from "#core/instance/index";
import { param, taking, type Handler } from "#functions/api/call";
import { checkCarried } from "#functions/api/carried";
import { databaseNames, host, nameString, nes, passwordChanges, users as userList } from "#functions/api/fields";
import { newUser } from "#functions/api/instances";
import { pageByName } from "#functions/api/paging";

const Users = z.object({ users: userList });
const Passwords = z.object({ users: passwordChanges });
const Update = z.object({
  user: z
    .object({ name: nameString.optional(), password: nes.optional(), host: host.optional() })
    .refine((user) => Object.keys(user).length > 0, "does not have enough properties"),
});
const Grant = z.object({ databases: databaseNames });

const names = (list: string[]) => list.map((name) => ({ name }));
const userView = ({ name, host: at, databases }: Instance.User) => ({ name, host: at, databases: names(databases) });

/** exactOptionalPropertyTypes: absent members stay absent. */
const present = <T extends object>(value: T) =>
  Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };

export const users = {
  "GET /instances/{id}/users": async (call) => {
    const { page, next } = pageByName(call, await Instance.listUsers(param(call, "id")));
    return { users: page.map(userView), ...call.links.next(next) };
  },
  "POST /instances/{id}/users": taking(Users, async (wish, call) => {
    checkCarried(call, wish.users);
    await Instance.createUsers(param(call, "id"), wish.users.map(newUser), call.reach);
  }),
  "PUT /instances/{id}/users": taking(Passwords, async (wish, call) => {
    await Instance.changePasswords(param(call, "id"), wish.users.map(present), call.reach);
  }),
  "GET /instances/{id}/users/{user}": async (call) => ({
    user: userView(await Instance.getUser(param(call, "id"), param(call, "user"))),
  }),
  "PUT /instances/{id}/users/{user}": taking(Update, async ({ user }, call) => {
    checkCarried(call, [user]);
    await Instance.updateUser(param(call, "id"), param(call, "user"), present(user), call.reach);
  }),
  "DELETE /instances/{id}/users/{user}": (call) => Instance.deleteUser(param(call, "id"), param(call, "user"), call.reach),
  "GET /instances/{id}/users/{user}/databases": async (call) => {
    const { databases } = await Instance.getUser(param(call, "id"), param(call, "user"));
    return { databases: names(databases) };
  },
  "PUT /instances/{id}/users/{user}/databases": taking(Grant, async ({ databases }, call) => {
    await Instance.grant(param(call, "id"), param(call, "user"), databases, call.reach);
  }),
  "DELETE /instances/{id}/users/{user}/databases/{database}": (call) =>
    Instance.revoke(param(call, "id"), param(call, "user"), param(call, "database"), call.reach),
} satisfies Record<string, Handler>;
