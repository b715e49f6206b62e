"""Signed heads: what the ledger was at a size, told to the world outside the database.

A head is a C2SP checkpoint in a signed note (Ed25519). Heads are published as files beside
the database, so that a database that was cut, rewritten or restored from a backup can be
told from the truth: its root at a published size is not the published one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trimtab.audit import ledger
from trimtab.audit.tables import HEADS
from trimtab.kernel.errors import IntegrityFailed
from trimtab.platform.database import Database

_ED25519 = b"\x01"
_REMEDY = (
    "the database was restored from an older backup or changed from outside; run "
    "`trimtab audit verify`, and see docs/operations.md before starting again"
)


def ledger_origin(key: Ed25519PrivateKey) -> str:
    """The name of the ledger whose heads `key` signs.

    It follows from the key, not from where the service is reached: an address may change,
    and what was signed under the old one must still be this ledger's.
    """
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"trimtab/{hashlib.sha256(public).hexdigest()[:16]}"


class HeadSigner:
    """Signs heads under one origin, with one key."""

    def __init__(self, origin: str, key: Ed25519PrivateKey):
        self.origin = origin
        self._key = key
        self._public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        name = origin.encode()
        self._key_hash = hashlib.sha256(name + b"\n" + _ED25519 + self._public).digest()[:4]

    @property
    def verifier_key(self) -> str:
        """The public key in the form that verifiers of signed notes read."""
        material = base64.b64encode(_ED25519 + self._public).decode()
        return f"{self.origin}+{self._key_hash.hex()}+{material}"

    def note(self, size: int, root: bytes) -> str:
        """The signed note that says: at `size` entries, the root was `root`."""
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self._key_hash + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {signature}\n"


class Heads:
    """Signs the present head, keeps it, and publishes it in a folder outside the database."""

    def __init__(self, database: Database, signer: HeadSigner, folder: Path):
        self._database = database
        self.signer = signer
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def sign(self) -> str:
        """The signed head of the present ledger; signed anew only if it has grown.

        Raises:
            IntegrityFailed: another head was published at this size.
        """
        with self._database.read() as connection:
            size = ledger.size(connection)
            kept = connection.execute(
                sa.select(HEADS.c.note).where(HEADS.c.size == size)
            ).scalar_one_or_none()
            if kept is not None:
                self._publish(size, kept)
                return str(kept)
            root = ledger.tree(connection, size).root()
        note = self.signer.note(size, root)
        self._publish(size, note)  # first: what contradicts the world is not kept
        with self._database.write() as connection:
            known = connection.execute(sa.select(HEADS.c.size).where(HEADS.c.size == size)).first()
            if known is None:
                connection.execute(HEADS.insert(), {"size": size, "note": note})
        return note

    def published(self) -> list[str]:
        """The notes in the folder, smallest first."""
        return [path.read_text("utf-8") for path in sorted(self._folder.glob("*.note"))]

    def confirm(self) -> None:
        """Check that the database continues the newest published head.

        Raises:
            IntegrityFailed: it is shorter than what was published, or was rewritten: a
                backup was restored, a file was lost, or somebody changed history.
        """
        notes = self.published()
        if not notes:
            return
        size, root = read_note(notes[-1])
        with self._database.read() as connection:
            present = ledger.size(connection)
            same = present >= size and ledger.tree(connection, size).root() == root
        if not same:
            raise IntegrityFailed(
                f"the ledger has {present} entries and does not continue the head that was "
                f"published at {size}",
                remedy=_REMEDY,
            )

    def origin(self) -> str:
        """Whose key has signed the newest head in the database; this one's, if there is none."""
        with self._database.read() as connection:
            newest = sa.select(HEADS.c.note).order_by(HEADS.c.size.desc()).limit(1)
            note = connection.execute(newest).scalar()
        return self.signer.origin if note is None else str(note).partition("\n")[0]

    def demand_own(self) -> None:
        """Make sure that the newest head in the database was signed with this key.

        Raises:
            IntegrityFailed: another key signed it: this process has the keys of another
                installation, or has made its own.
        """
        origin = self.origin()
        if origin != self.signer.origin:
            raise IntegrityFailed(
                f"this database is of the installation {origin}, and the keys here are those of "
                f"{self.signer.origin}",
                remedy="give this process the TRIMTAB_HOME of the others, or at least its keys; "
                "where they are lost for good, `backup_restore.sh accept-loss` goes on with others",
            )

    def _publish(self, size: int, note: str) -> None:
        path = self._folder / f"{size:012d}.note"
        if path.exists():
            if read_note(path.read_text("utf-8")) != read_note(note):
                raise IntegrityFailed(
                    f"another head was published at {size} entries: the ledger has two histories",
                    remedy=_REMEDY,
                )
            return
        # A name of its own: two that publish at once must not write into one file.
        descriptor, draft = tempfile.mkstemp(dir=self._folder, suffix=".draft")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)


def head_of(connection: sa.Connection) -> tuple[int, bytes]:
    """Size and root of the ledger as a transaction sees it, signed by nobody."""
    size = ledger.size(connection)
    return size, ledger.tree(connection, size).root()


def read_note(note: str) -> tuple[int, bytes]:
    """Size and root that a note of ours claims; the signature is the verifier's matter.

    Raises:
        IntegrityFailed: it is not a note.
    """
    try:
        _origin, size, root = note.splitlines()[:3]
        return int(size), base64.b64decode(root, validate=True)
    except ValueError as error:
        raise IntegrityFailed("a published head cannot be read", remedy=_REMEDY) from error
