"""Backup, restore and what comes after: `scripts/backup_restore.sh` calls this module.

The last word is on standard output, as text or as one JSON document; progress is on standard
error. The exit status is 0 if it was done and all is well, 1 if something is wrong that was
found, and 2 if it could not be carried out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trimtab.kernel.errors import TrimtabError

Said = tuple[int, str, dict[str, Any]]
"""Exit status, a sentence for a person, and the same for a program."""

_TELL_SECONDS = 1.0
"""Between two words about how far one thing has come."""


class Progress:
    """Says on standard error how far it is: at each new thing, and then once a second."""

    def __init__(self, *, quiet: bool):
        self._quiet = quiet
        self._what = ""
        self._said_at = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Note that `done` of `total` is done of `what`."""
        now = time.monotonic()
        due = what != self._what or done == total or now - self._said_at >= _TELL_SECONDS
        if self._quiet or not due:
            return
        self._what, self._said_at = what, now
        share = 100 if total == 0 else 100 * done // total
        print(f"{what}: {share} %", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Carry out one command; return the exit status."""
    asked = _parser().parse_args(arguments)
    act: Callable[[argparse.Namespace, Progress], Said] = asked.act
    try:
        status, sentence, document = act(asked, Progress(quiet=asked.json))
    except (TrimtabError, OSError) as error:
        message = error.message if isinstance(error, TrimtabError) else str(error)
        remedy = error.remedy if isinstance(error, TrimtabError) else None
        status, document = 2, {"ok": False, "error": message, "remedy": remedy}
        sentence = f"{message}\n  {remedy}" if remedy else message
    if asked.json:
        print(json.dumps({"ok": status == 0, **document}, indent=1))
    else:
        print(sentence, file=sys.stdout if status == 0 else sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backup_restore.sh",
        description="Backups of the control plane that TRIMTAB_HOME and DATABASE_URL name.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    backup = _command(commands, "backup", _backup, "take a backup; a control plane may be running")
    backup.add_argument("folder", type=Path, help="a new folder for the backup")
    backup.add_argument("--keys", type=Path, metavar="FOLDER", help="the keys, to a folder apart")
    restore = _command(commands, "restore", _restore, "put a backup into an empty place")
    restore.add_argument("folder", type=Path, help="the backup")
    restore.add_argument("--keys", type=Path, metavar="FOLDER", help="the keys, from this folder")
    for each in (backup, restore):
        each.add_argument("--pg-bin", type=Path, metavar="FOLDER", help="where pg_dump lies")
    verify = _command(commands, "verify", _verify, "look whether a backup is whole")
    verify.add_argument("folder", type=Path, help="the backup")
    accept = _command(
        commands, "accept-loss", _accept, "go on from a backup older than what was published"
    )
    accept.add_argument("--reason", required=True, help="why; it stands in the ledger")
    return parser


def _command(
    commands: Any, name: str, act: Callable[[argparse.Namespace, Progress], Said], what: str
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
    made.add_argument("--json", action="store_true", help="one JSON document, and no progress")
    made.set_defaults(act=act)
    return made


def _backup(asked: argparse.Namespace, told: Progress) -> Said:
    from trimtab.platform.settings import load_settings
    from trimtab.workflows import backup

    settings = load_settings()
    manifest = backup.back_up(settings, asked.folder, told, tools=asked.pg_bin)
    document: dict[str, Any] = {"folder": str(asked.folder), **_about(manifest)}
    assert manifest.ledger is not None
    said = (
        f"backup in {asked.folder}: {len(manifest.files)} files, {manifest.total_bytes} bytes; "
        f"the ledger has {manifest.ledger.size} entries, root {manifest.ledger.root}"
    )
    if asked.keys is not None:
        keys = backup.back_up_keys(settings, asked.keys)
        document["keys"] = [file.path for file in keys.files]
        said += f"\nkeys in {asked.keys}: whoever has them can sign as this installation"
    if manifest.damaged:
        return 1, f"{said}\n{len(manifest.damaged)} blobs are damaged, and left out", document
    return 0, said, document


def _verify(asked: argparse.Namespace, told: Progress) -> Said:
    from trimtab.workflows import backup

    manifest, wrong = backup.verify(asked.folder, told)
    document = {"folder": str(asked.folder), **_about(manifest), "wrong": wrong}
    if wrong:
        return 1, "\n  ".join([f"{asked.folder} is not whole:", *wrong]), document
    return 0, f"{asked.folder} is whole: {len(manifest.files)} files", document


def _restore(asked: argparse.Namespace, told: Progress) -> Said:
    from trimtab.platform.settings import load_settings
    from trimtab.workflows import backup

    done = backup.restore(load_settings(), asked.folder, told, keys=asked.keys, tools=asked.pg_bin)
    document = {
        **_about(done.manifest),
        "published": done.published,
        "continues_published_heads": done.continues,
    }
    assert done.manifest.ledger is not None
    said = f"restored: the ledger has {done.manifest.ledger.size} entries"
    if done.continues:
        return 0, said, document
    return (
        1,
        f"{said}, but a head was published at {done.published}: a start will be refused\n"
        "  look for a newer copy; else see the section on a restore in docs/operations.md",
        document,
    )


def _accept(asked: argparse.Namespace, _told: Progress) -> Said:
    from trimtab.app import Application
    from trimtab.kernel.errors import InvalidInput
    from trimtab.platform.settings import load_settings
    from trimtab.sdk.shapes.base import MIN_REASON
    from trimtab.workflows import loss

    if len(asked.reason.strip()) < MIN_REASON:
        raise InvalidInput(
            f"--reason: say why, in {MIN_REASON} characters at least",
            field="--reason",
            remedy="it stands in the ledger, and is what auditors read of this",
        )
    settings = load_settings()
    application = Application(settings, confirm=False)
    try:
        event = loss.accept(application.parts, settings.home / "heads", reason=asked.reason)
    finally:
        application.parts.records.database.close()
    said = (
        f"accepted: of {event.lost_size} published entries {event.size} are left; "
        f"routing tables go on at epoch {event.routing_epoch}; "
        f"{event.lost_heads} heads were moved aside: keep them, and tell your auditors"
    )
    return 0, said, event.payload()


def _about(manifest: Any) -> dict[str, Any]:
    return {
        "made_at": manifest.made_at,
        "database": manifest.database,
        "ledger": None if manifest.ledger is None else asdict(manifest.ledger),
        "files": len(manifest.files),
        "bytes": manifest.total_bytes,
        "damaged": list(manifest.damaged),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
