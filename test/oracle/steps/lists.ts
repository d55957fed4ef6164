import { everyone, type Step } from "#test/oracle/step";

/** Pages, markers and filters of lists (contract §0.6, §0.7). Four instances are there: `one`, `two` and `twin` are the member's. */
export const lists: Step[] = [
  ...everyone(["member"], ["GET /instances?limit=1", "GET /instances?limit=2", "GET /instances/detail?limit=1", "GET /instances?limit=2&include_clustered=false"], { shape: true }),
  ...everyone(["member"], [
    "GET /instances?limit=3", "GET /instances?limit=100", "GET /instances?limit=1000000", "GET /instances?include_clustered=True", "GET /instances?include_clustered=x",
    "GET /instances?marker=ffffffff-ffff-4fff-8fff-ffffffffffff", "GET /instances?marker=00000000-0000-4000-8000-000000000000",
    "GET /instances?limit=3&marker=00000000-0000-4000-8000-000000000000",
    "GET /instances?unknown=1", "GET /instances?deleted=true", "GET /instances?project_id={project_other}", "GET /instances?limit=",
    "GET /instances?limit=0", "GET /instances?limit=-1", "GET /instances?limit=x", "GET /instances?limit=1.5", "GET /instances/detail?limit=0", "GET /instances?marker=x",
  ]),
  ...everyone(["admin"], [
    "GET /mgmt/instances?deleted=false", "GET /mgmt/instances?deleted=true", "GET /mgmt/instances?project_id={project_other}", "GET /mgmt/instances?project_id=nothing",
    "GET /mgmt/instances?include_clustered=true", "GET /mgmt/instances?limit=5", "GET /mgmt/instances?limit=5&marker=0", "GET /mgmt/instances?limit=5&marker=5",
    "GET /mgmt/instances?marker=100", "GET /mgmt/instances?marker=x", "GET /mgmt/instances?marker=-1", "GET /mgmt/instances?limit=0", "GET /mgmt/instances?limit=x",
    "GET /mgmt/instances?deleted=false&project_id={project_member}&limit=50",
  ]),
  ...everyone(["admin"], ["GET /mgmt/instances?limit=2", "GET /mgmt/instances?limit=2&marker=2", "GET /mgmt/instances?limit=2&marker=3", "GET /mgmt/instances?limit=1&marker=1"]),
];
