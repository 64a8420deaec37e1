"""A site is valid HTML, complete in its folder, loads nothing else, and escapes all texts."""

from __future__ import annotations

import functools
import json
import os
import posixpath
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import load_record, write_record
from sciml_data.bench.record.runs import describe_output
from sciml_data.cli import group
from sciml_data.errors import CallError, RecordError
from sciml_data.home import Home
from sciml_data.metadata.addresses import landing_page_address, registry_identity
from sciml_data.metadata.fair.evidence import read_page
from sciml_data.metadata.html import is_web_address
from sciml_data.metadata.landing.page import landing_page as landing_html
from sciml_data.metadata.landing.page import page_folder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.results.mlperf_log import Submitter, log_text
from sciml_data.site import SiteOptions, gather, site_files, write_site
from sciml_data.site.build import LIST_NAME
from sciml_data.site.frame import Frame, dataset_path
from sciml_data.testing.datasets import change_descriptor
from tests.support.run_samples import written_run
from tests.support.site_samples import (
    IDS,
    TOY_BENCHMARK,
    png,
    site_content,
    site_registry,
    site_runs,
)

html5lib = pytest.importorskip("html5lib")
HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a small site."""
    content, home = site_content(tmp_path_factory.mktemp("site"))
    return site_files(content, home)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a site of the built-in benchmarks tevolop and uno."""
    home = Home(tmp_path_factory.mktemp("home"))
    written_run(home.runs("tevolop") / "one")
    content = gather(find_registry(), home, benchmarks=["tevolop", "uno"])
    return site_files(content, home)


