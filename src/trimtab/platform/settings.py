"""Every setting, read once: from the environment, from secret files, from `.env`.

`load_settings` is called by `app.py` and nobody else; parts receive values, never the
environment. `python -m trimtab.platform.settings --write FOLDER` writes what is generated
from the list of variables: `docs/reference/settings.md` and `.env.example`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource, SecretsSettingsSource

from trimtab.kernel.errors import InvalidInput
from trimtab.platform.settings_guard import Problem, check_env_file, refuse, unknown_names, weak
from trimtab.platform.settings_kinds import Profile, Source
from trimtab.platform.settings_model import Settings, is_secret, variables

__all__ = ["Profile", "Row", "Settings", "Source", "explain", "load_settings"]


def load_settings(*, env_file: Path | None = Path(".env")) -> Settings:
    """Read every source once; an empty value counts as none.

    Args:
        env_file: Read when it exists; None reads no file.

    Raises:
        InvalidInput: a value, a name or a file that cannot be used, or a start that is not
            safe for the profile. The message names every variable at fault and the way
            out, never a value.
    """
    check_env_file(env_file)
    environment = EnvSettingsSource(Settings, env_ignore_empty=True)()
    written = DotEnvSettingsSource(Settings, env_file=env_file, env_ignore_empty=True)()
    folder = environment.get("TRIMTAB_SECRETS_DIR") or written.get("TRIMTAB_SECRETS_DIR")
    files = _secret_files(folder)
    found: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, values in (
        (Source.ENV_FILE, written),
        (Source.SECRET_FILE, files),
        (Source.ENVIRONMENT, environment),
    ):
        known = {name: value for name, value in values.items() if name in variables()}
        found |= known
        sources |= dict.fromkeys(known, source)
    unknown = unknown_names([*os.environ, *written], variables())
    try:
        settings = Settings(**found)
    except ValidationError as error:
        raise refuse([_problem(detail) for detail in error.errors()]) from None
    settings._sources = sources
    settings._unknown = unknown
    if problems := _unsafe(settings):
        raise refuse(problems)
    return settings


def _secret_files(folder: str | None) -> dict[str, Any]:
    if not folder:
        return {}
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InvalidInput(
            "TRIMTAB_SECRETS_DIR is not a folder",
            field="TRIMTAB_SECRETS_DIR",
            remedy="Mount the secrets there, or remove the variable.",
        )
    return {
        name: value for name, value in SecretsSettingsSource(Settings, place)().items() if value
    }


def _problem(detail: Any) -> Problem:
    name = str(detail["loc"][0])
    field = variables().get(name)
    remedy = Settings.model_fields[field].description or "" if field else ""
    return Problem(name, detail["msg"].removeprefix("Value error, "), remedy)


def _unsafe(settings: Settings) -> list[Problem]:
    """Why this start is refused, if it is."""
    problems = weak({"TRIMTAB_ADMIN_PASSWORD": settings.admin_password})
    if settings.profile is not Profile.PRODUCTION:
        return problems
    for name in variables():
        source = settings.source_of(name)
        if source in {Source.ENVIRONMENT, Source.ENV_FILE} and is_secret(settings, name):
            problems.append(
                Problem(
                    name,
                    f"a secret in the {source} is refused in production",
                    f"Write it to a file {name} in the folder TRIMTAB_SECRETS_DIR.",
                )
            )
    problems += weak({"JWT_SECRET": settings.jwt_secret, "REDIS_PASSWORD": settings.redis_password})
    if settings.origin is None or not settings.origin.startswith("https://"):
        problems.append(
            Problem(
                "TRIMTAB_ORIGIN",
                "production needs an https address",
                "Set it to the address that browsers use, such as https://trimtab.example.org.",
            )
        )
    if settings.clock != "real":
        problems.append(
            Problem("TRIMTAB_CLOCK", "production runs on real time", "Remove the variable.")
        )
    return problems


@dataclass(frozen=True)
class Row:
    """One line of the explanation: a variable, its value (secrets masked), whence it came."""

    name: str
    value: str
    source: Source
    description: str
    used: bool

    @property
    def note(self) -> str:
        """A sentence on a variable that is set and has no effect; else nothing."""
        return "" if self.used or self.source is Source.DEFAULT else "Accepted, not used yet."


def explain(settings: Settings) -> list[Row]:
    """What every variable is and why, then the set names in our groups that mean nothing."""
    rows = [
        Row(
            name,
            _shown(settings, name, getattr(settings, field)),
            settings.source_of(name),
            Settings.model_fields[field].description or "",
            _extra(field)["used"],
        )
        for name, field in variables().items()
    ]
    nothing = "Nothing here has this name; the value is ignored."
    strangers = [
        Row(name, "(not shown)", settings.source_of(name), nothing, False)
        for name in settings.unknown
    ]
    return rows + strangers


def _shown(settings: Settings, name: str, value: Any) -> str:
    if name == "DATABASE_URL":
        return re.sub(r"(?<=://)([^:/@]*):.*(?=@)", r"\1:(secret)", settings.database())
    if value is None:
        return ""
    if is_secret(settings, name):
        return "(secret)"
    return str(value)


def _extra(field: str) -> dict[str, Any]:
    extra = Settings.model_fields[field].json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}


def _default(field: str) -> str:
    value = Settings.model_fields[field].default
    return "" if value is None else str(value)


def reference() -> str:
    """The page of all variables, as Markdown."""
    return "\n".join([*_REFERENCE_HEAD, *_reference_lines(), ""])


def _reference_lines() -> Iterator[str]:
    for name, field in variables().items():
        extra = _extra(field)
        default = f"`{_default(field)}`" if _default(field) else ""
        marks = ["secret"] * extra["secret"] + ["not used yet"] * (not extra["used"])
        text = (Settings.model_fields[field].description or "").replace("|", "\\|")
        yield f"| `{name}` | {default} | {', '.join(marks)} | {text} |"


def example() -> str:
    """`.env.example`: every variable, commented out, with its meaning and default."""
    lines = ["# Every variable that Trimtab reads. Copy to .env and remove the # where needed."]
    for name, field in variables().items():
        extra = _extra(field)
        used = "" if extra["used"] else " (Accepted, not used yet.)"
        lines += ["", *_wrapped(f"{Settings.model_fields[field].description}{used}")]
        lines += [f"#{name}={_default(field)}"]
    return "\n".join([*lines, ""])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 96, initial_indent="# ", subsequent_indent="# ")


_REFERENCE_HEAD = """\
# Settings

Read once at start. Of several sources the first wins: the environment, a secret file
(a file named like the variable, in the folder `TRIMTAB_SECRETS_DIR`), the file `.env`, the
default. An empty value counts as none. `trimtab config explain` shows each value with its
source; secrets are never shown.

With `TRIMTAB_PROFILE=production` a start is refused when a secret stands in the environment
or in `.env`, when a secret is weak, when `TRIMTAB_ORIGIN` is not an https address, and when
the clock is not real. A weak `TRIMTAB_ADMIN_PASSWORD` is refused in every profile. So is a
misspelt `TRIMTAB_` name, and a `.env` with a line that is not `NAME=value`.

This page is generated from the code.

| variable | default | | meaning |
| --- | --- | --- | --- |""".splitlines()


def generated() -> dict[str, str]:
    """The files that are written from the list of variables: path and content."""
    return {"docs/reference/settings.md": reference(), ".env.example": example()}


def main(arguments: Sequence[str]) -> int:
    """Write the generated files below a folder."""
    parser = argparse.ArgumentParser(prog="python -m trimtab.platform.settings")
    parser.add_argument("--write", type=Path, required=True, metavar="FOLDER")
    folder: Path = parser.parse_args(arguments).write
    for path, content in generated().items():
        (folder / path).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
