#!/usr/bin/env bash
# Make a virtual environment with a locked MLflow, for the tests that read from its server. Its
# own environment: what it is made of is no part of this program. Safe to repeat.
set -euo pipefail
venv=$1 lock=$2
python=${PYTHON:-python3}

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
echo "Installing an MLflow server for the tests into $venv (once; a minute or two) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
  -r "$lock"
touch "$venv/.ready"
