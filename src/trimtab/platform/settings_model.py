"""Every variable that is read, with its type, default and meaning: the one list of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
)

from trimtab.kernel.clock import Clock, SteppedClock, SystemClock, parse_iso
from trimtab.platform.settings_inventory import InventorySettings
from trimtab.platform.settings_kinds import (
    Count,
    LogLevel,
    Profile,
    Seconds,
    Source,
    Waiting,
    variable,
)

_KEY_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class Settings(InventorySettings):
    """The settings, each named after its variable. Frozen; built by `load_settings`."""

    home: Path = variable(
        "TRIMTAB_HOME", "Folder of all data: database, blobs, keys.", Path("~/.trimtab")
    )
    profile: Profile = variable(
        "TRIMTAB_PROFILE",
        "`local` or `production`. The latter refuses to start with a weak or missing value, "
        "or with a secret in the environment.",
        Profile.LOCAL,
    )
    host: str = variable("TRIMTAB_HOST", "Address to listen on.", "127.0.0.1")
    port: Annotated[int, Field(ge=1, le=65535)] = variable(
        "TRIMTAB_PORT", "Port to listen on.", 8000
    )
    origin: str | None = variable(
        "TRIMTAB_ORIGIN",
        "Where browsers and clients reach this service, such as `https://trimtab.example.org`. "
        "By default made from host and port; required in production.",
    )
    policy: str = variable(
        "TRIMTAB_POLICY", "Name of a policy preset, or a policy file.", "standard"
    )
    clock: str = variable(
        "TRIMTAB_CLOCK",
        "`real`, or `stepped:` and an RFC 3339 time at which domain time starts and stands "
        "still until it is moved (for demonstrations). With `lockstep:` instead, all work waits "
        "for the next step of the clock and is done one job after the other, so that the same "
        "calls write the same record.",
        "real",
    )
    admin_password: SecretStr | None = variable(
        "TRIMTAB_ADMIN_PASSWORD",
        "Password of the first administrator, read at the first start only; by default one "
        "is made and shown once.",
        secret=True,
    )
    session_hours: Annotated[int, Field(ge=1, le=168)] = variable(
        "TRIMTAB_SESSION_HOURS",
        "How long somebody stays logged in at the pages, however much they do.",
        12,
    )
    session_idle_minutes: Annotated[int, Field(ge=5)] = variable(
        "TRIMTAB_SESSION_IDLE_MINUTES",
        "How long somebody stays logged in at the pages who does nothing.",
        120,
    )
    secrets_folder: Path | None = variable(
        "TRIMTAB_SECRETS_DIR",
        "Folder with one file for each secret, named like its variable, as Vault's agent and "
        "Kubernetes mount them.",
    )
    log_level: LogLevel = variable(
        "LOG_LEVEL",
        "DEBUG, INFO, WARNING, ERROR or CRITICAL.",
        "INFO",
    )

    drain_notice_seconds: Annotated[int, Field(ge=0, le=5)] = variable(
        "TRIMTAB_DRAIN_NOTICE_SECONDS",
        "After a signal to end, how long requests are still taken while `/health/ready` says "
        "503: as long as a load balancer needs to see it.",
        0,
    )
    otlp_endpoint: str | None = variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Address of an OpenTelemetry collector that takes spans by OTLP over HTTP, such as "
        "`http://127.0.0.1:4318`; needs the extra `tracing`. By default nothing is traced.",
    )

    database_url: SecretStr | None = variable(
        "DATABASE_URL",
        "`sqlite:///` and a path, or `postgresql://user@host/name`. By default an SQLite file "
        "below TRIMTAB_HOME.",
        secret=True,
    )
    database_check_seconds: Annotated[float, Field(ge=0)] = variable(
        "DATABASE_CHECK_SECONDS",
        "Longest look at every page of the SQLite files at a start. What there was no time for "
        "is named in the log.",
        30.0,
    )
    database_pool_size: Count = variable(
        "DATABASE_POOL_SIZE", "Connections kept open to PostgreSQL, for each process.", 10
    )
    database_pool_timeout_seconds: Count = variable(
        "DATABASE_POOL_TIMEOUT_SECONDS", "Longest wait for a free connection.", 10
    )
    database_lock_timeout_seconds: Waiting = variable(
        "DATABASE_LOCK_TIMEOUT_SECONDS",
        "Longest wait on PostgreSQL for a lock, and so for other writers; then a request is "
        "answered with 503, and a job tries again.",
        20.0,
    )
    database_statement_timeout_seconds: Waiting = variable(
        "DATABASE_STATEMENT_TIMEOUT_SECONDS",
        "Longest run of one statement on PostgreSQL. Migrations are not bounded.",
        60.0,
    )
    database_idle_timeout_seconds: Waiting = variable(
        "DATABASE_IDLE_TIMEOUT_SECONDS",
        "How long a transaction on PostgreSQL may do nothing before the server ends it. One that "
        "writes may for half of DATABASE_LOCK_TIMEOUT_SECONDS at most, so that a process that "
        "hangs costs the others a wait, and no refusal.",
        60.0,
    )

    jobs_at_once: Count = variable(
        "TRIMTAB_JOBS_AT_ONCE",
        "How many jobs of one role run at once, over all processes of an installation.",
        4,
    )
    work_niceness: Annotated[int, Field(ge=0, le=19)] = variable(
        "TRIMTAB_WORK_NICENESS",
        "How far `trimtab work` stands back for what answers on the same machine, as the `nice` "
        "of the system; 0 is not at all.",
        5,
    )
    limit_reads_per_second: Count = variable(
        "TRIMTAB_LIMIT_READS_PER_SECOND",
        "Requests that look, resolutions and downloads too, of one tenant in a second. The "
        "fleet's own people and programs have no limit.",
        500,
    )
    limit_writes_per_second: Count = variable(
        "TRIMTAB_LIMIT_WRITES_PER_SECOND", "Requests that change something, of one tenant.", 100
    )
    limit_uploads_per_minute: Count = variable(
        "TRIMTAB_LIMIT_UPLOADS_PER_MINUTE", "Versions that one tenant hands in.", 60
    )
    limit_burst_seconds: Count = variable(
        "TRIMTAB_LIMIT_BURST_SECONDS",
        "For how long a tenant that was quiet may go on at once at the pace of these limits, in "
        "reads and writes; uploads have a minute's.",
        10,
    )
    limit_credential_percent: Annotated[float, Field(gt=0, le=100)] = variable(
        "TRIMTAB_LIMIT_CREDENTIAL_PERCENT",
        "The part of its tenant's limits that one key, token or session may use up.",
        50.0,
    )
    limit_requests_at_a_time: Count = variable(
        "TRIMTAB_LIMIT_REQUESTS_AT_A_TIME",
        "Requests of one tenant that are worked on at a time, of the 40 that this process has "
        "threads for. Others of it wait, in order, and nobody else waits for them.",
        8,
    )
    limit_requests_waiting: Count = variable(
        "TRIMTAB_LIMIT_REQUESTS_WAITING", "Requests of one tenant that may wait so.", 200
    )

    quota_people: Count = variable(
        "TRIMTAB_QUOTA_PEOPLE", "People of one tenant who may log in.", 1_000
    )
    quota_keys: Count = variable(
        "TRIMTAB_QUOTA_KEYS", "Keys of one tenant that are not revoked.", 1_000
    )
    quota_versions: Count = variable(
        "TRIMTAB_QUOTA_VERSIONS", "Versions that belong to one tenant alone.", 10_000
    )
    quota_storage_gib: Count = variable(
        "TRIMTAB_QUOTA_STORAGE_GIB", "GiB of models that belong to one tenant alone.", 500
    )

    check_folders: str = variable(
        "TRIMTAB_CHECK_FOLDERS",
        "Folders whose files a drift check may name, with `,` between them; by default no file "
        "may be named. A tenant reads only below those with `{tenant}` in them, in whose place "
        "its name stands. What lies below TRIMTAB_HOME is never read.",
        "",
    )
    check_buckets: str = variable(
        "TRIMTAB_CHECK_BUCKETS",
        "Buckets whose objects a drift check may name, in the store of S3_ENDPOINT and with its "
        "key: `bucket` or `bucket/prefix`, with `,` between them, and `{tenant}` as for folders.",
        "",
    )
    check_mib: Count = variable(
        "TRIMTAB_CHECK_MIB", "Largest file or object that a drift check reads, in MiB.", 256
    )
    check_rows: Count = variable(
        "TRIMTAB_CHECK_ROWS", "Most rows of a table that a drift check reads.", 10_000_000
    )
    checks_at_a_time: Count = variable(
        "TRIMTAB_CHECKS_AT_A_TIME",
        "Drift checks that are worked on at a time, half of them of one tenant; others are told "
        "to come again (429).",
        2,
    )

    unreferenced_blobs_keep_hours: Count = variable(
        "TRIMTAB_UNREFERENCED_BLOBS_KEEP_HOURS",
        "How long blobs that no record refers to stay, in real time since their bytes were last "
        "stored: what refused uploads leave, and what a restored backup does not know.",
        168,
    )
    jobs_keep_hours: Count = variable(
        "TRIMTAB_JOBS_KEEP_HOURS",
        "How long the job engine remembers work that is done, in real time; work handed over "
        "again within it is recognised. Work that failed for good is kept.",
        168,
    )

    jwt_secret: SecretStr | None = variable(
        "JWT_SECRET",
        "Read, and refused as a key: tokens are signed with an RSA key pair, made at the "
        "first start, so that who can verify a token cannot make one. Remove it.",
        used=False,
        secret=True,
    )

    redis_url: SecretStr | None = variable(
        "REDIS_URL", "Redis server for caches.", used=False, secret=True
    )
    redis_password: SecretStr | None = variable(
        "REDIS_PASSWORD", "Password of the Redis server.", used=False, secret=True
    )
    redis_ttl_seconds: Seconds | None = variable(
        "REDIS_TTL_SECONDS", "How long cached values live.", used=False
    )
    s3_bucket: str | None = variable(
        "S3_BUCKET",
        "Bucket that artifacts and data are kept in. Without one they are files below "
        "TRIMTAB_HOME.",
    )
    s3_endpoint: str | None = variable(
        "S3_ENDPOINT",
        "Address of an S3-compatible store, such as https://minio.example.org:9000. Without "
        "one the bucket is Amazon's.",
    )
    s3_region: str = variable("S3_REGION", "Region of the bucket.", "us-east-1")
    s3_prefix: str = variable(
        "S3_PREFIX", "What every key in the bucket begins with, such as trimtab/production.", ""
    )
    s3_access_key_id: SecretStr | None = variable(
        "S3_ACCESS_KEY_ID",
        "Access key of the bucket. Without one the role of the machine is used, which needs "
        "Amazon's own store.",
        secret=True,
    )
    s3_secret_access_key: SecretStr | None = variable(
        "S3_SECRET_ACCESS_KEY", "Secret key of the bucket.", secret=True
    )
    s3_copies_mib: Count = variable(
        "S3_COPIES_MIB",
        "Room below TRIMTAB_HOME for verified copies of what is in the bucket, in MiB. It must "
        "hold the largest artifact.",
        10_240,
    )
    vault_addr: str | None = variable(
        "VAULT_ADDR",
        "Address of HashiCorp Vault. Secrets are read from the files that its agent writes: "
        "see TRIMTAB_SECRETS_DIR.",
        used=False,
    )
    vault_role: str | None = variable("VAULT_ROLE", "Role to log in to Vault as.", used=False)
    vault_mount: str | None = variable(
        "VAULT_MOUNT", "Mount path of Vault's key-value store.", used=False
    )
    slack_webhook_url: SecretStr | None = variable(
        "SLACK_WEBHOOK_URL", "Incoming webhook for notifications.", used=False, secret=True
    )
    pagerduty_api_key: SecretStr | None = variable(
        "PAGERDUTY_API_KEY", "Key for paging through PagerDuty.", used=False, secret=True
    )
    alert_email: str | None = variable(
        "ALERT_EMAIL", "Address that notifications are mailed to.", used=False
    )

    drift_threshold: float | None = variable(
        "DRIFT_THRESHOLD", "Thresholds stand in the policy: see TRIMTAB_POLICY.", used=False
    )
    drift_window_size: Count | None = variable(
        "DRIFT_WINDOW_SIZE", "Windows stand in the policy: see TRIMTAB_POLICY.", used=False
    )
    drift_quorum: Count | None = variable(
        "DRIFT_QUORUM",
        "The quorum of detectors stands in the policy: see TRIMTAB_POLICY. To have fewer "
        "false alarms, raise it.",
        used=False,
    )
    remediation_max_retries: Seconds | None = variable(
        "REMEDIATION_MAX_RETRIES", "Limits of actions stand in the policy.", used=False
    )
    remediation_cooldown_minutes: Seconds | None = variable(
        "REMEDIATION_COOLDOWN_MINUTES", "Limits of actions stand in the policy.", used=False
    )
    remediation_resource_cap_percent: Annotated[float, Field(ge=0, le=100)] | None = variable(
        "REMEDIATION_RESOURCE_CAP_PERCENT", "Limits of actions stand in the policy.", used=False
    )

    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)
    _unknown: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load_settings` reads each source once and keeps account."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("home", "secrets_folder")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().absolute()

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("clock")
    @classmethod
    def _known_clock(cls, value: str) -> str:
        if value != "real":
            kind, _, start = value.partition(":")
            if kind not in ("stepped", "lockstep"):
                raise ValueError("write `real`, or `stepped:` and an RFC 3339 time")
            parse_iso(start)
        return value

    @field_validator("origin")
    @classmethod
    def _bare_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        bare = f"{parts.scheme}://{parts.netloc}"
        if parts.scheme not in {"http", "https"} or value.rstrip("/") != bare or "@" in bare:
            raise ValueError("write a scheme, a host and, if need be, a port, and nothing else")
        return bare

    @field_validator("s3_endpoint")
    @classmethod
    def _plain_endpoint(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "")
        if value is not None and (
            parts.scheme not in {"http", "https"} or not parts.netloc or "@" in value
        ):
            raise ValueError("start it with `https://` or `http://`, without a key in it")
        return None if value is None else value.rstrip("/")

    @field_validator("s3_prefix")
    @classmethod
    def _plain_prefix(cls, value: str) -> str:
        parts = value.strip("/").split("/")
        if value and not all(_KEY_PART.fullmatch(part) for part in parts):
            raise ValueError("write letters, digits, `.`, `_` and `-`, in parts divided by `/`")
        return "/".join(parts)

    @field_validator("check_folders", "check_buckets")
    @classmethod
    def _plain_places(cls, value: str, info: ValidationInfo) -> str:
        for one in filter(None, map(str.strip, value.split(","))):
            if info.field_name == "check_folders" and not (one.startswith("/") and one.strip("/")):
                raise ValueError("write whole paths, such as /srv/tables, with `,` between them")
            if info.field_name == "check_buckets" and (":" in one or one.startswith("/")):
                raise ValueError("write names of buckets, with `,` between them: no `s3://`")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
                raise ValueError("write http:// or https://, a host and a port, and no password")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        known = ("sqlite:///", "postgresql://", "postgresql+psycopg://")
        if value is not None and not value.get_secret_value().startswith(known):
            raise ValueError("start it with `sqlite:///` or `postgresql://`")
        if value is not None and not urlsplit(value.get_secret_value()).path.strip("/"):
            raise ValueError("name the database at its end: postgresql://user@host/NAME")
        return value

    def database(self) -> str:
        """The address of the database; it may hold a password."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'trimtab.sqlite'}"
        return self.database_url.get_secret_value()

    def public_origin(self) -> str:
        """Where browsers and clients reach this service, without a slash at the end."""
        return self.origin or f"http://{self.host}:{self.port}"

    def clock_start(self) -> datetime | None:
        """Where stepped domain time starts; None when it is the real time."""
        return None if self.clock == "real" else parse_iso(self.clock.partition(":")[2])

    def session_life(self) -> timedelta:
        """How long a session lasts at most."""
        return timedelta(hours=self.session_hours)

    def session_idle(self) -> timedelta:
        """How long a session lasts that is not used."""
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def lockstep(self) -> bool:
        """Whether work is done only while the clock is stepped, one job after the other."""
        return self.clock.startswith("lockstep:")

    def new_clock(self) -> Clock:
        """A clock for domain time."""
        start = self.clock_start()
        return SystemClock() if start is None else SteppedClock(start)

    def source_of(self, name: str) -> Source:
        """Where the value of the variable `name` was found."""
        return self._sources.get(name, Source.DEFAULT)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names in our groups (`DRIFT_*` and so on) that were set and mean nothing here."""
        return self._unknown


def variables() -> Mapping[str, str]:
    """The name of each variable, in order, with the name of its field."""
    inherited = InventorySettings.model_fields
    fields = [*(name for name in Settings.model_fields if name not in inherited), *inherited]
    return {str(Settings.model_fields[name].validation_alias): name for name in fields}


def is_secret(settings: Settings, name: str) -> bool:
    """Whether the value of the variable `name` must not be shown or put in an environment."""
    field = variables()[name]
    extra = Settings.model_fields[field].json_schema_extra
    if not isinstance(extra, dict) or not extra["secret"]:
        return False
    if name == "DATABASE_URL":  # secret only when it holds a password
        return ":" in settings.database().partition("://")[2].rpartition("@")[0]
    return True
