#!/usr/bin/env bash
# Sends generated requests to its own demo as a customer and as staff; operations that end a session run last.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_python
examples=${EXAMPLES:-16}
# Rate limits are off, because most responses would be 429; hashes are cheap, because they would take most of the time.
serve "${PORT:-4302}" RATE_LIMIT_ENABLED=false BCRYPT_ROUNDS=4 LOG_LEVEL=WARNING \
  HUBSPOT_BURST_LIMIT=100000 HUBSPOT_SEARCH_LIMIT=10000
export CONTRACT_PASSWORD=demo-lighthouse-42
ending=(logOut endSession deleteMe changePassword resetPassword)
status=0

run() {
  echo "--- schemathesis as $1"
  CONTRACT_EMAIL=$1 .venv/bin/schemathesis --config-file schemathesis.toml run "$BASE/openapi.json" \
    --workers 1 "${@:2}" >"$FOLDER/report" 2>&1 || { cat "$FOLDER/report"; status=1; return; }
  sed -n '/Stateful (in/,/passed/p; /^Test cases:/,$p' "$FOLDER/report"
}

for who in customer@example.com staff@example.com; do
  run "$who" --max-examples "$examples" "${ending[@]/#/--exclude-operation-id=}"
done
for operation in "${ending[@]}"; do
  # The first success ends the session or deletes the user, so each operation has its own user.
  email=${operation,,}@example.com
  .venv/bin/python -c "import httpx; httpx.post('$BASE/api/register', json={'email': '$email', 'firstname': 'Ada',
    'lastname': 'Lovelace', 'password': '$CONTRACT_PASSWORD', 'phone': '+44 20 7946 0018'}).raise_for_status()"
  # A single operation has no links, so the stateful phase is left out.
  run "$email" --max-examples "$examples" --include-operation-id "$operation" --phases examples,coverage,fuzzing
done
exit "$status"
