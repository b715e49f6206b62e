"""Settings of the gateway: flags, then `TRIMTAB_GATEWAY_*`, then defaults; read once."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

from trimtab.kernel.errors import InvalidInput

ENVIRONMENT = "TRIMTAB_GATEWAY_"
_MIB = 1 << 20


def _number_from(least: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not least <= value < float("inf"):
            raise ValueError(f"less than {least:g}, or no finite number")
        return value

    return read


def _count_from(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError(f"less than {least}")
        return value

    return read


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(",") if part)


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("not true or false")
    return text == "true"


def _shedding(text: str) -> str:
    if text not in ("oldest", "newest"):
        raise ValueError("not oldest or newest")
    return text


@dataclass(frozen=True)
class Stated:
    """What a setting means, and how its text is read."""

    meaning: str
    read: Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen when a gateway is started."""

    control: Annotated[
        str, Stated("address of the control plane, such as https://trimtab.example", str)
    ]
    state: Annotated[
        Path, Stated("folder of the last verified table and artifacts; one gateway each", Path)
    ]
    routing_keys: Annotated[
        tuple[Path, ...],
        Stated("PEM files of Ed25519 keys trusted for routing tables, by commas", _paths),
    ]
    artifact_keys: Annotated[
        tuple[Path, ...],
        Stated("PEM files of elliptic-curve keys trusted for artifacts, by commas", _paths),
    ]
    name: Annotated[str, Stated("name of this gateway in its reports", str)] = "gateway"
    host: Annotated[str, Stated("address to listen on", str)] = "127.0.0.1"
    port: Annotated[int, Stated("port to listen on", _count_from(0))] = 8080
    api_key_file: Annotated[
        Path | None, Stated("file with the key that is shown to the control plane", Path)
    ] = None
    allow_plain_http: Annotated[
        bool,
        Stated(
            "reach a control plane on another machine without TLS: its key can be read on the way",
            _flag,
        ),
    ] = False
    origin: Annotated[
        str, Stated("refuse tables of another origin; empty: the first seen", str)
    ] = ""
    poll_seconds: Annotated[
        float, Stated("between two looks for a new table", _number_from(0.01))
    ] = 1.0
    report_seconds: Annotated[float, Stated("between two reports", _number_from(0.01))] = 10.0
    control_seconds: Annotated[float, Stated("time-out of one call to it", _number_from(0.01))] = (
        10.0
    )
    backoff_seconds: Annotated[
        float, Stated("first pause after a failed call", _number_from(0.001))
    ] = 0.2
    backoff_max_seconds: Annotated[float, Stated("longest pause", _number_from(0.001))] = 30.0
    flush_seconds: Annotated[float, Stated("longest wait of a prediction", _number_from(0.001))] = (
        1.0
    )
    batch_rows: Annotated[int, Stated("rows that are shipped at once", _count_from(1))] = 5_000
    buffer_rows: Annotated[int, Stated("rows that wait at most", _count_from(1))] = 200_000
    buffer_bytes: Annotated[int, Stated("bytes that wait at most", _count_from(1))] = 256 * _MIB
    shed: Annotated[
        str, Stated("what is dropped when the buffer is full: oldest or newest", _shedding)
    ] = "oldest"
    drain_seconds: Annotated[
        float, Stated("time to ship what waits, at the end", _number_from(0))
    ] = 10.0
    max_body_bytes: Annotated[int, Stated("largest request body", _count_from(1))] = 64 * _MIB
    max_rows: Annotated[int, Stated("most rows in one call", _count_from(1))] = 100_000
    read_seconds: Annotated[
        float, Stated("time for a request body to arrive", _number_from(0.01))
    ] = 10.0
    inference_seconds: Annotated[float, Stated("time for one inference", _number_from(0.001))] = (
        30.0
    )
    inline_seconds: Annotated[
        float,
        Stated("inferences expected to be shorter run on the event loop itself", _number_from(0)),
    ] = 0.001
    max_waiting: Annotated[
        int, Stated("longer inferences that run or wait at once", _count_from(1))
    ] = 64
    workers: Annotated[int, Stated("threads for longer inferences", _count_from(1))] = 2
    threads: Annotated[int, Stated("threads inside one inference", _count_from(1))] = 1
    max_table_bytes: Annotated[int, Stated("largest routing table", _count_from(1))] = 64 * _MIB
    max_model_bytes: Annotated[int, Stated("largest model", _count_from(1))] = 1024 * _MIB
    max_metadata_bytes: Annotated[int, Stated("largest signature or binding", _count_from(1))] = (
        _MIB
    )
    max_model_depth: Annotated[int, Stated("deepest nesting of a model", _count_from(1))] = 64
    max_model_fields: Annotated[
        int, Stated("most fields of nodes, attributes and tensors in one", _count_from(1))
    ] = 2_000_000
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.control)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise InvalidInput(f"{self.control!r} is no http address", field="control")
        plain = parts.scheme == "http" and not _is_loopback(parts.hostname)
        if plain and not self.allow_plain_http:
            raise InvalidInput(
                "the control plane is on another machine and the address has no TLS",
                field="control",
                remedy="use https, or say --allow-plain-http true",
            )
        for name in ("routing_keys", "artifact_keys"):
            if not getattr(self, name):
                raise InvalidInput(f"{name} names no key: nothing would verify", field=name)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def documented() -> dict[str, str]:
    """Every setting with its one-line description."""
    return {name: stated.meaning for name, (stated, _) in _stated().items()}


def _stated() -> dict[str, tuple[Stated, bool]]:
    """Every setting that can be stated, and whether it must be."""
    hints = get_type_hints(Settings, include_extras=True)
    return {
        f.name: (hints[f.name].__metadata__[0], f.default is dataclasses.MISSING)
        for f in dataclasses.fields(Settings)
        if f.name != "api_key"
    }


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """The settings that flags and environment state.

    The key for the control plane is never a flag, where every user of the machine could
    read it: it comes from `TRIMTAB_GATEWAY_API_KEY` or the file `--api-key-file`.

    Raises:
        InvalidInput: a setting is missing, or its value is not allowed.
        OSError: the file with the key cannot be read.
    """
    parser = argparse.ArgumentParser("python -m trimtab.gateway", description=__doc__)
    for name, (stated, _) in _stated().items():
        parser.add_argument(_flag_of(name), help=stated.meaning)
    given = vars(parser.parse_args(arguments))
    _demand_known(environment)
    values: dict[str, Any] = {}
    for name, (stated, required) in _stated().items():
        text = given[name]
        if text is None:
            text = environment.get(ENVIRONMENT + name.upper())
        if text is not None:
            values[name] = _value(name, stated, text)
        elif required:
            remedy = f"{_flag_of(name)} or {ENVIRONMENT}{name.upper()}"
            raise InvalidInput(f"{name} is not set", field=name, remedy=remedy)
    key = environment.get(ENVIRONMENT + "API_KEY", "")
    if (file := values.get("api_key_file")) is not None:
        key = file.read_text().strip()
    return Settings(**values, api_key=key)


def _demand_known(environment: Mapping[str, str]) -> None:
    known = [ENVIRONMENT + name.upper() for name in (*_stated(), "api_key")]
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"write {near[0]}" if near else "remove it"
            raise InvalidInput(f"{name}: no such setting", field=name, remedy=remedy)


def _flag_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def _value(name: str, stated: Stated, text: str) -> Any:
    try:
        return stated.read(text)
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}", field=name) from error
