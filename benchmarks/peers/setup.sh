#!/usr/bin/env bash
# Install the peers, each in a virtual environment of its own: their pins contradict each other.
#
#   benchmarks/peers/setup.sh FOLDER [NAME ...]
#
# PYTHON (3.11 or newer) makes the environments, uv installs what is pinned in NAME.txt; without
# uv pip does. Nothing else of the machine is touched. To pin anew:
#   uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
#     NAME.in -o NAME.txt
set -euo pipefail

if [ $# -lt 1 ]; then
  echo "usage: $0 FOLDER [NAME ...]" >&2
  exit 2
fi
folder=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for pins in "$here"/*.txt; do
    names+=("$(basename "$pins" .txt)")
  done
fi

mkdir -p "$folder"
for name in "${names[@]}"; do
  home=$folder/$name
  if cmp -s "$here/$name.txt" "$home/installed.txt"; then
    echo "$name: there already"
    continue
  fi
  "$python" -m venv --clear "$home"
  if command -v uv > /dev/null; then
    done_by=(uv pip install -q --python "$home/bin/python")
  else
    done_by=("$home/bin/pip" install -q --disable-pip-version-check)
  fi
  if "${done_by[@]}" --require-hashes -r "$here/$name.txt"; then
    cp "$here/$name.txt" "$home/installed.txt"
    echo "$name: installed"
  else
    echo "$name: could not be installed; the benchmark will say that it is missing" >&2
  fi
done
