#!/usr/bin/env bash
# Lints ../openapi.json with all rules of three linters and compares it with the released document.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
document=${OPENAPI:-../openapi.json}
../.venv/bin/openapi-spec-validator "$document"
need_node
node_modules/.bin/redocly lint --config redocly.yaml --format summary "$document" 2>&1 | grep -v '^$' | tail -n 2
node_modules/.bin/spectral lint --ruleset spectral.mjs --fail-severity hint "$document"
node gate.mjs released/openapi.json "$document"
