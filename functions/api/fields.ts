import * as z from "zod";

/** Field types of contract §2.0; `.*` and the like show in error texts. */

/** A name must hold at least one ASCII letter or digit. */
const readable = /[0-9a-zA-Z]/;
export const nameString = z.string().min(1).regex(readable);
/** "Non-empty string". */
export const nes = nameString.max(255);
export const uuid = z
  .string()
  .regex(/^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/)
  .transform((value) => value.toLowerCase());

/** An id, or an address whose last segment is one. */
export const flavorRef = z.union([nes, z.int()]).transform((value) => String(value).split("/").at(-1) ?? "");

/** GB: a positive integer, or its digits. */
const gigabytes = z.union([
  z.int().min(1),
  z
    .string()
    .max(40)
    .regex(/^0*[1-9][0-9]*$/)
    .transform(Number),
]);
export const volumeSize = z.looseObject({ size: gigabytes });
export const volume = z.looseObject({ size: gigabytes, type: nes.nullish() });

/** Trove's host patterns; a netmask is refused. */
export const host = z.string().regex(/^%?[\w().-]*%?$/).min(1);

/** IPv4 with octets in range: upstream does not look, but an engine would refuse its access file. */
export const cidr = z.string().regex(/^((25[0-5]|2[0-4]\d|1?\d?\d)(\.(?!$|\/)|(?=$|\/))){4}(\/([0-9]|[12][0-9]|3[0-2]))?$/);
export const unique = (values: unknown[]) => new Set(values.map((one) => JSON.stringify(one))).size === values.length;
export const cidrs = z.array(cidr).refine(unique, "has non-unique elements");

const ipv4 = z.string().regex(/^(\d{1,3}\.){3}\d{1,3}$/);
export const nics = z
  .array(z.strictObject({ "net-id": uuid.optional(), network_id: uuid.optional(), subnet_id: uuid.optional(), ip_address: ipv4.optional() }))
  .max(1);

/** Which datastore and version a request means. */
export const datastoreChoice = z.strictObject({ type: nes.optional(), version: nes.optional(), version_number: nes.optional() });
export const newChoice = (given: z.output<typeof datastoreChoice> | undefined) => ({
  ...(given?.type !== undefined && { type: given.type }),
  ...(given?.version !== undefined && { version: given.version }),
  ...(given?.version_number !== undefined && { versionNumber: given.version_number }),
});

/** Bound of our own: their contents travel to the guest together. */
export const modules = z.array(z.object({ id: uuid })).max(50);

/** Bound of our own: every user costs milliseconds of hashing before the reply. */
const MANY = 200;

export const databases = z.array(z.object({ name: nes, character_set: nes.optional(), collate: nes.optional() })).max(MANY);
/** References to databases by name. */
export const databaseNames = z
  .array(z.object({ name: nes }))
  .max(MANY)
  .refine(unique, "has non-unique elements")
  .transform((list) => list.map(({ name }) => name));
export const users = z
  .array(z.object({ name: nameString, password: nes, host: host.optional(), databases: databaseNames.optional() }))
  .max(MANY);
export const passwordChanges = z.array(z.object({ name: nameString, host: host.optional(), password: nes })).max(MANY);
