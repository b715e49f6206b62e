"""What variables are made of: their types, and where a value was found."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field


class Profile(StrEnum):
    """Whom a start must be safe for."""

    LOCAL = "local"
    PRODUCTION = "production"


class Source(StrEnum):
    """Where a value was found; of several, the first listed wins."""

    ENVIRONMENT = "environment"
    SECRET_FILE = "secret file"
    ENV_FILE = ".env"
    DEFAULT = "default"


Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[int, Field(ge=0)]
Waiting = Annotated[float, Field(ge=0.001, le=86_400)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def variable(
    name: str, description: str, default: Any = None, *, used: bool = True, secret: bool = False
) -> Any:
    """A field that is read from the variable `name`.

    `used` says whether anything depends on it yet; `secret` that its value is never shown
    and, in production, never taken from the environment.
    """
    return Field(
        default,
        validation_alias=name,
        description=description,
        json_schema_extra={"used": used, "secret": secret},
        repr=not secret,
    )
