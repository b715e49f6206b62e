#!/usr/bin/env bash
# Make the secrets that compose.yaml mounts as files, once: what is there is never changed.
#
#   deploy/secrets.sh [FOLDER]      deploy/secrets by default
#
# The folder is for its owner only. The files in it are readable for all, since compose mounts
# them as they are and the processes in the containers run under other accounts.
set -euo pipefail
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"

random() { head -c 24 /dev/urandom | base64 | tr -d '/+=\n'; }
keep() { [ -s "$folder/$1" ] || { printf %s "$2" >"$folder/$1" && chmod 0444 "$folder/$1"; }; }

keep postgres_password "$(random)"
keep DATABASE_URL "postgresql://trimtab:$(cat "$folder/postgres_password")@postgres/trimtab"
keep TRIMTAB_ADMIN_PASSWORD "$(random)"
keep S3_ACCESS_KEY_ID "$(random)"
keep S3_SECRET_ACCESS_KEY "$(random)"
[ -e "$folder/gateway_api_key" ] || : >"$folder/gateway_api_key" # the control plane gives it out
echo "secrets are in $folder; the first administrator's password is in TRIMTAB_ADMIN_PASSWORD"
