#!/usr/bin/env bash
# Make the virtual environment with every locked dependency. Safe to repeat.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

need() { printf 'Trimtab needs %s.\n  %s\n' "$1" "$2" >&2; exit 1; }

command -v "$python" >/dev/null || need "Python 3.11 or newer" "Debian: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  need "Python 3.11 or newer (this is $("$python" --version))" "name another: make PYTHON=/path/to/python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
  need "the venv module of Python" "Debian: apt-get install python3-venv"

# One that was interrupted while it was made has no pip, and is made anew.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
echo "Installing the locked dependencies into $venv (once; about a minute) ..."
# The lock names every package with its hashes, so pip resolves nothing by itself.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
  -r requirements/dev.txt ||
  need "the packages of requirements/dev.txt" "what pip said stands above: no connection to the package registry, or no build for this machine (Linux with glibc on x86_64 or aarch64); then run the same command again"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

touch "$venv/.ready"
