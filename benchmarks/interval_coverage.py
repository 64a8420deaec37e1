"""Coverage of the 95 % intervals: how often they contain the true score, by simulation.

Test parts are drawn again and again from a population with a known score, with units that differ
from each other as cell lines, materials, orbits and half-years do. For each part this script
computes the product's interval (`scoring/intervals.py`), and for comparison a percentile bootstrap
and SciPy's BCa bootstrap of the same units. The goal is 93 to 97 %.

    python benchmarks/interval_coverage.py             # 1,000 parts of each kind, about 10 minutes
    python benchmarks/interval_coverage.py --parts 200

`above` and `below` are the shares of intervals that are wholly above or below the true score.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.intervals import Replicates, Sampling, compare, interval

BOOTSTRAP = 999  # resamples
Doubles: TypeAlias = npt.NDArray[np.float64]
Score: TypeAlias = Callable[[Doubles], Any]  # of sums (..., statistic)


@dataclass(frozen=True)
class Case:
    """A kind of score.

    Attributes:
        name: for the table.
        draw: returns the sums of each unit of a new part: (unit, statistic).
        score: from sums over units; leading axes stay.
        truth: of the population.
        bounds: of the metric.
        is_serial: whether units are blocks of time.
        other: score of another predictor, for a paired comparison; None for a score alone.
    """

    name: str
    draw: Callable[[], Doubles]
    score: Score
    truth: float
    bounds: tuple[float | None, float | None] = (None, None)
    is_serial: bool = False
    other: Score | None = None


def ends_of(case: Case, sums: Doubles) -> tuple[float, float] | None:
    """Return the product's interval, of the score or of the paired difference."""
    units = len(sums)
    sampling = Sampling({"unit": units}, {"unit": units}, "", is_serial=case.is_serial)
    total = sums.sum(axis=0)

    def replicates(score: Score) -> Replicates:
        return Replicates.of([score(total - sums)], sampling)

    low, high = case.bounds
    own = float(case.score(total))
    if case.other is None:
        return interval(own, replicates(case.score), minimum=low, maximum=high)
    pair = float(case.other(total)), replicates(case.other)
    outcome = compare(own, replicates(case.score), *pair, lower_is_better=True)
    return None if outcome is None else (outcome.lower, outcome.upper)


