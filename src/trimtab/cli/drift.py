"""`trimtab drift` and `trimtab profile`: two tables compared, one table kept."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import __version__
from trimtab.kernel.clock import SystemClock, iso
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict

if TYPE_CHECKING:
    from trimtab.monitoring.comparison import Comparison, Counted
    from trimtab.monitoring.drift import FeatureDrift
    from trimtab.policies.model import Policy
    from trimtab.policies.operation import Monitoring
    from trimtab.profiles.parquet import Told
    from trimtab.profiles.sources import Source
    from trimtab.profiles.table import TableProfile

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.ERROR: 2, Verdict.INCONCLUSIVE: 3}

_SHOWN_PARTS = 20


@dataclass(frozen=True)
class Asked:
    """What somebody asked `trimtab drift`."""

    reference: str
    current: str
    features: str | None
    policy: str
    tier: int
    by: str | None
    time: str | None
    window: str | None
    sensitivity: str
    algorithms: str
    quorum: float | None
    json: Path | None
    html: Path | None
    cores: int | None


def drift(asked: Asked) -> int:
    """Compare two tables, say what was found, and return the exit status."""
    began = time.perf_counter()
    from trimtab.monitoring.comparison import compare
    from trimtab.monitoring.detection import DetectionConfig, configured
    from trimtab.policies.loader import load_chosen

    policy = load_chosen(asked.policy)
    config = DetectionConfig.parse(asked.algorithms, asked.quorum, asked.sensitivity)
    demands = configured(policy.tier(asked.tier).monitoring, config)
    wanted = None if asked.features is None else _names(asked.features)
    reference, current = _open(asked.reference), _open(asked.current)
    aside = {name for name in (asked.by, asked.time) if name is not None}
    before = _profile(reference, "reference", None, wanted, aside, asked.cores)
    now = _profile(current, "current", before, wanted, aside, asked.cores)
    parts = _parts(asked, reference, current, before, now)
    found = compare(before, now, demands, parts=parts, features=wanted)
    told = _document(asked, policy, found, demands)
    if asked.json is not None:
        _write(asked.json, json.dumps(told, indent=1, allow_nan=False) + "\n")
    if asked.html is not None:
        from trimtab.cli.drift_report import render

        _write(asked.html, render({**told, **_circumstances(asked, demands)}, before, now, parts))
    if str(asked.json) != "-":
        _say(asked, found, demands, time.perf_counter() - began)
    for problem in found.problems:
        print(f"trimtab: {problem.message}\n  {problem.remedy}", file=sys.stderr)
    if found.problems and asked.features is None:
        print("  --features a,b compares only these columns", file=sys.stderr)
    return EXIT[found.verdict]


def keep(source: str, output: Path, *, like: str | None, cores: int | None) -> None:
    """Write the profile of a table."""
    from trimtab.profiles import codec

    known = None if like is None else _profile(_open(like), "likeness", None, None, set(), cores)
    profile = _profile(_open(source), "table", known, None, set(), cores)
    content = codec.to_bytes(profile)
    output.write_bytes(content)
    skipped = f", {len(profile.skipped)} left out" if profile.skipped else ""
    print(
        f"{output}: {profile.rows:,} rows, {len(profile.columns)} columns{skipped}, "
        f"{len(content):,} bytes"
    )


def _open(address: str) -> Source:
    if "://" in address:
        from trimtab.integrations.warehouse import open_warehouse

        return open_warehouse(address)
    from trimtab.profiles.sources import open_source

    return open_source(address)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidInput("--features names no column", field="features")
    return names


def _profile(
    source: Source,
    what: str,
    like: TableProfile | None,
    wanted: Sequence[str] | None,
    aside: set[str],
    cores: int | None,
) -> TableProfile:
    """The profile of a side: of the columns that were asked for and that it has."""
    columns = None
    if source.schema is not None and (wanted is not None or aside):
        names = source.schema.names if wanted is None else wanted
        columns = [name for name in names if name in source.schema.names and name not in aside]
    known = None if like is None else like.columns
    with _progress(f"{what} {source.title}") as told:
        return source.profile(columns=columns, like=known, cores=cores, told=told)


def _parts(
    asked: Asked, reference: Source, current: Source, before: TableProfile, now: TableProfile
) -> list[Counted]:
    """The segments and windows of the current table, each with its reference."""
    if asked.by is None and asked.window is None:
        if asked.time is not None:
            raise InvalidInput("--time needs a --window", remedy="say how long: --window 1d")
        return []
    from trimtab.monitoring.comparison import Counted
    from trimtab.profiles.parts import Windows, profile_parts

    windows = None if asked.window is None else Windows.parse(asked.window, asked.time)
    columns = [name for name in before.columns if name in now.columns]
    found, lost = profile_parts(current, columns, like=before.columns, by=asked.by, windows=windows)
    if lost:
        print(f"{lost} rows have no segment or no time, and are in no part", file=sys.stderr)
    own: dict[str | None, TableProfile] = {}
    if asked.by is not None:
        segments, _ = profile_parts(reference, columns, like=before.columns, by=asked.by)
        own = {part.segment: part.profile for part in segments}
    return [
        Counted(part.segment, part.begin, part.end, part.profile, own.get(part.segment))
        for part in found
    ]


def _document(
    asked: Asked, policy: Policy, found: Comparison, demands: Monitoring
) -> dict[str, Any]:
    from trimtab.monitoring.report import document

    return {
        "reference": _shown(asked.reference),
        "current": _shown(asked.current),
        "policy": {"name": policy.name, "digest": policy.digest, "tier": asked.tier},
        **document(found, demands),
    }


def _circumstances(asked: Asked, demands: Monitoring) -> dict[str, Any]:
    """What a report says of itself: when and how it was made, and by which limits."""
    effects, bands = demands.effects_dataset, demands.psi_bands
    return {
        "made_at": iso(SystemClock().now())[:16],
        "version": __version__,
        "command": shlex.join(_command(asked)),
        "limits": {
            "ks_d": effects.ks_d,
            "wasserstein_scaled": effects.wasserstein_scaled,
            "category_mass": effects.category_mass,
            "psi_bands": (bands.low_nats, bands.medium_nats, bands.high_nats),
            "min_votes": demands.quorum.min_votes,
            "false_discovery_rate": demands.false_discovery_rate,
        },
    }


def _command(asked: Asked) -> list[str]:
    """The command that makes the same report; what was left to its default is left so."""
    words = ["trimtab", "drift", _shown(asked.reference), _shown(asked.current)]
    options = (
        ("--features", asked.features, None),
        ("--policy", asked.policy, None),
        ("--tier", asked.tier, None),
        ("--by", asked.by, None),
        ("--time", asked.time, None),
        ("--window", asked.window, None),
        ("--sensitivity", asked.sensitivity, "medium"),
        ("--algorithms", asked.algorithms, "all"),
        ("--quorum", asked.quorum, None),
        ("--html", asked.html, None),
    )
    for option, value, default in options:
        if value is not None and value != default:
            words += [option, str(value)]
    return words


def _shown(address: str) -> str:
    """An address without a password."""
    scheme, mark, rest = address.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{mark}{user.partition(':')[0]}{at}{place}" if mark else address


def _write(path: Path, text: str) -> None:
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from error


def _progress(what: str) -> AbstractContextManager[Told | None]:
    """Progress on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        return nullcontext(None)
    from trimtab.cli.progress import bar

    return bar(what)


