"""Real models, as scikit-learn, joblib and MLflow write them: how many honest ones are clean."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from tests.artifacts.test_survey_pickles import Judged, dumped
from tests.mlflow_server.starting import environment

from trimtab.artifacts.findings import Result
from trimtab.artifacts.surveying import Survey, SurveyLimits, survey
from trimtab.platform.child import run_limited

MAKE = """
import sys, warnings
warnings.filterwarnings("ignore")
from pathlib import Path
import lightgbm, mlflow, numpy as np
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

out = Path(sys.argv[1])
rows = np.random.default_rng(5).normal(size=(60, 3)).astype(np.float32)
outcome = (rows[:, 0] > 0).astype(int)
signature = infer_signature(rows, outcome)
needs = ["mlflow==3.17.2", "scikit-learn==1.9.1", "numpy>=2"]
for name, model in (
    ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
    ("forest", RandomForestClassifier(5, random_state=0)),
):
    model.fit(rows, outcome)
    # skops itself refuses to read trees back that nobody has vouched for
    for form in ("skops", "cloudpickle", "pickle")[name == "forest":]:
        mlflow.sklearn.save_model(model, out / f"{name}-{form}", serialization_format=form,
                                  signature=signature, input_example=rows[:2],
                                  pip_requirements=needs)
boosted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(rows, outcome)
mlflow.lightgbm.save_model(boosted, out / "boosted", pip_requirements=needs)
mlflow.lightgbm.save_model(boosted.booster_, out / "booster", pip_requirements=needs)
exported = to_onnx(LogisticRegression().fit(rows, outcome), rows[:1])
(out / "onnx").mkdir()
(out / "onnx" / "model.onnx").write_bytes(exported.SerializeToString())

class Own(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

mlflow.pyfunc.save_model(out / "own", python_model=Own(), pip_requirements=needs)
"""


def data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(3)
    rows = np.abs(rng.normal(size=(60, 4)))
    return rows, (rows[:, 0] > rows[:, 1]).astype(int), rows[:, 0] * 2 + 0.1


@pytest.fixture(scope="module")
def estimators() -> list[Any]:
    """Every estimator of scikit-learn that can be fitted as it is to a table of numbers."""
    return list(_fitted())


def _fitted() -> Iterator[Any]:
    rows, outcome, amount = data()
    quick = {"max_iter": 20, "n_estimators": 10, "random_state": 0}
    for _, kind in all_estimators():
        with warnings.catch_warnings(action="ignore"):
            for target in (outcome, amount):
                try:
                    model = kind()
                    known = {name: n for name, n in quick.items() if name in model.get_params()}
                    yield model.set_params(**known).fit(rows, target)
                except (TypeError, ValueError, AttributeError):
                    continue  # needs arguments, or other data
                break


def combined() -> Iterator[Any]:
    """Models as people put them together, with settings that are not the usual ones."""
    rows, outcome, amount = data()
    prepared = ColumnTransformer(
        [
            ("scaled", make_pipeline(FunctionTransformer(np.log1p), StandardScaler()), [0, 1]),
            ("coded", OneHotEncoder(handle_unknown="ignore"), [2]),
        ]
    )
    pairs = [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=2))]
    for model in (
        make_pipeline(prepared, LogisticRegression(C=0.1)),
        make_pipeline(FeatureUnion([("s", StandardScaler())]), GaussianNB()),
        StackingClassifier(pairs, cv=3),
        VotingClassifier(pairs, voting="soft"),
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=StratifiedKFold(3)),
        SGDClassifier(loss="modified_huber", random_state=0),
        HistGradientBoostingClassifier(max_iter=5, early_stopping=True),
        KNeighborsClassifier(metric="manhattan", algorithm="ball_tree"),
    ):
        yield model.fit(rows, outcome)
    yield GradientBoostingRegressor(loss="quantile", n_estimators=5).fit(rows, amount)
    yield GaussianProcessRegressor(RBF() + WhiteKernel()).fit(rows, amount)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["2", "5", "joblib", "joblib-zlib"])
def test_nearly_all_estimators_of_scikit_learn_are_clean(
    how: str, estimators: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {type(m).__name__: Judged(dumped(m, how)) for m in estimators}
    alarms = {name: judged for name, judged in found.items() if judged.result is not Result.CLEAN}
    with capsys.disabled():
        said = f"{len(alarms)} false alarms of {len(found)}: {', '.join(alarms)}"
        print(f" [{how}: {said}] ", end="")  # noqa: T201 - said, and judged below
    assert len(found) > 150
    assert len(alarms) <= len(found) // 50, {n: j.details for n, j in alarms.items()}
    assert {judged.result for judged in alarms.values()} <= {Result.SUSPICIOUS}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["4", "joblib"])
def test_models_as_people_put_them_together_are_clean(how: str) -> None:
    for model in combined():
        found = Judged(dumped(model, how))
        assert found.result is Result.CLEAN, (type(model).__name__, found.details)


def surveyed(root: Path, folder: Path) -> tuple[list[str], Survey]:
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    folder.mkdir()
    for number, path in enumerate(paths):
        (folder / str(number)).write_bytes((root / path).read_bytes())
    return paths, survey(folder, paths, SurveyLimits(), run=run_limited)


@pytest.mark.slow
def test_models_that_mlflow_wrote_are_clean_but_for_those_that_carry_code(tmp_path: Path) -> None:
    python = environment(3) / "bin" / "python"
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run(
        [python, "-c", MAKE, str(made)], check=True, capture_output=True, cwd=tmp_path, timeout=300
    )
    paths, found = surveyed(made, tmp_path / "files")
    results = dict(zip(paths, found.files, strict=True))
    assert {
        path: [f.detail for f in file.findings]
        for path, file in results.items()
        if file.result is not Result.CLEAN and not path.startswith("own/")
    } == {}
    own = results["own/python_model.pkl"]
    assert own.result is Result.MALICIOUS
    assert any("cloudpickle" in f.detail for f in own.findings)
    assert {p.partition("/")[2]: str(f.format) for p, f in results.items() if "model." in p} == {
        "model.skops": "skops-zip", "model.pkl": "pickle", "model.lgb": "lightgbm-text",
        "model.onnx": "onnx", "python_model.pkl": "pickle",
    }  # fmt: skip
    for path in paths:
        if path.endswith(("conda.yaml", "requirements.txt", "python_env.yaml", "MLmodel")):
            assert results[path].evidence, path
    packages = (results["linear-skops/conda.yaml"].evidence or {})["dependencies"]
    assert {p["name"] for p in packages if p["pinned"]} >= {"mlflow", "scikit-learn"}
