#!/usr/bin/env bash
# Runs browser_test_docs.mjs and browser_test_portal.mjs against its own demo; IMAGES=docs/images saves the screenshots.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_chromium
./portal.sh --check
port=${PORT:-4303}
origin=http://localhost:$((port + 1))
serve "$port" CORS_ORIGINS="$origin"
# The portal comes first, because its screenshots show the demo's own records.
node browser_test_portal.mjs "$BASE" "$origin" ${IMAGES:+"../$IMAGES"}
node browser_test_docs.mjs "$BASE" "$origin" ${IMAGES:+"../$IMAGES"}