def _say(asked: Asked, found: Comparison, demands: Monitoring, seconds: float) -> None:
    from trimtab.cli.tables import show_table
    from trimtab.monitoring.drift import Scope

    heads = ("column", "verdict", "PSI", "of limit", "nulls", "why")
    rows = [_row(look, demands, Scope.DATASET) for look in found.looks]
    if rows:
        show_table(heads, rows, prose=("why",))
    _say_parts(found, demands)
    for name, why in found.skipped.items():
        print(f"not compared: {name}: {why}")
    if found.new_columns:
        print(f"only in the current table: {', '.join(found.new_columns)}")
    print(
        f"\n{found.verdict.value}: {found.reason}\n"
        f"{found.rows_reference:,} rows against {found.rows_current:,}, drift score "
        f"{found.drift_score:.3f}, policy {asked.policy} tier {asked.tier}, {seconds:.1f} s"
    )


def _row(look: FeatureDrift, demands: Monitoring, scope: Any) -> tuple[str, ...]:
    from trimtab.monitoring.comparison import nearness, reasons

    near, psi = nearness(look, demands, scope), look.measures.psi
    band = "" if look.severity is None or look.severity.value == "none" else look.severity.value
    nulls = f"{look.null_rate_reference:.1%}"
    if look.null_rate_current != look.null_rate_reference:
        nulls += f" → {look.null_rate_current:.1%}"
    return (
        look.feature,
        _word(look),
        "" if psi is None else f"{psi:.3f} {band}".rstrip(),
        "" if near is None else f"{near:.2f}",
        nulls,
        reasons(look, demands, scope),
    )


def _word(look: FeatureDrift) -> str:
    if look.moved:
        return "MOVED"
    if look.structural:
        return "FINDING"
    return "same" if look.moved is False else "unknown"


def _say_parts(found: Comparison, demands: Monitoring) -> None:
    """The parts in which something has changed; they are what was asked for."""
    if not found.parts:
        return
    from trimtab.cli.tables import show_table
    from trimtab.monitoring.comparison import reasons
    from trimtab.monitoring.drift import Scope

    changed = [part for part in found.parts if part.verdict is Verdict.FAIL]
    short = sum(part.verdict is Verdict.INCONCLUSIVE for part in found.parts)
    print(
        f"\n{len(changed)} of {len(found.parts)} parts have changed"
        + (f", {short} could not be judged in full" if short else "")
    )
    rows = []
    for part in changed[:_SHOWN_PARTS]:
        scope = Scope.GLOBAL if part.segment is None else Scope.TENANT
        looks = sorted((one for one in part.looks if one.changed), key=lambda x: -x.magnitude)
        said = "; ".join(f"{one.feature}: {reasons(one, demands, scope)}" for one in looks)
        rows.append((part.segment or "", part.begin or "", f"{part.rows:,}", said))
    if rows:
        heads = ("segment", "from", "rows", "what has changed")
        show_table(heads, rows, prose=("what has changed",))
    if len(changed) > _SHOWN_PARTS:
        print(f"and {len(changed) - _SHOWN_PARTS} more; --json has them all")
