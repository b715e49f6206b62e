#!/usr/bin/env bash
# Remove a data folder, unless a control plane runs on it: that one would go on, answer as if
# nothing had happened, and lose everything that it acknowledges from then on at its end.
set -euo pipefail

home=$1
lock="$home/jobs.sqlite.lock"
if [ -e "$lock" ]; then
  exec 9<"$lock"
  # Held to the end of this script, so that nothing can start on the folder meanwhile.
  if ! flock --nonblock 9; then
    echo "a control plane (process $(cat "$lock")) runs on $home; end it first" >&2
    exit 1
  fi
fi
rm -rf -- "$home"
echo "removed $home"
