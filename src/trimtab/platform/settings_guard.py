"""What makes a start refused: unreadable files, unknown names, weak secrets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from trimtab.kernel.errors import InvalidInput

GROUPS = ("DATABASE_", "REDIS_", "S3_", "MLFLOW_", "DRIFT_", "REMEDIATION_", "VAULT_", "ALERT_")
"""Prefixes under which a name that means nothing here is reported, and left alone."""

MIN_SECRET_LENGTH = 12
_PLACEHOLDER = re.compile(r"change.?(me|this|it)|example|replace.?me", re.IGNORECASE)
_EVERYBODYS = re.compile(
    r"password|passw0rd|secret|admin|default|trimtab|letmein|welcome|qwerty|[0-9]{4,}",
    re.IGNORECASE,
)
_ENV_LINE = re.compile(
    r"""\s*(?:(?:export\s+)?[A-Za-z_]\w*\s*=\s*(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^'"\s#][^'"]*)?\s*)?(?:\#.*)?"""
)


@dataclass(frozen=True)
class Problem:
    """One variable at fault: its name, what is wrong, and the way out; never its value."""

    name: str
    message: str
    remedy: str


def refuse(problems: Iterable[Problem]) -> InvalidInput:
    """One error that names every variable at fault."""
    each = list(problems)
    return InvalidInput(
        "; ".join(f"{problem.name}: {problem.message}" for problem in each),
        field=each[0].name,
        remedy=" ".join(f"{problem.name}: {problem.remedy}" for problem in each),
    )


def check_env_file(path: Path | None) -> None:
    """Refuse a file of which a line would be passed over: it may be written half.

    Raises:
        InvalidInput: a line that is no comment and no `NAME=value`, or no UTF-8 text.
    """
    if path is None or not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(
            f"{path} cannot be read as text", field=str(path), remedy="Check its rights."
        ) from None
    for number, line in enumerate(lines, start=1):
        if not _ENV_LINE.fullmatch(line):
            raise InvalidInput(
                f"{path}, line {number} is not NAME=value",
                field=f"{path}:{number}",
                remedy="Complete the line; quote a value with spaces or signs in it.",
            )


OF_COMMANDS = frozenset({"TRIMTAB_URL", "TRIMTAB_API_KEY", "TRIMTAB_TOKEN", "TRIMTAB_TENANT"})
"""Read by the commands that ask a control plane, wherever that is; no settings of one."""

OF_GATEWAYS = "TRIMTAB_GATEWAY_"
"""Begins what a gateway reads, and refuses where it knows it not: one may be started from the same
terminal."""


def unknown_names(names: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names in our groups that mean nothing here, in order.

    Raises:
        InvalidInput: an unknown name that begins with TRIMTAB_, which can only be ours.
    """
    strangers = sorted({name for name in names if name not in (*known, *OF_COMMANDS)})
    ours = [name for name in strangers if name.startswith("TRIMTAB_")]
    misspelt = [name for name in ours if not name.startswith(OF_GATEWAYS)]
    if misspelt:
        raise refuse(Problem(name, "no such setting", _nearest(name, known)) for name in misspelt)
    return tuple(name for name in strangers if name.startswith(GROUPS))


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Write {near[0]}." if near else "Remove it."


def weak(secrets: Mapping[str, SecretStr | None]) -> list[Problem]:
    """Those of `secrets` that are short, a placeholder, or little but well-known words."""
    return [
        Problem(
            name,
            "a weak value is refused",
            f"Choose at least {MIN_SECRET_LENGTH} characters besides well-known words.",
        )
        for name, secret in secrets.items()
        if secret is not None and _is_weak(secret.get_secret_value())
    ]


def _is_weak(text: str) -> bool:
    own = _EVERYBODYS.sub("", text)
    few = len(set(own.lower())) < MIN_SECRET_LENGTH // 2
    return len(own) < MIN_SECRET_LENGTH or few or bool(_PLACEHOLDER.search(text))
