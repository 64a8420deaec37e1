"""The row of a board: one metric of one model on one part of one split, and what it rests on.

None means not known or not measured, everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sciml_data.registry.layout import version_key
from sciml_data.results.board.measured import Energy

MEASURED = "measured"
PUBLISHED = "published"
NOT_RESCORED = "published, not rescored"


@dataclass(frozen=True)
class DataOf:
    """What was scored: part `part` of split `split` of a dataset version.

    The digests are of the native files' manifest and of the split's members. `is_headline` is
    whether the split ranks the benchmark. `words` is what a publication says of its data.
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
class MetricOf:
    """Which number: `key` as in task.toml, None where no task has what a publication measured.

    `is_headline` is whether the benchmark ranks by it.
    """

    key: str | None
    name: str
    version: str | None
    unit: str | None
    lower_is_better: bool | None
    is_headline: bool


@dataclass(frozen=True)
class ScoreOf:
    """The score over `runs` runs, of which `misses` gave none and count as the worst.

    `std`, `minimum` and `maximum` are of the values that there are. `best_of` is 1 where there is
    one run, which is the best of one; of a published figure, of how many it is the best.
    """

    runs: int | None
    misses: int | None
    best_of: int | None
    median: float | None
    olympic_mean: float | None = None
    std: float | None = None
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class TargetOf:
    """A published target: by how many runs and by which baselines it is reached.

    `seconds` is the median time to train, where a run that missed counts as endless.
    """

    value: float
    comparison: str
    source: str
    reached: int
    missed: int
    seconds: float | None
    reached_by_baselines: tuple[str, ...]


@dataclass(frozen=True)
class BaselineOf:
    """The best baseline on the same part, and whether the median is better than it."""

    name: str
    score: float
    is_beaten: bool | None


@dataclass(frozen=True)
class CostsOf:
    """Medians of a run; a remark says why there is none, or what it leaves out."""

    time_to_train_s: float | None
    time_remark: str | None
    train_samples_per_s: float | None
    speed_remark: str | None
    energy: Energy


@dataclass(frozen=True)
class MadeBy:
    """Model, machine, code and runs; `commit` None where there is none or runs differ.

    `submitter` is the organisation that a submission names.
    """

    model: str
    parameters: int | None
    system: str | None
    commit: str | None
    is_dirty: bool | None
    submitter: str | None
    seeds: tuple[int, ...] = ()
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedAs:
    """Where a figure of others stands, what exactly was reported, and why it has no rank."""

    source: str
    url: str | None
    reported: str
    not_comparable: str


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        kind: `measured` (from records) or `published` (of others, not scored again).
        benchmark: its name; `variant` which of its tasks, None where there is one.
        data: what was scored.
        metric: which number.
        score: the number, over runs; None where a publication reports only a cost.
        targets: published targets for this metric, part and split.
        baseline: the best one; None where there is none.
        costs: time, speed, energy.
        made_by: model, machine, code, runs, submitter.
        state: unchecked, self_checked, rescored, reproduced: the least of the runs'.
        rank: among `ranked` comparable rows, the best is 1; None where nothing is ranked.
        remarks: what a reader has to know besides.
        published: None where the row is measured.
    """

    kind: str
    benchmark: str
    variant: str | None
    data: DataOf
    metric: MetricOf
    score: ScoreOf | None
    targets: tuple[TargetOf, ...]
    baseline: BaselineOf | None
    costs: CostsOf
    made_by: MadeBy
    state: str
    rank: int | None = None
    ranked: int | None = None
    remarks: tuple[str, ...] = ()
    published: PublishedAs | None = None

    @property
    def comparable(self) -> tuple[object, ...]:
        """Return what two rows share that may be ranked beside each other."""
        data, metric = self.data, self.metric
        return (
            *(self.benchmark, self.variant, data.dataset, data.version, data.manifest_digest),
            *(data.split, data.members_digest, data.part, metric.key, metric.version),
        )

    @property
    def order(self) -> tuple[object, ...]:
        """Return a key that puts rows in the order of a board; published ones keep their own."""
        place = (self.benchmark, self.variant or "", self.kind == PUBLISHED)
        if self.kind == PUBLISHED:
            return place
        data, metric, last = self.data, self.metric, float("inf")
        return (
            *(*place, data.is_synthetic, data.dataset or "", version_key(data.version or "")),
            *(not data.is_headline, data.split or "", not metric.is_headline),
            *(_natural(metric.key or ""), data.part or "", data.members_digest or ""),
            *(data.manifest_digest or "", last if self.rank is None else self.rank),
            *(self.made_by.model, self.made_by.submitter or "", self.made_by.run_ids),
        )


def _natural(text: str) -> tuple[str | int, ...]:
    """Return a sort key by which w2 comes before w13: words and numbers take turns."""
    return tuple(int(one) if one.isdigit() else one for one in re.split(r"(\d+)", text))
