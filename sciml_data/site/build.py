"""All files of a site, and how they get into a folder.

Equal registry, records and options give equal bytes: no time of building goes in. A folder that
holds files of others (a checkout of a Pages branch) keeps them; only what an earlier build wrote
is replaced or taken away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.sax.saxutils import escape

from sciml_data import __version__
from sciml_data.errors import CallError, Problem, SciMLDataError
from sciml_data.home import Home
from sciml_data.results.mlperf_log import Submitter, log_text
from sciml_data.site import dataset_pages, run_pages
from sciml_data.site.benchmark_pages import benchmark_page
from sciml_data.site.frame import INDEX, Frame, Page, asset_files
from sciml_data.site.index_page import index_page
from sciml_data.site.material import Material, Run
from sciml_data.site.run_lists import runs_page
from sciml_data.site.sample_picture import sample_picture

LIST_NAME = "site-files.json"  # what a build wrote, for the next one
SITEMAP_NAME = "sitemap.xml"
NO_JEKYLL = ".nojekyll"  # GitHub Pages then serves the files as they are
Log = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a site is made.

    Attributes:
        base_url: where it will be served, for canonical links and a site map.
        are_samples_made: make the synthetic sample of each dataset for its picture.
        submitter: who ran the runs, for their MLPerf logs; None makes no log.
    """

    base_url: str | None = None
    are_samples_made: bool = False
    submitter: Submitter | None = None


def site_files(
    material: Material,
    home: Home,
    *,
    options: Options | None = None,
    log: Log = lambda _text: None,
) -> dict[str, bytes]:
    """Return every file of the site by its path.

    Raises:
        CallError: what draws the pages is not installed.
    """
    chosen = options or Options()
    frame = Frame(chosen.base_url)
    files = {**asset_files(), NO_JEKYLL: b""}
    pages: list[Page] = []
    versions = []
    for descriptor in material.datasets:
        log(f"dataset {descriptor.dataset} {descriptor.version}")
        version = dataset_pages.assessed(descriptor)
        versions.append(version)
        picture, why = sample_picture(descriptor, home, is_made=chosen.are_samples_made)
        files |= dataset_pages.files_beside(version)
        if picture is not None:
            files[version.path.removesuffix(INDEX) + picture.name] = picture.content
        pages.append(dataset_pages.dataset_page(version, material, picture=picture, no_picture=why))
    pages += [benchmark_page(task, material) for task in material.tasks]
    for run in material.runs:
        mlperf_log, no_log = _log(run, chosen.submitter)
        files |= run_pages.files_beside(run, log=mlperf_log)
        pages.append(run_pages.run_page(run, material, log=mlperf_log, no_log=no_log))
    pages += [runs_page(material), index_page(material, versions)]
    files |= {page.path: frame.draw(page).encode("utf-8") for page in pages}
    if chosen.base_url is not None:
        files[SITEMAP_NAME] = _sitemap(frame, pages)
    return dict(sorted(files.items()))


def write_site(files: Mapping[str, bytes], target: Path) -> None:
    """Write a site into a folder, and take away what an earlier build wrote and this one did not.

    Raises:
        CallError: a file would take the place of one that no build wrote; nothing was written.
    """
    earlier = _written_before(target)
    foreign = [
        Problem("foreign", name, "is there, and no build of a site wrote it")
        for name, content in files.items()
        if name not in earlier and _differs(target / name, content)
    ]
    if foreign:
        raise CallError(
            f"{target} holds files of others in places that the site needs",
            problems=foreign,
            untouched="nothing was written",
            hint="--to names a folder of its own for the site",
        )
    for name, content in files.items():
        if _differs(target / name, content, is_missing=True):
            _write(target / name, content)
    for name in sorted(set(earlier) - set(files)):
        _take_away(target, name)
    _write(target / LIST_NAME, _listing(files).encode("utf-8"))


def _log(run: Run, submitter: Submitter | None) -> tuple[str | None, str]:
    """Return the MLPerf log of a run, or None and why there is none."""
    if submitter is None:
        return None, "No log was made: `site build --org NAME --system NAME` says who ran it."
    try:
        return log_text(run.record, submitter), ""
    except SciMLDataError as error:
        return None, f"No log can be made: {error.message}."


def _written_before(target: Path) -> Mapping[str, str]:
    """Return the files of the last build by their hashes; only names that lie in the folder."""
    try:
        found: Any = json.loads((target / LIST_NAME).read_text(encoding="utf-8"))["files"]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise CallError(
            f"{LIST_NAME} of {target} is not what a build writes: {error}",
            untouched="nothing was written",
            hint="move it away, or name another folder",
        ) from error
    return {name: sha256 for name, sha256 in dict(found).items() if _is_inside(name)}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _differs(path: Path, content: bytes, *, is_missing: bool = False) -> bool:
    return path.read_bytes() != content if path.is_file() else is_missing or path.exists()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _take_away(target: Path, name: str) -> None:
    """Remove a file of an earlier build, and folders that are empty then."""
    path = target / name
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == target or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def _listing(files: Mapping[str, bytes]) -> str:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"sciml_data": __version__, "files": hashes}, indent=1) + "\n"


def _sitemap(frame: Frame, pages: list[Page]) -> bytes:
    def lines() -> Iterator[str]:
        yield '<?xml version="1.0" encoding="UTF-8"?>'
        yield '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
        for page in sorted(pages, key=lambda page: page.path):
            yield f"<url><loc>{escape(frame.address(page.path) or '')}</loc></url>"
        yield "</urlset>\n"

    return "\n".join(lines()).encode("utf-8")
