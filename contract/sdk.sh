#!/usr/bin/env bash
# Generates the SDKs from ../openapi.json into ../sdk/ and type-checks them without edits, with their round trips.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_python
document=${OPENAPI:-$PWD/../openapi.json}
out=$PWD/../sdk
rm -rf "$out"
mkdir -p "$out"

need_typescript_client "$document"
mkdir -p "$out/openapi-fetch"
# openapi-typescript would read redocly.yaml in this folder, so it runs in the output folder.
(cd "$out" && ../contract/node_modules/.bin/openapi-typescript "$document" --default-non-nullable=false --root-types \
  --root-types-no-schema-prefix --output openapi-fetch/schema.d.ts >/dev/null)
.venv/bin/openapi-python-client generate --path "$document" --config openapi-python-client.yaml --meta none \
  --fail-on-warning --output-path "$out/python/crm_api_client" --overwrite

# Generated files import their dependencies from a node_modules folder beside them.
ln -s "$PWD/node_modules" "$out/node_modules"
cp tsconfig.sdk.json "$out/tsconfig.json"
cp round_trip.hey_api.ts "$out/round_trip.hey_api.ts"
cp round_trip.openapi_fetch.ts "$out/round_trip.openapi_fetch.ts"
cp round_trip.py "$out/python/round_trip.py"
echo "tsc --strict: the TypeScript SDKs and their round trips"
node_modules/.bin/tsc --noEmit -p "$out/tsconfig.json"
echo "mypy --strict: the Python SDK and its round trip"
(cd "$out/python" && "$OLDPWD/.venv/bin/mypy" --strict --python-version 3.11 crm_api_client round_trip.py)
