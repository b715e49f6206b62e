"""Rulebooks that records were held against, word for word."""

from __future__ import annotations

import sqlalchemy as sa

from trimtab.audit.work import Reading, Work
from trimtab.inventory.model import RulebookAdopted
from trimtab.inventory.rulebook import Rulebook, load_rulebook
from trimtab.kernel.errors import NotFound
from trimtab.platform.database import Moment, decision_table

RULEBOOKS = decision_table(
    "rulebooks",
    sa.Column("version", sa.String(40), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("adopted_at", Moment, nullable=False),
)
"""The id of one is the digest of its text."""


def adopt(work: Work, rulebook: Rulebook, text: str) -> bool:
    """Keep a rulebook before the first record is held against it; False if it was kept before."""
    if work.with_id(RULEBOOKS, rulebook.digest) is not None:
        return False
    event = RulebookAdopted(
        rulebook.digest, None, rulebook.version, [rule.id for rule in rulebook.rules]
    )
    row = {
        "id": rulebook.digest,
        "version": rulebook.version,
        "text": text,
        "adopted_at": work.now,
    }
    work.create(RULEBOOKS, row, because=event)
    return True


def rulebook(reading: Reading, digest: str) -> Rulebook:
    """The rulebook with this digest.

    Raises:
        NotFound: no record was ever held against it.
    """
    row = reading.with_id(RULEBOOKS, digest)
    if row is None:
        raise NotFound("there is no such rulebook", field="rulebook")
    return load_rulebook(row["text"], f"rulebook {row['version']}")
