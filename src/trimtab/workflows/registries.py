"""Opening somebody else's registry, as a connection says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from pydantic import SecretStr

from trimtab.integrations.mlflow import Credentials, Limits, MlflowSource
from trimtab.integrations.secrets import Secrets
from trimtab.inventory.model import Auth, Connection
from trimtab.inventory.source import Source
from trimtab.inventory.tagmap import TagMap, adapted, default_tag_map
from trimtab.kernel.errors import InvalidInput
from trimtab.kernel.ids import TenantId
from trimtab.platform import outbound
from trimtab.platform.settings import Profile, Settings
from trimtab.workflows.parts import Parts

MLFLOW = "mlflow"
_MIB = 1 << 20
_NEEDS: Mapping[str, tuple[str, ...] | None] = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "headers": None,
}
"""The parts of each kind of credential; None: headers, by their names."""


def secrets_of(settings: Settings) -> Secrets:
    """Where the secrets of connections lie."""
    production = settings.profile is Profile.PRODUCTION
    return Secrets(
        settings=_variables(settings),
        folder=settings.secrets_folder or settings.home / "secrets",
        not_from_environment="in production no secret comes from the environment"
        if production
        else "",
    )


def _variables(settings: Settings) -> dict[str, SecretStr | None]:
    return {
        "MLFLOW_TRACKING_USERNAME": settings.mlflow_tracking_username,
        "MLFLOW_TRACKING_PASSWORD": settings.mlflow_tracking_password,
        "MLFLOW_TRACKING_TOKEN": settings.mlflow_tracking_token,
    }


def demand_auth(secrets: Secrets, auth: Auth, tenant: TenantId | None) -> None:
    """Make sure that credentials are told as they have to be.

    Raises:
        InvalidInput: an unknown kind, a part too few or too many, or what is no reference.
    """
    if auth.kind not in _NEEDS:
        raise InvalidInput(
            f"there is no kind of credential {ascii(auth.kind)[:40]}",
            field="auth.kind",
            remedy=f"the kinds are {', '.join(_NEEDS)}",
        )
    needs = _NEEDS[auth.kind]
    named = set(auth.secrets)
    if (needs is None and not named) or (needs is not None and named != set(needs)):
        wanted = "at least one header" if needs is None else " and ".join(needs) or "no secret"
        raise InvalidInput(
            f"credentials of the kind {auth.kind} have {wanted}",
            field="auth.secrets",
            remedy="give each as a reference: env:NAME or file:NAME",
        )
    for name, reference in auth.secrets.items():
        secrets.check(reference, tenant=tenant, where=f"auth.secrets.{name}")


def credentials_of(secrets: Secrets, auth: Auth, tenant: TenantId | None) -> Credentials:
    """What is shown to a registry, read from where its parts lie.

    Raises:
        InvalidInput, Unavailable: there is no such secret here, or it cannot be sent.
    """
    demand_auth(secrets, auth, tenant)
    read = {
        name: secrets.read(reference, tenant=tenant, where=f"auth.secrets.{name}")
        for name, reference in auth.secrets.items()
    }
    match auth.kind:
        case "basic":
            return Credentials.basic(read["username"], read["password"])
        case "bearer":
            return Credentials.bearer(read["token"])
        case "headers":
            return Credentials.of_headers(read)
        case _:
            return Credentials.none()


def open_registry(parts: Parts, connection: Connection) -> Source:
    """A source that reads what `connection` leads to; whoever opened it closes it.

    Raises:
        InvalidInput, PolicyRefused, Unavailable: it cannot be spoken to.
        InvalidMove: the connection was removed.
    """
    connection.demand_there()
    settings = parts.settings
    given = [ipaddress.ip_network(network) for network in connection.networks]
    return MlflowSource(
        connection.url,
        credentials_of(secrets_of(settings), connection.auth, connection.tenant),
        limits=limits_of(settings),
        networks=(*settings.networks_of(connection.tenant), *given),
        ca_file=settings.connect_ca_file,
    )


def limits_of(settings: Settings) -> Limits:
    """The bounds of reading one registry."""
    http = outbound.Limits(
        request_seconds=settings.sync_request_seconds,
        body_bytes=settings.sync_response_mib * _MIB,
        connections=settings.sync_requests_at_a_time,
        total_seconds=settings.sync_hours * 3600,
    )
    return Limits(http=http)


def tag_map_of(connection: Connection) -> TagMap:
    """How tags of a connection's models are read."""
    if connection.tag_map is None:
        return default_tag_map()
    return adapted(connection.tag_map)
