"""Publishing to a repository that answers as InvenioRDM documents it.

Never tried on a real instance: no machine here reaches one (docs/how-to/publish.md says so).
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import CallError, FetchError, SciMLDataError, VerificationError
from sciml_data.integrations.invenio import Repository
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.transfer import RetryPolicy
from tests.support.invenio_server import TOKEN, InvenioServer

FILES = {"train/a.bin": b"a" * 1000, "b c.bin": b"b" * 200_000, "README.md": b"of the data"}
DESCRIBED = {"sciml-data/README.md", "datapackage.json", "manifest.csv"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[InvenioServer]:
    with InvenioServer() as server:
        monkeypatch.setenv("SCIML_DATA_TOKENS", f"{server.host}={TOKEN}")
        yield server


@pytest.fixture(autouse=True)
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a dataset in a registry, fetched into the home; return the folder of its version."""
    registry = tmp_path / "registry"
    write_files(tmp_path / "served", FILES)
    folder = write_dataset(registry, FILES).folder
    edit(folder, contributors=[{"title": "A test", "roles": ["creator"]}])
    (folder.parent / "README.md").write_text("data card", encoding="utf-8")
    monkeypatch.setenv("SCIML_DATA_REGISTRY", str(registry))
    run("get", "tiny", "--mirror", f"file:{tmp_path / 'served'}")
    return folder


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(pause=lambda _: None)
    monkeypatch.setattr("sciml_data.integrations.invenio.client.RetryPolicy", lambda: policy)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(group, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    return result


def publish(server: InvenioServer, *arguments: str) -> Result:
    address = ("--url", server.url, "--publisher", "Example Lab")
    return run("publish", "invenio", "tiny", *address, *arguments)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "datapackage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_dry_run_prints_files_and_metadata_and_makes_no_request(
    server: InvenioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCIML_DATA_TOKENS")
    planned = json.loads(publish(server, "--dry-run", "--json").stdout)
    assert server.requests == []
    assert planned["files"].keys() == FILES.keys() | DESCRIBED
    assert planned["files"]["b c.bin"] == 200_000
    metadata = planned["draft"]["metadata"]
    assert metadata["resource_type"] == {"id": "dataset"}
    assert metadata["version"] == "1.0"
    assert metadata["publisher"] == "Example Lab"
    assert "b c.bin" in publish(server, "--dry-run").stdout


def test_a_draft_has_every_byte_a_doi_and_is_not_published(server: InvenioServer) -> None:
    result = publish(server)
    draft = server.drafts["1"]
    assert not draft.is_published
    assert draft.doi == "10.5072/test.1"
    assert {key: draft.content[key] for key in FILES} == FILES
    assert draft.content["sciml-data/README.md"] == b"data card"
    assert set(draft.status.values()) == {"completed"}
    assert result.stdout == f"{server.url}/uploads/1\n"
    assert "10.5072/test.1" in result.stderr


def test_final_publishes_and_a_second_call_is_refused(server: InvenioServer) -> None:
    deposit = json.loads(publish(server, "--final", "--json").stdout)
    assert deposit["is_published"]
    assert server.drafts["1"].is_published
    with pytest.raises(CallError, match="is published") as caught:
        publish(server)
    assert "--new-version-of 1" in caught.value.hint


def test_a_later_version_belongs_to_the_same_work(server: InvenioServer, tmp_path: Path) -> None:
    publish(server, "--final")
    (tmp_path / "home/data/tiny/1.0/deposits.json").unlink()
    publish(server, "--new-version-of", "1")
    assert server.drafts["2"].parent == 1
    assert server.drafts["2"].body["metadata"]["version"] == "1.0"


def test_a_cut_upload_is_tried_again(server: InvenioServer) -> None:
    server.cut_after = 100_000
    publish(server)
    assert server.drafts["1"].content["b c.bin"] == FILES["b c.bin"]


def test_a_busy_server_is_asked_again(server: InvenioServer) -> None:
    server.failures = [429, 503]
    publish(server)
    assert server.requests[:3] == ["POST /api/records"] * 3


def test_the_same_command_resumes_and_sends_only_what_is_missing(server: InvenioServer) -> None:
    publish(server)
    draft = server.drafts["1"]
    draft.status["train/a.bin"] = "pending"  # half sent
    draft.content["stranger.txt"], draft.status["stranger.txt"] = b"x", "completed"
    server.requests.clear()
    result = publish(server)
    uploads = [line for line in server.requests if line.endswith("/content")]
    assert uploads == ["PUT /api/records/1/draft/files/train%2Fa.bin/content"]
    assert draft.content["train/a.bin"] == FILES["train/a.bin"]
    assert "stranger.txt" not in draft.content
    assert "resuming the draft 1" in result.stderr
    assert list(server.drafts) == ["1"]


def test_a_draft_that_was_deleted_is_made_anew(server: InvenioServer) -> None:
    publish(server)
    first = server.drafts.pop("1")
    server.drafts["0"] = first
    assert "was deleted" in publish(server).stderr


def test_other_bytes_in_the_repository_are_an_error(server: InvenioServer) -> None:
    server.damage = True
    with pytest.raises(VerificationError, match=r"has md5:.* and md5:.* here"):
        publish(server)
    assert not server.drafts["1"].is_published


def test_a_repository_that_is_gone_is_named(server: InvenioServer) -> None:
    server.failures = [503] * 5
    with pytest.raises(FetchError, match="503") as caught:
        publish(server)
    assert server.url in str(caught.value)


def test_a_wrong_token_is_refused_and_never_printed(
    server: InvenioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCIML_DATA_TOKENS", f"{server.host}=another-secret")
    with pytest.raises(FetchError, match="403") as caught:
        publish(server)
    assert "another-secret" not in str(caught.value)


def test_without_a_token_nothing_is_sent(
    server: InvenioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCIML_DATA_TOKENS")
    monkeypatch.setattr(keyring, "get_password", lambda *_: None)
    with pytest.raises(CallError, match="no token") as caught:
        publish(server)
    assert "SCIML_DATA_TOKENS" in caught.value.hint
    assert server.requests == []


def test_a_token_of_the_keyring_is_used(
    server: InvenioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ring(keyring.backend.KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return TOKEN if (service, username) == ("sciml-data", server.host) else None

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

        def delete_password(self, service: str, username: str) -> None:
            raise NotImplementedError

    monkeypatch.delenv("SCIML_DATA_TOKENS")
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())  # type: ignore[no-untyped-call]
    try:
        publish(server)
    finally:
        keyring.set_keyring(before)
    assert server.drafts["1"].doi is not None


def test_the_token_is_in_no_output_and_no_file(server: InvenioServer, tmp_path: Path) -> None:
    result = publish(server)
    assert TOKEN not in result.output
    written = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


def test_metadata_that_the_repository_refuses_name_the_field(
    server: InvenioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.invenio_server.KNOWN", {"title"})
    with pytest.raises(FetchError, match=r"metadata\.") as caught:
        publish(server)
    assert not server.drafts["1"].is_published
    assert caught.value.problems


def test_data_without_a_licence_need_a_word_of_the_user(
    server: InvenioServer, dataset: Path
) -> None:
    edit(dataset, licenses=[{"name": "LicenseRef-not-stated", "title": "none found"}])
    with pytest.raises(CallError, match="licence"):
        publish(server)
    assert server.requests == []
    publish(server, "--i-have-the-rights")
    assert server.drafts["1"].content


def test_changed_files_are_not_sent(server: InvenioServer, tmp_path: Path) -> None:
    (tmp_path / "home/data/tiny/1.0/native/train/a.bin").write_bytes(b"x" * 1000)
    with pytest.raises(VerificationError):
        publish(server)
    assert server.requests == []


def test_too_many_files_are_sent_as_one_archive(
    server: InvenioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Repository(server.url, "Small", max_files=4)
    monkeypatch.setattr("sciml_data.integrations.invenio.ZENODO", small, raising=False)
    with pytest.raises(CallError, match=r"takes 4 files, and tiny 1\.0 has 6") as caught:
        run("publish", "zenodo", "tiny")
    assert "--zip" in caught.value.hint
    archive = tmp_path / "tiny-1.0.zip"
    run("publish", "zenodo", "tiny", "--zip", str(archive), "--dry-run")
    assert not archive.exists()
    run("publish", "zenodo", "tiny", "--zip", str(archive))
    with zipfile.ZipFile(archive) as stored:
        assert {name: stored.read(name) for name in stored.namelist()} == FILES
    sent = server.drafts["1"].content
    assert sent.keys() == {"tiny-1.0.zip", "README.md", "datapackage.json", "manifest.csv"}
    first = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.unlink()
    run("publish", "zenodo", "tiny", "--zip", str(archive))
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == first


def test_a_token_is_not_sent_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIML_DATA_TOKENS", f"data.example.org={TOKEN}")
    with pytest.raises(CallError, match="https"):
        run("publish", "invenio", "tiny", "--url", "http://data.example.org", "--publisher", "x")