def bootstrap_ends(
    case: Case, sums: Doubles, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return the ends of SciPy's bootstrap intervals of the same units."""
    from scipy import stats

    def statistic(places: npt.NDArray[np.intp], axis: int = -1) -> Any:
        total = sums[np.moveaxis(places, axis, -1)].sum(axis=-2)
        value = case.score(total)
        return value if case.other is None else value - case.other(total)

    ends = {}
    for method in ("percentile", "BCa"):
        result = stats.bootstrap(
            (np.arange(len(sums)),), statistic, n_resamples=BOOTSTRAP, method=method, rng=rng,
            vectorized=True, batch=100,
        )  # fmt: skip
        ends[method] = (result.confidence_interval.low, result.confidence_interval.high)
    return ends


# Scores from sums


def ratio(sums: Doubles) -> Any:
    """Return the mean of values: sum / count."""
    return sums[..., 0] / sums[..., 1]


def r2(sums: Doubles) -> Any:
    """Return R2 of (count, sum of y, sum of y^2, sum of squared errors)."""
    count, total, squares, errors = np.moveaxis(sums, -1, 0)
    return 1 - errors / (squares - total**2 / count)


def macro_f1(sums: Doubles) -> Any:
    """Return the mean F1 of the classes with a sample, of (hits, samples, predictions) x class."""
    hits, samples, predicted = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    has_any = samples > 0
    f1 = np.where(has_any, 2 * hits / np.maximum(samples + predicted, 1), 0)
    return f1.sum(axis=-1) / has_any.sum(axis=-1)


def nnse_mean(sums: Doubles, error: int = 3) -> Any:
    """Return the mean NNSE of series, of (count, sum, squares, errors, other errors) x series."""
    parts = np.moveaxis(sums.reshape(*sums.shape[:-1], 5, -1), -2, 0)
    variation = parts[2] - parts[1] ** 2 / parts[0]
    return (variation / (variation + parts[error])).mean(axis=-1)


# Parts


def cells(rng: np.random.Generator, count: int, rows: int = 23) -> Doubles:
    """Return (squared errors, rows, squared errors of another model) of cells unlike each other."""
    sizes, levels = rng.poisson(rows, count) + 1, rng.lognormal(0.0, 0.6, count)
    sums = []
    for size, level in zip(sizes, levels, strict=True):
        error = rng.normal(0.0, np.sqrt(level), size)
        other = error + rng.normal(0.0, 0.4, size) + rng.normal(0.0, 0.3)
        sums.append(((error**2).sum(), size, (other**2).sum()))
    return np.array(sums)


def cells_with_effects(rng: np.random.Generator, count: int, rows: int = 23) -> Doubles:
    """Return the sums of `r2`: responses of a cell share an effect that a model knows in part."""
    sums = []
    for size in rng.poisson(rows, count) + 1:
        effect = rng.normal(0.0, 0.5)
        y = effect + rng.normal(0.0, 1.0, size)
        error = rng.normal(0.0, 0.5, size) * rng.lognormal(0.0, 0.4) + 0.3 * effect
        sums.append((size, y.sum(), (y**2).sum(), (error**2).sum()))
    return np.array(sums)


def orbits(rng: np.random.Generator, count: int) -> Doubles:
    """Return (pixels that are right, pixels) of orbits of one to six scenes."""
    sums = []
    for scenes in rng.integers(1, 7, count):
        share, pixels = rng.beta(12.0, 1.2), rng.uniform(0.3, 1.0, scenes)
        shares = np.clip(share + rng.normal(0.0, 0.02, scenes), 0.0, 1.0)
        sums.append(((shares * pixels).sum(), pixels.sum()))
    return np.array(sums)


@dataclass(frozen=True)
class Materials:
    """Materials of classes of different difficulty, each with several patterns that resemble."""

    counts: npt.NDArray[np.int64]  # materials of each class
    patterns: int
    difficulty: Doubles
    confusion: Doubles  # (class, class) shares of the wrong predictions

    @classmethod
    def of(cls, counts: Any, patterns: int = 6) -> Materials:
        """Return a population with these numbers of materials in each class of a part."""
        rng, classes = np.random.default_rng(1), len(counts)
        difficulty = rng.beta(2.0, 1.5, classes)
        confusion = rng.dirichlet(np.full(classes, 0.3), classes)
        np.fill_diagonal(confusion, 0.0)
        shares = confusion / confusion.sum(axis=1, keepdims=True)
        return cls(np.asarray(counts), patterns, difficulty, shares)

    def draw(self, rng: np.random.Generator, times: int = 1) -> Doubles:
        """Return the sums of `macro_f1` of each material."""
        classes = np.repeat(np.arange(len(self.counts)), self.counts * times)
        sums = np.zeros((len(classes), 3, len(self.counts)))
        for unit, name in enumerate(classes):
            known = self.difficulty[name]
            share = rng.beta(2 * known + 0.05, 2 * (1 - known) + 0.05)
            right = rng.binomial(self.patterns, share)
            wrong = rng.multinomial(self.patterns - right, self.confusion[name])
            sums[unit, 0, name], sums[unit, 1, name] = right, self.patterns
            sums[unit, 2] = wrong
            sums[unit, 2, name] += right
        return sums.reshape(len(classes), -1)

    def truth(self) -> float:
        """Return the score of a part with 500 times as many materials."""
        return float(macro_f1(self.draw(np.random.default_rng(2), 500).sum(axis=0)))


def fortnights(
    rng: np.random.Generator, *, window: int, memory: float, blocks: int = 10
) -> Doubles:
    """Return the sums of `nnse_mean` of half-years of 13 fortnights, of 30 series.

    Args:
        rng: of the part.
        window: fortnights of each forecast, so neighbouring targets overlap.
        memory: correlation of one fortnight with the next, of what all series share.
        blocks: number of half-years.
    """
    series, length = 30, 13 * blocks + window
    own, common = (
        _autoregressive(rng, (series,), length, 0.5),
        _autoregressive(rng, (), length, memory),
    )
    values = own + 0.5 * common
    sums = np.concatenate([np.zeros((series, 1)), values.cumsum(axis=1)], axis=1)
    ahead = ((sums[:, window:] - sums[:, :-window]) / window)[:, 1 : 13 * blocks + 1]
    forecast = 0.6 * values[:, : 13 * blocks]
    parts = (np.ones_like(ahead), ahead, ahead**2, (ahead - forecast) ** 2, ahead**2)
    of_blocks = [each.reshape(series, blocks, 13).sum(axis=-1).T for each in parts]
    return np.stack(of_blocks, axis=1).reshape(blocks, -1)


def _autoregressive(
    rng: np.random.Generator, shape: tuple[int, ...], length: int, memory: float
) -> Doubles:
    noise = rng.normal(size=(*shape, length + 100))
    values = np.zeros_like(noise)
    for time in range(1, noise.shape[-1]):
        values[..., time] = (
            memory * values[..., time - 1] + np.sqrt(1 - memory**2) * noise[..., time]
        )
    return values[..., 100:]


def cases(rng: np.random.Generator, parts: int) -> Iterator[Case]:
    """Yield the kinds of headline scores, and paired comparisons."""
    many = cells(rng, 100_000).sum(axis=0)
    for count in (5, 10, 20, 39):
        name, draw = f"mse, {count} cells", lambda count=count: cells(rng, count)
        yield Case(name, draw, ratio, ratio(many), (0.0, None))
    other: Score = lambda sums: sums[..., 2] / sums[..., 1]  # noqa: E731 - one line is enough
    for count in (5, 10, 39):
        name, draw = f"difference of mse, {count} cells", lambda count=count: cells(rng, count)
        yield Case(name, draw, ratio, ratio(many) - other(many), other=other)
    truth = float(r2(cells_with_effects(rng, 100_000).sum(axis=0)))
    for count in (5, 10, 39):
        draw = lambda count=count: cells_with_effects(rng, count)  # noqa: E731 - as above
        yield Case(f"R2, {count} cells", draw, r2, truth, (None, 1.0))
    truth = float(ratio(orbits(rng, 100_000).sum(axis=0)))
    for count in (5, 8, 15, 30):
        draw = lambda count=count: orbits(rng, count)  # noqa: E731 - as above
        yield Case(f"accuracy, {count} orbits", draw, ratio, truth, (0.0, 1.0))
    mixed = np.random.default_rng(3).integers(1, 6, 30)
    for label, counts in (
        ("16 classes x 1", np.ones(16, int)),
        ("20 classes x 2", np.full(20, 2)),
        ("20 classes x 3", np.full(20, 3)),
        ("30 classes x 1 to 5", mixed),
        ("12 classes x 10", np.full(12, 10)),
    ):
        population = Materials.of(counts)
        draw = lambda population=population: population.draw(rng)  # noqa: E731 - as above
        yield Case(f"macro-F1, materials: {label}", draw, macro_f1, population.truth(), (0.0, 1.0))
    for memory in (0.5, 0.9):
        for window in (1, 13, 26):
            yield from _forecasts(rng, parts, window, memory)


def _forecasts(rng: np.random.Generator, parts: int, window: int, memory: float) -> Iterator[Case]:
    """Yield NNSE and its difference from a constant forecast, 0.

    The truth is the mean over parts of the same length: the variation about the mean of five years
    is less than that about the mean of a century.
    """

    def draw() -> Doubles:
        return fortnights(rng, window=window, memory=memory)

    constant: Score = lambda sums: nnse_mean(sums, 4)  # noqa: E731 - as above
    totals = np.array([draw().sum(axis=0) for _ in range(max(parts, 300))])
    truth, of_constant = float(nnse_mean(totals).mean()), float(constant(totals).mean())
    name = f"NNSE, 10 half-years, window {window}, memory {memory}"
    yield Case(name, draw, nnse_mean, truth, (0.0, 1.0), is_serial=True)
    difference = truth - of_constant
    yield Case(f"difference of {name}", draw, nnse_mean, difference, is_serial=True, other=constant)


def run() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=1000, help="parts that are drawn of each kind")
    parser.add_argument("--bootstrap", type=int, default=300, help="of these, with bootstraps")
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    print("| score | covered | above | below | percentile bootstrap | BCa | median width |")
    print("|---|---|---|---|---|---|---|")
    for case in cases(rng, chosen.parts):
        drawn = [case.draw() for _ in range(chosen.parts)]
        ends = [pair for sums in drawn if (pair := ends_of(case, sums))]
        low, high = np.array(ends).T
        covered = 100 * np.mean((low <= case.truth) & (case.truth <= high))
        missed = [100 * np.mean(low > case.truth), 100 * np.mean(high < case.truth)]
        of_methods: dict[str, list[bool]] = {}
        for sums in drawn[: chosen.bootstrap]:
            for method, (lower, upper) in bootstrap_ends(case, sums, rng).items():
                of_methods.setdefault(method, []).append(bool(lower <= case.truth <= upper))
        others = " | ".join(f"{100 * np.mean(hits):.0f} %" for hits in of_methods.values())
        sides = " | ".join(f"{share:.1f} %" for share in missed)
        print(
            f"| {case.name} | {covered:.1f} % | {sides} | {others} | {np.median(high - low):.3g} |",
            flush=True,
        )


if __name__ == "__main__":
    run()
