"""Repeats of a run become one summary; other runs are refused, each with its difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.bench.record.record import REPEATS_SHARE, identity, write_record
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.results.board import Summary, aggregate, summary_json, summary_text
from sciml_data.results.board.render import SUMMARY_SCHEMA, summary_from_json
from sciml_data.results.board.summary import (
    MACHINE,
    NO_ENERGY,
    NOT_RECORDED,
    OLYMPIC,
    PICKED_BY_SCORE,
    SEVERAL_MACHINES,
    check_combinable,
    headline_of,
    spread_of,
)
from tests.support.board_samples import a_run, a_run_of_two_metrics, repeats
from tests.support.records import stopped_at

OTHER = "sha256:" + "c" * 64
# field of REPEATS_SHARE -> (place in a record, what stands there instead, kind of the problem)
CHANGES: dict[str, tuple[str, Any]] = {
    "benchmark": ("benchmark.name", "other"),
    "variant": ("benchmark.variant", "dose"),
    "dataset": ("dataset.version", "2.0"),
    "synthetic": ("synthetic", True),
    "data": ("dataset.manifest_digest", OTHER),
    "split": ("split.members_digest", OTHER),
    "model": ("model.name", "large"),
    "settings": ("settings.epochs", 2),
    "metrics": ("metric_definitions.0.metric_version", "2"),
    "code": ("code.runner_digest", OTHER),
    "model file": ("model.source", {"file": "m.py", "function": "build", "sha256": "c" * 64}),
    "training": ("training", "external"),
    "budget": ("budget", stopped_at(60.0)),
}


def kinds(error: CallError | RecordError) -> list[str]:
    return [problem.kind for problem in error.problems]


def place_of(error: CallError, kind: str) -> str:
    """Return where the one problem of a kind is."""
    (place,) = [problem.place for problem in error.problems if problem.kind == kind]
    return place


def only(summary: Summary) -> Any:
    """Return the spread of the one metric that these records have."""
    (metric,) = summary.metrics
    return metric.spread


def test_the_olympic_mean_is_without_the_best_and_the_worst() -> None:
    # by hand: 0.1 and 0.9 go; (0.2 + 0.4 + 0.6) / 3 = 0.4
    found = only(aggregate(repeats([0.9, 0.2, 0.4, 0.1, 0.6])))

    assert pytest.approx(0.4) == found.olympic_mean
    assert pytest.approx(0.4) == found.median
    assert (found.olympic_method, found.minimum, found.maximum) == (OLYMPIC, 0.1, 0.9)
    # by hand: mean 0.44, squares 0.2116 + 0.0576 + 0.0016 + 0.1156 + 0.0256 = 0.412, over 4
    assert pytest.approx(0.103**0.5) == found.std


def test_two_runs_have_a_plain_mean_that_says_so() -> None:
    found = only(aggregate(repeats([0.1, 0.2])))

    assert pytest.approx(0.15) == found.olympic_mean
    assert "fewer than three" in found.olympic_method
    assert found.std == pytest.approx(0.005**0.5)  # by hand: (0.05^2 + 0.05^2) / 1


def test_all_values_are_kept_in_the_order_of_seeds() -> None:
    summary = aggregate([a_run(2, 0.3), a_run(0, 0.1), a_run(1, 0.2)])

    assert only(summary).values == (0.1, 0.2, 0.3)
    assert [run.seed for run in summary.runs] == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "lower", "median", "olympic"),
    [
        ([1.0, 2.0, None], True, 2.0, 2.0),  # the miss is dropped as the worst, 1.0 as the best
        ([1.0, 2.0, None], False, 1.0, 1.0),  # of accuracies 2.0 is the best
        ([1.0, None, None], True, None, None),  # the middle is a miss
        ([1.0, 2.0, 3.0, None, None], True, 3.0, None),  # two misses: one may be dropped
        ([1.0, 2.0, 3.0, None], True, 2.5, 2.5),
        ([1.0, None], True, None, None),  # half of the middle is a miss
        ([1.0], True, 1.0, 1.0),
        ([None], True, None, None),
        ([], True, None, None),
    ],
)
def test_a_miss_is_the_worst_value(
    values: list[float | None], *, lower: bool, median: float | None, olympic: float | None
) -> None:
    found = spread_of(values, lower_is_better=lower)

    assert (median, olympic) == (found.median, found.olympic_mean)
    assert values.count(None) == found.misses
    assert len(values) == found.runs


def test_a_metric_that_could_not_be_computed_is_a_miss() -> None:
    found = only(aggregate(repeats([0.1, None, 0.3])))

    assert (found.misses, found.runs, found.median) == (1, 3, 0.3)


def test_a_failed_run_is_refused_unless_it_is_to_count() -> None:
    runs = [*repeats([0.1, 0.2]), a_run(2, 0.3, status="failed", reason="no memory")]

    with pytest.raises(CallError) as error:
        aggregate(runs)

    assert kinds(error.value) == ["status"]
    found = only(aggregate(runs, count_failed=True))
    assert found.values == (0.1, 0.2, None)  # whatever a failed run left behind is no score
    assert found.misses == 1


def test_a_failed_run_reaches_no_target_whatever_it_left_behind() -> None:
    runs = [a_run(0, 0.1), a_run(1, 0.2, status="failed", reason="no memory")]

    (target,) = aggregate(runs, count_failed=True).targets

    assert runs[1]["targets"][0]["is_reached"]
    assert (target.reached, target.missed, target.seconds) == (1, 1, (10.0, None))


def test_failed_runs_are_only_combined_on_request() -> None:
    runs = [a_run(0, 0.1), a_run(1, 0.2, status="failed", reason="no memory")]

    check_combinable(runs, count_failed=True)
    with pytest.raises(CallError) as error:
        check_combinable(runs)

    assert kinds(error.value) == ["status"]


def test_a_run_that_still_runs_is_never_counted() -> None:
    with pytest.raises(CallError) as error:
        aggregate([a_run(0, 0.1), a_run(1, 0.2, status="running")], count_failed=True)

    assert kinds(error.value) == ["status"]


def test_failures_alone_have_no_summary() -> None:
    with pytest.raises(CallError) as error:
        aggregate([a_run(0, 0.1, status="failed", reason="x")], count_failed=True)

    assert [(one.kind, one.place) for one in error.value.problems] == [("status", "all runs")]


@pytest.mark.parametrize("name", REPEATS_SHARE)
def test_runs_that_differ_are_refused_by_the_name_of_what_differs(name: str) -> None:
    place, value = CHANGES[name]
    runs = [a_run(0, 0.1), a_run(1, 0.2, **{place: value})]

    with pytest.raises(CallError) as error:
        aggregate(runs)

    assert [name] == kinds(error.value)
    assert identity(runs[0]) != identity(runs[1])


def test_every_difference_is_said_at_once() -> None:
    changes = dict(CHANGES.values())

    with pytest.raises(CallError) as error:
        aggregate([a_run(0, 0.1), a_run(1, 0.2, **changes)])

    assert set(CHANGES) == set(kinds(error.value))


def test_a_run_that_comes_twice_is_refused() -> None:
    with pytest.raises(CallError) as error:
        aggregate([a_run(0, 0.1), a_run(0, 0.1)])

    assert {"run", "seed"} == set(kinds(error.value))
    assert place_of(error.value, "run") == "00000000"


def test_a_run_under_another_name_is_known_by_its_curve() -> None:
    losses = [{"train_loss": 0.6437281}, {"train_loss": 0.5120394}]

    with pytest.raises(CallError, match="it is the same run") as error:
        aggregate([a_run(0, 0.1, curve=losses), a_run(1 << 96, 0.1, curve=losses)])

    assert kinds(error.value) == ["run"]
    assert place_of(error.value, "run") == "00000001"


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(CallError, match="no run was given"):
        aggregate([])


def test_the_time_to_target_counts_a_miss_as_endless() -> None:
    runs = [a_run(0, 0.1, seconds=30.0), a_run(1, 0.2, seconds=10.0), a_run(2, 0.9, seconds=5.0)]

    (target,) = aggregate(runs).targets

    assert target.seconds == (30.0, 10.0, None)  # the run of 5 s missed
    assert (target.median_s, target.reached, target.missed) == (30.0, 2, 1)
    assert target.reached_by_baselines == ("mean",)


def test_times_to_target_have_an_olympic_mean_on_one_machine() -> None:
    times = [30.0, 10.0, 40.0, 21.0]
    runs = [a_run(seed, 0.1, seconds=time) for seed, time in enumerate(times)]
    elsewhere = a_run(4, 0.1, **{"hardware.accelerator_model_name": "another"})

    (target,) = aggregate(runs).targets
    (mixed,) = aggregate([*runs, elsewhere]).targets

    # by hand: 10 and 40 go; (21 + 30) / 2 = 25.5
    assert (target.median_s, target.olympic_mean_s, target.reason) == (25.5, 25.5, None)
    assert (mixed.median_s, mixed.olympic_mean_s, mixed.reason) == (None, None, SEVERAL_MACHINES)


def test_a_target_that_most_runs_miss_has_no_time() -> None:
    (target,) = aggregate(repeats([0.1, 0.9, 0.8])).targets

    assert (target.reached, target.missed, target.median_s) == (1, 2, None)


def test_a_time_that_nobody_measured_is_no_miss() -> None:
    (target,) = aggregate([a_run(0, 0.1), a_run(1, 0.2, seconds=None)]).targets

    assert (target.reached, target.missed, target.median_s) == (2, 0, None)
    assert "no time to train" in str(target.reason)


def test_seconds_of_several_machines_are_not_put_together() -> None:
    runs = [a_run(0, 0.1), a_run(1, 0.2, **{"hardware.accelerator_model_name": "another"})]

    summary = aggregate(runs)

    assert (
        summary.time_to_train.median,
        summary.time_to_train.reason,
    ) == (None, "the runs were on machines of several kinds")
    assert summary.time_to_train.values == (10.0, 10.0)
    assert summary.targets[0].median_s is None
    assert pytest.approx(0.15) == only(summary).median


def test_a_quantity_that_no_run_recorded_says_so() -> None:
    speed = aggregate(repeats([0.1, 0.2])).throughput

    assert (speed.values, speed.median, speed.reason) == ((None, None), None, NOT_RECORDED)


def test_runs_without_a_word_of_energy_have_none() -> None:
    energy = aggregate(repeats([0.1, 0.2], energy=None)).energy

    assert (energy.is_measured, energy.cpu_j, energy.reason) == (False, None, NO_ENERGY)


def test_joules_are_medians_and_not_of_several_machines() -> None:
    block = {"measured": True, "method": "NVML", "reason": None}
    runs = [
        a_run(seed, 0.1, energy={**block, "cpu_energy_j": cpu, "gpu_energy_j": gpu})
        for seed, (cpu, gpu) in enumerate([(7.0, 100.0), (1.0, 900.0), (9.0, 500.0)])
    ]
    elsewhere = [*runs[:2], {**runs[2], "hardware": {**runs[2]["hardware"], MACHINE[0]: "other"}}]

    energy, mixed = aggregate(runs).energy, aggregate(elsewhere).energy

    assert (energy.cpu_j, energy.gpu_j, energy.reason) == (7.0, 500.0, None)
    assert (mixed.is_measured, mixed.gpu_j, mixed.reason) == (False, None, SEVERAL_MACHINES)


def test_energy_says_how_it_was_measured_or_that_it_was_not() -> None:
    block = {"measured": True, "method": "RAPL", "cpu_energy_j": 7.0, "gpu_energy_j": None}
    measured = {"energy": {**block, "reason": None}}

    both = aggregate(repeats([0.1, 0.2], **measured)).energy
    one = aggregate([a_run(0, 0.1, **measured), a_run(1, 0.2)]).energy

    assert (both.is_measured, both.method, both.cpu_j, both.gpu_j) == (True, "RAPL", 7.0, None)
    assert (one.is_measured, one.cpu_j) == (False, None)
    assert "1 of 2 runs" in str(one.reason)


def test_a_median_says_how_many_runs_it_is_of() -> None:
    place = "throughput.train_samples_per_s"
    runs = [a_run(0, 0.1, **{place: 100.0}), a_run(1, 0.2), a_run(2, 0.3, **{place: 300.0})]

    partly, whole = aggregate(runs).throughput, aggregate(runs[::2]).throughput

    assert (partly.values, partly.median, partly.reason) == (
        (100.0, None, 300.0),
        200.0,
        "of 2 of 3 runs",
    )
    assert (whole.median, whole.reason) == (200.0, None)


def test_joules_of_two_methods_are_not_put_together() -> None:
    block = {"measured": True, "cpu_energy_j": 7.0, "gpu_energy_j": None, "reason": None}
    runs = [
        a_run(seed, 0.1, energy={**block, "method": method})
        for seed, method in enumerate(["RAPL", "NVML"])
    ]

    energy = aggregate(runs).energy

    assert (energy.is_measured, energy.cpu_j) == (False, None)
    assert energy.reason == "measured in several ways: NVML, RAPL"


def test_a_device_without_joules_in_one_run_has_no_median() -> None:
    block = {"measured": True, "method": "RAPL", "cpu_energy_j": 7.0, "reason": None}
    runs = [
        a_run(seed, 0.1, energy={**block, "gpu_energy_j": joules})
        for seed, joules in enumerate([5.0, None])
    ]

    energy = aggregate(runs).energy

    assert (energy.is_measured, energy.cpu_j, energy.gpu_j) == (True, 7.0, None)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((f"hardware.{field}", 3) for field in MACHINE),
        ("distribution.strategy", "mirrored"),
        ("distribution.replicas", 2),
        ("distribution.backend", "jax"),
    ],
)
def test_machines_are_told_apart(place: str, value: object) -> None:
    same, other = a_run(0, 0.1), a_run(1, 0.2, **{place: value})

    assert aggregate([same, a_run(1, 0.2)]).is_one_machine
    assert not aggregate([same, other]).is_one_machine


def test_a_distribution_without_a_backend_is_that_of_tensorflow() -> None:
    old = a_run(0, 0.1)
    assert "backend" not in old["distribution"]
    runs = {name: a_run(1, 0.2, **{"distribution.backend": name}) for name in ("tensorflow", "jax")}

    assert aggregate([old, runs["tensorflow"]]).is_one_machine
    assert not aggregate([old, runs["jax"]]).is_one_machine


def test_the_state_is_that_of_the_run_checked_least() -> None:
    checked = a_run(0, 0.1, **{"verification.state": "rescored"})

    assert aggregate([checked]).state == "rescored"
    assert aggregate([checked, a_run(1, 0.2)]).state == "unchecked"


def test_one_run_is_the_best_of_one() -> None:
    summary = aggregate([a_run(0, 0.1)])

    assert summary.best is not None
    assert (summary.best.of, summary.best.remark) == (1, None)
    assert "best of 1" in summary_text(summary)


def test_the_best_run_is_named_the_best_of_n_beside_all_of_them() -> None:
    summary = aggregate(repeats([0.4, 0.1, 0.3]), best_of=True)
    text = summary_text(summary)

    assert summary.best is not None
    assert (
        summary.best.of,
        summary.best.seed,
        summary.best.metric,
        summary.best.part,
    ) == (3, 1, "rmse.a", "test")
    assert summary.metrics[0].best == 0.1
    assert only(summary).median == 0.3
    assert "best of 3" in text
    assert "too good by chance" in text


def test_the_best_of_two_is_remarked_on() -> None:
    best = aggregate(repeats([0.4, 0.1]), best_of=True).best

    assert best is not None
    assert (best.of, best.remark) == (2, PICKED_BY_SCORE)


def test_nothing_is_called_best_unless_it_is_asked_for() -> None:
    summary = aggregate(repeats([0.4, 0.1, 0.3]))

    assert summary.best is None
    assert "best of" not in summary_text(summary)


def runs_of_two_metrics() -> list[Any]:
    """Return three runs; the second has the best headline score and the worst of the other."""
    baselines: list[dict[str, float | None]] = [
        {"mean": 0.0, "persistence": 0.4},
        {"mean": 0.1, "persistence": None},
        {"mean": 0.8, "persistence": 0.6},
    ]
    scores = [(0.1, 0.5), (0.9, 0.7), (0.2, 0.3)]
    return [
        a_run_of_two_metrics(seed, rmse=rmse, explained=explained, baselines=known)
        for seed, ((rmse, explained), known) in enumerate(zip(scores, baselines, strict=True))
    ]


def test_the_headline_is_the_named_metric_of_the_last_part_if_there_is_no_test_part() -> None:
    assert headline_of(runs_of_two_metrics()[0]) == ("explained", "validation")


def test_the_headline_is_of_part_test_wherever_it_stands() -> None:
    record = runs_of_two_metrics()[0]
    for row in record["metrics"]:
        row["part"] = {"train": "test"}.get(row["part"], row["part"])

    assert headline_of(record) == ("explained", "test")


def test_without_a_named_metric_the_first_one_ranks() -> None:
    record = runs_of_two_metrics()[0]
    record["benchmark"]["headline_metric"] = None

    assert headline_of(record) == ("rmse", "validation")


def test_the_best_run_has_the_highest_score_if_higher_is_better() -> None:
    summary = aggregate(runs_of_two_metrics(), best_of=True)

    assert summary.best is not None
    assert (summary.best.seed, summary.best.metric, summary.best.part) == (
        1,
        "explained",
        "validation",
    )
    assert {(row.metric, row.part): row.best for row in summary.metrics} == {
        ("rmse", "train"): 0.9 - 0.05,
        ("explained", "train"): 0.7 + 0.05,
        ("rmse", "validation"): 0.9,
        ("explained", "validation"): 0.7,
    }


def test_a_baseline_is_the_median_over_the_runs_that_have_it() -> None:
    summary = aggregate(runs_of_two_metrics())

    # by hand: 0.0, 0.1, 0.8 have median 0.1 and mean 0.3; 0.4 and 0.6 have median 0.5
    assert summary.metrics[-1].baselines == {"mean": 0.1, "persistence": 0.5}


@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=2, max_size=5, unique=True))
def test_the_best_of_negated_scores_is_the_best_in_the_other_direction(
    scores: list[float],
) -> None:
    higher = {"metric_definitions.0.lower_is_better": False}
    low = aggregate(repeats(scores), best_of=True)
    high = aggregate(repeats([-score for score in scores], **higher), best_of=True)

    assert low.best is not None
    assert high.best is not None
    assert low.best.seed == high.best.seed == scores.index(min(scores))


def test_fewer_runs_than_are_advised_are_told_and_taken() -> None:
    text = summary_text(aggregate(repeats([0.1, 0.2]), advised_runs=5))

    assert "5 runs are advised" in text


def test_a_synthetic_summary_says_so_first_and_last_and_reaches_nothing() -> None:
    text = summary_text(aggregate(repeats([0.1, 0.2, 0.3], synthetic=True)))

    assert (text.splitlines()[0], text.splitlines()[-1]) == (SYNTHETIC, SYNTHETIC)
    assert "not comparable: synthetic data" in text
    assert "reached" not in text


def test_the_summary_keeps_to_its_schema() -> None:
    import jsonschema

    schema = json.loads(SUMMARY_SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)

    document = summary_from_json(summary_json(aggregate(repeats([0.1, None, 0.3]))))

    assert document["metrics"][0]["values"] == [0.1, None, 0.3]
    assert (
        document["benchmark"]["headline_metric"],
        document["benchmark"]["headline_part"],
    ) == ("rmse.a", "test")


def test_a_summary_that_was_changed_for_the_worse_is_refused() -> None:
    document = json.loads(summary_json(aggregate(repeats([0.1, 0.2]))))
    document["metrics"][0]["median"] = "good"
    document["shift"] = 3

    with pytest.raises(RecordError) as error:
        summary_from_json(json.dumps(document))

    assert [problem.place for problem in error.value.problems] == ["shift", "metrics/0/median"]


def kept(tmp_path: Path, records: list[Any]) -> list[str]:
    """Write records as runs and return their folders."""
    folders = []
    for number, record in enumerate(records):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        write_record(folder, record)
        folders.append(str(folder))
    return folders


def test_the_command_prints_a_table_and_writes_the_summary(tmp_path: Path) -> None:
    output = tmp_path / "summary.json"
    folders = kept(tmp_path, repeats([0.4, 0.1, 0.3]))

    result = CliRunner().invoke(group, ["aggregate", *folders, "--output", str(output)])

    assert (result.exit_code, result.stderr) == (0, "")
    cells = [[cell.strip() for cell in line.split("|")] for line in result.stdout.splitlines()]
    assert ["", "test", "rmse.a", "3", "0", "0.3000"] in [line[:6] for line in cells]
    document = summary_from_json(output.read_text(encoding="utf-8"))
    assert document["metrics"][0]["median"] == 0.3


def test_the_command_prints_json(tmp_path: Path) -> None:
    folders = kept(tmp_path, repeats([0.4, 0.1]))

    result = CliRunner().invoke(group, ["aggregate", *folders, "--json", "--best-of"])

    assert json.loads(result.stdout)["best"]["of"] == 2


def test_the_command_refuses_what_does_not_belong_together(tmp_path: Path) -> None:
    folders = kept(tmp_path, [a_run(0, 0.1), a_run(1, 0.1, synthetic=True)])

    result = CliRunner().invoke(group, ["aggregate", *folders])

    assert isinstance(result.exception, CallError)
    assert (result.exception.exit_code, kinds(result.exception)) == (2, ["synthetic"])
    assert result.stdout == ""
