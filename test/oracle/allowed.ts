/** A difference that is meant, and why: a rule of the contract, or a defect of the reference or of its fakes. */
export interface Allowance {
  /** `<who>: <method> <path as in the step> <body>` */
  asked: RegExp;
  /** `status`, `header.<name>`, or a place in the body. */
  at: RegExp;
  /** `<theirs> -> <ours>`; any if absent. */
  change?: RegExp;
  why: string;
}

/** A 400 in place of something else, status and envelope. */
const refusal = (theirs: number | string) => new RegExp(`^(${theirs} -> 400|\\{"code":${theirs}.* -> nothing|nothing -> \\{"code":400.*)$`);

export const allowances: Allowance[] = [
  { asked: /./, at: /^(status|body\.(badRequest|instanceFault))$/, change: refusal(500), why: "§11: a bad body, limit or marker is the caller's mistake and not an unexpected error" },
  { asked: /(nobody|expired|member): GET \/v1\.0\/? /, at: /./, why: "§0.1: the detail of the version can be read here" },
  { asked: /\/v1\.0\/\{/, at: /^body\.(forbidden|code|message|title)$/, why: "§4.3: the standard envelope, also for another project's path" },
  { asked: /member: POST \/instances $/, at: /^body\.(badRequest|badMediaType|code|message|title)$/, why: "§4.3: the standard envelope, also for a body that cannot be read" },
  { asked: /member: POST \/instances $/, at: /^status$/, change: /^415 -> 400$/, why: "the reference's web server makes text/plain of a content type that is not there" },
  { asked: /GET \/datastores\/postgresql\.x/, at: /^(status|body\..*)$/, why: "§0.2: what follows a dot is a format only if it is one; here it is part of the name" },
  { asked: /[0-9A-F]{8}-72C7/, at: /^(status|body\..*)$/, change: /^404 -> 200|version|nothing/, why: "the reference's SQLite tells letters' cases apart; its MySQL does not" },
  { asked: /versions\/(11111111-\S+|99)\/flavors/, at: /^(status|body\..*)$/, why: "upstream lists the flavors of a version that is not there" },
  { asked: /\/volume-types/, at: /^(status|body\..*)$/, change: /^500 -> 200|nothing/, why: "the fake Cinder has no volume types" },
  { asked: /GET \/flavors\/01/, at: /^(status|body\..*)$/, why: "the fake Nova reads ids as numbers" },
  { asked: /GET \/limits /, at: /^body\.limits\.length$/, change: /^6 -> 5$/, why: "§4.7: the sixth is a bucket for /mgmt that no request meets" },
  { asked: /GET \/limits /, at: /^body\.limits\[\d\]\.remaining$/, why: "the two clocks refill at another pace" },
  { asked: /limit=(0|x|-1|1\.5)?( |$|&)|marker=(x|-1)/, at: /^(status|body\..*)$/, change: /^200 -> 400$|nothing/, why: "§0.6: a limit or marker that is none is refused wherever it is given" },
  { asked: /users\?limit=2/, at: /^body\.links\[0\]\.href$/, why: "§0.6: users of PostgreSQL have no hosts, so the marker is the name; upstream encodes it twice" },
  { asked: /admin: GET \/instances\/\{one\}\/root/, at: /^(status|body\..*)$/, why: "§11: administrators may see root of any project" },
  { asked: /POST \/instances\/\{one\}\/root \{"password":5\}/, at: /^(status|body\..*)$/, change: /^200 -> 400$|nothing/, why: "a number is no password" },
  { asked: /\/mgmt\/instances\/\S+\/root/, at: /^body(\..*)?$/, change: /cannot be found|<text>/, why: "§4.3: the standard envelope in place of a bare string" },
  { asked: /\/mgmt\/instances/, at: /\.server\.(host|name|addresses|deleted|deleted_at|local_id)/, why: "no read asks a cloud (the fake Nova tells what Nova would)" },
  { asked: /\/mgmt\/instances\/\{/, at: /\.volume\.(attachments|availability_zone|created_at|status|total)/, why: "no read asks a cloud (the fake Cinder tells what Cinder would)" },
  { asked: /PUT \/mgmt\/quotas/, at: /^(status|body\..*)$/, change: /^200 -> 400$|nothing/, why: "§2.10: a limit is a whole number" },
  { asked: /users\/bob\.json/, at: /^(status|body\..*)$/, change: /^200 -> 404$|nothing/, why: "a user may be called u1.json, whom upstream can create but not address" },
  { asked: /instances\/\{/, at: /^body\.instance\.volume\.used(_percent)?$/, change: /^(null|nothing) -> /, why: "§2.2: the fake guest does not tell it" },
  { asked: /instances(\/\{two\}| |\/detail)/, at: /\.(operating_status|service_status)$/, change: /^"ERROR" -> "HEALTHY"$/, why: "after a reset our guests are asked at once, the reference's never again" },
  { asked: /instances(\/\{two\}| |\/detail|\?)/, at: /\.fault$/, change: /^nothing -> /, why: "an operation that a reset has stopped says so in the fault" },
  { asked: /admin: GET \/modules(\.json|\?datastore=(all|postgresql))? /, at: /^(status|body\..*)$/, change: /^500 -> 200$|nothing/, why: "upstream's list for administrators ends in an error of its own" },
  { asked: /GET \/modules\/\{/, at: /^body\.module\.instance_count$/, change: /^2 -> \d$/, why: "§2.8: upstream counts the parts of a pair" },
  { asked: /POST \/instances\/\{one\}\/modules (\{\}|\{"modules":\{\}\})$/, at: /^(status|body\..*)$/, change: /^200 -> 400$|nothing/, why: "§2.0: a body without its list is a mistake" },
  { asked: /POST \/instances\/\{one\}\/modules /, at: /^body\.modules\.length$/, change: /^0 -> 1$/, why: "the fake guest tells nothing of modules" },
  { asked: /POST \/instances\/\{one\}\/log \{"name":"general","\w+":("|2|\[)/, at: /^(status|body\..*)$/, change: /^200 -> 400$|nothing/, why: "§11: a flag is a boolean, 0 or 1; upstream does not apply its schema here and takes any text for yes, \"0\" as well" },
  { asked: /\/backups/, at: /\.(locationRef|size|stored_size)$/, why: "each side's guest tells sizes and places of its own" },
  { asked: /deleted=true/, at: /\.(datastore|server|volume|server_id|volume_id)\b/, why: "upstream forgets datastore, server and volume of what is deleted" },
];
