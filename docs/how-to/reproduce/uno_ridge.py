"""Retrain a baseline of the benchmark uno without sciml-data, and score it.

    python uno_ridge.py croissant-task.json splits/cell.json auc.nc predicted.csv

What is needed comes from the Croissant Task and from the dataset: the Task names the parts of the
split, the columns of the predictions and the metric; the file of the split has its rule; the
dataset is the analysis-ready form of uno_ccle, variant auc, which any NetCDF reader opens. Imports:
NumPy, pandas, scikit-learn, xarray and h5netcdf. How to get the three files: README.md.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

COMPONENTS = 16  # of the expression; the ridge has a weight for each of them and each drug
PENALTIES = np.geomspace(0.1, 10_000, 11)


def read_task(task_path, split_path):
    """Return the rule of each part, the columns of the predictions, and the names of metrics."""
    graph = json.loads(Path(task_path).read_text(encoding="utf-8"))["@graph"]
    nodes = {node["@id"]: node for node in graph}
    problem = next(n for n in graph if n.get("schema:identifier") == "uno/auc")
    inputs = [nodes[item["@id"]] for item in problem["croissant:input"]]
    content = Path(split_path).read_bytes()
    split = next(i for i in inputs if i["schema:name"] == f"split {json.loads(content)['name']}")
    expected = split.get("schema:distribution", {}).get("schema:sha256")
    if expected and hashlib.sha256(content).hexdigest() != expected:
        sys.exit(f"{split_path} is not the split of the Task: another sha256")
    rules = json.loads(content)["members"]
    assert [part["name"] for part in split["croissant:recordSet"]["data"]] == list(rules)
    output = nodes[problem["croissant:output"]["@id"]]["croissant:schema"]
    columns = [field["schema:name"] for field in output["croissant:field"]]
    evaluation = nodes[problem["croissant:evaluation"]["@id"]]
    metrics = [nodes[m["@id"]] for m in evaluation["croissant:expectedMetric"]]
    return rules, columns, [metric["schema:identifier"] for metric in metrics]


def share(identifier, salt):
    """Return the number in [0, 1) by which a split gives an id to a part."""
    digest = hashlib.sha256(f"{salt}\0{identifier}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2.0**53


def parts_of(rules, cells):
    """Return the part of each cell line; the split must be one by cell lines."""
    parts = np.full(len(cells), "", dtype=object)
    for part, rule in rules.items():
        assert rule["by"] == ["cell"]
        values = np.array([share(cell, rule["salt"]) for cell in cells])
        parts[(values >= rule["from"]) & (values < rule["to"])] = part
    return parts


def features(expression, cell, drug, drugs):
    """Return an intercept for each drug, and the components of the expression for each drug."""
    is_drug = np.eye(drugs)[drug]
    products = is_drug[:, :, None] * expression[cell][:, None, :]
    return np.concatenate([is_drug * 10.0, products.reshape(len(cell), -1)], axis=1)


def main(task_path, split_path, data_path, output_path):
    rules, columns, metrics = read_task(task_path, split_path)
    assert columns == ["part", "response", "predicted"] and "mse" in metrics
    data = xr.open_dataset(data_path, engine="h5netcdf")
    cells = [name.decode() for name in data.cell_canonical.values]
    cell, drug = data.cell_index.values.astype(int), data.drug1_index.values.astype(int)
    observed = data.auc.values.astype(float)
    of_cell = parts_of(rules, cells)
    of_row = of_cell[cell]

    # Fitted to the cell lines of the training part alone.
    raw = data.expression.values.astype(float)
    scaler = StandardScaler().fit(raw[of_cell == "train"])
    pca = PCA(COMPONENTS, svd_solver="full").fit(scaler.transform(raw[of_cell == "train"]))
    expression = pca.transform(scaler.transform(raw)) / np.sqrt(pca.explained_variance_[0])
    table = features(expression, cell, drug, data.sizes["drug"])

    # The validation part chooses the penalty; the test part is predicted once.
    fitted = {}
    for penalty in PENALTIES:
        model = Ridge(penalty).fit(table[of_row == "train"], observed[of_row == "train"])
        rows = of_row == "validation"
        fitted[np.mean((observed[rows] - model.predict(table[rows])) ** 2)] = penalty, model
    penalty, model = fitted[min(fitted)]
    rows = np.flatnonzero(of_row == "test")
    predicted = model.predict(table[rows])
    pd.DataFrame({"part": "test", "response": rows, "predicted": predicted}).to_csv(
        output_path, index=False, float_format="%.17g"
    )
    mse = np.mean((observed[rows] - predicted) ** 2)
    print(json.dumps({"penalty": penalty, "rows": len(rows), "mse": mse}))


if __name__ == "__main__":
    main(*sys.argv[1:])
