"""A run as a Process Run Crate: read by the library, checked by the profile, complete or absent."""

from __future__ import annotations

import copy
import itertools
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import write_record
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.metadata.rocrate import METADATA_NAME
from sciml_data.results.exports.run_crate import CONTEXT, PROFILE, crate_problems
from tests.support.run_samples import written_run

RUN_ID = "urn:uuid:12345678-1234-4234-8234-123456789abc"
Graph = dict[str, dict[str, Any]]


def export(run: Path, to: Path, *words: str) -> Result:
    return CliRunner().invoke(group, ["export", "run-crate", str(run), "--to", str(to), *words])


def crate_of(folder: Path) -> dict[str, Any]:
    crate: dict[str, Any] = json.loads((folder / METADATA_NAME).read_text(encoding="utf-8"))
    return crate


def graph_of(folder: Path) -> Graph:
    return {one["@id"]: one for one in crate_of(folder)["@graph"]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    written_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def crate(run: Path, tmp_path: Path) -> Path:
    """A crate of a run by an organisation, as a folder."""
    result = export(run, tmp_path / "crate", "--org", "A Laboratory")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'crate'}\n"
    return tmp_path / "crate"


def test_the_action_says_who_did_what_with_what(crate: Path) -> None:
    graph = graph_of(crate)

    action = graph[RUN_ID]
    assert action["@type"] == "CreateAction"
    assert action["startTime"] == "2026-08-07T12:00:00.000+00:00"
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"
    assert graph[action["agent"]["@id"]]["name"] == "A Laboratory"
    assert graph[action["instrument"]["@id"]]["softwareVersion"] == "0.1.0"
    inputs = [graph[one["@id"]] for one in action["object"]]
    assert inputs[0]["name"] == "tevolop_socal 1.0"
    assert ("seed", 0) in [(one["name"], one.get("value")) for one in inputs]
    results = {one["@id"] for one in action["result"]}
    assert {"record.json", "log.txt", "curve.jsonl", "monitor.csv", "#predictions"} < results
    assert graph["#score-test-rmse.b"]["value"] == 0.125


def test_small_files_go_along_and_predictions_by_digest(run: Path, crate: Path) -> None:
    names = {path.name for path in crate.iterdir()}

    expected = {METADATA_NAME, "record.json", "log.txt", "curve.jsonl", "monitor.csv"}
    assert expected == names
    assert (crate / "record.json").read_bytes() == (run / "record.json").read_bytes()
    predictions = graph_of(crate)["#predictions"]
    record = json.loads((run / "record.json").read_text())
    assert predictions["@type"] == "CreativeWork"
    assert predictions["sha256"] == record["outputs"]["predictions"]["sha256"]


def test_predictions_go_along_where_they_are_asked_for(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "crate", "--with-predictions")

    assert (tmp_path / "crate" / "predictions.nc").is_file()
    assert graph_of(tmp_path / "crate")["predictions.nc"]["@type"] == "File"


@pytest.mark.parametrize("name", ["new", "new.zip"])
def test_a_crate_is_written_through_a_link_that_stays_a_link(
    run: Path, tmp_path: Path, name: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / name)

    result = export(run, link)

    assert (result.exit_code, result.exception) == (0, None)
    assert link.is_symlink()
    assert (tmp_path / name).exists()
    assert zipfile.is_zipfile(tmp_path / name) == name.endswith(".zip")


def test_a_crate_does_not_replace_a_pipe(run: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    result = export(run, tmp_path / "pipe")

    assert isinstance(result.exception, CallError)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_time_that_a_zip_cannot_have_does_not_matter(
    time: str, run: Path, tmp_path: Path
) -> None:
    record = json.loads((run / "record.json").read_text())
    record["timing"] |= {"start_time": time, "end_time": time}
    write_record(run, record)

    result = export(run, tmp_path / "a.zip")

    assert result.exit_code == 0, result.exception
    assert zipfile.is_zipfile(tmp_path / "a.zip")


def test_a_zip_holds_the_same_and_is_the_same_bytes_each_time(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "a.zip")
    export(run, tmp_path / "b.zip")
    export(run, tmp_path / "crate")

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read(METADATA_NAME)) == crate_of(tmp_path / "crate")
        assert set(archive.namelist()) == {path.name for path in (tmp_path / "crate").iterdir()}


def test_the_library_reads_the_crate_back(crate: Path, run: Path, tmp_path: Path) -> None:
    from rocrate.rocrate import ROCrate

    export(run, tmp_path / "crate.zip")
    for place in (crate, tmp_path / "crate.zip"):
        read = ROCrate(place)

        (action,) = read.get_by_type("CreateAction")
        assert action.id == RUN_ID
        assert action["instrument"]["name"] == "sciml-data"
        assert read.root_dataset["conformsTo"].id == PROFILE
        assert {"record.json", "log.txt"} < {one.id for one in read.data_entities}


def test_a_failed_run_is_a_failed_action_with_its_reason(tmp_path: Path) -> None:
    written_run(tmp_path / "run", status="failed", reason="the loss is nan", metrics=[])
    export(tmp_path / "run", tmp_path / "crate")

    action = graph_of(tmp_path / "crate")[RUN_ID]
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert action["error"] == "the loss is nan"


