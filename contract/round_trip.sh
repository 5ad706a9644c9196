#!/usr/bin/env bash
# Runs the round trips of the SDKs in ../sdk against their own demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_python
need_sdk
# All three SDKs send wrong passwords from one address, and each must reach the limit of its account first.
serve "${PORT:-4301}" RATE_LIMIT_FAILED_LOGINS_PER_ADDRESS="200 per 1 minute" RATE_LIMIT_LOGINS_PER_ADDRESS="400 per 1 minute"
for name in hey_api openapi_fetch; do
  node_modules/.bin/esbuild "../sdk/round_trip.$name.ts" --bundle --platform=node --format=esm --target=node20 \
    --preserve-symlinks --log-level=warning --outfile="../sdk/round_trip.$name.mjs"
  node "../sdk/round_trip.$name.mjs" "$BASE" "$EMULATOR"
done
PYTHONPATH=../sdk/python .venv/bin/python ../sdk/python/round_trip.py "$BASE" "$EMULATOR"