@functools.cache
def tree(html: bytes) -> Any:
    """Return the elements as a browser has them; html5lib stops at the first error."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(html.decode("utf-8"))


def pages(of: dict[str, bytes]) -> dict[str, Any]:
    return {name: tree(data) for name, data in of.items() if name.endswith(".html")}


@pytest.fixture(params=["files", "real"])
def site(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """Return each of the two sites."""
    either: dict[str, bytes] = request.getfixturevalue(request.param)
    return either


def call(*words: str) -> Result:
    return CliRunner().invoke(group, ["site", "build", *words])


def test_every_dataset_benchmark_and_run_has_a_page(files: dict[str, bytes]) -> None:
    assert set(pages(files)) == {
        "index.html",
        "runs/index.html",
        "datasets/waves/1.0/index.html",
        "benchmarks/toy/index.html",
        "benchmarks/toy/formal.html",
        *(f"runs/{identifier}/index.html" for identifier in IDS),
    }


def test_pages_are_html_without_an_error_and_have_one_title(site: dict[str, bytes]) -> None:
    for name, page in pages(site).items():
        assert page.get("lang") == "en", name
        assert len(list(page.iter("h1"))) == 1, name


def test_every_link_of_a_page_leads_to_a_file_and_a_place_in_it(site: dict[str, bytes]) -> None:
    places = {name: {item.get("id") for item in page.iter()} for name, page in pages(site).items()}
    broken = []
    for name, page in pages(site).items():
        for item in page.iter():
            for target in filter(None, (item.get("href"), item.get("src"))):
                parts = urlsplit(target)
                if parts.scheme:
                    continue
                path = posixpath.normpath(
                    posixpath.join(posixpath.dirname(name), unquote(parts.path))
                )
                path = path if parts.path else name
                if path not in site or (
                    parts.fragment and parts.fragment not in places.get(path, set())
                ):
                    broken.append((name, target))

    assert broken == []


def test_nothing_is_loaded_that_is_not_a_file_of_the_site(site: dict[str, bytes]) -> None:
    loaded = []
    for page in pages(site).values():
        loaded += [item.get("src") for item in page.iter() if item.get("src")]
        loaded += [
            item.get("href")
            for item in page.iter("link")
            if item.get("rel") in {"stylesheet", "icon", "preload", "manifest"}
        ]
        assert [name for item in page.iter() for name in item.attrib if name[:2] == "on"] == []
        assert [item for item in page.iter() if item.get("style") or item.get("srcset")] == []
        types = {item.get("type") for item in page.iter("script") if not item.get("src")}
        assert types <= {"application/ld+json", "application/json"}

    assert loaded
    assert [item for item in loaded if urlsplit(item).scheme or item.startswith("/")] == []
    assert not re.search(rb"url\(|@import|https?:", site["assets/site.css"])
    assert not re.search(rb"https?:|fetch\(|import\(", site["assets/site.js"])


def test_the_page_of_a_benchmark_says_what_a_run_needs_and_why_it_matters(
    real: dict[str, bytes], files: dict[str, bytes]
) -> None:
    html = real["benchmarks/tevolop/index.html"].decode()

    assert "What a run needs" in html
    assert "not measured" in html
    assert "<strong>Motivation.</strong> Forecasts of seismic activity" in html
    assert (
        "Memory, disk and hours of a run are not stated"
        in files["benchmarks/toy/index.html"].decode()
    )


def test_headings_skip_no_level_and_tables_have_captions_and_scopes(
    site: dict[str, bytes],
) -> None:
    for name, page in pages(site).items():
        levels = [
            int(item.tag[1]) for item in page.iter() if re.fullmatch(r"h[1-6]", str(item.tag))
        ]
        assert max((b - a for a, b in pairwise(levels)), default=0) <= 1, name
        scopes = {item.get("scope") for item in page.iter("th")}
        assert scopes <= {"col", "row"}, name
        names = [item.get("id") for item in page.iter() if item.get("id")]
        assert sorted(set(names)) == sorted(names), name
        bare = [item for item in page.iter("table") if item.get("class") == "sortable"]
        assert [item for item in bare if item[0].tag != "caption"] == [], name
        assert [item for item in page.iter("img") if not item.get("alt")] == []


def test_the_same_input_gives_the_same_bytes_for_every_order_of_sets(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    site_runs(home)
    places = ["--registry", str(registry.root), "--home", str(home.root)]
    for seed in ("1", "2"):
        words = ["-m", "sciml_data", "site", "build", "--to", str(tmp_path / seed), *places]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, *words], check=True, env=environment, capture_output=True)

    first, second = (
        {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*.*")
            if path.is_file()
        }
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert len(first) > len(IDS)
    assert first == second


def test_a_dataset_page_says_to_programs_what_its_landing_page_says(
    real: dict[str, bytes],
) -> None:
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")
    html = real[dataset_path("tevolop_socal", "1.0")].decode("utf-8")
    landing = read_page(landing_html(descriptor))

    assert read_page(html).json_ld == landing.json_ld
    assert set(landing.links) <= set(read_page(html).links)
    beside = {
        name.removeprefix("datasets/tevolop_socal/1.0/"): data
        for name, data in real.items()
        if name.startswith("datasets/tevolop_socal/1.0/")
    }
    assert {n: d for n, d in beside.items() if n != "index.html"} == {
        n: d for n, d in page_folder(descriptor).items() if n != "index.html"
    }


def test_what_to_do_is_a_sentence_after_the_reason(site: dict[str, bytes]) -> None:
    texts = [
        str(cell.text)
        for name, page in pages(site).items()
        if name.startswith("datasets/")
        for cell in page.iter("td")
        if "To do" in str(cell.text)
    ]

    assert texts
    assert [text for text in texts if not re.search(r"[^.]\. To do( \(\w+\))?: ", text)] == []


def test_the_address_of_a_dataset_page_is_the_identifier_of_its_version() -> None:
    identity = registry_identity(find_registry().root)
    page = landing_page_address(identity, "waves", "1.0")

    assert Frame(identity.base_url).address(dataset_path("waves", "1.0")) == page


def test_a_synthetic_run_says_so_on_its_page_and_a_real_one_does_not(
    files: dict[str, bytes],
) -> None:
    real, synthetic = (files[f"runs/{name}/index.html"].decode() for name in IDS[:2])

    assert "SYNTHETIC DATA" in synthetic
    assert "SYNTHETIC" not in real


def test_a_run_page_has_record_figure_scores_and_commands(files: dict[str, bytes]) -> None:
    html = files[f"runs/{IDS[0]}/index.html"].decode()

    assert json.loads(files[f"runs/{IDS[0]}/record.json"])["run_id"] == IDS[0]
    assert 'src="map.png" width="6" height="4"' in html
    assert "sciml-data run toy --model small --split thirds --seed 0" in html
    assert "0.2500" in html
    assert "the disk is full" in files[f"runs/{IDS[2]}/index.html"].decode()


def test_a_log_is_added_where_somebody_says_who_ran(tmp_path: Path) -> None:
    home, submitter = Home(tmp_path / "home"), Submitter("Lab", "box")
    record = load_record(Path(site_runs(home)[0]))
    marks = ["init_start", "init_stop", "run_start", "eval_start", "eval_stop", "run_stop"]
    timeline: list[dict[str, Any]] = [
        {"key": key, "time_ms": number, "metadata": {"epoch_num": 2} if "eval" in key else {}}
        for number, key in enumerate(marks)
    ]
    timeline[-1]["metadata"] = {"status": "success"}
    known = {**TOY_BENCHMARK, "name": "tevolop"}
    changed = {"timeline": timeline, "benchmark": known}
    write_record(home.runs("toy") / "real", {**record, **changed})
    content = gather(site_registry(tmp_path / "registry"), home, wanted=["real", "failed"])

    files = site_files(content, home, options=SiteOptions(submitter=submitter))

    logged = log_text(next(run.record for run in content.runs if run.id == IDS[0]), submitter)
    assert files[f"runs/{IDS[0]}/mlperf-log.txt"].decode() == logged
    assert "No log can be made" in files[f"runs/{IDS[2]}/index.html"].decode()


def test_no_text_of_a_record_or_a_card_becomes_markup(tmp_path: Path) -> None:
    registry, home = site_registry(tmp_path / "registry"), Home(tmp_path / "home")
    folder = registry.package("waves", "1.0")
    change_descriptor(folder, lambda document: document.update(title=HOSTILE))
    card = folder.parent / "README.md"
    card.write_text(f"# waves\n\n{HOSTILE}\n\n[x](javascript:alert(3))\n")
    runner = registry.runner("toy")
    (runner / "README.md").write_text(f"# toy\n\n{HOSTILE}\n")
    written_run(
        home.runs("toy") / "one",
        benchmark={**TOY_BENCHMARK, "title": HOSTILE},
        facts={"note": HOSTILE},
        settings={"epochs": HOSTILE},
        settings_overridden=["epochs"],
    )

    files = site_files(gather(registry, home), home)

    for name, page in pages(files).items():
        assert [item for item in page.iter("img") if item.get("src") == "x"] == [], name
        scripts = [(item.get("src"), item.get("type")) for item in page.iter("script")]
        assert [src for src, kind in scripts if kind is None and "site.js" not in src] == []
        assert "javascript:" not in {str(item.get("href"))[:11] for item in page.iter("a")}
        assert b"alert(2)>49" not in files[name]
    entries = next(item.text for item in tree(files["index.html"]).iter("script") if item.get("id"))
    assert HOSTILE in json.loads(entries)["entries"][0]["title"]


def test_a_file_name_of_a_run_is_a_path_and_not_an_address(tmp_path: Path) -> None:
    registry, home = site_registry(tmp_path / "registry"), Home(tmp_path / "home")
    folder = site_runs(home)[0]
    (folder / "figures" / "javascript:alert(1)%2F.png").write_bytes(png(3, 2))
    (folder / "monitor.csv").write_text("time_ms\nnot a number\n")
    record = load_record(folder)
    record["outputs"]["monitor"] = describe_output(folder, "monitor.csv", "CSV")
    record["code"]["version"] = "0.1'; touch hacked; '"
    write_record(folder, record)

    files = site_files(gather(registry, home), home)

    page = tree(files[f"runs/{IDS[0]}/index.html"])
    links = [str(item.get("href")) for item in page.iter("a")]
    assert "javascript%3Aalert%281%29%252F.png" in links
    assert [link for link in links if link.startswith("javascript:")] == []
    (install,) = (
        line
        for item in page.iter("pre")
        for line in (item.text or "").splitlines()
        if line.startswith("pip install")
    )
    assert shlex.split(install)[-1] == "sciml-data[train]==0.1'; touch hacked; '"


def test_an_address_that_is_none_is_not_a_link() -> None:
    addresses = ("http://[", "javascript:alert(1)", " java\tscript:alert(1)", "data:text/html,x")

    assert [address for address in addresses if is_web_address(address)] == []
    assert is_web_address("https://example.org/a?b#c")


def test_a_page_says_why_runs_make_no_board(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    for identifier, seed in zip(IDS, (0, 1), strict=False):
        seeds = {"seed": seed, "generators": [], "data_order": "x", "deterministic_ops": False}
        folder = home.runs("toy") / identifier
        written_run(folder, run_id=identifier, benchmark=TOY_BENCHMARK, seeds=seeds)

    html = site_files(gather(registry, home), home)["benchmarks/toy/index.html"].decode()

    assert "No board is made of these runs: these runs are not repeats" in html
    assert "it is the same run" in html


def test_the_search_knows_everything_that_has_a_page(files: dict[str, bytes]) -> None:
    script = next(item for item in tree(files["index.html"]).iter("script") if item.get("id"))
    links = {entry["link"] for entry in json.loads(script.text)["entries"]}

    others = {"index.html", "runs/index.html", "benchmarks/toy/formal.html"}
    assert links == set(pages(files)) - others


def test_a_base_url_gives_canonical_links_and_a_site_map(tmp_path: Path) -> None:
    content, home = site_content(tmp_path)
    options = SiteOptions(base_url="https://example.org/science/")

    files = site_files(content, home, options=options)

    canonical = {
        item.get("href")
        for item in tree(files["runs/index.html"]).iter("link")
        if item.get("rel") == "canonical"
    }
    assert canonical == {"https://example.org/science/runs/"}
    assert b"<loc>https://example.org/science/benchmarks/toy/</loc>" in files["sitemap.xml"]


def test_runs_are_named_by_folder_id_or_the_folder_above(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    folders = site_runs(home)

    def ids(*wanted: str) -> list[str]:
        return sorted(run.id for run in gather(registry, home, wanted=wanted).runs)

    assert ids(str(folders[1])) == [IDS[1]]
    assert ids(IDS[0][:8], "made-up") == IDS[:2]
    assert ids(str(tmp_path / "home"), "real") == IDS


def test_every_invalid_record_is_named_and_the_rest_has_pages(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    folders = site_runs(home)
    (folders[0] / "record.json").write_text("{}")
    text = (folders[1] / "record.json").read_text()
    (folders[1] / "record.json").write_text(text.replace('"score": 0.5', '"score": 0.75'))

    content = gather(registry, home)

    assert {problem.place for problem in content.left_out} == {"real", "made-up"}
    assert [run.id for run in content.runs] == [IDS[2]]
    assert f"runs/{IDS[2]}/index.html" in site_files(content, home)


def test_no_site_is_made_of_named_runs_of_which_none_is_left(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    (site_runs(home)[0] / "record.json").write_text("{}")

    with pytest.raises(RecordError) as error:
        gather(registry, home, wanted=["real"])

    assert [problem.place for problem in error.value.problems] == ["real"]


def test_a_run_has_one_page_and_other_records_of_it_are_named(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    for name in ("a", "b", "c"):
        facts = {"other": 1} if name == "c" else {}
        folder = home.runs("toy") / name
        written_run(folder, run_id=IDS[0], benchmark=TOY_BENCHMARK, facts=facts)

    content = gather(registry, home)

    assert [run.folder.name for run in content.runs] == ["a"]
    assert [(p.kind, p.place) for p in content.left_out] == [("duplicate", "b"), ("duplicate", "c")]


def test_a_broken_dataset_or_benchmark_costs_only_itself(tmp_path: Path) -> None:
    home, registry = Home(tmp_path / "home"), site_registry(tmp_path / "registry")
    first = registry.package("waves", "1.0")
    shutil.copytree(first, first.with_name("2.0"))
    shutil.copytree(registry.runner("toy"), registry.root / "runners" / "broken")
    change_descriptor(registry.package("waves", "2.0"), lambda document: document.pop("title"))
    (registry.root / "runners" / "broken" / "task.toml").write_text("name = [", encoding="utf-8")

    content = gather(registry, home)

    assert [(p.kind, p.place) for p in content.left_out] == [
        ("benchmark", "broken"),
        ("dataset", "waves 2.0"),
    ]
    assert [task.name for task in content.tasks] == ["toy"]
    assert "index.html" in site_files(content, home)


def test_a_second_build_removes_old_files_and_leaves_those_of_others(
    tmp_path: Path,
) -> None:
    target = tmp_path / "public"
    write_site({"index.html": b"1", "runs/a/index.html": b"2"}, target)
    (target / "CNAME").write_text("example.org\n")

    write_site({"index.html": b"3"}, target)

    names = sorted(path.name for path in target.iterdir())
    assert names == ["CNAME", "index.html", LIST_NAME]
    assert (target / "index.html").read_bytes() == b"3"


def test_a_file_of_others_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "public"
    target.mkdir()
    (target / "index.html").write_text("mine")

    with pytest.raises(CallError) as error:
        write_site({"assets/site.css": b"1", "index.html": b"2"}, target)

    assert [problem.place for problem in error.value.problems] == ["index.html"]
    assert [path.name for path in target.iterdir()] == ["index.html"]


def test_a_manipulated_list_of_files_removes_nothing_outside(tmp_path: Path) -> None:
    target, outside = tmp_path / "public", tmp_path / "precious"
    outside.write_text("stays")
    write_site({"index.html": b"1"}, target)
    listing = {"files": {"../precious": "0" * 64, "index.html": "0" * 64}}
    (target / LIST_NAME).write_text(json.dumps(listing))

    write_site({"index.html": b"2"}, target)

    assert outside.read_text() == "stays"


def test_the_command_writes_a_site_and_prints_its_first_page(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    site_runs(home)
    registry = site_registry(tmp_path / "registry").root
    words = ("--to", str(tmp_path / "out"), "--registry", str(registry), "--home", str(home.root))

    result = call(*words, "real")

    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out' / 'index.html'}\n"
    assert (tmp_path / "out" / "runs" / IDS[0] / "index.html").is_file()
    assert not (tmp_path / "out" / "runs" / IDS[1]).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--benchmark", "toi"], "no benchmark 'toi'"),
        (["--base-url", "example.org"], "not the address of a site"),
        (["--org", "Lab"], "must be used together"),
        (["nowhere"], "no such run"),
    ],
)
def test_a_wrong_call_exits_2_and_writes_nothing(
    tmp_path: Path, words: list[str], message: str
) -> None:
    result = call("--to", str(tmp_path / "out"), *words)

    assert isinstance(result.exception, CallError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_help_has_examples() -> None:
    site = group.get_command(click.Context(group), "site")

    assert isinstance(site, click.Group)
    assert "sciml-data site build --to" in (site.commands["build"].epilog or "")


def test_without_its_extra_a_site_names_that_extra_and_not_the_one_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, home = site_content(tmp_path)
    monkeypatch.setattr("sciml_data.site.build.find_spec", lambda _name: None)

    with pytest.raises(CallError, match="markdown-it-py") as error:
        site_files(content, home)

    assert error.value.hint == "pip install 'sciml-data[site]'"
