"""The fields of a row of a board: what a number depends on, and what it may be compared with.

A row is one metric of one model on one part of one split. In every field, None means unknown or
not measured. The names of the fields are the keys in JSON and CSV.
"""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.results.board.summary import Energy

MEASURED = "measured"
PUBLISHED = "published"
NOT_RESCORED = "published, not rescored"


@dataclass(frozen=True)
class ScoredData:
    """The data that were scored: one part of one split of a dataset version.

    Attributes:
        dataset, version: as in the registry.
        manifest_digest: of the native files' manifest.
        is_synthetic: whether the data are a generated sample.
        split: name of the split.
        members_digest: of the split's members.
        is_headline: whether the benchmark ranks by this split.
        part: name of the part, such as `test`.
        words: how a publication describes its data; None for measured rows.
    """

    dataset: str | None
    version: str | None
    manifest_digest: str | None
    is_synthetic: bool
    split: str | None
    members_digest: str | None
    is_headline: bool
    part: str | None
    words: str | None = None


@dataclass(frozen=True)
class RowMetric:
    """The metric of a row.

    Attributes:
        key: as in task.toml; None if no task defines what a publication measured.
        name, version, unit: of the metric's definition.
        lower_is_better: direction.
        is_headline: whether the benchmark ranks by this metric.
    """

    key: str | None
    name: str
    version: str | None
    unit: str | None
    lower_is_better: bool | None
    is_headline: bool


@dataclass(frozen=True)
class RowScore:
    """The score over several runs.

    Attributes:
        runs: number of runs.
        misses: runs without a score; each counts as the worst.
        best_of: 1 for a single run; for a published figure, the number of runs it is the best of.
        median: over all runs, misses included.
        olympic_mean: mean without the best and the worst run.
        std, minimum, maximum: of the runs that have a score.
        lower, upper: ends of the 95 % interval of the mean of the runs, by the units of the part.
    """

    runs: int | None
    misses: int | None
    best_of: int | None
    median: float | None
    olympic_mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class RowTarget:
    """A published target, with the number of runs and the names of the baselines that reach it.

    `seconds` is the median time to train; a run that missed the target counts as endless.
    """

    value: float
    comparison: str
    source: str
    reached: int
    missed: int
    seconds: float | None
    reached_by_baselines: tuple[str, ...]


@dataclass(frozen=True)
class RowBaseline:
    """The best baseline on the same part, and whether the median of the runs is better.

    `verdict` is "better", "worse" or "no difference shown", of the mean of the runs by a paired
    interval; None if the records have none.
    """

    name: str
    score: float
    is_beaten: bool | None
    verdict: str | None = None


@dataclass(frozen=True)
class RowCosts:
    """Medians over the runs. A remark says why a value is missing, or which runs it leaves out.

    `other_load` is the share of the computer's processor time that other programs used during the
    runs: with much of it, a time says little.
    """

    time_to_train_s: float | None
    time_remark: str | None
    train_samples_per_s: float | None
    speed_remark: str | None
    energy: Energy
    other_load: float | None = None


@dataclass(frozen=True)
class Provenance:
    """Model, machine, code and runs behind a row.

    Attributes:
        model: its name.
        parameters: number of trainable parameters.
        system: processor and accelerator; None if the runs used several machines.
        commit: of the code; None if there is none or the runs differ.
        is_dirty: whether the code had uncommitted changes.
        registry: name of the registry of the runner; None for the built-in one.
        settings: `key=value` of each setting that the caller has overridden.
        runner_digest: of the files of the benchmark.
        mark: letter of the digest, if comparable rows have several.
        submitter: organisation that a submission names.
        seeds, run_ids: of the runs, in the same order.
    """

    model: str
    parameters: int | None
    system: str | None
    commit: str | None
    is_dirty: bool | None
    submitter: str | None
    registry: str | None = None
    settings: tuple[str, ...] = ()
    runner_digest: str | None = None
    mark: str | None = None
    seeds: tuple[int, ...] = ()
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """Source of a published figure, the value exactly as reported, and why it has no rank."""

    source: str
    url: str | None
    reported: str
    not_comparable: str


@dataclass(frozen=True)
class Row:
    """One row of a board.

    Attributes:
        kind: `measured` (made from records) or `published` (reported by others, not rescored).
        benchmark: its name.
        variant: task of the benchmark; None for a benchmark with a single task.
        data: the data that were scored.
        metric: the metric.
        score: over the runs; None if a publication reports a cost without a score.
        targets: published targets for this metric, part and split.
        baseline: the best baseline; None if the run has no baselines.
        costs: time, speed and energy.
        made_by: model, machine, code, runs and submitter.
        state: `unchecked`, `self_checked`, `rescored` or `reproduced`: the lowest of the runs.
        rank: among `ranked` comparable rows, 1 is the best; None if the row is not ranked.
        ranked: number of comparable rows.
        tied: first and last rank of the rows from which this one is not shown to differ; None if it
            is not tied, or records have no intervals.
        remarks: what else a reader has to know, such as runs that were left out.
        published: the publication; None for measured rows.
    """

    kind: str
    benchmark: str
    variant: str | None
    data: ScoredData
    metric: RowMetric
    score: RowScore | None
    targets: tuple[RowTarget, ...]
    baseline: RowBaseline | None
    costs: RowCosts
    made_by: Provenance
    state: str
    rank: int | None = None
    ranked: int | None = None
    tied: tuple[int, int] | None = None
    remarks: tuple[str, ...] = ()
    published: Publication | None = None
