"""The script of a scientist: a model of her own beside the baselines, on real data."""

from __future__ import annotations

from pathlib import Path

import pytest

import sciml_data

pytest.importorskip("sklearn")
pytest.importorskip("lightgbm")


@pytest.mark.slow
@pytest.mark.reference
def test_a_model_of_scikit_learn_has_a_row_on_the_board_of_uno_ccle(
    shared: Path, tmp_path: Path
) -> None:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

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
    model = make_pipeline(PCA(64, random_state=0), RidgeCV((1.0, 10.0, 100.0))).fit(x, y)
    predicted = {part: model.predict(uno.to_numpy(part)[1]) for part in uno.parts}

    run = sciml_data.score(uno, predicted, name="pca-ridge", home=tmp_path)
    board = sciml_data.board([run], benchmark="uno", home=tmp_path)

    assert any("fetching uno_ccle" in line for line in lines)
    assert uno.leakage["test"]["cell"]["shared"] == 0
    assert run.scores["model"].to_dict()[("test", "mse")] < 0.012
    (row,) = (row for row in board.rows if row.made_by.model == "pca-ridge")
    assert (row.rank, row.data.dataset) == (1, "uno_ccle")
    assert sciml_data.rescore(run, home=tmp_path)[1] == []
