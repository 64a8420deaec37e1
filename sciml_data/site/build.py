"""All files of a site, and how they are written into a folder.

Equal registry, records and options give equal bytes: the time of the build is not written. A folder
that holds other people's files (a checkout of a Pages branch) keeps them: only files of an earlier
build are replaced or removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from sciml_data import __version__
from sciml_data.errors import CallError, JsonError, Problem, SciMLDataError
from sciml_data.home import Home, read_json, why_not_plain
from sciml_data.metadata.html import template_environment
from sciml_data.results.mlperf_log import Submitter, log_text
from sciml_data.site import dataset_pages, run_pages
from sciml_data.site.benchmark_pages import benchmark_page, formal_page
from sciml_data.site.benchmark_pages import files_beside as benchmark_files
from sciml_data.site.content import Content, Run
from sciml_data.site.dataset_pages import Version
from sciml_data.site.frame import Frame, Page, asset_files, dataset_path
from sciml_data.site.index_pages import index_page, runs_page
from sciml_data.site.pictures import Picture, dataset_picture

logger = logging.getLogger(__name__)

LIST_NAME = "site-files.json"  # the files of a build, which the next build replaces
SITEMAP_NAME = "sitemap.xml"
PICTURES = "pictures"  # folder of the overviews of datasets
NO_JEKYLL = ".nojekyll"  # makes GitHub Pages serve the files as they are
Log = Callable[[str], None]


@dataclass(frozen=True)
class SiteOptions:
    """How a site is made.

    Attributes:
        base_url: future address of the site, for canonical links and a site map.
        are_samples_made: make the synthetic sample of each dataset for its picture.
        submitter: who ran the runs, for their MLPerf logs; None makes no logs.
    """

    base_url: str | None = None
    are_samples_made: bool = False
    submitter: Submitter | None = None


def site_files(
    content: Content,
    home: Home,
    *,
    options: SiteOptions | None = None,
    log: Log = logger.info,
) -> dict[str, bytes]:
    """Return every file of the site by its path.

    Args:
        content: everything that gets a page.
        home: where samples of datasets are looked for.
        options: how the site is made.
        log: gets a line for each dataset, because a sample may take minutes.

    Raises:
        CallError: the extra `site` is not installed.
    """
    _require_extra()
    options = options or SiteOptions()
    frame = Frame(options.base_url, content.identity.title)
    files = {**asset_files(), NO_JEKYLL: b""}
    pages: list[Page] = []
    versions: list[Version] = []
    pictures: dict[str, tuple[Picture, str]] = {}
    for descriptor in content.datasets:
        log(f"dataset {descriptor.dataset} {descriptor.version}")
        version = dataset_pages.assess_version(descriptor)
        picture, reason = dataset_picture(descriptor, home, is_made=options.are_samples_made)
        if picture is not None:
            path = _picture_path(version, picture, files)
            files[path] = picture.content
            pictures[version.path] = picture, path
        versions.append(version)
        files |= dataset_pages.files_beside(version)
        drawn = pictures.get(version.path)
        pages.append(dataset_pages.dataset_page(version, content, drawn, no_picture=reason))
    for task in content.tasks:
        drawn = pictures.get(dataset_path(task.dataset, task.version))
        pages += [benchmark_page(task, content, drawn), formal_page(task, content)]
        files |= benchmark_files(task, content)
    for run in content.runs:
        mlperf_log, no_log = _mlperf_log(run, options.submitter)
        files |= run_pages.files_beside(run, content, log=mlperf_log)
        pages.append(run_pages.run_page(run, content, log=mlperf_log, no_log=no_log))
    pages += [runs_page(content), index_page(content, versions, pictures)]
    files |= {page.path: frame.render(page).encode("utf-8") for page in pages}
    if options.base_url is not None:
        files[SITEMAP_NAME] = _sitemap(frame, pages)
    return dict(sorted(files.items()))


def _require_extra() -> None:
    """Raise an error that names the extra of the site, before a page names the one of its card."""
    needed = {"cf_units": "cf-units", "markdown_it": "markdown-it-py", "rdflib": "rdflib"}
    absent = [name for module, name in needed.items() if find_spec(module) is None]
    if absent:
        raise CallError(
            f"a site cannot be made: {', '.join(absent)} not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[site]'",
        )


def write_site(files: Mapping[str, bytes], target: Path) -> None:
    """Write a site into a folder, and remove files that only an earlier build wrote.

    Raises:
        CallError: a file would replace a file that no build wrote; nothing was written.
    """
    earlier = _earlier_files(target)
    foreign = [
        Problem("foreign", name, "exists, and was not written by a build of the site")
        for name, content in files.items()
        if name not in earlier and (target / name).exists() and _differs(target / name, content)
    ]
    if foreign:
        raise CallError(
            f"{target} holds files that are not the site's, where the site has files of its own",
            problems=foreign,
            untouched="nothing was written",
            hint="use --to with an own folder for the site",
        )
    for name, content in files.items():
        if _differs(target / name, content):
            _write(target / name, content)
    for name in sorted(set(earlier) - set(files)):
        _remove(target, name)
    _write(target / LIST_NAME, _list_text(files).encode("utf-8"))


def _picture_path(version: Version, picture: Picture, files: Mapping[str, bytes]) -> str:
    """Return where a picture is stored: once for all versions that have the same picture."""
    dataset = version.facts.dataset
    path = f"{PICTURES}/{dataset}.webp"
    if files.get(path, picture.content) != picture.content:
        path = f"{PICTURES}/{dataset}-{version.facts.version}.webp"
    return path


def _mlperf_log(run: Run, submitter: Submitter | None) -> tuple[str | None, str]:
    """Return the MLPerf log of a run, or None and the reason why there is none."""
    if submitter is None:
        return None, "No log was made: `site build --org NAME --system NAME` says who ran it."
    try:
        return log_text(run.record, submitter), ""
    except SciMLDataError as error:
        return None, f"No log can be made: {error.message}."


def _earlier_files(target: Path) -> Mapping[str, str]:
    """Return the files of the last build and their hashes, without paths outside the folder."""
    path = target / LIST_NAME
    if why_not_plain(path) == "no such file":
        return {}
    try:
        listed = dict(read_json(path)["files"])
    except (JsonError, LookupError, TypeError, ValueError) as error:
        raise CallError(
            f"{path} is not a list that a build wrote: {error}",
            untouched="nothing was written",
            hint="move the file away, or use --to with another folder",
        ) from error
    return {name: sha256 for name, sha256 in listed.items() if _is_inside(str(name))}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _differs(path: Path, content: bytes) -> bool:
    """Return whether a file is missing or has other content."""
    return not path.is_file() or path.read_bytes() != content


def _write(path: Path, content: bytes) -> None:
    """Write a file through a partial file, so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _remove(target: Path, name: str) -> None:
    """Remove a file of an earlier build, and the folders that it leaves empty."""
    path = target / name
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == target or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def _list_text(files: Mapping[str, bytes]) -> str:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return json.dumps({"sciml_data": __version__, "files": hashes}, indent=1) + "\n"


def _sitemap(frame: Frame, pages: Sequence[Page]) -> bytes:
    addresses = [frame.address(path) for path in sorted(page.path for page in pages)]
    template = template_environment("sciml_data.site").get_template("sitemap.xml")
    return template.render(addresses=addresses).encode("utf-8")
