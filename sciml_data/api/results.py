"""The Python functions of results: runs, scores of any predictions, boards, citations, exports.

    sciml_data.score(uno, {"test": predicted}, model="forest")
    sciml_data.board(benchmark="uno")
    sciml_data.rescore("latest")

A run is named by its path, its folder's name, the first characters of its id, or `latest`. The
keywords `version`, `registry`, `home`, `log` and `progress` are those of `datasets.py`; `runs` is
the folder of the runs, None as the command line finds it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.api.datasets import Log, describe
from sciml_data.errors import CallError, nearest
from sciml_data.home import Home, HomePath, find_home
from sciml_data.registry import Descriptor, Registry, RegistryPath, find_registry, html_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sciml_data.api.benchmarks import LoadedBenchmark
    from sciml_data.bench import Difference
    from sciml_data.results.board import Row
    from sciml_data.results.submission import Board as BoardContent

logger = logging.getLogger(__name__)

__all__ = ["Board", "Run", "board", "cite", "export", "load_run", "rescore", "score"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A run: its folder and its record.

    Attributes:
        folder: of the run.
        record: JSON values; see docs/reference/benchmarks.md.
    """

    folder: Path
    record: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return the id of the run."""
        return str(self.record["run_id"])

    @property
    def scores(self) -> pd.DataFrame:
        """Return a row for each part and metric: the model's score, and that of each baseline."""
        return score_frame(self.record["metrics"])

    @cached_property
    def predictions(self) -> Mapping[str, xr.Dataset]:
        """Return `observed` and `predicted` of each part.

        Raises:
            RecordError: the run stored no predictions.
        """
        from sciml_data.bench import load_predictions
        from sciml_data.bench.record import PREDICTIONS_NAME

        stored = load_predictions(self.folder / PREDICTIONS_NAME)
        return {part: values.to_dataset() for part, values in stored.items()}

    def __repr__(self) -> str:
        """Return the report that `sciml-data show` prints."""
        from sciml_data.bench import run_headline

        return run_headline(self.record)

    def _repr_html_(self) -> str:
        """Return model, data, status and scores for a notebook."""
        from sciml_data.bench.record import is_external

        record, data = self.record, self.record["dataset"]
        rows = {
            "data": "SYNTHETIC: scores say nothing about nature" if record["synthetic"] else "",
            "predictions": "external: another program made them" if is_external(record) else "",
            "model": record["model"]["name"],
            "dataset": f"{data['id']} {data['version']}",
            "split": record["split"]["name"],
            "seed": record["seeds"]["seed"],
            "status": record["status"],
            "reason": record["reason"],
            "verification": record["verification"]["state"],
            "folder": self.folder,
        }
        scores = self.scores.to_html(escape=True, na_rep="-") if record["metrics"] else ""
        return html_table(f"{record['benchmark']['name']} {self.id[:8]}", rows, more=scores)


def score_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows of a record's `metrics` as a table with the index (part, metric)."""
    import pandas as pd

    from sciml_data.bench.scoring import row_key

    index = pd.MultiIndex.from_tuples(
        [(row["part"], row_key(row)) for row in rows], names=["part", "metric"]
    )
    values = [{"model": row["score"], **row["baselines"]} for row in rows]
    return pd.DataFrame(values, index=index, dtype=float)


def load_run(run: PathLike, *, home: HomePath = None, runs: PathLike | None = None) -> Run:
    """Return a run by its path, name, id or `latest`.

    Raises:
        CallError: no such run.
        RecordError: its record is not valid.
    """
    from sciml_data.bench import find_run, load_record

    folder = find_run(find_place(home, runs), os.fspath(run))
    return Run(folder, load_record(folder))


def score(  # noqa: PLR0913 - the first two are the benchmark and its predictions
    benchmark: LoadedBenchmark,
    predictions: Any,
    *,
    model: str = "external",
    seed: int = 0,
    units: str | None = None,
    home: HomePath = None,
    runs: PathLike | None = None,
    log: Log | None = None,
) -> Run:
    """Score predictions of any program as those of a run, and store them with a record.

        sciml_data.score(uno, {"test": forest.predict(x)}, model="forest", seed=1)
        sciml_data.score(uno, "predictions.csv", model="forest")

    Examples:
        >>> water = sciml_data.load_benchmark("hydronet", sample=True)
        >>> run = sciml_data.score(water, {"test": [0.0] * 29}, model="zero")
        >>> run.record["training"]
        'external'

    Args:
        benchmark: as `load_benchmark` returned it.
        predictions: path of a CSV, Parquet or NetCDF file; or a `pandas.DataFrame` with the ids as
            columns; or a mapping from part to values: an array in the order of the part's samples,
            or an `xarray.DataArray` or `pandas.Series` with ids. The part `test` is required.
        model: its name, as boards show it.
        seed: of its training; repeats of a model differ in their seeds.
        units: of the predictions, if they do not say it themselves.
        home: the run is stored in it.
        runs: folder of the runs.
        log: gets a line for each step.

    Returns:
        The run; its record has `training: external` and no durations.

    Raises:
        CallError: predictions of another form, or a name that cannot be used.
        RecordError: ids are missing, duplicated or foreign, values are not finite, or shape or unit
            are not those of the targets; `.problems` has all of them, and nothing was written.
    """
    from sciml_data.bench import load_record
    from sciml_data.bench.run import align, score_external

    place = find_place(home, runs)
    aligned = align(benchmark.opened, predictions, units=units)
    folder = score_external(
        benchmark.opened, aligned, home=place, name=model, seed=seed, log=log or logger.info
    )
    return Run(folder, load_record(folder))


