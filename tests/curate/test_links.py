"""`check --live` says of every link whether it gives what the registry says, and since when."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.curate.links import (
    LinkReport,
    LinkState,
    Outcome,
    ask_links,
    links_of,
    new_report,
    read_latest,
    write_report,
)
from sciml_data.curate.links.collect import Link
from sciml_data.errors import CallError
from sciml_data.registry.descriptor import Descriptor, read_descriptor
from sciml_data.testing.datasets import (
    change_descriptor,
    write_dataset,
    write_files,
    write_unpinned,
)
from sciml_data.testing.faults import redirect, status
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import FileServer
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Timeouts
from tests.support.downloads import quick_retry
from tests.support.nginx import access_lines, needs_nginx, nginx
from tests.support.ports import closed_port
from tests.support.proxy import ForwardProxy

FILES = {"a.csv": b"1,2\n", "deep/b.bin": bytes(5000), "empty.txt": b""}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "www", FILES)
    with FileServer(tmp_path / "www") as server:
        yield server


def files_only(descriptor: Descriptor, **options: int) -> list[Link]:
    return [link for link in links_of([descriptor], **options) if link.kind != "page"]


def ask(links: Sequence[Link], waits: list[float] | None = None) -> dict[str, LinkState]:
    states = ask_links(links, retry=quick_retry(waits), pause_s=0)
    return {state.link.path or state.link.url: state for state in states}


def outcomes(states: Mapping[str, LinkState]) -> dict[str, str]:
    return {path: str(state.outcome) for path, state in states.items()}


def test_each_file_is_asked_for_one_byte_over_one_connection(
    tmp_path: Path, server: FileServer
) -> None:
    tiny = write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"{server.url}/"}])

    states = ask(files_only(tiny))

    assert outcomes(states) == dict.fromkeys(FILES, "ok")
    assert {path: state.size_bytes for path, state in states.items()} == {
        path: len(content) for path, content in FILES.items()
    }
    assert server.bytes_sent == 2
    assert server.connections == 1
    assert {request.headers["user-agent"].partition("/")[0] for request in server.requests} == {
        "sciml-data"
    }


def test_what_became_of_a_file_is_said(tmp_path: Path, server: FileServer) -> None:
    paths = ["gone", "secret", "forbidden", "broken", "shorter", "elsewhere", "temporary"]
    files = dict.fromkeys(paths, b"0123456789")
    write_files(tmp_path / "www", files)
    tiny = write_dataset(tmp_path / "registry", files, mirrors=[{"": f"{server.url}/"}])
    (tmp_path / "www" / "gone").unlink()
    (tmp_path / "www" / "shorter").write_bytes(b"01234")
    for path, code in {"secret": 401, "forbidden": 403, "broken": 500}.items():
        server.add(status(code), path=path, times=None)
    new_place = f"{server.url}/temporary"
    server.add(redirect(f"{server.url}/shorter2"), path="temporary", times=1)
    write_files(tmp_path / "www", {"shorter2": b"0123456789", "new": b"0123456789"})
    moved = status(301)
    server.add(
        type(moved)("status", status=301, headers=(("Location", f"{server.url}/new?token=1"),)),
        path="elsewhere",
    )

    states = ask(files_only(tiny))

    assert outcomes(states) == {
        "gone": "gone",
        "secret": "refused",
        "forbidden": "refused",
        "broken": "unreachable",
        "shorter": "changed",
        "elsewhere": "moved",
        "temporary": "ok",
    }
    assert states["elsewhere"].moved_to == f"{server.url}/new"
    assert "10 bytes expected, 5 sent" in states["shorter"].reason
    assert "500" in states["broken"].reason
    assert new_place not in states["temporary"].moved_to


def test_the_wait_that_a_server_asks_for_is_kept_and_a_long_one_ends_the_visit(
    tmp_path: Path, server: FileServer
) -> None:
    files = {"a": b"1", "b": b"2", "c": b"3"}
    write_files(tmp_path / "www", files)
    tiny = write_dataset(tmp_path / "registry", files, mirrors=[{"": f"{server.url}/"}])
    server.add(status(429, retry_after="7"), path="a")
    server.add(status(503, retry_after="3600"), path="b")
    waits: list[float] = []

    states = ask(files_only(tiny), waits)

    assert outcomes(states) == {"a": "ok", "b": "refused", "c": "refused"}
    assert 7 in waits
    assert "3600" in states["b"].reason
    assert [request.path for request in server.requests] == ["a", "a", "b"]


def test_links_are_asked_through_the_proxy_of_the_environment(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy(server.url) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        states = ask([Link("file", "http://data.example.org/a.csv", ("t 1",), "m", "a.csv", 4)])

    assert outcomes(states) == {"a.csv": "ok"}
    assert proxy.requests == ["GET http://data.example.org/a.csv"]


def test_a_host_that_does_not_answer_is_asked_for_one_link_only(tmp_path: Path) -> None:
    with closed_port() as port:
        mirrors = [{"": f"http://127.0.0.1:{port}/"}]
        tiny = write_dataset(tmp_path / "registry", FILES, mirrors=mirrors)

        states = ask(files_only(tiny))

    report = new_report(list(states.values()), None, seed=0, per_mirror=9)
    assert set(outcomes(states).values()) == {"unreachable"}
    assert len(report.problems) == len(FILES)
    assert len(report.summary) == 2
    assert f"| http://127.0.0.1:{port} | 2 more links" in report.to_markdown()


def test_a_sample_of_many_files_has_one_of_each_prefix_and_is_the_same_for_a_seed(
    tmp_path: Path, server: FileServer
) -> None:
    files = {f"many/{number}": b"x" for number in range(200)} | {"few/1": b"x"}
    prefixes = {"many/": f"{server.url}/many/", "few/": f"{server.url}/few/"}
    tiny = write_dataset(tmp_path / "registry", files, mirrors=[prefixes])

    first, again, other = (
        [link.path for link in files_only(tiny, seed=seed, per_mirror=5)] for seed in (1, 1, 2)
    )

    assert first == again != other
    assert len(first) == 5
    assert "few/1" in first
    states = [LinkState(link, Outcome.OK) for link in files_only(tiny, seed=1, per_mirror=5)]
    text = new_report(states, None, seed=1, per_mirror=5).to_markdown()
    assert "tiny 1.0 on mirror-0 (5 of 201)" in text
    assert "seed 1" in text


def test_a_bucket_is_listed_once_and_a_sample_of_its_files_is_asked(tmp_path: Path) -> None:
    files = {f"bucket/set/{number}.bin": bytes(number + 1) for number in range(20)}
    write_files(tmp_path / "www", files)
    with S3Server(tmp_path / "www") as server:
        listing = Link("listing", f"{server.url}/bucket/set/", ("tiny 1.0",), "m", has_s3_tags=True)
        gone = Link("listing", f"{server.url}/none/", ("tiny 1.0",), "m", has_s3_tags=True)
        states = ask_links([listing, gone], per_mirror=3, retry=quick_retry(), pause_s=0)

    assert [(state.link.kind, str(state.outcome)) for state in states] == [
        ("listing", "ok"), *[("file", "ok")] * 3, ("listing", "gone"),
    ]  # fmt: skip
    assert all(state.link.sample == 20 for state in states[1:4])
    assert len(server.requests) == 5


def test_files_of_an_unpinned_version_are_asked_by_name_or_from_the_listing(tmp_path: Path) -> None:
    write_files(tmp_path / "www", {"bucket/a/1.bin": b"12345", "bucket/a/2.bin": b"1"})
    with S3Server(tmp_path / "www") as server:
        mirrors = [{"a/": f"{server.url}/bucket/a/"}]
        listed = write_unpinned(tmp_path / "listed", mirrors=mirrors)
        named = write_unpinned(
            tmp_path / "named",
            mirrors=mirrors,
            expected={"files": {"a/1.bin": {"bytes_each": 6}, "a/3.bin": {"count": 1}}},
        )
        states = [ask(files_only(descriptor)) for descriptor in (listed, named)]

    assert outcomes(states[0]) == {"a/": "ok", "a/1.bin": "ok", "a/2.bin": "ok"}
    assert outcomes(states[1]) == {"a/1.bin": "changed", "a/3.bin": "gone"}


def test_an_entity_tag_that_is_another_md5_than_that_of_the_manifest_is_a_change(
    tmp_path: Path,
) -> None:
    write_files(tmp_path / "www", {"bucket/a": b"new", "bucket/b": b"old"})
    md5 = f"md5:{hashlib.md5(b'old', usedforsecurity=False).hexdigest()}"
    with S3Server(tmp_path / "www") as server:
        links = [
            Link("file", f"{server.url}/bucket/{path}", ("t 1",), "m", path, 3, md5, True)
            for path in ("a", "b")
        ]
        states = ask(links)

    assert outcomes(states) == {"a": "changed", "b": "ok"}


def test_a_file_without_a_hash_is_compared_with_the_first_report(
    tmp_path: Path, server: FileServer
) -> None:
    link = Link("file", f"{server.url}/a.csv", ("t 1",), "m", "a.csv")
    days = [datetime.date(2026, 11, day) for day in (1, 2, 4)]
    reports: list[LinkReport] = []
    for day in days:
        earlier = reports[-1] if reports else None
        known = earlier.by_url if earlier else None
        states = ask_links([link], known=known, retry=quick_retry(), pause_s=0)
        reports.append(new_report(states, earlier, seed=0, per_mirror=1, date=day))
        (tmp_path / "www" / "a.csv").write_bytes(b"other")

    assert [str(report.states[0].outcome) for report in reports] == ["ok", "changed", "changed"]
    assert reports[2].since[link.url] == "2026-11-02"
    assert "2026-11-02 (2 days)" in reports[2].to_markdown()
    assert reports[2].states[0].size_bytes == 4


def test_a_report_is_read_again_and_a_foreign_one_is_named(tmp_path: Path) -> None:
    link = Link("file", "http://h/a|b", ("t 1",), "m", "a", size_bytes=0)
    states = [LinkState(link, Outcome.GONE, "404", size_bytes=0, tag="t")]
    report = new_report(states, None, seed=3, per_mirror=4, date=datetime.date(2026, 1, 2))
    paths = write_report(report, tmp_path / "new" / "reports")

    again = read_latest(tmp_path / "new" / "reports")

    assert [path.name for path in paths] == ["links-2026-01-02.json", "links-2026-01-02.md"]
    assert again is not None
    assert (again.date, again.seed, again.per_mirror) == ("2026-01-02", 3, 4)
    assert (again.states[0].size_bytes, again.states[0].tag) == (0, "t")
    assert again.since == report.since
    (tmp_path / "links-2026-01-01.json").write_text('{"links": [1]}')
    with pytest.raises(CallError, match=r"links-2026-01-01\.json"):
        read_latest(tmp_path)
    assert read_latest(tmp_path / "none") is None


def test_pages_and_identifiers_of_a_descriptor_are_asked_once_each(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "registry", FILES, mirrors=[{"": "http://m.example/"}]).folder

    def fill(document: dict[str, object]) -> None:
        document["homepage"] = "https://example.org/#top"
        block = document["sciml"]
        assert isinstance(block, dict)
        block["citation"] = ["The authors (2020): Data. doi:10.5066/F7MS3QZH."]
        block["related"] = [{"identifier": "10.5066/F7MS3QZH", "relation": "IsDerivedFrom"}]

    change_descriptor(folder, fill)

    links = [link for link in links_of([read_descriptor(folder)]) if link.kind == "page"]

    assert sorted(link.url for link in links) == [
        "https://creativecommons.org/publicdomain/zero/1.0/",
        "https://doi.org/10.5066/F7MS3QZH",
        "https://example.org/",
    ]


def test_a_refused_page_is_reported_and_does_not_fail_the_check() -> None:
    page = Link("page", "https://h/", ("t 1",))
    file = Link("file", "https://h/a", ("t 1",), "m", "a")
    states = [LinkState(link, Outcome.REFUSED, "403") for link in (page, file)]
    report = new_report(states, None, seed=0, per_mirror=1)

    assert [problem.place for problem in report.problems] == ["https://h/a"]
    assert "| https://h/ | refused |" in report.to_markdown()


def test_a_scheme_without_a_protocol_is_not_asked() -> None:
    states = ask([Link("file", "gopher://h/a", ("t 1",), "m", "a")])

    assert outcomes(states) == {"a": "not asked"}


def test_an_ftp_server_gives_the_same_outcomes(tmp_path: Path) -> None:
    pytest.importorskip("pyftpdlib")
    from tests.support.ftp_server import FtpServer

    write_files(tmp_path / "www", {"a.csv": b"1,2\n", "empty": b""})
    with FtpServer(tmp_path / "www") as server:
        links = [
            Link("file", f"{server.url}/{path}", ("t 1",), "m", path, size_bytes)
            for path, size_bytes in (("a.csv", 4), ("empty", 0), ("lost", 1))
        ]
        states = ask(links)

    assert outcomes(states) == {"a.csv": "ok", "empty": "ok", "lost": "gone"}


@needs_nginx
def test_nginx_gives_the_same_outcomes(tmp_path: Path) -> None:
    files = {"a.csv": b"1,2\n" * 50, "old/a.csv": b"1,2\n" * 50, "secret": b"x", "lost": b"x"}
    write_files(tmp_path / "www", {"a.csv": files["a.csv"], "secret": b"x"})
    rules = (
        "location /old/ { rewrite ^/old/(.*) http://127.0.0.1:PORT/$1 permanent; }"
        "location = /secret { deny all; }"
    )
    with nginx(tmp_path / "nginx", tmp_path / "www", rules) as url:
        tiny = write_dataset(tmp_path / "registry", files, mirrors=[{"": f"{url}/"}])
        states = ask(files_only(tiny))
        requests = access_lines(tmp_path / "nginx")

    assert outcomes(states) == {
        "a.csv": "ok", "old/a.csv": "moved", "secret": "refused", "lost": "gone",
    }  # fmt: skip
    assert len([line for line in requests if "sciml-data/" in line]) == 5


def live(registry: Path, *words: str) -> Result:
    return CliRunner().invoke(group, ["check", "--live", "--registry", str(registry), *words])


@pytest.fixture
def registry(tmp_path: Path, server: FileServer) -> Path:
    """A registry with one dataset; only its mirror is asked, as its pages are not here."""
    root = tmp_path / "registry"
    folder = write_dataset(root, FILES, mirrors=[{"": f"{server.url}/"}]).folder

    def no_pages(document: dict[str, object]) -> None:
        document["licenses"] = [{"name": "CC0-1.0", "title": "CC0"}]
        document["sources"] = [{"title": "a test", "path": f"{server.url}/a.csv"}]

    change_descriptor(folder, no_pages)
    return root


def test_the_command_writes_reports_and_exits_with_0_if_all_is_well(
    registry: Path, tmp_path: Path
) -> None:
    result = live(registry, "--to", str(tmp_path / "reports"))

    assert result.exit_code == 0, result.output
    written = sorted(path.suffix for path in (tmp_path / "reports").iterdir())
    assert written == [".json", ".md"]


def test_the_command_fails_for_a_changed_file_and_still_prints_json(
    registry: Path, server: FileServer
) -> None:
    (server.root / "deep" / "b.bin").write_bytes(b"short")

    result = live(registry, "tiny", "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    changed = [row["path"] for row in document["links"] if row["outcome"] == "changed"]
    assert changed == ["deep/b.bin"]
    assert document["counts"]["changed"] == 1


@pytest.mark.parametrize(
    "words",
    [["check", "waves"], ["check", "--to", "x"], ["check", "--live", "--since", "HEAD"]],
    ids=["id", "to", "since"],
)
def test_options_of_the_other_check_are_refused(words: list[str], registry: Path) -> None:
    result = CliRunner().invoke(group, [*words, "--registry", str(registry)])

    assert isinstance(result.exception, CallError)


def test_the_problems_of_a_registry_are_printed_as_json(registry: Path) -> None:
    result = CliRunner().invoke(group, ["check", "--json", "--registry", str(registry)])

    places = [problem["place"] for problem in json.loads(result.stdout)["problems"]]
    assert places == ["datapackages/tiny/README.md"]
    assert result.exit_code == 1


def test_timeouts_of_a_check_are_those_of_its_policy(tmp_path: Path) -> None:
    policy = RetryPolicy(tries=1, timeouts=Timeouts(connect_s=1, read_s=0.2), pause=lambda _: None)
    write_files(tmp_path, {"a": b"x"})
    with FileServer(tmp_path) as server:
        server.before = lambda _: server.stopping.wait(60)
        link = Link("file", f"{server.url}/a", ("t 1",), "m", "a")
        (state,) = ask_links([link], retry=policy, pause_s=0)

    assert state.outcome is Outcome.UNREACHABLE
