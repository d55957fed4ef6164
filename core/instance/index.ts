/** Database instances: what can be done to them. One file per verb; this is the door. */
export { create } from "#core/instance/create";
export { get, getWith, list, listEverywhere, type Detail } from "#core/instance/row";
export { loaded, rename, resizeFlavor, resizeVolume, restart, updateAccess } from "#core/instance/change";
export { createReplicas } from "#core/instance/replica";
export { detach, eject, promote } from "#core/instance/set";
export { migrate, rebuild, reboot } from "#core/instance/manage";
export { diagnostics, hardware, ping, stop, type Diagnostics, type Hardware } from "#core/instance/question";
export { upgrade } from "#core/instance/upgrade";
export { remove, resetStatus, resetTask } from "#core/instance/remove";
export { createDatabases, deleteDatabase, listDatabases } from "#core/instance/databases";
export {
  changePasswords,
  createUsers,
  deleteUser,
  getUser,
  grant,
  listUsers,
  revoke,
  updateUser,
  type User,
} from "#core/instance/users";
export { disableRoot, enableRoot, lastRoot, rootEnabled } from "#core/instance/root";
export { listLogs, operateLog, showLog, type Log } from "#core/instance/logs";
export { type NewDatabase, type NewUser } from "#core/instance/account";
export { type Reach } from "#core/instance/work";
