/** A word of a POSIX shell's, whatever it holds. */
export const word = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** A command for a setting that PostgreSQL runs, where `%` is its own. */
export const command = (script: string, ...args: string[]) => `/bin/sh ${word(script).replaceAll("%", "%%")} ${args.join(" ")}`;