def rescore(  # noqa: PLR0913 - the first names the run, the rest are keywords
    run: PathLike | Run,
    *,
    mirrors: Sequence[str] = (),
    registry: RegistryPath = None,
    home: HomePath = None,
    runs: PathLike | None = None,
    wait: bool = True,
    log: Log | None = None,
) -> tuple[int, list[Difference]]:
    """Score a run again from its stored predictions, and compare the scores with its record.

    The outcome is written into the record's `verification`.

    Args:
        run: path, name, id or `latest`, or a `Run`.
        mirrors: addresses to try before those of the registry, if the dataset is not here.
        registry: registry folder.
        home: folder of all data.
        runs: folder of the runs.
        wait: wait while another process works on the same data; otherwise fail at once.
        log: gets a line for each step.

    Returns:
        (number of scores compared, the scores that differ).

    Raises:
        CallError: no such run.
        RecordError: the run is not a success, its files were changed, or the data differ.
    """
    from sciml_data.bench import Sample, find_run, load_record, stage
    from sciml_data.bench import rescore as rescore_run

    place = find_place(home, runs, wait=wait, log=log)
    folder = run.folder if isinstance(run, Run) else find_run(place, os.fspath(run))
    found, sample = find_registry(registry), Sample.of(load_record(folder)["dataset"])
    return rescore_run(
        folder,
        found,
        stage=lambda task: stage(
            task, found, home=place, mirrors=mirrors, sample=sample, log=log or logger.info
        ),
    )


@dataclass(frozen=True)
class Board:
    """A board of runs.

    Attributes:
        content: rows, and what is left out.
    """

    content: BoardContent

    @property
    def rows(self) -> Sequence[Row]:
        """Return the rows in their order."""
        return self.content.rows

    def to_text(self, format: str = "text") -> str:  # noqa: A002 - as on the command line
        """Return the board as "text", "markdown", "csv", "json" or "html" (a complete page)."""
        from sciml_data.results.board import to_csv, to_html, to_json, to_markdown, to_text

        writers = {"text": to_text, "markdown": to_markdown, "csv": to_csv, "json": to_json}
        if format == "html":
            return to_html(self.rows, is_page=True)
        if format not in writers:
            known = [*writers, "html"]
            raise CallError(
                f"a board has no format {format!r}{nearest(format, known)}; its formats are "
                f"{', '.join(known)}"
            )
        return writers[format](self.rows)

    def to_frame(self) -> pd.DataFrame:
        """Return the rows of the CSV form as a table."""
        import io

        import pandas as pd

        return pd.read_csv(io.StringIO(self.to_text("csv")))

    def __repr__(self) -> str:
        """Return the board as text for a terminal."""
        return self.to_text()

    def _repr_html_(self) -> str:
        """Return the board for a notebook."""
        from sciml_data.results.board import to_html

        return to_html(self.rows, is_page=False)


def board(
    runs_or_folders: Sequence[PathLike | Run] = (),
    *,
    benchmark: str | None = None,
    registry: RegistryPath = None,
    home: HomePath = None,
    runs: PathLike | None = None,
) -> Board:
    """Return a board of all runs in the home, or of some runs, submissions and folders with them.

    Args:
        runs_or_folders: paths, names, ids or `Run`s; none is all runs of the home.
        benchmark: name; None shows all benchmarks.
        registry: registry folder, which has the published figures.
        home: of the runs.
        runs: folder of the runs.

    Raises:
        CallError: no such run.
        RecordError: all named runs are left out.
    """
    from sciml_data.results.submission import make_board

    names = [str(each.folder if isinstance(each, Run) else each) for each in runs_or_folders]
    place = find_place(home, runs)
    return Board(make_board(find_registry(registry), place, names, benchmark=benchmark))


