# Shared functions of the scripts: find tools, and install them if they are missing.
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true

need_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "node and npm are not installed; $(basename "$0") is not run"
    exit 0
  fi
  if [[ ! -f node_modules/.installed || package-lock.json -nt node_modules/.installed ]]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch node_modules/.installed
  fi
}

need_python() {
  if [[ ! -f .venv/.installed || requirements.lock -nt .venv/.installed ]]; then
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
    touch .venv/.installed
  fi
}

# Generates only the TypeScript client, which needs no Python tools.
need_typescript_client() {
  local client=$PWD/../sdk/hey-api document=${1:-$PWD/../openapi.json}
  [[ $client/sdk.gen.ts -nt $document ]] && return
  mkdir -p ../sdk
  DO_NOT_TRACK=1 node_modules/.bin/openapi-ts --input "$document" --output "$client" \
    --client @hey-api/client-fetch --silent
}

# An SDK that is older than the document would test another contract.
need_sdk() {
  [[ ../sdk/python/round_trip.py -nt ../openapi.json ]] || ./sdk.sh
}

need_chromium() {
  CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
  if [[ -z $CHROMIUM ]]; then
    echo "chromium is not installed; $(basename "$0") is not run"
    exit 0
  fi
  export CHROMIUM
}

FOLDER= SERVER=

# Serves a demo in a temporary folder: `serve PORT [NAME=VALUE ...]`. A second call restarts it with other settings.
serve() {
  local port=$1
  shift
  if [[ -n $SERVER ]]; then
    kill "$SERVER"
    wait "$SERVER" || true
  fi
  FOLDER=${FOLDER:-$(mktemp -d)}
  env "$@" ../.venv/bin/crm-api demo --folder "$FOLDER/demo" --port "$port" --emulator-port $((port + 1000)) \
    >"$FOLDER/log" 2>&1 &
  SERVER=$!
  trap 'kill "$SERVER" 2>/dev/null; wait "$SERVER" 2>/dev/null || true; rm -rf "$FOLDER"' EXIT
  trap 'exit 130' INT TERM
  BASE=http://localhost:$port
  EMULATOR=http://localhost:$((port + 1000))
  local attempts=0
  until ../.venv/bin/python -c "import sys, httpx; sys.exit(httpx.get('$BASE/readyz').status_code != 200)" 2>/dev/null; do
    attempts=$((attempts + 1))
    if ((attempts > 60)) || ! kill -0 "$SERVER" 2>/dev/null; then
      cat "$FOLDER/log" >&2
      echo "the service does not respond on port $port" >&2
      exit 1
    fi
    sleep 0.5
  done
  export BASE EMULATOR
}
