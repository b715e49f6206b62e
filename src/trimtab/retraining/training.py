"""One run of the recipe in a limited child: a challenger comes back, or the reason why not.

What the child has written is read as if by a stranger: bounded, strict, and every number
finite. A crash, a time-out, no memory and a nan are all failures, never half a success.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.artifacts import strictjson
from trimtab.kernel.errors import IntegrityFailed
from trimtab.kernel.ids import Digest
from trimtab.platform.child import ChildResult, Outcome, run_limited
from trimtab.policies.operation import Retraining as Demands

RECIPE = "trimtab.recipes.gradient_boosting"
_RESULT_BYTES = 1 << 20
_OUTPUT_BYTES = 1 << 16
_SHARES = ("precision", "recall", "f1", "false_positive_rate", "brier")
_TRANSIENT = (Outcome.TIMEOUT, Outcome.KILLED, Outcome.MEMORY)


@dataclass(frozen=True)
class Recipe:
    """What the recipe is told besides the policy; see `trimtab.recipes.gradient_boosting`."""

    features: tuple[str, ...]
    label: str
    time: str
    seed: int
    max_rows: int
    max_parity: float
    max_single_auc: float
    hyperparameters: Mapping[str, float]


@dataclass(frozen=True)
class Challenger:
    """A trained model. `metrics` were measured on the latest rows of its own data."""

    onnx: bytes
    digest: Digest
    cutoff: float
    metrics: dict[str, Any]
    data_digest: Digest
    training_rows: int
    seconds: float
    isolation: Mapping[str, str]


@dataclass(frozen=True)
class NoChallenger:
    """Why there is none. `transient`: another attempt could fare better."""

    reason: str
    transient: bool


def train(
    table: pa.Table, recipe: Recipe, demands: Demands, *, max_model_mib: int, folder: Path
) -> Challenger | NoChallenger:
    """Train on `table` in a child process with the limits of the policy.

    Args:
        table: The checked rows, with all columns that the recipe names.
        recipe: What to learn from, and the shape of the model.
        demands: The policy's slice; its limits bind the child.
        max_model_mib: The largest file that the child may write.
        folder: An empty one, in which the child works; the caller removes it.

    Raises:
        Unavailable: the machine cannot start another process now.
    """
    pq.write_table(table, folder / "rows.parquet")
    (folder / "config.json").write_text(json.dumps(_config(recipe, demands)))
    child = run_limited(
        RECIPE,
        ["--data", "rows.parquet", "--config", "config.json", "--out", "out"],
        max_seconds=demands.max_seconds,
        max_cpu_seconds=demands.max_seconds,
        max_memory_mib=demands.max_memory_mib,
        max_output_bytes=_OUTPUT_BYTES,
        max_file_mib=max_model_mib,
        folder=folder,
    )
    if child.outcome is not Outcome.OK:
        return NoChallenger(_why(child, demands), child.outcome in _TRANSIENT)
    try:
        return _read(folder / "out", child, max_model_mib << 20)
    except IntegrityFailed as error:
        return NoChallenger(f"what the training wrote is unusable: {error}", False)


def _config(recipe: Recipe, demands: Demands) -> dict[str, Any]:
    return {
        "features": list(recipe.features),
        "label": recipe.label,
        "time": recipe.time,
        "seed": recipe.seed,
        "max_fpr": demands.max_false_positive_rate,
        "validation_share": demands.validation_share,
        "limits": {
            "min_rows": _min_part(demands),
            "max_rows": recipe.max_rows,
            "max_parity": recipe.max_parity,
            "max_single_auc": recipe.max_single_auc,
        },
        "hyperparameters": dict(recipe.hyperparameters),
    }


def _min_part(demands: Demands) -> int:
    """Fewest rows of either part, so that both together can be the policy's minimum."""
    smaller = min(demands.validation_share, 1 - demands.validation_share)
    return max(1, int(demands.min_rows * smaller))


def _why(child: ChildResult, demands: Demands) -> str:
    match child.outcome:
        case Outcome.TIMEOUT:
            return f"training took longer than {demands.max_seconds} seconds"
        case Outcome.MEMORY | Outcome.KILLED:
            return f"training needed more than {demands.max_memory_mib} MiB, or was killed"
    last = child.stderr_tail.strip().splitlines()[-1:] or [""]
    try:
        return "training refused: " + str(json.loads(last[0])["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return f"training ended with {child.outcome.value}: {ascii(last[0])[:200]}"


def _read(out: Path, child: ChildResult, max_model_bytes: int) -> Challenger:
    """The challenger that the child has left in its folder.

    Raises:
        IntegrityFailed: a file is missing, no plain file or too long, the report is not
            of the known form, a number is not finite, or the bytes are not those reported.
    """
    told = strictjson.parse(
        _bytes(out / "result.json", _RESULT_BYTES), max_bytes=_RESULT_BYTES, what="result.json"
    )
    model = _bytes(out / "model.onnx", max_model_bytes)
    if not isinstance(told, dict):
        raise IntegrityFailed("result.json is not an object")
    digest = Digest("sha256:" + hashlib.sha256(model).hexdigest())
    if told.get("model_digest") != digest:
        raise IntegrityFailed("the model is not the one that the report speaks of")
    quality = told.get("quality")
    if not isinstance(quality, dict):
        raise IntegrityFailed("the report has no quality")
    metrics: dict[str, Any] = {name: _share(quality.get(name), name) for name in _SHARES}
    metrics |= {name: _count(quality.get(name), name) for name in ("rows", "positives")}
    data_digest = told.get("data_digest")
    if not isinstance(data_digest, str):
        raise IntegrityFailed("the report does not name its data")
    return Challenger(
        onnx=model,
        digest=digest,
        cutoff=_share(told.get("cutoff"), "cutoff"),
        metrics=metrics,
        data_digest=Digest(data_digest),
        training_rows=_count(told.get("training_rows"), "training_rows"),
        seconds=child.seconds,
        isolation=dict(child.isolation),
    )


def _bytes(path: Path, at_most: int) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise IntegrityFailed(f"{path.name} is missing")
    with path.open("rb") as file:
        content = file.read(at_most + 1)
    if not 0 < len(content) <= at_most:
        raise IntegrityFailed(f"{path.name} is empty or longer than {at_most} bytes")
    return content


def _share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise IntegrityFailed(f"{name} is not a number")
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise IntegrityFailed(f"{name} is not between 0 and 1")
    return float(value)


def _count(value: Any, name: str) -> int:
    if type(value) is not int or value < 0:
        raise IntegrityFailed(f"{name} is not a count")
    return value
