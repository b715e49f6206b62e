#!/usr/bin/env bash
# Backups of the control plane that TRIMTAB_HOME and DATABASE_URL name; see docs/operations.md.
#
#   backup_restore.sh backup FOLDER [--keys FOLDER] [--pg-bin FOLDER] [--json]
#   backup_restore.sh verify FOLDER [--json]
#   backup_restore.sh restore FOLDER [--keys FOLDER] [--pg-bin FOLDER] [--json]
#   backup_restore.sh accept-loss --reason TEXT [--json]
#
# Exit status: 0 done, and all is well; 1 something is wrong; 2 it could not be carried out.
# PYTHON names the interpreter where Trimtab is not in .venv beside this script.
set -euo pipefail
python=${PYTHON:-$(dirname "$0")/../.venv/bin/python}
if ! [ -x "$python" ] && ! python=$(command -v "$python"); then
  echo "there is no interpreter with Trimtab: run make install-dev, or set PYTHON" >&2
  exit 2
fi
exec "$python" -m trimtab.cli.backup "$@"
