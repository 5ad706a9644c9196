#!/usr/bin/env bash
# Type-checks ../examples/portal and builds it into ../src/crm_api/cli/portal/; `portal.sh --check` compares instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_typescript_client
committed=$PWD/../src/crm_api/cli/portal
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

node_modules/.bin/tsc --noEmit -p ../examples/portal/tsconfig.json
# The order of the files is the same in every locale, as tests/test_portal.py hashes them.
digest=$(LC_ALL=C; cat ../examples/portal/*.{css,html,ts} | sha256sum | cut -d ' ' -f 1)
node_modules/.bin/esbuild ../examples/portal/portal.ts --bundle --format=esm --target=es2022 --charset=utf8 \
  --log-level=warning --outfile="$built/portal.js" \
  --banner:js="// Built by \`make portal\` from examples/portal and the generated client; SHA-256 of the sources: $digest"
cp ../examples/portal/{index.html,portal.css} "$built"
if [[ ${1:-} == --check ]]; then
  diff -r --brief --exclude="__*" "$built" "$committed" || { echo "run \`make portal\` and commit the result" >&2; exit 1; }
else
  cp "$built"/* "$committed"
fi
