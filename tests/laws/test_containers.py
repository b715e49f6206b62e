"""The files for containers name what there is here; no engine is needed to see that."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from trimtab.cli.commands import app
from trimtab.gateway.settings import documented
from trimtab.platform.settings import load_settings
from trimtab.platform.settings_model import variables
from trimtab.workflows.jobs import Role

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"[a-z/]+:(?=[^:]*\d)[\w.-]+")
TEST_ONLY = {"pytest", "moto", "flask", "hypothesis", "ruff", "mypy", "playwright", "schemathesis"}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    return found


SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)


def instructions() -> list[tuple[str, str]]:
    """Name and text of each instruction of the Dockerfile, lines joined."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    split = [line.split(maxsplit=1) for line in lines if not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, rest in split]


def requirements(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_pinned_watched_and_holds_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert PINNED.fullmatch(service["image"]), service["image"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert "user" in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    for port in service.get("ports", ()):
        assert str(port).startswith("127.0.0.1:"), "open to everybody"
    for other, how in service.get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert other in SERVICES
    declared = compose()
    assert set(service.get("secrets", ())) <= set(declared["secrets"])
    mounted = [volume.split(":")[0] for volume in service.get("volumes", ())]
    assert {v for v in mounted if not v.startswith("./")} <= set(declared["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_ours_are_nobody_special_on_a_root_that_is_read_only(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001" == dict(instructions())["USER"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["stop_grace_period"] == "40s"
    assert any(v.endswith(":/var/lib/trimtab") for v in service["volumes"])


def test_variables_are_ours_and_no_secret_stands_in_one() -> None:
    for name in OURS:
        settings = SERVICES[name].get("environment", {})
        assert set(settings) <= set(variables()), name
        secret = {"DATABASE_URL", "TRIMTAB_ADMIN_PASSWORD"}
        assert not {v for v in settings if v in secret or "KEY" in v or "PASSWORD" in v}
        if settings:
            assert set(SERVICES[name]["secrets"]) <= set(variables())
            assert settings["TRIMTAB_SECRETS_DIR"] == "/run/secrets"
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|ROOT_USER|SECRET_ACCESS|KEY_ID", name):
                assert name.endswith("_FILE"), name
                assert str(value).startswith("/run/secrets/")


def test_commands_and_their_options_are_ours() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for name in OURS:
        command, *arguments = SERVICES[name]["command"]
        options = [text for text in arguments if text.startswith("--")]
        if command == "gateway":
            stated = [text[2:].partition("=")[0].replace("-", "_") for text in options]
            assert set(stated) <= set(documented())
        else:
            offered = {o for p in known[command].params for o in (*p.opts, *p.secondary_opts)}
            assert set(options) <= offered, (name, offered)
    roles = [a for n in ("worker", "gate") for a in SERVICES[n]["command"] if a in set(Role)]
    assert sorted(roles) == sorted(Role), "a role that nobody has, or two"
    assert {"8000", "9001", "8080"} == {
        port.split(":")[1] for s in SERVICES.values() for port in s.get("ports", ())
    }


def test_the_image_is_made_of_what_is_locked_and_runs_as_nobody() -> None:
    steps = instructions()
    bases = [text.split(" AS ")[0] for name, text in steps if name == "FROM"]
    assert all(PINNED.fullmatch(base) for base in bases)
    assert len(set(bases)) == 1
    names = [name for name, _ in steps]
    assert "ADD" not in names
    last = names[len(names) - names[::-1].index("FROM") :]
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert {"HEALTHCHECK", "STOPSIGNAL", "WORKDIR"} <= set(last)
    everything = " ".join(text for _, text in steps)
    assert not re.search(r"(?i)password|secret|token|curl |wget |sudo|chmod 777", everything)
    locked = "--no-deps --require-hashes -r requirements/runtime.txt"
    assert locked in everything
    same = "--no-deps --no-build-isolation"
    assert same in everything
    assert same in (ROOT / "scripts" / "setup.sh").read_text("utf-8")
    assert json.loads(dict(steps)["ENTRYPOINT"]) == ["trimtab"]
    assert json.loads(dict(steps)["CMD"]) == ["serve"]
    check = dict(steps)["HEALTHCHECK"].partition(" CMD ")[2]
    compile(json.loads(check)[2], "HEALTHCHECK", "exec")
    assert "/health/live" in check


def test_what_is_copied_is_there_and_not_kept_out() -> None:
    kept = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line]
    for name, text in instructions():
        if name != "COPY" or text.startswith("--from"):
            continue
        *sources, _target = shlex.split(text)
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in kept, f"{source} is not sent to the builder"


def test_the_lock_of_the_image_is_that_of_the_tests_without_what_only_they_need() -> None:
    image, tests = requirements("runtime.txt"), requirements("dev.txt")
    assert image.items() <= tests.items()
    assert not TEST_ONLY & set(image)
    text = (ROOT / "requirements" / "runtime.txt").read_text("utf-8")
    assert text.count("==") == len(image)
    entries = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "http" not in re.sub(r"httpx?\S*", "", text), "the address of an index"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "requirements/runtime.txt" in makefile.partition("lock:")[2].partition(".PHONY")[0]


BLOCKING = """
import sys
class Absent:
    names = set({names!r})
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
import trimtab.app, trimtab.worker, trimtab.gateway.__main__, trimtab.recipes.gradient_boosting
import trimtab.remediation.gate, trimtab.platform.tracing, trimtab.cli.backup
trimtab.platform.tracing.Spans("http://127.0.0.1:9")._provider.shutdown()
from trimtab.cli import main
sys.argv = ["trimtab", "--help"]
main()
"""


@pytest.mark.slow
def test_everything_imports_with_the_packages_of_the_image_alone() -> None:
    image = {re.sub("[-_.]+", "-", name).lower() for name in requirements("runtime.txt")}
    absent = [
        module
        for module, owners in packages_distributions().items()
        if module not in ("trimtab", "pip", "setuptools", "pkg_resources", "_distutils_hack")
        and not {re.sub("[-_.]+", "-", owner).lower() for owner in owners} & image
    ]
    assert {"pytest", "moto", "hypothesis"} <= set(absent)
    ran = subprocess.run(
        [sys.executable, "-c", BLOCKING.format(names=absent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "Usage" in ran.stdout


def test_the_secrets_are_made_once_and_will_do_in_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "secrets"
    script = ["bash", str(ROOT / "deploy" / "secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {Path(secret["file"]).name for secret in compose()["secrets"].values()} == set(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == made
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "TRIMTAB_SECRETS_DIR": str(folder),
        "TRIMTAB_PROFILE": "production",
        "TRIMTAB_ORIGIN": "https://trimtab.example.org",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().database().startswith("postgresql://trimtab:")
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert "/deploy/secrets/" in ignored
