"""Settings: typed, explained, refused when unsafe, and documented from the code."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pydantic
import pytest

from trimtab.kernel.clock import SteppedClock, SystemClock
from trimtab.kernel.errors import InvalidInput
from trimtab.platform.settings import (
    Profile,
    Row,
    Settings,
    Source,
    explain,
    generated,
    load_settings,
)
from trimtab.platform.settings_guard import GROUPS
from trimtab.platform.settings_model import variables

STRONG = "korrekt-pferd-batterie-klammer"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of ours, an empty folder, and a home for `~`."""
    import os

    for name in list(os.environ):
        if name in variables() or name.startswith((*GROUPS, "TRIMTAB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def row(settings: Settings, name: str) -> Row:
    return next(row for row in explain(settings) if row.name == name)


def refusal(monkeypatch: pytest.MonkeyPatch, **values: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        given(monkeypatch, **values)
    return refused.value


def test_without_any_variable_everything_is_local(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.profile is Profile.LOCAL
    assert settings.database() == f"sqlite:///{tmp_path}/.trimtab/trimtab.sqlite"
    assert settings.public_origin() == "http://127.0.0.1:8000"
    assert isinstance(settings.new_clock(), SystemClock)
    assert {row.source for row in explain(settings)} == {Source.DEFAULT}


def test_the_variables_of_a_well_known_start_are_all_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(
        monkeypatch,
        DATABASE_URL="postgresql://user:password@localhost:5432/mlops",
        REDIS_URL="redis://localhost:6379",
        S3_BUCKET="mlops-artifacts",
        S3_ENDPOINT="http://localhost:9000",
        MLFLOW_TRACKING_URI="http://localhost:5000",
        JWT_SECRET="change-me-in-production",
        VAULT_ADDR="",
        SLACK_WEBHOOK_URL="",
        PAGERDUTY_API_KEY="",
        LOG_LEVEL="debug",
    )
    assert settings.log_level == "DEBUG"
    assert settings.mlflow_tracking_uri == "http://localhost:5000"
    assert settings.vault_addr is None  # an empty value counts as none
    assert row(settings, "VAULT_ADDR").source is Source.DEFAULT
    assert row(settings, "S3_BUCKET").note == ""
    assert row(settings, "MLFLOW_TRACKING_URI").note == ""
    assert row(settings, "REDIS_URL").note == "Accepted, not used yet."


def test_jwt_secret_is_read_refused_as_a_key_and_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(monkeypatch, JWT_SECRET="change-me-in-production")
    seen = row(settings, "JWT_SECRET")
    assert "refused as a key" in seen.description
    assert seen.value == "(secret)"
    assert not seen.used


def test_each_value_names_its_source_and_the_first_source_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("TRIMTAB_PORT", "REDIS_PASSWORD"):
        (tmp_path / "secrets" / name).write_text("9002" if "PORT" in name else STRONG)
    (tmp_path / ".env").write_text("TRIMTAB_PORT=9003\nS3_BUCKET=b # from the file\n")
    settings = given(monkeypatch, TRIMTAB_SECRETS_DIR=str(tmp_path / "secrets"), LOG_LEVEL="ERROR")
    assert settings.port == 9002
    assert row(settings, "TRIMTAB_PORT").source is Source.SECRET_FILE
    assert row(settings, "REDIS_PASSWORD").source is Source.SECRET_FILE
    assert row(settings, "S3_BUCKET") == Row(
        "S3_BUCKET", "b", Source.ENV_FILE, row(settings, "S3_BUCKET").description, True
    )
    assert row(settings, "LOG_LEVEL").source is Source.ENVIRONMENT
    assert row(settings, "TRIMTAB_HOST").source is Source.DEFAULT
    assert given(monkeypatch, TRIMTAB_PORT="9001").port == 9001


def test_no_secret_is_shown_in_any_way(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(
        monkeypatch,
        DATABASE_URL="postgresql://app:hunter2@db.example.org/d",
        REDIS_URL="redis://:hunter2@r",
        SLACK_WEBHOOK_URL="https://hooks.example.org/hunter2",
        TRIMTAB_ADMIN_PASSWORD=f"{STRONG}hunter2",
        DRIFT_NEW_THING="hunter2",
    )
    everything = f"{explain(settings)} {settings!r} {settings} {settings.model_dump()}"
    assert "hunter2" not in everything
    assert row(settings, "DATABASE_URL").value == "postgresql://app:(secret)@db.example.org/d"
    assert settings.database() == "postgresql://app:hunter2@db.example.org/d"


def test_a_refused_value_is_not_repeated_by_the_model_either() -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        Settings.model_validate({"DATABASE_URL": "mysql://hunter2@h/d"})
    assert "hunter2" not in str(refused.value)


def test_settings_are_frozen_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, TRIMTAB_PORT="9000")
    monkeypatch.setenv("TRIMTAB_PORT", "9001")
    assert settings.port == 9000
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIMTAB_PORT", "eighty"),
        ("TRIMTAB_PORT", "0"),
        ("TRIMTAB_PORT", "65536"),
        ("TRIMTAB_PROFILE", "staging"),
        ("TRIMTAB_CLOCK", "stepped"),
        ("TRIMTAB_CLOCK", "stepped:2015-07-01T00:00:00"),
        ("TRIMTAB_CLOCK", "fast"),
        ("TRIMTAB_ORIGIN", "trimtab.example.org"),
        ("TRIMTAB_ORIGIN", "https://trimtab.example.org/app"),
        ("TRIMTAB_ORIGIN", "https://me@trimtab.example.org"),
        ("LOG_LEVEL", "chatty"),
        ("DATABASE_URL", "mysql://hunter2@h/d"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DRIFT_QUORUM", "most"),
        ("TRIMTAB_SECRETS_DIR", "/no/such/folder"),
    ],
)
def test_an_unusable_value_is_refused_by_name_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    error = refusal(monkeypatch, **{name: value})
    assert error.field == name
    assert name in error.message
    assert error.remedy
    assert "hunter2" not in f"{error.message} {error.remedy}"


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal(monkeypatch, TRIMTAB_PORT="x", LOG_LEVEL="y", TRIMTAB_CLOCK="z")
    assert all(name in error.message for name in ("TRIMTAB_PORT", "LOG_LEVEL", "TRIMTAB_CLOCK"))


@pytest.mark.parametrize("where", ["environment", "file"])
def test_a_misspelt_name_of_ours_is_refused_and_the_nearest_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    if where == "file":
        (tmp_path / ".env").write_text("TRIMTAB_POTR=9000\n")
    error = refusal(monkeypatch, **({"TRIMTAB_POTR": "9000"} if where == "environment" else {}))
    assert error.field == "TRIMTAB_POTR"
    assert "Write TRIMTAB_PORT" in (error.remedy or "")


def test_a_strange_name_in_a_shared_group_is_reported_and_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = given(monkeypatch, MLFLOW_TRACKING_COOKIE="hunter2", ALERT_PHONE="1")
    assert settings.unknown == ("ALERT_PHONE", "MLFLOW_TRACKING_COOKIE")
    assert row(settings, "ALERT_PHONE").value == "(not shown)"


@pytest.mark.parametrize(
    "text", ['S3_BUCKET="b', "S3_BUCKET", "S3_BUCKET=b\nTRIMTAB_P", "S3_BUCKET='b\"", "{}"]
)
def test_a_half_written_file_is_refused_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    (tmp_path / ".env").write_text(text)
    error = refusal(monkeypatch)
    assert f"line {len(text.splitlines())}" in error.message


def test_a_file_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"S3_BUCKET=\xff\xfe\n")
    assert "cannot be read as text" in refusal(monkeypatch).message


@pytest.mark.parametrize("kind", ["stepped", "lockstep"])
def test_the_stepped_clock_stands_where_it_is_told(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    settings = given(monkeypatch, TRIMTAB_CLOCK=f"{kind}:2015-07-01T02:00:00+02:00")
    clock = settings.new_clock()
    assert isinstance(clock, SteppedClock)
    assert clock.now() == datetime(2015, 7, 1, tzinfo=UTC)
    assert settings.lockstep == (kind == "lockstep")


@pytest.mark.parametrize(
    "password",
    ["admin", "password", "change-me-please", "short", "aaaaaaaaaaaaaaaa", "trimtab-admin-1234567"],
)
def test_a_weak_password_is_refused_in_every_profile(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    error = refusal(monkeypatch, TRIMTAB_ADMIN_PASSWORD=password)
    assert error.field == "TRIMTAB_ADMIN_PASSWORD"
    assert password not in f"{error.message} {error.remedy}"


def production(monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    values = {"TRIMTAB_PROFILE": "production", "TRIMTAB_ORIGIN": "https://trimtab.example.org"}
    return given(monkeypatch, **values | more)


def test_a_production_start_needs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    assert production(monkeypatch).profile is Profile.PRODUCTION
    open_url = "postgresql://app@db/trimtab"  # no password in it: no secret
    assert production(monkeypatch, DATABASE_URL=open_url).database() == open_url


@pytest.mark.parametrize(
    "name", ["JWT_SECRET", "REDIS_PASSWORD", "PAGERDUTY_API_KEY", "TRIMTAB_ADMIN_PASSWORD"]
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_production_refuses_a_secret_outside_a_secret_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, where: str
) -> None:
    if where == ".env":
        (tmp_path / ".env").write_text(f"{name}={STRONG}\n")
    with pytest.raises(InvalidInput, match=f"{name}: a secret in the {where}") as refused:
        production(monkeypatch, **({name: STRONG} if where == "environment" else {}))
    assert "TRIMTAB_SECRETS_DIR" in (refused.value.remedy or "")
    assert STRONG not in str(refused.value)


def test_production_takes_secrets_from_files_and_refuses_weak_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "DATABASE_URL").write_text("postgresql://app:hunter2@db/trimtab\n")
    (folder / "JWT_SECRET").write_text(STRONG)
    settings = production(monkeypatch, TRIMTAB_SECRETS_DIR=str(folder))
    assert settings.database() == "postgresql://app:hunter2@db/trimtab"
    (folder / "JWT_SECRET").write_text("change-me-in-production")
    with pytest.raises(InvalidInput, match="JWT_SECRET: a weak value"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRIMTAB_ORIGIN", ""),
        ("TRIMTAB_ORIGIN", "http://trimtab.example.org"),
        ("TRIMTAB_CLOCK", "stepped:2015-07-01T00:00:00Z"),
        ("DATABASE_URL", "postgresql://app:hunter2@db/trimtab"),
    ],
)
def test_production_refuses_what_only_a_demonstration_may_do(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        production(monkeypatch, **{name: value})
    assert refused.value.field == name


def test_every_variable_has_a_description_and_a_unique_name() -> None:
    assert len(set(variables())) == len(Settings.model_fields)
    for name, field in variables().items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", name)
        assert (Settings.model_fields[field].description or "").endswith(".")


@pytest.mark.parametrize("path", list(generated()))
def test_the_generated_files_say_what_the_code_does(path: str) -> None:
    written = (REPOSITORY / path).read_text(encoding="utf-8")
    assert written == generated()[path], "run: python -m trimtab.platform.settings --write ."
    for name in variables():
        assert name in written


def test_the_example_can_be_read_as_it_is_and_line_by_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = generated()[".env.example"]
    (tmp_path / ".env").write_text(example)
    assert {row.source for row in explain(load_settings())} == {Source.DEFAULT}
    (tmp_path / ".env").write_text(re.sub(r"(?m)^#(?=[A-Z0-9_]+=)", "", example))
    assert load_settings().port == 8000


def test_the_command_writes_the_files(tmp_path: Path) -> None:
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "trimtab.platform.settings", "--write", str(tmp_path)], check=True
    )
    for path, content in generated().items():
        assert (tmp_path / path).read_text(encoding="utf-8") == content
