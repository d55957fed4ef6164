#!/usr/bin/env bash
# Runs the suites of the clients with the newest that Debian has, which know SSL (84 commands instead of 80). They come
# with the reference of the oracle suite, in its folder, which is made by apt when it is not there. Needs root; about five minutes.
#   test/newer-clients.sh
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${COFFER_ORACLE_DIR:-${TMPDIR:-/tmp}/coffer-oracle}
bash test/support/oracle/setup.sh "$folder"
COFFER_CLIENTS=$folder exec npm run test:e2e -- test/e2e/commands.test.ts test/e2e/libraries.test.ts test/e2e/paging.test.ts
