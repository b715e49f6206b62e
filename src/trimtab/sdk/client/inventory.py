"""Other registries: connections to them, what they hold, and how it stands by the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trimtab.sdk import shapes
from trimtab.sdk.client.wire import Noun, read, sent

_CONNECTIONS = "/api/v1/connections"
_INVENTORY = "/api/v1/inventory"
_COMPLIANCE = "/api/v1/compliance"


class Connections(Noun):
    """Registries that are read."""

    def connect(
        self,
        url: str,
        *,
        name: str | None = None,
        tenant: str | None = None,
        auth: Mapping[str, Any] | None = None,
        networks: Sequence[str] = (),
        tag_map: Mapping[str, Any] | None = None,
        webhook: str | None = None,
        reason: str,
    ) -> shapes.ConnectionShape:
        """Read a registry from now on; `auth` is `{"kind": ..., "secrets": {part: reference}}`."""
        body = {
            "url": url,
            "name": name,
            **({} if tenant is None else {"tenant": tenant}),
            "auth": auth or {"kind": "none"},
            "networks": list(networks),
            "tag_map": tag_map,
            "webhook": webhook,
            "reason": reason,
        }
        return self._wire.post(_CONNECTIONS, body, shapes.ConnectionShape)

    def list(self, *, removed: bool = False) -> Iterator[shapes.ConnectionShape]:
        """All of them, oldest first; or those that were removed."""
        only = {"removed": True} if removed else {}
        return self._wire.pages(_CONNECTIONS, shapes.ConnectionShape, **_sent(only))

    def get(self, connection: str) -> shapes.ConnectionShape:
        """One of them, with its health, its lag, and how far its cycle is."""
        return self._wire.get(f"{_CONNECTIONS}/{connection}", shapes.ConnectionShape)

    def change(
        self,
        connection: str,
        *,
        auth: Mapping[str, Any] | None = None,
        networks: Sequence[str] | None = None,
        tag_map: Mapping[str, Any] | None = None,
        webhook: str | None = None,
        reason: str,
    ) -> shapes.ConnectionShape:
        """Tell it otherwise who asks, open other networks, and so on; what is None stays."""
        wanted = {"auth": auth, "networks": networks, "tag_map": tag_map, "webhook": webhook}
        body = {name: value for name, value in wanted.items() if value is not None}
        answer = self._wire.send(
            "PATCH", f"{_CONNECTIONS}/{connection}", json_body={**body, "reason": reason}
        )
        return read(shapes.ConnectionShape, answer)

    def sync(
        self, connection: str, *, scope: str = "changes", reason: str
    ) -> shapes.ConnectionShape:
        """Have it read soon: only what changed, or (`full`) everything."""
        body = {"scope": scope, "reason": reason}
        return self._wire.post(f"{_CONNECTIONS}/{connection}/sync", body, shapes.ConnectionShape)

    def remove(self, connection: str, *, reason: str) -> shapes.ConnectionShape:
        """Read it no more, for good; what is on record stays in the history."""
        path = f"{_CONNECTIONS}/{connection}"
        return read(
            shapes.ConnectionShape, self._wire.send("DELETE", path, params={"reason": reason})
        )

    def pause(self, connection: str, *, reason: str) -> shapes.ConnectionShape:
        """Read it no more; what is on record stays."""
        path = f"{_CONNECTIONS}/{connection}/pause"
        return self._wire.post(path, {"reason": reason}, shapes.ConnectionShape)

    def resume(self, connection: str, *, reason: str) -> shapes.ConnectionShape:
        """Read it again."""
        path = f"{_CONNECTIONS}/{connection}/resume"
        return self._wire.post(path, {"reason": reason}, shapes.ConnectionShape)

    def syncs(self, connection: str) -> Iterator[shapes.SyncShape]:
        """Cycles of reading it, newest first."""
        return self._wire.pages(f"{_CONNECTIONS}/{connection}/syncs", shapes.SyncShape)

    def lint(self, connection: str) -> Iterator[shapes.LintShape]:
        """Tags that are named or written in several ways."""
        return self._wire.pages(f"{_CONNECTIONS}/{connection}/lint", shapes.LintShape)

    def send_message(
        self, connection: str, body: bytes, headers: Mapping[str, str]
    ) -> shapes.MessageTaken:
        """Hand a registry's signed message on, as it was sent."""
        path = f"{_CONNECTIONS}/{connection}/messages"
        answer = self._wire.send("POST", path, content=body, headers=headers)
        return read(shapes.MessageTaken, answer)


