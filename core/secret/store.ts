/** Where projects keep secrets, e.g. Barbican. Asked as the user, so that his own rights decide what can be read. */
export interface SecretStore {
  /** The bytes behind a reference. AppError `badRequest` for one that is no secret of this store, or not the user's. */
  fetch(ref: string, token: string): Promise<Buffer>;
  /** Notes at the secret that something uses it. Noted already = success. */
  register(ref: string, token: string, consumer: Consumer): Promise<void>;
  /** Takes the note away. Absent = success. */
  unregister(ref: string, token: string, consumer: Consumer): Promise<void>;
}

/** Barbican's words (Key Manager API, "Secret consumers"). */
export interface Consumer {
  service: string;
  resource_type: string;
  resource_id: string;
}
