/** Backups: what can be done to them. One file per verb; this is the door. */
export { create } from "#core/backup/create";
export { get, list, type Backup, type Filter } from "#core/backup/row";
export { locationOf } from "#core/backup/place";
export { windowOf, type Window } from "#core/backup/moment";
export { register } from "#core/backup/register";
export { remove } from "#core/backup/remove";
export { restoring } from "#core/backup/restore";
export { listStrategies, removeStrategy, setStrategy, type Strategy } from "#core/backup/strategy";
