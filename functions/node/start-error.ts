/** Something about the machine or its settings that only its owner can mend; told in one sentence, exit code 1. */
export class StartError extends Error {}
