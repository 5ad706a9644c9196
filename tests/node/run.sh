#!/bin/sh
# Starts the emulator and calls it with HubSpot's Node client. If Node is missing, prints one line.
set -eu
cd "$(dirname "$0")"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "node and npm are not installed; the Node round trip is not run"
  exit 0
fi
PYTHON=${PYTHON:-../../.venv/bin/python}
PORT=${PORT:-8123}
[ -d node_modules ] || npm ci --no-audit --no-fund --loglevel=error
"$PYTHON" -m hubspot_emulator --port "$PORT" &
emulator=$!
trap 'kill "$emulator" 2>/dev/null || true' EXIT INT TERM
up="fetch('http://127.0.0.1:$PORT/_emulator/settings').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
attempts=0
until node -e "$up"; do
  attempts=$((attempts + 1))
  if [ "$attempts" -gt 60 ] || ! kill -0 "$emulator" 2>/dev/null; then
    echo "the emulator does not respond on port $PORT" >&2
    exit 1
  fi
  sleep 0.2
done
# Another program may use this port and would have responded instead of the emulator.
kill -0 "$emulator"
node round_trip.mjs "http://127.0.0.1:$PORT"
