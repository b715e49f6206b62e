"""`trimtab drift` and `trimtab profile`: two tables compared, one table kept."""

from __future__ import annotations

import difflib
import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import __version__
from trimtab.cli.outputs import check_output, write
from trimtab.kernel.clock import SystemClock, iso
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.verdict import Verdict

if TYPE_CHECKING:
    from trimtab.monitoring.comparison import Comparison, Counted
    from trimtab.monitoring.drift import FeatureDrift
    from trimtab.policies.model import Policy
    from trimtab.policies.operation import Effects, Monitoring
    from trimtab.profiles.parquet import Told
    from trimtab.profiles.sources import Source
    from trimtab.profiles.table import TableProfile

_SHOWN = 20
_FETCHED = ("http", "https", "ftp", "s3", "gs", "az")

EXIT = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.ERROR: 2, Verdict.INCONCLUSIVE: 3}


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
    _check_outputs(asked)
    reference, current = _open(asked.reference), _open(asked.current)
    asked = replace(asked, reference=reference.title, current=current.title)  # without a password
    _check_names(wanted, reference, current)
    aside = {asked.time} if asked.time is not None else set()
    before = _profile(reference, "reference", None, wanted, aside, asked.cores)
    now = _profile(current, "current", before, wanted, aside, asked.cores)
    if before.columns and now.columns and not {*before.columns} & {*now.columns}:
        raise InvalidInput(
            "the two tables have no column in common", remedy="is one of them the wrong file?"
        )
    parts, about = _parts(asked, reference, current, before, now, demands)
    found = compare(before, now, demands, parts=parts, features=wanted)
    told = {**_document(asked, policy, found, demands), **about}
    if asked.json is not None:
        write(asked.json, json.dumps(told, indent=1, allow_nan=False) + "\n")
    if asked.html is not None:
        from trimtab.cli.drift_report import render

        write(
            asked.html,
            render({**told, **_circumstances(asked, found, demands)}, before, now, parts),
        )
    if str(asked.json) != "-":
        _say(asked, found, told, demands, time.perf_counter() - began)
    for problem in found.problems:
        print(f"trimtab: {problem.message}\n  {problem.remedy}", file=sys.stderr)
    if found.problems and asked.features is None:
        print("  --features a,b compares only these columns", file=sys.stderr)
    return EXIT[found.verdict]


def keep(source: str, output: Path, *, like: str | None, cores: int | None) -> None:
    """Write the profile of a table."""
    from trimtab.profiles import codec

    check_output(output, [source, like], "profile")
    known = None if like is None else _profile(_open(like), "likeness", None, None, set(), cores)
    profile = _profile(_open(source), "table", known, None, set(), cores)
    content = codec.to_bytes(profile)
    write(output, content)
    skipped = f", {len(profile.skipped)} left out" if profile.skipped else ""
    print(
        f"{output}: {profile.rows:,} rows, {len(profile.columns)} columns{skipped}, "
        f"{len(content):,} bytes"
    )


def _open(address: str) -> Source:
    scheme, mark, _ = address.partition("://")
    if scheme.lower() in _FETCHED:
        raise InvalidInput(
            f"{scheme}:// is not fetched from here",
            remedy="download the file first, and give its path",
        )
    if mark:
        from trimtab.integrations.warehouse import open_warehouse

        return open_warehouse(address)
    from trimtab.profiles.sources import open_source

    return open_source(address)


def _check_outputs(asked: Asked) -> None:
    inputs = [asked.reference, asked.current]
    for path, what in ((asked.json, "numbers"), (asked.html, "report")):
        if path is not None:
            check_output(path, inputs, what)
    if asked.html is not None and str(asked.html) in ("-", str(asked.json)):
        raise InvalidInput("--html needs a file of its own", remedy="name one: --html drift.html")


def _check_names(wanted: Sequence[str] | None, *sources: Source) -> None:
    """Columns that somebody names are in one of the tables."""
    if wanted is None:
        return
    known = dict.fromkeys(name for source in sources for name in _columns(source))
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InvalidInput(
                f"there is no column {name} in either table",
                field="features",
                remedy=f"{hint}there are {', '.join(list(known)[:20])}",
            )


