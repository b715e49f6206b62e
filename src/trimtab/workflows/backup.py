"""What a backup consists of, in what order it is taken, and when it may be put back.

The order is records, jobs, blobs. Jobs that the records do not know become dead letters,
which can be seen; jobs that are missing would be done by nobody. Blobs never change, and
what a record names is stored before the record is.

    manifest.json               what this is, the head of its ledger, and every file's digest
    records.sqlite, jobs.sqlite copies of SQLite's files; or
    records.dump                one dump of a PostgreSQL database, which holds both
    blobs/                      as in the data folder
    heads/                      the heads that were published then

Keys go to a folder of their own, with a manifest of its own, if they are asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from trimtab import __version__
from trimtab.audit import ledger
from trimtab.audit.heads import head_of, read_note
from trimtab.kernel.clock import SystemClock, iso
from trimtab.kernel.errors import Conflict, IntegrityFailed, InvalidInput, NotFound
from trimtab.platform import copies, soundness
from trimtab.platform.copies import Progress
from trimtab.platform.database import Database
from trimtab.platform.durable_lease import FileLease
from trimtab.platform.settings import Settings
from trimtab.platform.whereabouts import demand_records, records_file
from trimtab.workflows.backup_manifest import (
    FORMAT,
    KEYS_FORMAT,
    MANIFEST,
    File,
    Head,
    Manifest,
    described,
    names,
    read,
)

RECORDS, JOBS, DUMP = "records.sqlite", "jobs.sqlite", "records.dump"
_CHUNK = 1 << 20
_LOOK_SECONDS = 3600.0
"""For a look at every page of a copy: it may take its time."""


@dataclass(frozen=True)
class Restored:
    """What was put back, and whether a control plane would start on it."""

    manifest: Manifest
    published: int | None
    """Size of the newest head that lies in the data folder."""
    continues: bool
    """Whether the ledger continues that head; if not, a start is refused."""


@dataclass
class _Draft:
    """A backup that is being made: a folder that gets its name once it is whole."""

    folder: Path
    files: list[File] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Note a file that has been written."""
        self.files.append(described(self.folder, path))


def back_up(settings: Settings, target: Path, told: Progress, *, tools: Path | None) -> Manifest:
    """Take a backup of a control plane, running or not, into the new folder `target`.

    Raises:
        Conflict: the folder is there already.
        NotFound: there are no records.
        IntegrityFailed: their ledger ends before what was published here: they are others.
        Unavailable: something cannot be read or written.
    """
    demand_records(settings)
    published = _published(settings)  # before the records are read: they grow meanwhile
    draft = _Draft(_begun(target))
    database, head = _records(settings, draft, told, tools)
    if published is not None and head.size < published[0]:
        shutil.rmtree(draft.folder)
        raise IntegrityFailed(
            f"the ledger has {head.size} entries, and a head was published at {published[0]}",
            remedy="look whether DATABASE_URL names the database of this installation; where the "
            "rest is lost, say so with accept-loss first",
        )
    _blobs(settings.home / "blobs" / "sha256", draft, told)
    _notes(settings.home / "heads", draft)
    manifest = Manifest(
        FORMAT,
        iso(SystemClock().now()),
        __version__,
        database,
        head,
        tuple(draft.files),
        tuple(draft.damaged),
    )
    _finish(draft.folder, target, manifest)
    return manifest


def back_up_keys(settings: Settings, target: Path) -> Manifest:
    """Copy the keys into the new folder `target`; whoever has it can sign as this installation.

    Raises:
        Conflict: the folder is there already.
        NotFound: there are no keys.
    """
    source = settings.home / "keys"
    found = sorted(path for path in source.glob("*") if path.is_file())
    if not found:
        raise NotFound(f"there are no keys in {source}")
    draft = _Draft(_begun(target))
    for path in found:
        _copied(path, draft.folder / path.name)
        draft.add(draft.folder / path.name)
    manifest = Manifest(
        KEYS_FORMAT, iso(SystemClock().now()), __version__, "", None, tuple(draft.files)
    )
    _finish(draft.folder, target, manifest)
    return manifest


def verify(folder: Path, told: Progress) -> tuple[Manifest, list[str]]:
    """Look whether a backup is what its manifest says; return that, and what is wrong.

    Every file is hashed, none may be missing or on top; copies of SQLite's files are looked
    at page by page, and the root of the ledger is computed from what they hold. A dump is
    only hashed: what it holds is looked at when it is put back.

    Raises:
        NotFound, IntegrityFailed: there is no manifest, or it cannot be read.
    """
    manifest = read(folder)
    wrong = []
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    wrong += [f"{name}: not in the manifest" for name in sorted(present - names(manifest))]
    for place, file in enumerate(manifest.files):
        told("verify", place, len(manifest.files))
        if file.path not in present:
            wrong.append(f"{file.path}: missing")
        elif described(folder, folder / file.path) != file:
            wrong.append(f"{file.path}: its bytes are not those that were written")
    told("verify", len(manifest.files), len(manifest.files))
    if not wrong and manifest.database == "sqlite":
        wrong += _unsound(folder, manifest)
    return manifest, wrong


