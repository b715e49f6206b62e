"""Commands about the audit ledger."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trimtab.kernel import garbage
from trimtab.kernel.ids import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.app import Application
    from trimtab.platform.settings import Settings
    from trimtab.sdk.ledger import Finding


def verify_live(heads: Sequence[Path], *, as_json: bool) -> bool:
    """Verify this machine's ledger, also against heads kept elsewhere; say what was found."""
    from trimtab.workflows import proof

    application = _application(confirm=False)
    with closing(application.parts.records.database):
        found = proof.verify(application.parts, known_heads=_texts(heads))
    _say(
        as_json=as_json,
        ok=found.ok,
        entries=found.entries,
        root=found.root,
        findings=found.findings,
        total=found.findings_total,
        warnings=(),
    )
    return found.ok


def check_invariants(*, as_json: bool) -> bool:
    """Check every invariant on this machine's records, all entries, and say what was found."""
    from trimtab.workflows.invariants import nightly
    from trimtab.workflows.invariants.catalogue import EVERY

    parts = _application(confirm=False).parts
    report = nightly.look_through(parts, waited_since=parts.clock.now() - nightly.EVERY_SO_OFTEN)
    ok = not report.violations
    if as_json:
        body = {
            "ok": ok,
            "entries": report.upto,
            "invariants": {i.name: i.sentence for i in EVERY},
            "violated": report.counted,
            "violations": [vars(violation) for violation in report.violations],
        }
        print(json.dumps(body, indent=2))
        return ok
    holds = f"{len(report.counted)} invariants over {report.upto} entries"
    print(f"{'all hold' if ok else 'NOT AS IT MUST BE'}: {holds}")
    for violation in report.violations:
        print(f"  {violation}")
    return ok


def verify_export(path: Path, key: str | None, heads: Sequence[Path], *, as_json: bool) -> bool:
    """Verify an export offline, also against heads kept elsewhere; say what was found."""
    from trimtab.sdk.ledger import verify_export as verify

    report = verify(path, pinned_key=key, pinned_origin=None, known_heads=_texts(heads))
    _say(
        as_json=as_json,
        ok=report.ok,
        entries=report.entries,
        root=None if report.root is None else report.root.hex(),
        findings=report.findings,
        total=report.findings_total,
        warnings=report.warnings,
    )
    return report.ok


def write_export(output: Path, tenant: str | None) -> int:
    """Write an export; return how many entries are in it."""
    from trimtab.workflows import proof

    application = _application()
    lines = 0
    draft = output.with_name(output.name + ".part")
    with closing(application.parts.records.database), draft.open("w", encoding="utf-8") as file:
        for line in proof.export(application.parts, TenantId(tenant) if tenant else None):
            file.write(line)
            lines += 1
    draft.rename(output)
    return lines - 1


def _texts(heads: Sequence[Path]) -> list[str]:
    return [path.read_text("utf-8") for path in heads]


def _application(*, confirm: bool = True) -> Application:
    """What is to be read, which has to be there: joining its parts would make an empty one, and
    of that everything is true."""
    with garbage.loading():
        from trimtab.app import Application
    from trimtab.platform.settings import load_settings

    settings = load_settings()
    if (missing := _missing(settings)) is not None:
        print(f"trimtab: there is no ledger at {missing}", file=sys.stderr)
        print("  set TRIMTAB_HOME to the data folder; `make up` has ./var", file=sys.stderr)
        print("  and DATABASE_URL, if its records are on PostgreSQL", file=sys.stderr)
        raise typer.Exit(1)
    return Application(settings, confirm=confirm)


def _missing(settings: Settings) -> Path | None:
    """The first file without which there is no ledger, if one is not there."""
    from trimtab.platform.whereabouts import records_file

    files = [records_file(settings), settings.home / "keys" / "ledger.pem"]
    return next((path for path in files if path is not None and not path.exists()), None)


def _say(
    *,
    as_json: bool,
    ok: bool,
    entries: int,
    root: str | None,
    findings: Sequence[Finding],
    total: int,
    warnings: Sequence[Finding],
) -> None:
    if as_json:
        body = {
            "ok": ok,
            "entries": entries,
            "root": root,
            "findings": [vars(f) for f in findings],
            "findings_total": total,
            "warnings": [vars(w) for w in warnings],
        }
        print(json.dumps(body, indent=2, default=str))
        return
    print(f"{'whole' if ok else 'NOT WHOLE'}: {entries} entries, root {root or 'not computed'}")
    for finding in findings:
        where = f"entry {finding.sequence}" if finding.sequence else "ledger"
        print(f"  {where}: {finding.what}")
    if total > len(findings):
        print(f"  ... and {total - len(findings)} more")
    for warning in warnings:
        print(f"  note: {warning.what}")
