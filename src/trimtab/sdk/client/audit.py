"""The audit ledger."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun


class Audit(Noun):
    """The ledger."""

    def entries(
        self, *, after: int = 0, kinds: tuple[str, ...] = (), ref: str | None = None
    ) -> Iterator[shapes.EntryShape]:
        """Entries in order."""
        query: dict[str, object] = {"after": after, "limit": 1000, "ref": ref}
        if kinds:
            query["kind"] = list(kinds)
        return self._wire.pages("/api/v1/audit/entries", shapes.EntryShape, **query)

    def head(self) -> shapes.HeadShape:
        """The signed head."""
        return self._wire.get("/api/v1/audit/head", shapes.HeadShape)

    def verify(self) -> shapes.VerificationShape:
        """Have the whole ledger verified."""
        return self._wire.post("/api/v1/audit/verify", None, shapes.VerificationShape)

    def export(self) -> Iterator[str]:
        """The ledger as JSON Lines, for the independent verifier; a tenant's has proofs."""
        text = self._wire.send("GET", "/api/v1/audit/export").text
        yield from (f"{line}\n" for line in text.split("\n") if line)
