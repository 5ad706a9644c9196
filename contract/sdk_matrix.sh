#!/usr/bin/env bash
# Generates clients into ../sdk-matrix/ with popular generators, compiles them without edits if their compiler is
# installed, calls the service with three of them, and compares the results with the table in README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./tools.sh
need_node
need_python
if ! command -v java >/dev/null; then
  echo "java is not installed; sdk_matrix.sh is not run"
  exit 0
fi
(cd matrix && need_node && need_python)

export OPENAPI=${OPENAPI:-$PWD/../openapi.json} DO_NOT_TRACK=1
PORT=${PORT:-4401}
# orval writes the address of the service into its client.
export BASE=http://localhost:$PORT
tools=$PWD
out=$PWD/../sdk-matrix
jar=$(echo "$PWD"/matrix/.venv/lib/python*/site-packages/openapi_generator_cli/openapi-generator.jar)
# Two imports of the Java client are not in the JDK; the jar of the generator contains Jackson.
java_libraries=(/usr/share/java/httpclient-osgi.jar /usr/share/java/geronimo-annotation-1.3-spec.jar)
rm -rf "$out"
mkdir -p "$out/logs" "$out/rtk"
ln -s "$tools/matrix/node_modules" "$out/node_modules"
cp matrix/{orval.config.cjs,kubb.config.mjs,rtk.config.cjs,tsconfig.json} matrix/round_trip.*.ts matrix/RoundTrip.java "$out/"
cp matrix/empty_api.ts "$out/rtk/"
cd "$out"

failed=()
declare -A generated compiled called
# Runs a command and stores "yes" or "no": `attempt TABLE NAME COMMAND...`.
attempt() {
  local -n table=$1
  local log="logs/$2.$1.log"
  table[$2]=yes
  "${@:3}" >"$log" 2>&1 || table[$2]=no
  # openapi-generator logs some errors and exits with status 0.
  ! grep -q ' ERROR ' "$log" || table[$2]=no
  if [[ ${table[$2]} == no ]]; then
    failed+=("$2 ($1)")
    tail -n 20 "$log" >&2
  fi
}
npm_version() { node -p "require('$tools/$1/node_modules/$2/package.json').version"; }
pip_version() { sed -nE "s/^$2==([^ ]+).*/\1/p" "$tools/$1/requirements.lock"; }
openapi_generator() { java -jar "$jar" generate -i "$OPENAPI" -o "$1" -g "$@"; }

echo "Generating"
attempt generated openapi-typescript "$tools/node_modules/.bin/openapi-typescript" "$OPENAPI" --output openapi-typescript/schema.d.ts
attempt generated orval node_modules/.bin/orval --config orval.config.cjs
attempt generated kubb node_modules/.bin/kubb generate --config kubb.config.mjs
attempt generated swagger-typescript-api node_modules/.bin/swagger-typescript-api generate --path "$OPENAPI" --output swagger-typescript-api
attempt generated rtk node_modules/.bin/rtk-query-codegen-openapi rtk.config.cjs
attempt generated openapi-python-client "$tools/.venv/bin/openapi-python-client" generate --path "$OPENAPI" \
  --config "$tools/openapi-python-client.yaml" --meta none --fail-on-warning --output-path openapi-python-client/crm_api_client
attempt generated datamodel-code-generator "$tools/matrix/.venv/bin/datamodel-codegen" --input "$OPENAPI" \
  --input-file-type openapi --output datamodel-code-generator/models.py --output-model-type pydantic_v2.BaseModel \
  --target-python-version 3.11 --use-annotated --set-default-enum-member --formatters builtin
for name in typescript-fetch python go rust; do
  attempt generated "$name" openapi_generator "$name"
done
# Without the default case for enums, these clients fail on error codes that a later version adds.
for name in kotlin swift5 csharp; do
  attempt generated "$name" openapi_generator "$name" --additional-properties=enumUnknownDefaultCase=true
done
attempt generated java openapi_generator java --library native \
  --additional-properties=enumUnknownDefaultCase=true,openApiNullable=false

echo "Compiling"
typescript=(openapi-typescript orval kubb swagger-typescript-api rtk typescript-fetch)
mapfile -t folders < <(printf '%s/**/*.ts\n' "${typescript[@]}")
node -e "
const config = JSON.parse(fs.readFileSync('tsconfig.json', 'utf8'));
fs.writeFileSync('tsconfig.json', JSON.stringify({ ...config, include: [...process.argv.slice(1), '*.ts'] }));
" "${folders[@]}"
attempt compiled typescript "$tools/node_modules/.bin/tsc" -p tsconfig.json
for name in "${typescript[@]}"; do
  compiled[$name]=yes
  ! grep -q "^$name/" logs/typescript.compiled.log || compiled[$name]=no
done
mypy() { (cd "$1" && "$tools/.venv/bin/mypy" --python-executable "$tools/$2/.venv/bin/python" "${@:3}"); }
attempt compiled openapi-python-client mypy openapi-python-client . --strict crm_api_client
attempt compiled datamodel-code-generator mypy datamodel-code-generator matrix --strict models.py
# The client has settings for mypy in its pyproject.toml.
attempt compiled python mypy python matrix openapi_client
if command -v javac >/dev/null && [[ -f ${java_libraries[0]} && -f ${java_libraries[1]} ]]; then
  classpath=$jar:${java_libraries[0]}:${java_libraries[1]}
  mapfile -t sources < <(find java/src/main -name '*.java')
  attempt compiled java javac -proc:none -encoding UTF-8 -cp "$classpath" -d java/classes "${sources[@]}" RoundTrip.java
else
  echo "javac, ${java_libraries[*]}: not all are installed; the Java client is not compiled"
fi

echo "Calling the service"
cd "$tools"
serve "$PORT"
cd "$out"
round_trip() {
  "$tools/node_modules/.bin/esbuild" "round_trip.$1.ts" --bundle --platform=node --format=esm --target=node20 \
    --preserve-symlinks --log-level=warning --outfile="round_trip.$1.mjs"
  node "round_trip.$1.mjs" "$BASE"
}
attempt called typescript-fetch round_trip typescript_fetch
attempt called orval round_trip orval
if [[ ${compiled[java]:-} == yes ]]; then
  attempt called java java -cp "$classpath:java/classes" RoundTrip "$BASE"
fi

row() { printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "${generated[$3]}" "${compiled[$3]:-}" "${called[$3]:-}"; }
generator=$(pip_version matrix openapi-generator-cli)
{
  row openapi-typescript "$(npm_version . openapi-typescript)" openapi-typescript
  row "orval, fetch and zod" "$(npm_version matrix orval)" orval
  row "kubb, fetch" "$(npm_version matrix @kubb/core)" kubb
  row swagger-typescript-api "$(npm_version matrix swagger-typescript-api)" swagger-typescript-api
  row @rtk-query/codegen-openapi "$(npm_version matrix @rtk-query/codegen-openapi)" rtk
  row openapi-python-client "$(pip_version . openapi-python-client)" openapi-python-client
  row datamodel-code-generator "$(pip_version matrix datamodel-code-generator)" datamodel-code-generator
  for name in typescript-fetch python java go kotlin rust swift5 csharp; do
    row "openapi-generator, $name" "$generator" "$name"
  done
} | tee table.md
if ((${#failed[@]} == 0)) && [[ -n ${called[java]:-} ]]; then
  while IFS= read -r line; do
    grep -qxF -- "$line" "$tools/README.md" || failed+=("contract/README.md does not contain: $line")
  done <table.md
fi
if ((${#failed[@]} > 0)); then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
