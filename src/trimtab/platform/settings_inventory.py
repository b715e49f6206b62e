"""Variables about reading other registries; part of the one list of settings."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from trimtab.platform.settings_kinds import Count, variable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class InventorySettings(BaseSettings):
    """How other registries are read, and how their files are inspected."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=True, hide_input_in_errors=True
    )

    mlflow_tracking_uri: str | None = variable(
        "MLFLOW_TRACKING_URI",
        "Address of the MLflow server that `trimtab connect mlflow` reads where none is named.",
    )
    mlflow_tracking_username: SecretStr | None = variable(
        "MLFLOW_TRACKING_USERNAME",
        "Name to log in to an MLflow server with, for connections that refer to "
        "`env:MLFLOW_TRACKING_USERNAME`.",
        secret=True,
    )
    mlflow_tracking_password: SecretStr | None = variable(
        "MLFLOW_TRACKING_PASSWORD", "The password that goes with it.", secret=True
    )
    mlflow_tracking_token: SecretStr | None = variable(
        "MLFLOW_TRACKING_TOKEN",
        "Bearer token for an MLflow server, for connections that refer to "
        "`env:MLFLOW_TRACKING_TOKEN`.",
        secret=True,
    )
    connect_networks: str = variable(
        "TRIMTAB_CONNECT_NETWORKS",
        "Networks that are not public and hold registries, such as `10.2.0.0/16`, with `,` "
        "between them. Of a tenant's connections only those count that begin with its name: "
        "`acme=10.2.3.0/24`.",
        "",
    )
    connect_ca_file: Path | None = variable(
        "TRIMTAB_CONNECT_CA_FILE",
        "Certificates of authorities that registries are trusted by, beside the well-known "
        "ones; PEM. There is no way to leave verification out.",
    )
    sync_minutes: Count = variable(
        "TRIMTAB_SYNC_MINUTES", "Between two looks at a registry for what has changed.", 15
    )
    sync_full_hours: Count = variable(
        "TRIMTAB_SYNC_FULL_HOURS",
        "Between two cycles that read everything of a registry anew.",
        168,
    )
    sync_lag_minutes: Count = variable(
        "TRIMTAB_SYNC_LAG_MINUTES",
        "A registry that was not read in full for so long counts as lagging, and a message "
        "says so.",
        60,
    )
    sync_requests_at_a_time: Count = variable(
        "TRIMTAB_SYNC_REQUESTS_AT_A_TIME", "Requests to one registry at a time.", 8
    )
    sync_request_seconds: Annotated[float, Field(gt=0, le=3600)] = variable(
        "TRIMTAB_SYNC_REQUEST_SECONDS", "Longest wait for one whole answer of a registry.", 30.0
    )
    sync_response_mib: Count = variable(
        "TRIMTAB_SYNC_RESPONSE_MIB", "Largest answer of a registry, in MiB, unpacked.", 64
    )
    sync_hours: Annotated[float, Field(gt=0, le=168)] = variable(
        "TRIMTAB_SYNC_HOURS", "Longest cycle of reading a registry.", 2.0
    )
    sync_versions: Count = variable(
        "TRIMTAB_SYNC_VERSIONS", "Most versions that are read of one registry.", 1_000_000
    )
    sync_tries: Count = variable(
        "TRIMTAB_SYNC_TRIES",
        "How often a version that could not be read in full is tried again before it waits for "
        "the next cycle that reads everything.",
        5,
    )
    inspect_file_mib: Count = variable(
        "TRIMTAB_INSPECT_FILE_MIB",
        "Largest file of a registry that is fetched and looked into, in MiB; of larger ones the "
        "result is `unreadable`.",
        256,
    )
    inspect_version_mib: Count = variable(
        "TRIMTAB_INSPECT_VERSION_MIB", "Most bytes of one version that are fetched, in MiB.", 512
    )
    inspect_files: Count = variable(
        "TRIMTAB_INSPECT_FILES", "Most files of one version that are looked into.", 200
    )
    inspect_seconds: Count = variable(
        "TRIMTAB_INSPECT_SECONDS", "Longest look into the files of one version.", 60
    )
    inspect_memory_mib: Count = variable(
        "TRIMTAB_INSPECT_MEMORY_MIB",
        "Address space of the process that looks into files, in MiB.",
        2_048,
    )
    inspect_minutes: Annotated[float, Field(gt=0)] = variable(
        "TRIMTAB_INSPECT_MINUTES",
        "How long files of one registry are looked into at a stretch; what is left goes on at "
        "the next cycle.",
        10.0,
    )
    rulebook: Path | None = variable(
        "TRIMTAB_RULEBOOK",
        "File of the compliance rules that records are held against; by default those that "
        "come with the program.",
    )

    @field_validator("connect_networks")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        try:
            _networks(value)
        except ValueError:
            raise ValueError(
                "write networks such as 10.2.0.0/16 or acme=10.2.3.0/24, with `,` between them"
            ) from None
        return value

    @field_validator("connect_ca_file", "rulebook")
    @classmethod
    def _whole_path(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    def networks_of(self, tenant: str | None) -> tuple[Network, ...]:
        """The networks that are not public and may be reached for a tenant, or the fleet."""
        return tuple(net for owner, net in _networks(self.connect_networks) if owner == tenant)


def _networks(text: str) -> list[tuple[str | None, Network]]:
    found: list[tuple[str | None, Network]] = []
    for one in filter(None, map(str.strip, text.split(","))):
        owner, given, network = one.rpartition("=")
        found.append((owner.strip() if given else None, ipaddress.ip_network(network.strip())))
    return found
