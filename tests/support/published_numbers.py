"""A second reader of pages of results: computes each printed number from the JSON of the records.

It shares no code with `sciml_data.results.pages`, so a fault there cannot hide itself.
"""

from __future__ import annotations

import json
import re
import statistics
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = re.compile(r"<!-- (table|value|fact) *(.*?)-->(.*?)<!-- end -->", re.DOTALL)
LABELS = re.compile(r"<!-- labels\b(.*?)-->", re.DOTALL)
TRIVIAL = re.compile(r"<!-- trivial\b(.*?)-->", re.DOTALL)
RANGE = re.compile(r"(\S+) to (\S+)")
DIFFERENCE = re.compile(r"(\S+) \((\S+) to (\S+)\)")
PLACE = {"set", "part", "metric", "against"}
ENDS = ("95 % interval", "seeds, least to most", "difference, 95 % interval")


class Reader:
    """Reads one page and the folder of records; `count` is the number of checked numbers."""

    def __init__(self, page: Path, results: Path, registry: Path) -> None:
        self.results, self.registry, self.count = results, registry, 0
        self.text = page.read_text(encoding="utf-8")
        self.labels: dict[str, str] = {}
        self.outcomes: list[str] = []
        self._records: dict[str, list[Any]] = {}  # a set is read once for all its numbers
        for block in LABELS.findall(self.text):
            self.labels |= tomllib.loads(block)
        self.trivial: dict[str, list[str]] = {}
        for block in TRIVIAL.findall(self.text):
            self.trivial |= tomllib.loads(block)

    def check(self) -> int:
        """Check every number of the page, and return how many there are.

        Raises:
            AssertionError: a number, name or verdict is not that of the records.
        """
        for kind, words, made in BLOCK.findall(self.text):
            if kind == "table":
                self._table(tomllib.loads(words), made)
            elif kind == "value":
                self._value(words.split(), made)
            else:
                self._fact(words.strip(), made)
        for said in re.findall(r"<!-- tally *-->(.*?)<!-- end -->", self.text, re.DOTALL):
            kinds = ("better", "no difference shown", "worse", "no interval", "not measured")
            counted = {
                kind.replace("no interval", "without an interval"): number
                for kind in kinds
                if (number := sum(result.endswith(kind) for result in self.outcomes))
            }
            assert said == ", ".join(f"{count} {word}" for word, count in counted.items())
        return self.count

    # What the records say

    def records(self, name: str) -> list[Any]:
        if name not in self._records:
            paths = (self.results / name).glob("record-*.json")
            ordered = sorted(paths, key=lambda path: int(path.stem.partition("-")[2]))
            self._records[name] = [json.loads(path.read_text()) for path in ordered]
        return self._records[name]

    def rows(self, name: str, part: str, metric: str) -> list[Any]:
        return [
            row
            for record in self.records(name)
            for row in record["metrics"]
            if row["part"] == part and metric == key_of(row)
        ]

    def _is_scored(self, name: str, part: str, metric: str) -> bool:
        return bool(self.rows(name, part, metric))

    def median(self, name: str, part: str, metric: str, who: str = "") -> float | None:
        rows = self.rows(name, part, metric)
        values = [row["baselines"].get(who) if who else row["score"] for row in rows]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def is_lower_better(self, name: str, metric: str) -> bool:
        (block,) = (
            block
            for block in self.records(name)[0]["metric_definitions"]
            if block["metric_id"] == metric.partition(".")[0]
        )
        return bool(block["lower_is_better"])

    def trivial_in(self, metric: str) -> list[str]:
        return self.trivial.get(metric) or self.trivial.get(metric.partition(".")[0]) or []

    def best(self, name: str, part: str, metric: str, only: Sequence[str] | None) -> Any:
        names = {who for row in self.rows(name, part, metric) for who in row["baselines"]}
        known = [
            (value, who)
            for who in names
            if (only is None or who in only)
            and who not in self.trivial_in(metric)
            and (value := self.median(name, part, metric, who)) is not None
        ]
        sign = 1 if self.is_lower_better(name, metric) else -1
        return min(known, key=lambda pair: (sign * pair[0], pair[1]), default=(None, ""))

    def middle(self, name: str, part: str, metric: str) -> Any:
        """Return the row of the run with the median score."""
        median = self.median(name, part, metric)
        rows = [row for row in self.rows(name, part, metric) if row["score"] is not None]
        return min(rows, key=lambda row: abs(row["score"] - median), default={})

    def pooled(self, name: str, part: str, metric: str, who: str = "model") -> Any:
        """Return mean score, mean replicates, and the sampling of runs that all have replicates."""
        rows = self.rows(name, part, metric)
        blocks = [row.get("replicates") for row in rows]
        if not rows or not all(block and who in block["scores"] for block in blocks):
            return None
        known = [row["score"] if who == "model" else row["baselines"][who] for row in rows]
        values = np.mean([block["scores"][who] for block in blocks], axis=0)
        serial = self.records(name)[0]["resampling"]["parts"][part]["is_serial"]
        return statistics.fmean(known), values, blocks[0]["groups"], blocks[0]["t"], serial

    def interval(self, name: str, part: str, metric: str) -> list[float] | None:
        if found := self.pooled(name, part, metric):
            mean, values, *sampling = found
            (block,) = (
                block
                for block in self.records(name)[0]["metric_definitions"]
                if block["metric_id"] == metric.partition(".")[0]
            )
            return jackknife_ends(mean, values, sampling, block["min_score"], block["max_score"])
        ends = self.middle(name, part, metric).get("interval")
        return [ends["lower"], ends["upper"]] if ends else None

    def outcome(self, place: Any, only: Any, against: str = "") -> tuple[list[float] | None, str]:
        """Return difference with its ends, and verdict; `place` is a set, part, metric."""
        name, part, metric = place
        score, who = self.best(name, part, metric, only)
        score = self.median(against, part, metric) if against else score
        if score is None:
            return None, "-"
        sign = -1 if self.is_lower_better(name, metric) else 1
        ours = self.pooled(name, part, metric)
        theirs = self.pooled(against or name, part, metric, "model" if against else who)
        if ours and theirs:
            difference = ours[0] - theirs[0]
            reach = margin(ours[1] - theirs[1], ours[2:])
            ends = [difference, difference - reach, difference + reach]
            word = "better" if sign * difference > 0 else "worse"
            return ends, "no difference shown" if ends[1] <= 0 <= ends[2] else word
        rows = self.rows(name, part, metric)
        key = "" if against else who
        block = self.middle(name, part, metric).get("comparisons", {}).get(key)
        ends_of_one = [block[end] for end in ("difference", "lower", "upper")] if block else None
        paired = [row.get("comparisons", {}).get(key, {}).get("verdict") for row in rows]
        if all(paired):
            return ends_of_one, paired[0] if len(set(paired)) == 1 else "no difference shown"
        ahead = sum(sign * (row["score"] - score) > 0 for row in rows)
        seeds = "1 seed" if len(rows) == 1 else f"{len(rows)} seeds"
        every = "" if len(rows) == 1 else "all "
        behind = sum(sign * (row["score"] - score) < 0 for row in rows)
        words = {(len(rows), 0): "ahead", (0, len(rows)): "behind", (0, 0): "equal"}
        found = words.get((ahead, behind))
        said = f"{found} with {every}{seeds}" if found else f"ahead with {ahead} of {seeds}"
        return ends_of_one, f"{said}, no interval"

    # What the page says

    def _table(self, wanted: dict[str, Any], made: str) -> None:
        lines = [line for line in made.splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        labels = {**self.labels, **wanted.get("labels", {})}
        if "script" in wanted:
            self._script(wanted["script"], cells, labels, made)
        elif wanted.get("kind") == "comparison":
            self._comparison(wanted, cells, labels)
        else:
            self._scores(wanted, cells, labels)
        self._origin(wanted, made)

    def _sets(self, wanted: Mapping[str, Any]) -> list[str]:
        sets = wanted.get("sets", {})
        names = list(sets.values() if isinstance(sets, dict) else sets)
        for row in wanted.get("rows", []):
            of_row = [row[key] for key in ("set", "against") if key in row]
            if all(self._is_scored(name, row["part"], row["metric"]) for name in of_row):
                names += of_row
        return [name for name in dict.fromkeys(names) if name and (self.results / name).is_dir()]

    def _origin(self, wanted: Mapping[str, Any], made: str) -> None:
        for name in self._sets(wanted):
            for record in self.records(name):
                data = record["dataset"]
                for fact in (
                    f"`{name}`",
                    record["code"]["commit"][:8],
                    record["timing"]["start_time"][:10],
                    data["manifest_digest"][:19],
                    record["software"]["python_version"],
                    f"sciml-data run {record['benchmark']['name']} ",
                ):
                    assert fact in made or record.get("training") == "external", (name, fact)

    def _scores(self, wanted: dict[str, Any], cells: list[list[str]], labels: Any) -> None:
        sets = self._sets(wanted)
        if not any(list(self._places(name, wanted)) for name in sets):
            assert cells == [], "no records, no table"
            return
        places = list(dict.fromkeys(p for name in sets for p in self._places(name, wanted)))
        assert len(cells) == len(places) + 2, "a row for each metric"
        head = cells[0][1 + len(sets) :]
        for (part, metric), row in zip(places, cells[2:], strict=True):
            assert row[0].endswith(label(labels, metric))
            for name, cell in zip(sets, row[1:], strict=False):
                self._same(cell, self.median(name, part, metric))
            is_fact = self._bold(row[1:], (sets, part, metric), wanted)
            for title, cell in zip(head, row[1 + len(sets) :], strict=True):
                if title == "than the best baseline" and is_fact:
                    assert cell == "-", "nothing is better than an equal value"
                else:
                    self._cell(title, cell, (sets, part, metric), wanted, labels)

    def _bold(self, cells: list[str], place: tuple[list[str], str, str], wanted: Any) -> bool:
        """Check which cells are bold, and return whether all scores of the row are equal."""
        sets, part, metric = place
        own = [self.median(name, part, metric) for name in sets]
        names = {
            who
            for name in sets
            for row in self.rows(name, part, metric)
            for who in row["baselines"]
        }
        named = [
            (
                who,
                next(
                    (v for s in sets if (v := self.median(s, part, metric, who)) is not None), None
                ),
            )
            for who in names & set(wanted.get("baselines") or names)
        ]
        known = [v for v in [*own, *(v for _, v in named)] if v is not None]
        is_fact = len(known) > 2 and len(set(known)) == 1
        rivals = [v for who, v in named if who not in self.trivial_in(metric)]
        counted = [v for v in [*own, *rivals] if v is not None]
        lowest = self.is_lower_better(sets[0], metric)
        best = (min if lowest else max)(counted, default=None)
        bold = [cell.strip("*") for cell in cells if cell.startswith("**")]
        assert len(bold) == (0 if is_fact or best is None else counted.count(best)), place
        for cell in bold:
            assert best is not None
            assert is_rounded(cell, best), place
        return is_fact

    def _places(self, name: str, wanted: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        known = [(row["part"], key_of(row)) for r in self.records(name) for row in r["metrics"]]
        for part in wanted.get("parts", ["test"]):
            for pattern in wanted.get("metrics", ["*"]):
                expression = re.escape(pattern).replace(r"\*", ".*") + "$"
                yield from (p for p in known if p[0] == part and re.match(expression, p[1]))

    def _cell(
        self, title: str, cell: str, place: tuple[list[str], str, str], wanted: Any, labels: Any
    ) -> None:
        """Check a cell beside the scores of models; `place` is sets, part, metric."""
        (name, *_), part, metric = place
        only = wanted.get("baselines")
        if title == "than the best baseline":
            assert cell == self.outcome((name, part, metric), only)[1], (place, cell)
        elif title in ENDS:
            self._ends(title, cell, (name, part, metric))
        elif title.startswith("published "):
            self._published(title.removeprefix("published "), cell, place)
        else:
            (who,) = {
                who
                for other in place[0]
                for row in self.rows(other, part, metric)
                for who in row["baselines"]
                if label(labels, who) == title
            }
            values = (self.median(other, part, metric, who) for other in place[0])
            self._same(cell, next((value for value in values if value is not None), None))

    def _ends(self, title: str, cell: str, place: Any, of_difference: Any = None) -> None:
        if title == "seeds, least to most":
            scores = [row["score"] for row in self.rows(*place)]
            known = [score for score in scores if score is not None]
            expected = [min(known), max(known)] if len(scores) > 1 else None
        else:
            expected = self.interval(*place) if title == "95 % interval" else of_difference
        found = (DIFFERENCE if title.startswith("difference") else RANGE).fullmatch(cell)
        assert (found is None) == (expected is None), (place, title, cell)
        for text, value in zip(found.groups() if found else (), expected or (), strict=True):
            self._same(text, value)

    def _published(self, model: str, cell: str, place: Any) -> None:
        (name, *_), part, metric = place
        record = self.records(name)[0]
        path = self.registry / "runners" / record["benchmark"]["name"] / "published.toml"
        values = [
            figure["value"]
            for figure in tomllib.loads(path.read_text())["figure"]
            if (figure["model"], figure.get("part"), figure.get("metric")) == (model, part, metric)
            and figure.get("split") == record["split"]["name"]
        ]
        assert cell == (str(values[-1]) if values else "-"), place
        self.count += 1

    def _comparison(self, wanted: dict[str, Any], cells: list[list[str]], labels: Any) -> None:
        rows = wanted.get("rows") or [
            {"set": name, "part": part, "metric": metric}
            for name in self._sets(wanted)
            for part, metric in self._places(name, wanted)
        ]
        assert len(cells) == len(rows) + 2, "a line for each row"
        for row, line in zip(rows, cells[2:], strict=True):
            found = dict(zip(cells[0], line, strict=True))
            for key in set(row) - PLACE:
                assert found[key] == row[key]
            against, only = row.get("against", ""), wanted.get("baselines")
            place = (row.get("set", ""), row.get("part", ""), row.get("metric", ""))
            names = [row[key] for key in ("set", "against") if key in row]
            if not names or not all(self._is_scored(name, *place[1:]) for name in names):
                assert found["score"] == "not measured", row
                self.outcomes.append(found["score"])
                continue
            self._same(found["score"], self.median(*place))
            score, who = self.best(*place, only)
            if against:
                score = self.median(against, *place[1:])
                who = self.records(against)[0]["model"]["name"]
            beside, _, number = found["compared with"].rpartition(" ")
            assert beside == (label(labels, who) if who else ""), row
            self._same(number, score)
            difference, verdict = self.outcome(place, only, against)
            for title in ENDS:
                if title in found:
                    self._ends(title, found[title], place, difference)
            assert found["result"] == verdict, row
            self.outcomes.append(verdict)

    def _script(self, name: str, cells: list[list[str]], labels: Any, made: str) -> None:
        path = self.results / name / "table.json"
        if not path.is_file():
            assert cells == []
            return
        document = json.loads(path.read_text())
        assert cells[0] == [labels.get(name, name) for name in document["columns"]]
        for line, row in zip(cells[2:], document["rows"], strict=True):
            for cell, value in zip(line, row, strict=True):
                if isinstance(value, str):
                    assert cell == labels.get(value, value)
                else:
                    self._same(cell, value)
        assert document["code"]["commit"][:8] in made

    def _value(self, words: list[str], made: str) -> None:
        name, part, metric, *rest = [word for word in words if not word.startswith("digits=")]
        who = rest[0] if rest else "median"
        scores = [row["score"] for row in self.rows(name, part, metric)]
        if not self._is_scored(name, part, metric):
            assert made == "not measured"
        elif who == "outcome":
            assert made == self.outcome((name, part, metric), None)[1]
        elif who in {"least", "most", "lower", "upper"}:
            lower, upper = self.interval(name, part, metric) or (None, None)
            ends = {"least": min(scores), "most": max(scores), "lower": lower, "upper": upper}
            value = ends[who]
            self._same(made, value)
        else:
            self._same(made, self.median(name, part, metric, "" if who == "median" else who))

    def _fact(self, words: str, made: str) -> None:
        name, _, path = words.partition(" ")
        if not (self.results / name).is_dir():
            assert made == "not measured"
            return
        value: Any = self.records(name)[0]
        for key in path.split("/"):
            value = value[int(key)] if isinstance(value, list) else value[key]
        if isinstance(value, str | bool) or value is None:
            assert made == str(value)
        else:
            self._same(made, value)

    def _same(self, text: str, value: float | None) -> None:
        """Check a printed number: equal to half of its last decimal."""
        plain = text.strip("*").replace(",", "")
        self.count += 1
        if value is None:
            assert plain in {"-", ""}, text
            return
        assert is_rounded(plain, value), (text, value)


def is_rounded(text: str, value: float) -> bool:
    """Return whether a printed number is a value, to half of its last decimal."""
    plain = text.replace(",", "")
    decimals = len(plain.partition(".")[2])
    return abs(float(plain) - value) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


def key_of(row: Mapping[str, Any]) -> str:
    return f"{row['metric_id']}.{row['variant']}" if row["variant"] else str(row["metric_id"])


def label(labels: Mapping[str, str], name: str) -> str:
    metric, _, variant = name.rpartition(".")
    if name not in labels and metric in labels and variant in labels:
        return f"{labels[metric]}, {labels[variant]}"
    return labels.get(name) or labels.get(variant) or name


def margin(values: Any, sampling: Sequence[Any]) -> float:
    """Return t times the standard error of leave-out replicates, with covariances of neighbours."""
    groups, t, is_serial = sampling
    squared, parts = 0.0, np.split(np.asarray(values), np.cumsum(groups)[:-1])
    for part in parts:
        left = part - part.mean()
        sums = float(left @ left)
        if is_serial:
            sums += max(2 * float(left[:-1] @ left[1:]), 0.0)
        squared += sums * (len(part) - 1) / len(part)
    return float(t * squared**0.5)


def jackknife_ends(
    score: float, values: Any, sampling: Sequence[Any], low: float | None, high: float | None
) -> list[float] | None:
    """Return the ends of an interval on the logit, log or 1 / sqrt scale of a bounded score."""
    if not np.ptp(values) > 0:
        return None

    with np.errstate(divide="ignore", invalid="ignore"):
        centre, others = (
            to_scale(np.asarray(each, np.float64), low, high) for each in (score, values)
        )
    if np.isfinite(centre) and np.isfinite(others).all():
        reach = margin(others, sampling)
        ends = [from_scale(float(centre) + sign * reach, low, high) for sign in (-1, 1)]
        return ends if np.isfinite(ends).all() else None
    reach = margin(values, sampling)
    return [float(end) for end in np.clip([score - reach, score + reach], low, high)]


def to_scale(value: Any, low: float | None, high: float | None) -> Any:
    if low is not None and high is not None:
        return np.log((value - low) / (high - value))
    if low is not None:
        return -((value - low) ** -0.5)
    return value if high is None else -np.log(high - value)


def from_scale(value: float, low: float | None, high: float | None) -> float:
    if low is not None and high is not None:
        return low + (high - low) / (1 + float(np.exp(-value)))
    if low is not None:
        return low + value**-2 if value < 0 else float("inf")
    return value if high is None else high - float(np.exp(-value))