def _columns(source: Source) -> list[str]:
    if source.schema is not None:
        return list(source.schema.names)
    profile = source.profile()
    return [*profile.columns, *profile.skipped]


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
    asked: Asked,
    reference: Source,
    current: Source,
    before: TableProfile,
    now: TableProfile,
    demands: Monitoring,
) -> tuple[list[Counted], dict[str, Any]]:
    """The segments and windows of the current table, each with its reference; and what is in
    none of them: segments that only the reference has, rows without a segment or a time."""
    if asked.by is None and asked.window is None:
        if asked.time is not None:
            raise InvalidInput("--time needs a --window", remedy="say how long: --window 1d")
        return [], {"segments_gone": [], "rows_in_no_part": 0}
    from trimtab.monitoring.comparison import Counted
    from trimtab.profiles.parts import Windows, profile_parts

    windows = None if asked.window is None else Windows.parse(asked.window, asked.time)
    if windows is not None and windows.time is None and asked.time is not None:
        raise InvalidInput(
            "windows of rows follow the order of the table, not --time",
            field="time",
            remedy="say a stretch of time, as --window 1d, or leave --time out",
        )
    least = demands.min_rows_dataset
    if windows is not None and windows.time is None and windows.length < least:
        raise InvalidInput(
            f"windows of {windows.text} cannot be judged: {least} are needed",
            field="window",
            remedy=f"take longer ones: --window {least}",
        )
    columns = [name for name in before.columns if name in now.columns and name != asked.by]
    with _progress(f"parts of {current.title}"):
        found, lost = profile_parts(
            current, columns, like=before.columns, by=asked.by, windows=windows
        )
    if lost:
        print(f"{lost:,} rows have no segment or no time, and are in no part", file=sys.stderr)
    own: dict[str | None, TableProfile] = {}
    if asked.by is not None:
        segments, _ = profile_parts(reference, columns, like=before.columns, by=asked.by)
        own = {part.segment: part.profile for part in segments}
    there = {part.segment for part in found}
    gone = [str(segment) for segment in own if segment not in there]
    counted = [
        Counted(part.segment, part.begin, part.end, part.profile, own.get(part.segment))
        for part in found
    ]
    return counted, {"segments_gone": gone, "rows_in_no_part": lost}


def _document(
    asked: Asked, policy: Policy, found: Comparison, demands: Monitoring
) -> dict[str, Any]:
    from trimtab.monitoring.report import document

    return {
        "reference": asked.reference,
        "current": asked.current,
        "policy": {"name": policy.name, "digest": policy.digest, "tier": asked.tier},
        **document(found, demands),
    }


def _circumstances(asked: Asked, found: Comparison, demands: Monitoring) -> dict[str, Any]:
    """What a report says of itself: when and how it was made, and by which limits."""
    from trimtab.monitoring.drift import effects_of

    effects, bands = demands.effects_dataset, demands.psi_bands
    of_parts = effects_of(demands, found.parts[0].scope) if found.parts else effects
    return {
        "made_at": iso(SystemClock().now())[:16],
        "version": __version__,
        "command": shlex.join(_command(asked)),
        "limits": {
            **_shares(effects),
            "parts": _shares(of_parts),
            "psi_bands": (bands.low_nats, bands.medium_nats, bands.high_nats),
            "min_votes": demands.quorum.min_votes,
            "false_discovery_rate": demands.false_discovery_rate,
        },
    }


def _shares(effects: Effects) -> dict[str, float]:
    return {
        "ks_d": effects.ks_d,
        "wasserstein_scaled": effects.wasserstein_scaled,
        "category_mass": effects.category_mass,
    }


def _command(asked: Asked) -> list[str]:
    """The command that makes the same report; what was left to its default is left so."""
    words = ["trimtab", "drift", asked.reference, asked.current]
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


def _progress(what: str) -> AbstractContextManager[Told | None]:
    """Progress on a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        return nullcontext(None)
    from trimtab.cli.progress import bar

    return bar(what)


def _say(
    asked: Asked, found: Comparison, told: dict[str, Any], demands: Monitoring, seconds: float
) -> None:
    from trimtab.cli.drift_parts import say_parts
    from trimtab.cli.tables import show_table
    from trimtab.monitoring.drift import Scope

    heads = ("column", "verdict", "PSI", "of limit", "nulls", "why")
    rows = [_row(look, demands, Scope.DATASET) for look in found.looks]
    if rows:
        show_table(heads, rows, prose=("why",))
    say_parts(found, told, demands)
    gone = told["segments_gone"]
    if gone:
        more = f" and {len(gone) - _SHOWN:,} more" if len(gone) > _SHOWN else ""
        print(f"{asked.by} is only in the reference: {', '.join(gone[:_SHOWN])}{more}")
    for name, why in found.skipped.items():
        print(f"not compared: {_quoted(name)}: {why}")
    if found.new_columns:
        print(f"only in the current table: {', '.join(map(_quoted, found.new_columns))}")
    print(
        f"\n{found.verdict.value}: {found.reason}\n"
        f"{found.rows_current:,} rows of {asked.current} beside {found.rows_reference:,} of "
        f"{asked.reference}: drift score {found.drift_score:.3f}, policy {asked.policy} tier "
        f"{asked.tier}, {seconds:.1f} s"
    )


def _quoted(name: str) -> str:
    """A column as it can be seen: one without a name, too."""
    return name if name.strip() else f"'{name}'"


def _row(look: FeatureDrift, demands: Monitoring, scope: Any) -> tuple[str, ...]:
    from trimtab.monitoring.comparison import nearness, reasons

    near, psi = nearness(look, demands, scope), look.measures.psi
    if look.structural and not look.moved:
        near = None  # the finding is what counts, and it has a limit of its own
    plain = look.verdict is Verdict.PASS and not look.measures.nameless  # nothing to explain
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
        "" if plain else reasons(look, demands, scope),
    )


def _word(look: FeatureDrift) -> str:
    if look.moved:
        return "MOVED"
    if look.structural:
        return "FINDING"
    return "same" if look.moved is False else "unknown"
