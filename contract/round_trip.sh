#!/usr/bin/env bash
# Runs the round trips on the SDKs of ../sdk against a demo of their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_python
need_sdk
# All three guess passwords from one address, and each is to meet its account's own limit.
serve "${PORT:-4301}" RATE_LIMIT_FAILED_LOGINS_PER_ADDRESS="200 per 1 minute"
for name in hey_api openapi_fetch; do
  node_modules/.bin/esbuild "../sdk/round_trip.$name.ts" --bundle --platform=node --format=esm --target=node20 \
    --preserve-symlinks --log-level=warning --outfile="../sdk/round_trip.$name.mjs"
  node "../sdk/round_trip.$name.mjs" "$BASE" "$EMULATOR"
done
PYTHONPATH=../sdk/python .venv/bin/python ../sdk/python/round_trip.py "$BASE" "$EMULATOR"
