#!/usr/bin/env bash
# Runs the tests that need no server on each Python from 3.11 on that is found in PATH or under pyenv.
# PYTHONS="3.13" limits the versions. Environments are in .venv-pythons/, one for each version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints the newest interpreter of a version, such as 3.13, or nothing.
find_python() {
  local version=$1 candidate
  for candidate in "$(command -v "python$version" || true)" \
    $(printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python | sort -rV); do
    # pyenv's shims exist for versions that are not selected, and then fail.
    if [[ -x $candidate ]] && "$candidate" -c 'import ensurepip' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

# The database server and Valkey are not started: these tests use SQLite files and memory.
run_tests() {
  "$1" -m pytest -k "not postgresql" tests/settings tests/test_mail.py tests/test_exception_handlers.py \
    tests/test_words.py tests/test_architecture.py tests/openapi tests/services/properties tests/hubspot/resources \
    tests/hubspot/test_error_parsing.py tests/hubspot/test_retry.py tests/routers/test_sessions.py \
    tests/routers/test_registration.py tests/security/test_proxies.py
}

tested=()
failed=()
for version in ${PYTHONS:-3.11 3.12 3.13 3.14 3.15}; do
  python=$(find_python "$version")
  if [[ -z $python ]]; then
    continue
  fi
  environment=.venv-pythons/$version
  if [[ ! -f $environment/.installed || requirements/dev.lock -nt $environment/.installed ]]; then
    "$python" -m venv --clear "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
      -r requirements/dev.lock -r requirements/build.lock
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
    touch "$environment/.installed"
  fi
  echo "Python $("$environment/bin/python" -c 'import platform; print(platform.python_version())')"
  tested+=("$version")
  run_tests "$environment/bin/python" || failed+=("$version")
done
if ((${#tested[@]} == 0)); then
  echo "no Python ${PYTHONS:-from 3.11 on} is installed; nothing was tested"
  exit 0
fi
echo "tested on Python: ${tested[*]}; failed on: ${failed[*]:-none}"
((${#failed[@]} == 0))
