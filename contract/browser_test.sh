#!/usr/bin/env bash
# Runs browser_test.mjs against its own demo and portal; IMAGES=docs/images saves the screenshots.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_chromium
port=${PORT:-4303}
portal=http://localhost:$((port + 1))
need_sdk
serve "$port" CORS_ORIGINS="$portal"
touch "$FOLDER/portal"
node ../examples/portal/serve.mjs "$((port + 1))" "$BASE" >"$FOLDER/portal" &
PORTAL=$!
trap 'kill "$PORTAL" "$SERVER" 2>/dev/null; wait 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
until grep -q portal "$FOLDER/portal"; do kill -0 "$PORTAL"; sleep 0.2; done
node browser_test.mjs "$BASE" "$portal" ${IMAGES:+"../$IMAGES"}
