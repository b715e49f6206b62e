"""Secrets by reference: rows say where a secret lies, and it is read when it is used.

`env:NAME` is one of few settings of this process that are meant for registries, and for the
fleet's connections only. `file:NAME` is a file in the folder of secrets, in which every tenant
has its own part: a reference can never name what belongs to somebody else, or to the house.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from trimtab.artifacts.opening import read_untrusted
from trimtab.kernel.errors import IntegrityFailed, InvalidInput, Unavailable

FOLDER = "connections"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MAX_BYTES = 65_536


@dataclass(frozen=True)
class Secrets:
    """Where secrets of connections lie.

    `settings` are those of this process that may be referred to. `folder` is that of secrets.
    `not_from_environment` says why `env:` is refused; empty where it is not.
    """

    settings: Mapping[str, SecretStr | None] = field(repr=False)
    folder: Path
    not_from_environment: str = ""

    def check(self, reference: str, *, tenant: str | None, where: str) -> None:
        """Make sure that `reference` could be one, whether or not there is such a secret.

        Raises:
            InvalidInput: it is none, or not one of this tenant's.
        """
        kind, _, name = reference.partition(":")
        if kind == "env":
            if tenant is not None or name not in self.settings:
                allowed = "none of a tenant's" if tenant else ", ".join(self.settings)
                raise InvalidInput(
                    f"{where}: this variable cannot be referred to",
                    field=where,
                    remedy=f"of the environment there is {allowed}; put the secret into a file, "
                    "and refer to it as file:NAME",
                )
            if self.not_from_environment:
                raise InvalidInput(
                    f"{where}: {self.not_from_environment}",
                    field=where,
                    remedy="put the secret into a file, and refer to it as file:NAME",
                )
        elif kind != "file" or not _NAME.fullmatch(name) or name.strip(".") == "":
            raise InvalidInput(
                f"{where} is no reference to a secret",
                field=where,
                remedy="write env:NAME or file:NAME, and never the secret itself",
            )

    def read(self, reference: str, *, tenant: str | None, where: str) -> str:
        """The secret that `reference` stands for.

        Raises:
            InvalidInput: it is no reference.
            Unavailable: there is no such secret here.
        """
        self.check(reference, tenant=tenant, where=where)
        kind, _, name = reference.partition(":")
        if kind == "env":
            found = self.settings[name]
            if found is None:
                raise Unavailable(
                    f"{where}: {name} is not set here", remedy=f"set {name}, then start again"
                )
            return found.get_secret_value()
        path = self.path_of(name, tenant)
        try:
            content = read_untrusted(_within(path), max_bytes=_MAX_BYTES).content
            return (content or b"").decode().rstrip("\r\n")
        except (OSError, IntegrityFailed, UnicodeDecodeError) as error:
            raise Unavailable(
                f"{where}: the secret {name} cannot be read ({type(error).__name__})",
                remedy=f"put it into {self.folder.name}/{path.relative_to(self.folder)}, a plain "
                "file of this process's user",
            ) from None

    def path_of(self, name: str, tenant: str | None) -> Path:
        """Where the secret `name` of a tenant, or of the fleet, lies."""
        place = self.folder / FOLDER
        return place / "fleet" / name if tenant is None else place / "tenants" / tenant / name


def _within(path: Path) -> Path:
    """The file that `path` leads to: secrets are mounted as links to files beside them, and a
    link that leads out of their folder leads to nothing of theirs.

    Raises:
        IntegrityFailed: it leads elsewhere.
    """
    found = path.resolve()
    if not found.is_relative_to(path.parent.resolve()):
        raise IntegrityFailed("the secret lies elsewhere", field="symlink")
    return found
