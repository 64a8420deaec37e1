"""`submit pack`: the tree of the rules, the same bytes each time, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.errors import CallError, RecordError
from sciml_data.results.submission.files import FIELDS
from sciml_data.results.submission.pdf import to_pdf
from tests.support.submissions import FOLDER, Bench, kinds, record_of

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def copy_of(run: Path, to: Path, **changes: Any) -> Path:
    """Return a run that says something else, whole and with its digest."""
    shutil.copytree(run, to)
    write_record(to, {**load_record(run), **changes})
    return to


def refused(error: pytest.ExceptionInfo[RecordError]) -> set[str]:
    return {problem.kind for problem in error.value.problems}


def test_the_tree_is_that_of_the_rules(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path)

    assert folder == tmp_path / FOLDER
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "VERSION.txt",
        "config.yaml",
        "manifest.csv",
        *(f"predictions-{n}.nc" for n in (1, 2, 3)),
        *(f"record-{n}.json" for n in (1, 2, 3)),
        *(f"result-{n}.txt" for n in (1, 2, 3)),
        "scientific_contribution.md",
        "scientific_contribution.pdf",
        "sientific_contribution.pdf",
        "submission.json",
        "system.json",
    ]
    assert (tmp_path / ".github/workflows/sciml-data-submissions.yml").is_file()
    assert bench.check(folder)["problems"] == []


def test_packing_twice_gives_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    one = bench.pack(tmp_path / "one")
    two = bench.pack(tmp_path / "two", runs=bench.real[::-1])
    again = bench.pack(tmp_path / "one")

    assert again == one
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in two.iterdir()
    }


def test_config_parses_and_says_what_the_records_say(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, "--poc-name", "Å. Person")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    record = record_of(folder, "record-1.json")

    assert config["settings"] == record["settings"]
    assert config["seeds"] == [0, 1, 2]
    assert config["github"]["commit"] == record["code"]["commit"]
    assert config["name"] == "Å. Person"
    assert config["data"][0] == "sciml-data get toy_points --version 1.0"
    assert config["run"].endswith("--seeds 0,1,2 --set epochs=2")


def test_readme_has_the_policys_table_and_the_median(bench: Bench, tmp_path: Path) -> None:
    text = (bench.pack(tmp_path) / "README.md").read_text(encoding="utf-8")
    scores = sorted(
        row["score"]
        for run in bench.real
        for row in record_of(run)["metrics"]
        if (row["metric_id"], row["part"]) == ("explained", "test")
    )
    row = next(line for line in text.splitlines() if line.startswith("| explained, test"))

    assert "| Measurement name | Reference model value | Submitted model value |" in text
    assert f" {scores[1]:.6g} ± " in row
    assert row.endswith("| >= -1 |")
    assert "SYNTHETIC" not in text


def test_a_reference_run_stands_in_the_table(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, "--reference", str(bench.real[2]), runs=bench.real[:2])
    reference = record_of(bench.real[2])
    score = next(
        row["score"]
        for row in reference["metrics"]
        if (row["metric_id"], row["part"]) == ("explained", "test")
    )

    assert f"| {score:.6g} |" in (folder / "README.md").read_text(encoding="utf-8")
    assert bench.check(folder)["problems"] == []


def test_the_system_says_what_is_not_known(bench: Bench, tmp_path: Path) -> None:
    more = tmp_path / "system-fields.json"
    more.write_text(json.dumps({"cooling": "air", "hw_notes": "borrowed"}), encoding="utf-8")
    folder = bench.pack(tmp_path / "tree", "--system-file", str(more))
    system = json.loads((folder / "system.json").read_text(encoding="utf-8"))
    hardware = record_of(folder, "record-1.json")["hardware"]

    assert tuple(system) == FIELDS
    assert len(FIELDS) == 33
    assert system["cooling"] == "air"
    assert system["hw_notes"].endswith("; borrowed")
    assert system["host_processor_caches"] == "not known"
    assert system["host_processor_vcpu_count"] == str(hardware["host_processor_core_count"])
    assert bench.check(folder)["problems"] == []


@pytest.mark.parametrize(
    ("fields", "place"),
    [({"colling": "air"}, "colling"), ({"host_memory_capacity": "9 PB"}, "host_memory_capacity")],
    ids=["unknown", "contradicting"],
)
def test_system_fields_that_are_unknown_or_contradict_the_record_are_refused(
    bench: Bench, tmp_path: Path, fields: dict[str, str], place: str
) -> None:
    more = tmp_path / "system-fields.json"
    more.write_text(json.dumps(fields), encoding="utf-8")

    with pytest.raises(CallError) as error:
        bench.pack(tmp_path / "tree", "--system-file", str(more))

    assert [("system", place)] == [(one.kind, one.place) for one in error.value.problems]
    assert not (tmp_path / "tree" / FOLDER).exists()


def test_synthetic_runs_are_marked_everywhere(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, runs=(bench.sample,))
    verdict = bench.check(folder)

    assert verdict["accepted"]
    assert verdict["synthetic"]
    assert verdict["warnings"][0].startswith("SYNTHETIC")
    for name in ("README.md", "scientific_contribution.md"):
        assert "SYNTHETIC" in (folder / name).read_text(encoding="utf-8")
    assert '"synthetic": true' in (folder / "result-1.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "aborted", "reason": "stopped"}, "status"),
        ({"synthetic": True}, "mixed"),
        ({"settings": {"epochs": 9}}, "mixed"),
    ],
    ids=["aborted", "synthetic", "settings"],
)
def test_runs_that_do_not_go_together_are_refused(
    bench: Bench, tmp_path: Path, changes: dict[str, Any], kind: str
) -> None:
    other = copy_of(bench.real[1], tmp_path / "other", **changes)

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", runs=(bench.real[0], other))

    assert kind in refused(error)
    assert not (tmp_path / "tree").exists()


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("dataset", "version", "1.1"),
        ("dataset", "manifest_digest", f"sha256:{'9' * 64}"),
        ("split", "members_digest", f"sha256:{'9' * 64}"),
        ("benchmark", "name", "toys"),
        ("code", "version", "9.9.9"),
        ("hardware", "accelerators_per_node", 4),
    ],
)
def test_two_versions_of_anything_are_refused(
    bench: Bench, tmp_path: Path, group: str, key: str, value: Any
) -> None:
    first = record_of(bench.real[1])
    other = copy_of(bench.real[1], tmp_path / "other", **{group: {**first[group], key: value}})

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", runs=(bench.real[0], other))

    assert "mixed" in refused(error)


def test_one_run_given_twice_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path, runs=(bench.real[0], bench.real[0]))

    assert refused(error) == {"duplicate"}


def test_one_run_under_another_id_and_seed_is_refused(bench: Bench, tmp_path: Path) -> None:
    first = record_of(bench.real[0])
    changes = {"run_id": first["run_id"][::-1], "seeds": {**first["seeds"], "seed": 7}}
    changes["run_id"] = "00000000-0000-4000-8000-000000000000"
    other = copy_of(bench.real[0], tmp_path / "other", **changes)

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", runs=(bench.real[0], other))

    assert refused(error) == {"duplicate"}


def test_changed_code_is_refused_or_told(bench: Bench, tmp_path: Path) -> None:
    code = {**record_of(bench.real[0])["code"], "is_dirty": True, "checkout_is_dirty": True}
    run = copy_of(bench.real[0], tmp_path / "run", code=code)

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", runs=(run,))
    folder = bench.pack(tmp_path / "tree", "--allow-dirty", runs=(run,))
    verdict = bench.check(folder)

    assert refused(error) == {"commit"}
    assert verdict["accepted"]
    assert any("had changes of its own" in warning for warning in verdict["warnings"])
    assert "**Warning:**" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_run_whose_predictions_were_changed_is_refused(bench: Bench, tmp_path: Path) -> None:
    run = copy_of(bench.real[0], tmp_path / "run")
    with (run / "predictions.nc").open("r+b") as stream:
        stream.seek(2000)
        stream.write(b"\x01\x02\x03")

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", runs=(run,))

    assert refused(error) == {"outputs"}


def test_another_submission_is_not_written_over(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path)
    before = (folder / "README.md").read_bytes()

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path, runs=bench.real[:2])

    assert refused(error) == {"layout"}
    assert (folder / "README.md").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".pack")] == []


def test_predictions_can_stay_with_the_submitter(bench: Bench, tmp_path: Path) -> None:
    folder = bench.pack(tmp_path, "--no-predictions")
    verdict = bench.check(folder)
    without = bench.call("rescore", str(folder))
    shutil.copyfile(bench.real[0] / "predictions.nc", folder / "predictions-1.nc")
    with_right = bench.check(folder)
    shutil.copyfile(bench.real[0] / "predictions.nc", folder / "predictions-2.nc")
    with_wrong = bench.check(folder)

    assert verdict["accepted"]
    assert with_right["accepted"]
    assert any("no predictions are here" in warning for warning in verdict["warnings"])
    assert isinstance(without.exception, RecordError)
    assert kinds(with_wrong) == {"predictions"}


@pytest.mark.parametrize("name", ["../up", "a b", "", "a/b"])
def test_names_that_are_no_folders_are_refused(bench: Bench, tmp_path: Path, name: str) -> None:
    with pytest.raises(CallError) as error:
        bench.pack(tmp_path / "tree", "--org", name)

    assert error.value.exit_code == 2
    assert not (tmp_path / "tree").exists()


def test_a_machines_path_in_the_contribution_is_refused(bench: Bench, tmp_path: Path) -> None:
    text = tmp_path / "text.md"
    text.write_text("Data lay in /scratch/somebody/points.\n", encoding="utf-8")

    with pytest.raises(RecordError) as error:
        bench.pack(tmp_path / "tree", "--contribution", str(text))

    assert refused(error) == {"path"}


def test_the_document_prints_signs_of_units_and_is_equal_each_time(
    bench: Bench, tmp_path: Path
) -> None:
    text = tmp_path / "text.md"
    text.write_text("# Å² and µm\n\nλ ≥ 3 m²\n\n| a | b |\n|---|---|\n| 1 | é |\n", "utf-8")
    folder = bench.pack(tmp_path / "tree", "--contribution", str(text))
    both = {path.name: path.read_bytes() for path in folder.glob("*.pdf")}

    assert len(set(both.values())) == 1
    assert both["scientific_contribution.pdf"].startswith(b"%PDF-")
    assert b"DejaVuSans" in both["scientific_contribution.pdf"]


def test_signs_that_the_fonts_lack_are_named() -> None:
    import datetime

    date = datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC)

    with pytest.raises(RecordError) as error:
        to_pdf("# well\n\n日本 日", title="t", subject="s", date=date)

    places = [(problem.kind, problem.place) for problem in error.value.problems]
    assert places == [("character", "line 3"), ("character", "line 3")]
