#!/usr/bin/env bash
# Generated requests against a demo of their own: as a customer, as staff, and what ends a session apart from them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_python
examples=${EXAMPLES:-16}
# Limits off, or most answers were 429; cheap hashes, or most of the time were theirs.
serve "${PORT:-4302}" RATE_LIMIT_ENABLED=false BCRYPT_ROUNDS=4 LOG_LEVEL=WARNING \
  HUBSPOT_BURST_LIMIT=100000 HUBSPOT_SEARCH_LIMIT=10000
export CONTRACT_PASSWORD=demo-lighthouse-42
ending=(logOut deleteMe changePassword resetPassword)
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
  # After the first success the session or the user is gone, so each has a user of its own.
  email=${operation,,}@example.com
  .venv/bin/python -c "import httpx; httpx.post('$BASE/api/register', json={'email': '$email', 'firstname': 'Ada',
    'lastname': 'Lovelace', 'password': '$CONTRACT_PASSWORD', 'phone': '+44 20 7946 0018'}).raise_for_status()"
  # Nothing links to a lone operation, so it has no stateful phase.
  run "$email" --max-examples "$examples" --include-operation-id "$operation" --phases examples,coverage,fuzzing
done
exit "$status"