def test_a_synthetic_run_says_so_in_its_name_and_has_no_public_dataset(tmp_path: Path) -> None:
    written_run(tmp_path / "run", synthetic=True)
    export(tmp_path / "run", tmp_path / "crate")

    graph = graph_of(tmp_path / "crate")
    assert graph["./"]["name"].startswith("SYNTHETIC DATA, no result: ")
    assert graph["#dataset"]["@type"] == "CreativeWork"
    assert not [one for one in graph if one.startswith("https://sciml-data.github.io")]


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    written_run(tmp_path / "run", status="running", reason="the run has not ended")

    result = export(tmp_path / "run", tmp_path / "crate")

    assert isinstance(result.exception, RecordError)
    assert not (tmp_path / "crate").exists()


def test_files_that_are_not_as_recorded_are_named_together(run: Path, tmp_path: Path) -> None:
    (run / "curve.jsonl").write_text("edited\n")
    (run / "monitor.csv").unlink()

    result = export(run, tmp_path / "crate")

    assert isinstance(result.exception, RecordError)
    found = [(one.kind, one.place) for one in result.exception.problems]
    assert found == [("changed", "curve.jsonl"), ("missing", "monitor.csv")]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_place_that_is_taken_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "crate").mkdir()
    (tmp_path / "crate" / "mine").touch()
    (tmp_path / "a.zip").write_bytes(b"mine")

    for place in ("crate", "a.zip", "absent/crate"):
        assert isinstance(export(run, tmp_path / place).exception, CallError)

    assert [path.name for path in (tmp_path / "crate").iterdir()] == ["mine"]
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_a_crate_needs_a_place(run: Path) -> None:
    result = CliRunner().invoke(group, ["export", "run-crate", str(run)])

    assert isinstance(result.exception, CallError)
    assert result.exception.hint == "--to DIR, or FILE.zip"


NO_VALUE = object()


@pytest.mark.parametrize(
    ("identifier", "name", "value", "kind"),
    [
        ("./", "conformsTo", NO_VALUE, "profile"),
        (PROFILE, "@type", "Thing", "profile"),
        ("./", "name", NO_VALUE, "root"),
        ("./", "license", NO_VALUE, "root"),
        ("./", "hasPart", NO_VALUE, "part"),
        (RUN_ID, "instrument", NO_VALUE, "instrument"),
        (RUN_ID, "instrument", {"@id": "record.json"}, "instrument"),
        (RUN_ID, "@type", "Action", "action"),
        (RUN_ID, "result", {"@id": "#nowhere"}, "reference"),
        ("log.txt", "@id", "record.json", "twice"),
    ],
    ids=itertools.count(),
)
def test_each_must_of_the_profile_is_found_when_broken(
    crate: Path, identifier: str, name: str, value: Any, kind: str
) -> None:
    sound = crate_of(crate)
    spoiled = copy.deepcopy(sound)
    (entity,) = [one for one in spoiled["@graph"] if one["@id"] == identifier]

    entity.pop(name) if value is NO_VALUE else entity.update({name: value})

    assert crate_problems(sound) == []
    assert kind in {problem.kind for problem in crate_problems(spoiled)}


@pytest.fixture
def _own_contexts(crate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for the contexts on the web, with the terms that the crate uses."""
    import rdflib.plugins.shared.jsonld.context as contexts
    import requests
    from rocrate_validator.utils import http

    words = {"Dataset", "CreativeWork", "SoftwareApplication", "CreateAction", "PropertyValue"}
    words |= {name for one in crate_of(crate)["@graph"] for name in one if "@" not in name}
    terms: dict[str, Any] = {word: f"http://schema.org/{word}" for word in sorted(words)}
    terms |= {
        "Organization": "http://schema.org/Organization",
        "File": "http://schema.org/MediaObject",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
    }
    text = json.dumps({"@context": terms})
    addresses = CONTEXT[:2]

    def answer(_: object, url: str, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = (200 if url in addresses else 504), url
        response._content = text.encode()
        response.headers["Content-Type"] = "application/ld+json"
        return response

    monkeypatch.setattr(contexts, "source_to_json", lambda *_, **__: (json.loads(text), None))
    monkeypatch.setattr(http.HttpRequester, "get", answer, raising=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_own_contexts")
def test_the_validator_of_the_community_finds_every_must_met(crate: Path, tmp_path: Path) -> None:
    from rocrate_validator import models, services

    def issues() -> list[str]:
        settings = services.ValidationSettings(
            rocrate_uri=str(crate),
            profile_identifier="process-run-crate",
            requirement_severity=models.Severity.REQUIRED,
            offline=True,
            cache_path=str(tmp_path / "cache"),
        )
        return [str(one.message) for one in services.validate(settings).get_issues()]

    assert issues() == []

    spoiled = crate_of(crate)
    for one in spoiled["@graph"]:
        one.pop("instrument", None)
    (crate / METADATA_NAME).write_text(json.dumps(spoiled))
    assert any("instrument" in one for one in issues())