def restore(
    settings: Settings, folder: Path, told: Progress, *, keys: Path | None, tools: Path | None
) -> Restored:
    """Put a backup into an empty place: records, jobs and blobs; keys if a folder is named.

    Heads and blobs that are there stay: the newest heads are the witness of what was
    published. Nothing is written before everything was looked at.

    Raises:
        Conflict: there are records, jobs or other keys already, or a control plane runs.
        IntegrityFailed: the backup is not what its manifest says, or its heads contradict
            those that are there.
        InvalidInput: the backup is of the other database.
    """
    manifest, wrong = verify(folder, told)
    if manifest.format != FORMAT:
        raise InvalidInput(f"{folder} holds {manifest.format}, and no backup of records")
    if wrong:
        raise IntegrityFailed(
            f"the backup is not what was written: {wrong[0]}"
            + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""),
            remedy="take another backup; `backup_restore.sh verify` lists all that is wrong",
        )
    home = settings.home
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    chosen = [] if keys is None else _chosen_keys(keys, home / "keys")
    notes = _new_notes(folder / "heads", home / "heads")
    with ExitStack() as held:
        if manifest.database == "sqlite":
            held.enter_context(FileLease(home / JOBS).held(0))
        _demand_empty(settings, manifest)
        _put(folder / "blobs", home / "blobs", told)
        for source, target in (*notes, *chosen):
            _copied(source, target)
        head = _put_records(settings, folder, manifest, tools)
    if head != manifest.ledger:
        raise IntegrityFailed("what was put back does not have the head that the manifest names")
    return _compared(settings, manifest)


def _records(
    settings: Settings, draft: _Draft, told: Progress, tools: Path | None
) -> tuple[str, Head]:
    """Copy records, then jobs; return which database they are of, and where the ledger ends."""
    path = records_file(settings)
    if path is None:
        told(DUMP, 0, 1)
        with _database(settings) as database, copies.snapshot(database) as (connection, name):
            head = _head(head_of(connection))
            copies.dump_postgresql(database, name, draft.folder / DUMP, tools)
        told(DUMP, 1, 1)
        draft.add(draft.folder / DUMP)
        return "postgresql", head
    copies.copy_sqlite(path, draft.folder / RECORDS, told)
    draft.add(draft.folder / RECORDS)
    jobs = settings.home / JOBS
    if jobs.exists():
        copies.copy_sqlite(jobs, draft.folder / JOBS, told)
        draft.add(draft.folder / JOBS)
    with copies.opened_copy(draft.folder / RECORDS) as connection:
        return "sqlite", _head(head_of(connection))


def _blobs(source: Path, draft: _Draft, told: Progress) -> None:
    found = sorted(path for path in source.rglob("*") if path.is_file())
    for place, path in enumerate(found):
        told("blobs", place, len(found))
        target = draft.folder / "blobs" / "sha256" / path.parent.name / path.name
        _copied(path, target)
        copy = described(draft.folder, target)
        if copy.sha256 != path.parent.name + path.name:
            draft.damaged.append(f"sha256:{path.parent.name}{path.name}")
            target.unlink()
        else:
            draft.files.append(copy)
    told("blobs", len(found), len(found))


def _notes(source: Path, draft: _Draft) -> None:
    for path in sorted(source.glob("*.note")):
        _copied(path, draft.folder / "heads" / path.name)
        draft.add(draft.folder / "heads" / path.name)


def _unsound(folder: Path, manifest: Manifest) -> Iterator[str]:
    for name in {RECORDS, JOBS} & names(manifest):
        seen = soundness.look(folder / name, max_seconds=_LOOK_SECONDS)
        for suffix in ("-wal", "-shm"):  # what the look itself has laid beside it
            (folder / (name + suffix)).unlink(missing_ok=True)
        if seen.damage is not None:
            yield f"{name}: {seen.damage}"
            return
    with copies.opened_copy(folder / RECORDS) as connection:
        if _head(head_of(connection)) != manifest.ledger:
            yield f"{RECORDS}: its ledger does not have the head that the manifest names"


