"""The script of a scientist: models of her own beside the registry's, on real data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

import sciml_data

if TYPE_CHECKING:
    from sciml_data.api.benchmarks import LoadedBenchmark

pytest.importorskip("sklearn")
pytest.importorskip("lightgbm")

# TensorFlow's tensors know no `copy` of NumPy 2; Keras asks for it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Numbers = npt.NDArray[Any]


def _predictions(
    uno: LoadedBenchmark, predict: Callable[[Numbers], Numbers]
) -> Mapping[str, Numbers]:
    return {part: predict(uno.to_numpy(part)[1]) for part in uno.parts}


def _fitted_by_sklearn(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(PCA(64, random_state=0), RidgeCV((1.0, 10.0, 100.0))).fit(x, y)
    return lambda rows: np.asarray(model.predict(rows))


def _fitted_by_torch(x: Numbers, y: Numbers) -> Callable[[Numbers], Numbers]:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-3

    def scaled(rows: Numbers) -> Any:
        return torch.from_numpy((rows - mean) / deviation)

    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    data = torch.utils.data.TensorDataset(scaled(x), torch.from_numpy(y))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(5):
        for features, targets in torch.utils.data.DataLoader(data, 256, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(network(features)[:, 0], targets).backward()
            optimizer.step()

    def predict(rows: Numbers) -> Numbers:
        with torch.no_grad():
            return np.asarray(network(scaled(rows))[:, 0])

    return predict


@pytest.mark.slow
@pytest.mark.reference
def test_models_of_other_libraries_stand_on_the_board_of_uno_ccle_beside_the_built_in_one(
    shared: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    uno = sciml_data.load_benchmark(
        "uno",
        dataset="uno_ccle",
        split="cell",
        mirrors=[f"file:{shared / 'mirror'}"],
        home=tmp_path,
        log=lines.append,
    )
    _, x, y = uno.to_numpy("train")
    linear, network = _fitted_by_sklearn(x, y), _fitted_by_torch(x, y)

    runs = [
        sciml_data.score(uno, _predictions(uno, linear), model="pca-ridge", home=tmp_path),
        sciml_data.score(uno, _predictions(uno, network), model="torch-mlp", home=tmp_path),
        sciml_data.run(
            "uno", dataset="uno_ccle", split="cell", settings={"epochs": 1}, home=tmp_path
        ),
    ]
    board = sciml_data.board(runs, benchmark="uno", home=tmp_path)

    assert any("fetching uno_ccle" in line for line in lines)
    assert uno.leakage["test"]["cell"]["shared"] == 0
    for run in runs:
        assert run.scores["model"].to_dict()[("test", "mse")] < 0.03
        assert sciml_data.rescore(run, home=tmp_path)[1] == []
    own = {row.made_by.model: row for row in board.rows if row.data.dataset == "uno_ccle"}
    assert {"pca-ridge", "torch-mlp", "pooled"} <= set(own)
    assert sorted(row.rank for row in own.values() if row.rank) == [1, 2, 3]
