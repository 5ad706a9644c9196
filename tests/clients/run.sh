#!/bin/sh
# Starts the emulator and reads its account with dlt and with Meltano's HubSpot tap, which this script installs with pip
# into FOLDER (by default a temporary folder, which it removes).
set -eu
cd "$(dirname "$0")"
PYTHON=${PYTHON:-../../.venv/bin/python}
PORT=${PORT:-8124}
server=http://127.0.0.1:$PORT
temporary=$(mktemp -d)
FOLDER=${FOLDER:-$temporary}
emulator=
trap '[ -z "$emulator" ] || kill "$emulator" 2>/dev/null || true; rm -rf "$temporary"' EXIT INT TERM
for package in dlt meltano-tap-hubspot; do
  if [ ! -d "$FOLDER/$package" ]; then
    "$PYTHON" -m venv "$FOLDER/$package"
    "$FOLDER/$package/bin/python" -m pip install --quiet --disable-pip-version-check "$package"
  fi
done
"$PYTHON" -m hubspot_emulator --port "$PORT" >"$temporary/log" 2>&1 &
emulator=$!
tries=0
until grep -q "listens on" "$temporary/log"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 60 ] || ! kill -0 "$emulator" 2>/dev/null; then
    cat "$temporary/log" >&2
    exit 1
  fi
  sleep 0.2
done
"$PYTHON" account.py "$server"
"$FOLDER/dlt/bin/python" dlt_source.py "$server"
echo '{"access_token": "demo-access-token", "start_date": "2020-01-01T00:00:00Z"}' >"$temporary/config.json"
"$FOLDER/meltano-tap-hubspot/bin/python" singer_tap.py "$server" --config "$temporary/config.json" \
  >"$temporary/output" 2>"$temporary/tap.log" || { cat "$temporary/tap.log" >&2; exit 1; }
"$PYTHON" account.py "$server" "$temporary/output"