class Inventory(Noun):
    """What other registries hold, now or as it was."""

    def list(self, **filters: object) -> Iterator[shapes.RecordSummary]:
        """Versions by model, newest first; `filters` are those of the interface, and `as_of`."""
        return self._wire.pages(_INVENTORY, shapes.RecordSummary, **_sent(filters))

    def summary(self, **filters: object) -> shapes.TallyShape:
        """Counts of what `list` lists."""
        return self._wire.get(f"{_INVENTORY}/summary", shapes.TallyShape, **_sent(filters))

    def export(self, kind: str = "csv", **filters: object) -> bytes:
        """What `list` lists as one file: `csv`, `json` or `parquet`."""
        query = {"format": kind, **_sent(filters)}
        return self._wire.send("GET", f"{_INVENTORY}/export", params=query).content

    def record(self, record: str, *, as_of: datetime | None = None) -> shapes.RecordShape:
        """Everything that is known of a version, and where each value was read."""
        path = f"{_INVENTORY}/records/{record}"
        return self._wire.get(path, shapes.RecordShape, as_of=sent(as_of))

    def history(self, record: str) -> Iterator[shapes.MoveShape]:
        """What happened to a version, newest first."""
        return self._wire.pages(f"{_INVENTORY}/records/{record}/history", shapes.MoveShape)

    def lineage(self, record: str, *, as_of: datetime | None = None) -> shapes.LineageShape:
        """What a version comes from, and leads to."""
        path = f"{_INVENTORY}/records/{record}/lineage"
        return self._wire.get(path, shapes.LineageShape, as_of=sent(as_of))

    def walk(
        self,
        node: str,
        *,
        direction: str = "downstream",
        connection: str | None = None,
        as_of: datetime | None = None,
    ) -> shapes.LineageShape:
        """From one node of the lineage: what it leads to, or comes from."""
        query = {
            "node": node,
            "direction": direction,
            "connection": connection,
            "as_of": sent(as_of),
        }
        return self._wire.get(f"{_INVENTORY}/lineage", shapes.LineageShape, **query)

    def hand_over(
        self, record: str, given: shapes.NewHandOver, *, reference: bytes, holdout: bytes
    ) -> shapes.HandedOver:
        """Hand a version of a registry in here: its model as it was inspected, and two Parquet
        files."""
        answer = self._wire.send(
            "POST",
            f"{_INVENTORY}/records/{record}/intake",
            data={"metadata": given.model_dump_json(exclude_none=True)},
            files={
                "reference": ("reference.parquet", reference),
                "holdout": ("holdout.parquet", holdout),
            },
        )
        return read(shapes.HandedOver, answer)

    def card(self, record: str, kind: str = "json", *, as_of: datetime | None = None) -> bytes:
        """The model card of a version: `json`, `html`, `pdf` or `cyclonedx`."""
        query = {"format": kind, "as_of": sent(as_of)}
        path = f"{_INVENTORY}/records/{record}/card"
        return self._wire.send("GET", path, params=query).content


class ComplianceNoun(Noun):
    """How the inventory stands by the rules."""

    def standing(self) -> shapes.ComplianceShape:
        """By rule, and by what the rules refer to."""
        return self._wire.get(_COMPLIANCE, shapes.ComplianceShape)

    def preview(self, rulebook: Mapping[str, Any]) -> shapes.PreviewShape:
        """What other rules would change; nothing changes by it."""
        body = {"rulebook": dict(rulebook)}
        return self._wire.post(f"{_COMPLIANCE}/preview", body, shapes.PreviewShape)

    def waivers(self, *, in_force: bool = False) -> Iterator[shapes.WaiverShape]:
        """Every waiver there was, oldest first; or those that count now, newest first."""
        only = {"in_force": True} if in_force else {}
        return self._wire.pages(f"{_COMPLIANCE}/waivers", shapes.WaiverShape, **_sent(only))

    def waive(
        self,
        record: str,
        rule: str,
        *,
        expires_at: datetime,
        whole_model: bool = False,
        reason: str,
    ) -> shapes.WaiverShape:
        """Answer for a gap until a day."""
        body = {
            "record": record,
            "rule": rule,
            "whole_model": whole_model,
            "expires_at": sent(expires_at),
            "reason": reason,
        }
        return self._wire.post(f"{_COMPLIANCE}/waivers", body, shapes.WaiverShape)

    def revoke(self, waiver: str, *, reason: str) -> shapes.WaiverShape:
        """Let a waiver count no more."""
        path = f"{_COMPLIANCE}/waivers/{waiver}"
        answer = self._wire.send("DELETE", path, params={"reason": reason})
        return read(shapes.WaiverShape, answer)


def _sent(filters: Mapping[str, object]) -> dict[str, object]:
    return {
        name: sent(value)
        if isinstance(value, datetime)
        else str(value).lower()
        if isinstance(value, bool)
        else value
        for name, value in filters.items()
    }