def cite(
    dataset: str,
    style: str = "text",
    *,
    version: str | None = None,
    registry: RegistryPath = None,
) -> str:
    """Return how to cite a version of a dataset and this software: "text", "bibtex" or "cff".

    Examples:
        >>> sciml_data.cite("hydronet_ds1", "bibtex").splitlines()[0]
        '@misc{hydronet_ds1_1_0,'

    Raises:
        CallError: no such dataset, version or style.
    """
    from sciml_data.metadata import CITATIONS, facts_of, write_form

    if style not in CITATIONS:
        raise CallError(
            f"no style {style!r}{nearest(style, CITATIONS)}; the styles are {', '.join(CITATIONS)}"
        )
    facts = facts_of(describe(dataset, version=version, registry=registry))
    return write_form(facts, CITATIONS[style])


def export(  # noqa: PLR0913 - the first two are what and how, the rest are keywords
    what: PathLike | Run,
    form: str,
    *,
    to: PathLike | None = None,
    format: str | None = None,  # noqa: A002 - as on the command line
    version: str | None = None,
    org: str | None = None,
    with_predictions: bool = False,
    registry: RegistryPath = None,
    home: HomePath = None,
    runs: PathLike | None = None,
) -> str:
    """Return the description of a dataset, a benchmark or a run in a standard format.

    Args:
        what: id of a dataset; name of a benchmark; or a run: `Run`, path, name, id or `latest`.
        form: of a dataset: "croissant", "datacite", "schema.org", "rocrate" or "dcat". Of a run:
            "run-crate", "mlflow" (these two need `to`), "every-eval-ever", "catalogue",
            "croissant-task" or "spdx". Of a benchmark: "croissant-task", "catalogue" or "formal".
            An installed package may offer other forms; such an export of a run needs a `Run`.
        to: file, folder or URI to write to; None only returns the text.
        format: of a dataset's form, such as "xml".
        version: of the dataset; None is the newest.
        org: organisation that made the run.
        with_predictions: include the run's predictions.
        registry: registry folder.
        home: of the run.
        runs: folder of the runs.

    Returns:
        The text, or the name of the target that was written.

    Raises:
        CallError: no such dataset, run, form or target.
        RecordError: the run cannot be exported in this form.
    """
    from sciml_data.metadata import FORMS
    from sciml_data.results.exports import RUN_FORMS, ExportRequest, export_run, load_export

    target = None if to is None else os.fspath(to)
    known = find_registry(registry)
    if not isinstance(what, Run) and (text := _benchmark_text(os.fspath(what), form, known)):
        return _written(text, target)
    module = load_export(form)
    if form in RUN_FORMS or (isinstance(what, Run) and module is not None):
        run = what if isinstance(what, Run) else load_run(what, home=home, runs=runs)
        request = ExportRequest(
            run.folder,
            run.record,
            known,
            to=target,
            org=org,
            with_predictions=with_predictions,
        )
        text = export_run(form, request)
        is_written = form in RUN_FORMS and RUN_FORMS[form].writes_target
        return text if is_written else _written(text, target)
    if form not in FORMS and not hasattr(module, "export_dataset"):
        forms = [*FORMS, *RUN_FORMS]
        raise CallError(
            f"no such format: {form!r}{nearest(form, forms)}; known formats: {', '.join(forms)}",
            untouched="nothing was written",
        )
    if isinstance(what, Run):
        raise CallError(f"{form} describes datasets, not runs", untouched="nothing was written")
    descriptor = describe(os.fspath(what), version=version, registry=registry)
    return _written(_describe(descriptor, form, format, module), target)


def _benchmark_text(name: str, form: str, registry: Registry) -> str | None:
    """Return a benchmark in a form of benchmarks; None if there is no such benchmark or form."""
    from sciml_data.bench import load_task
    from sciml_data.results.exports import BENCHMARK_FORMS, BenchmarkRequest, export_benchmark

    if form not in BENCHMARK_FORMS or name not in registry.benchmarks():
        return None
    return export_benchmark(form, BenchmarkRequest(load_task(registry.runner(name)), registry))


def _describe(descriptor: Descriptor, form: str, format_: str | None, module: Any) -> str:
    """Return a description; `module` is that of an installed export, or None."""
    from sciml_data.metadata import facts_of, find_form, write_form
    from sciml_data.results.exports import as_text

    facts = facts_of(descriptor)
    if module is not None:
        return as_text(form, module.export_dataset(facts))
    return write_form(facts, find_form(form, format_))


def _written(text: str, target: str | None) -> str:
    """Return a text after it is written to a file, if there is one: then the file's name."""
    if target is None:
        return text
    from sciml_data.home import write_atomically

    write_atomically(Path(target), text)
    return target


def find_place(
    home: HomePath, runs: PathLike | None, *, wait: bool | None = None, log: Log | None = None
) -> Home:
    """Return the home with the folder of its runs."""
    return find_home(home, runs=None if runs is None else Path(runs), wait=wait, log=log)