def _demand_empty(settings: Settings, manifest: Manifest) -> None:
    path = records_file(settings)
    if ("postgresql" if path is None else "sqlite") != manifest.database:
        raise InvalidInput(
            f"this is a backup of {manifest.database}, and DATABASE_URL names another database",
            field="DATABASE_URL",
        )
    if path is None:
        with _database(settings) as database:
            there = copies.content_of_postgresql(database)
        way = "make an empty database, and name it in DATABASE_URL; keep the old one"
    else:
        files = [*copies.sqlite_files(path), *copies.sqlite_files(settings.home / JOBS)]
        there = [str(file) for file in files]
        way = "move these files aside, and keep them until you know what they hold"
    if there:
        raise Conflict(
            f"the place is not empty: there is {', '.join(there[:4])}"
            + (f" and {len(there) - 4} more" if len(there) > 4 else ""),
            remedy=way,
        )


def _put_records(settings: Settings, folder: Path, manifest: Manifest, tools: Path | None) -> Head:
    """Jobs first and records last: without records there is nothing to start on."""
    path = records_file(settings)
    if path is None:
        with _database(settings) as database:
            copies.restore_postgresql(database, folder / DUMP, tools)
            with database.read() as connection:
                return _head(head_of(connection))
    for name, target in ((JOBS, settings.home / JOBS), (RECORDS, path)):
        if name in names(manifest):
            _copied(folder / name, target)
    with copies.opened_copy(path) as connection:
        return _head(head_of(connection))


def _published(settings: Settings) -> tuple[int, bytes] | None:
    """Size and root of the newest head that lies in the data folder."""
    notes = sorted((settings.home / "heads").glob("*.note"))
    return read_note(notes[-1].read_text("utf-8")) if notes else None


def _compared(settings: Settings, manifest: Manifest) -> Restored:
    published = _published(settings)
    if published is None:
        return Restored(manifest, None, continues=True)
    size, root = published
    with _database(settings) as database, database.read() as connection:
        same = ledger.size(connection) >= size and ledger.tree(connection, size).root() == root
    return Restored(manifest, size, continues=same)


def _chosen_keys(source: Path, target: Path) -> list[tuple[Path, Path]]:
    manifest = read(source)
    if manifest.format != KEYS_FORMAT:
        raise InvalidInput(f"{source} holds no backup of keys", field="--keys")
    target.mkdir(exist_ok=True, mode=0o700)
    wanted = []
    for file in manifest.files:
        if described(source, source / file.path) != file:
            raise IntegrityFailed(f"the key {file.path} is not what was written")
        there = target / file.path
        if not there.exists():
            wanted.append((source / file.path, there))
        elif there.read_bytes() != (source / file.path).read_bytes():
            raise Conflict(
                f"another key lies at {there}",
                remedy="move it aside if it is the wrong one, or restore without --keys",
            )
    return wanted


def _new_notes(source: Path, target: Path) -> list[tuple[Path, Path]]:
    """Heads of the backup that are not in the data folder."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = []
    for path in sorted(source.glob("*.note")):
        there = target / path.name
        if not there.exists():
            wanted.append((path, there))
        elif read_note(there.read_text("utf-8")) != read_note(path.read_text("utf-8")):
            raise IntegrityFailed(
                f"the backup and {there} are of two histories",
                remedy="find out which is the true one before anything is put back",
            )
    return wanted


def _put(source: Path, target: Path, told: Progress) -> None:
    """Copy blobs that are not there; those that are have the same name, and so the same bytes."""
    target.mkdir(exist_ok=True, mode=0o700)
    found = sorted(path for path in source.rglob("*") if path.is_file())
    for place, path in enumerate(found):
        told("blobs", place, len(found))
        there = target / path.relative_to(source)
        if not there.exists():
            _copied(path, there)
            there.chmod(0o400)
    told("blobs", len(found), len(found))


def _copied(source: Path, target: Path) -> None:
    """Copy a file under another name first: what has its name is whole, and on disk."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = target.with_name(target.name + ".part")
    draft.unlink(missing_ok=True)
    private = source.suffix not in {".note", ".pub"} and not source.name.endswith(".pub.pem")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o644)
    with source.open("rb") as original, os.fdopen(descriptor, "wb") as copy:
        shutil.copyfileobj(original, copy, _CHUNK)
        copy.flush()
        os.fsync(copy.fileno())
    draft.rename(target)


def _begun(target: Path) -> Path:
    if target.exists():
        raise Conflict(f"{target} is there already", remedy="name a new folder for each backup")
    draft = target.with_name(target.name + ".part")
    if draft.exists():
        shutil.rmtree(draft)  # one that was interrupted
    draft.mkdir(parents=True, mode=0o700)
    return draft


def _finish(draft: Path, target: Path, manifest: Manifest) -> None:
    path = draft / MANIFEST
    with path.open("w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _head(found: tuple[int, bytes]) -> Head:
    return Head(found[0], found[1].hex())


def _database(settings: Settings) -> closing[Database]:
    return closing(Database(settings.database()))
