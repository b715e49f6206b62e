"""What registries hold, on the terminal and in files."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.cli.connecting import Filters, named
from trimtab.cli.outputs import check_output, write
from trimtab.cli.plane import plane
from trimtab.cli.remote import Remote, show_rows, told
from trimtab.cli.tables import show_table
from trimtab.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from trimtab.sdk.client import Client
    from trimtab.sdk.shapes import FieldShape, RecordShape

_LONGEST = 100
_KINDS = {".csv": "csv", ".json": "json", ".parquet": "parquet"}
_CARDS = {".html": "html", ".pdf": "pdf", ".cdx.json": "cyclonedx", ".json": "json"}


def show(remote: Remote, filters: Filters, *, limit: int, as_json: bool) -> None:
    """Print versions, as a table or as JSON."""
    with plane(remote) as found:
        client = found.client
        there = list(client.connections.list())
        names = {one.id: one.name for one in (*client.connections.list(removed=True), *there)}
        rows = list(islice(client.inventory.list(**filters.sent(client)), limit))
        if not rows and not as_json:
            print(_nothing(filters, connected=bool(there)), file=sys.stderr)
            return
        show_rows(
            rows,
            (
                ("model", lambda r: r.model),
                ("version", lambda r: r.version),
                ("stage", lambda r: r.stage),
                ("aliases", lambda r: ", ".join(r.aliases)),
                ("owner", lambda r: r.owner),
                ("files", lambda r: r.inspection or "not looked into"),
                ("gaps", lambda r: len(r.gaps)),
                ("registry", lambda r: names.get(r.connection, r.connection)),
                ("since", lambda r: f"{r.since:%Y-%m-%d %H:%M} UTC"),
            ),
            as_json=as_json,
            limit=limit,
            prose=("owner", "aliases"),
        )


def _nothing(filters: Filters, *, connected: bool) -> str:
    """Why there is nothing to show."""
    if not connected:
        return "no registry is connected: trimtab connect mlflow URL"
    if filters.as_of is not None:
        return (
            "nothing was known then; what was before a registry was first read, it alone can tell"
        )
    if filters == Filters():
        return "nothing is on record yet; trimtab connections says how reading goes"
    return "nothing fits; trimtab inventory without filters lists what there is"


def export(remote: Remote, filters: Filters, output: Path) -> None:
    """Write versions to a file, of the kind that its name says.

    Raises:
        InvalidInput: it says none.
    """
    kind = _KINDS.get(output.suffix.lower())
    if kind is None:
        raise InvalidInput(
            f"{output.name} says no kind of file",
            field="--output",
            remedy=f"end it with {', '.join(_KINDS)}",
        )
    check_output(output, [], "inventory")
    with plane(remote) as found:
        content = found.client.inventory.export(kind, **filters.sent(found.client))
    write(output, content)


@dataclass(frozen=True)
class Which:
    """Which version is asked about, of which connection if several hold it, and as of when."""

    model: str
    version: int
    connection: str | None = None
    as_of: datetime | None = None

    def id(self, client: Client) -> str:
        """The record of the version, as a registry holds it, or did at `as_of`.

        Raises:
            NotFound: no registry holds it.
            InvalidInput: several do.
        """
        places = dict.fromkeys(
            ((False, self.as_of), (True, self.as_of), (False, None), (True, None))
        )
        for removed, moment in places:
            wanted = Filters(self.connection, model=self.model, removed=removed, as_of=moment).sent(
                client
            )
            found = [r for r in client.inventory.list(**wanted) if r.version == self.version]
            if len(found) > 1:
                raise InvalidInput(
                    f"{len(found)} registries hold {ascii(self.model)[:80]} {self.version}",
                    field="--connection",
                    remedy="name one with --connection: "
                    + ", ".join(sorted({record.connection for record in found})),
                )
            if found:
                return found[0].id
        raise NotFound(
            f"no registry holds {ascii(self.model)[:80]} {self.version}",
            field="model",
            remedy="`trimtab inventory --text PART` lists what there is",
        )


def show_record(remote: Remote, which: Which, *, as_json: bool) -> None:
    """Print one version, each field with where it was read.

    Raises:
        NotFound: no registry holds it.
    """
    with plane(remote) as found:
        record = found.client.inventory.record(which.id(found.client), as_of=which.as_of)
    if as_json:
        print(json.dumps(record.model_dump(mode="json"), indent=2))
        return
    _print(record)


def show_history(remote: Remote, which: Which, *, as_json: bool) -> None:
    """Print what happened to a version, newest first.

    Raises:
        NotFound: no registry holds it.
    """
    with plane(remote) as found:
        show_rows(
            found.client.inventory.history(which.id(found.client)),
            (
                ("seen", lambda m: f"{m.at:%Y-%m-%d %H:%M}"),
                ("what", lambda m: m.what),
                ("before", lambda m: "" if m.before is None else _stands(m.before)),
                ("after", lambda m: _stands(m.after)),
                ("fields", lambda m: ", ".join(m.fields)),
            ),
            as_json=as_json,
            limit=1_000,
            prose=("fields",),
        )


def write_card(remote: Remote, which: Which, output: Path) -> None:
    """Write the model card of a version, as the name of the file says.

    Raises:
        NotFound: no registry holds it.
        InvalidInput: the name says no kind of card.
    """
    kind = next((k for end, k in _CARDS.items() if output.name.lower().endswith(end)), None)
    if kind is None:
        raise InvalidInput(
            f"{output.name} says no kind of card",
            field="--card",
            remedy=f"end it with {', '.join(_CARDS)}",
        )
    check_output(output, [], "card")
    with plane(remote) as found:
        content = found.client.inventory.card(which.id(found.client), kind, as_of=which.as_of)
    write(output, content)


def show_connections(
    remote: Remote, *, pause: str | None, resume: str | None, reason: str, as_json: bool
) -> None:
    """Pause or resume connections, then print all."""
    with plane(remote) as found:
        client = found.client
        if pause is not None:
            client.connections.pause(named(client, pause).id, reason=reason)
        if resume is not None:
            client.connections.resume(named(client, resume).id, reason=reason)
        show_rows(
            client.connections.list(),
            (
                ("name", lambda c: c.name),
                ("health", lambda c: "paused" if c.paused else c.health),
                ("models", lambda c: c.tally.models),
                ("versions", lambda c: c.tally.versions),
                ("seen", lambda c: f"{c.seen_at:%Y-%m-%d %H:%M} UTC" if c.seen_at else "never"),
                ("messages", lambda c: "believed" if c.webhook.known else "no"),
                ("address", lambda c: c.url),
                ("why", lambda c: c.health_reason),
            ),
            as_json=as_json,
            limit=1_000,
            prose=("why",),
        )


def show_standing(remote: Remote, *, as_json: bool) -> None:
    """Print how versions stand by each rule, and by what the rules refer to."""
    with plane(remote) as found:
        standing = found.client.compliance.standing()
    if as_json:
        print(json.dumps(standing.model_dump(mode="json"), indent=2))
        return
    heads = ("rule", "gaps", "unknown", "waived", "passed", "title")
    rows = [
        [r.rule, str(r.gaps), str(r.unknown), str(r.waived), str(r.passed), r.title]
        for r in sorted(standing.rules, key=lambda r: (-r.gaps, -r.unknown, r.rule))
    ]
    show_table(heads, rows, prose=("title",))
    print()
    names = ("gaps", "unknown", "waived", "passed")
    show_table(
        ("framework", *names),
        [[name, *(str(c[n]) for n in names)] for name, c in standing.frameworks.items()],
    )
    print("\nA rule that is passed is evidence, and no legal opinion.")


def show_preview(remote: Remote, file: Path, *, as_json: bool) -> None:
    """Print what other rules would change; nothing changes by it.

    Raises:
        InvalidInput: the file holds no rules; the place is named.
    """
    from trimtab.policies.reading import read

    rules = read(file.read_text("utf-8", errors="replace"), file.name).data
    with plane(remote) as found:
        preview = found.client.compliance.preview(rules)
    if as_json:
        print(json.dumps(preview.model_dump(mode="json"), indent=2))
        return
    print(f"{preview.records} versions; {len(preview.changes)} rules would come to something else")
    for change in preview.changes:
        for move in change["moves"]:
            examples = ", ".join(f"{told(model)} {version}" for model, version in move["examples"])
            what = f"{move['before'] or 'not there'} -> {move['after'] or 'not there'}"
            print(f"  {change['rule']:<28}{what:<32}{move['versions']:>6}  {examples}")


def _stands(place: Any) -> str:
    return f"{place.stage} {' '.join('@' + alias for alias in place.aliases)}".strip()


def _print(record: RecordShape) -> None:
    since = f"as it is since {record.since:%Y-%m-%d %H:%M} UTC"
    print(f"{told(record.model)} {record.version}  {record.stage}  {since}")
    if record.removed:
        print("its registry has it no more, or is read no more")
    if record.incomplete:
        print(f"incomplete: {told(record.incomplete)}")
    for group, fields in record.fields.items():
        print(f"\n{group}")
        for name, known in fields.items():
            first, *others = _value(known)
            print(f"  {name:<28}{first}")
            for line in others:
                print(f"  {'':<28}{line}")
            if known.origin is not None:
                print(f"  {'':<28}  {_source(known)}")
    print("\ncompliance")
    for rule in record.compliance:
        if rule.outcome in ("fail", "inconclusive", "waived"):
            print(f"  {rule.outcome:<13} {rule.rule}: {told(rule.sentence)}")
            if rule.outcome != "waived":
                print(f"  {'':<13} {told(rule.remedy)}")
    for finding in record.findings:
        print(f"  finding       {told(finding['code'])}: {told(finding['detail'])}")


def _value(known: FieldShape) -> list[str]:
    """What is known, line by line as it was written."""
    if known.value is None:
        return [f"nobody says ({told(known.fault)})" if known.fault else "nobody says"]
    value = known.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = [told(line) for line in text[:_LONGEST].splitlines() if line.strip()]
    shown = shown or [told(text[:_LONGEST])]
    if len(text) > _LONGEST:
        shown[-1] += f"… ({len(text):,} characters; --json has them all)"
    return shown


def _source(known: FieldShape) -> str:
    parts = [f"{(known.origin or '').replace('_', ' ')} {known.key}".strip()]
    if known.claim:
        parts.append("a claim")
    if known.at is not None:
        parts.append(f"{known.at:%Y-%m-%d %H:%M}")
    if known.coerced_from is not None:
        parts.append(f"written as {known.coerced_from}")
    return told("; ".join(parts))
