"""From a folder of verified files to a draft with a DOI, in steps that can be repeated.

1. `plan_publishing` says which files and which metadata would be sent. It sends nothing.
2. `publish_files` creates a draft, or finds the one of an earlier call, reserves its DOI, and sends
   the files that it does not have. The md5 of each file is compared with that of the repository.
3. A person looks at the draft and publishes it there. `publish=True` does it at once. Nobody can
   take it back: a published record has its files for ever.

The id of the draft is in `deposits.json` beside the data, so that the next call resumes it.
Complete files are not sent again. A file that was cut is sent again from its beginning: the upload
of InvenioRDM has no ranges.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sciml_data.errors import CallError, FetchError, VerificationError
from sciml_data.home import read_json, write_atomically
from sciml_data.integrations.invenio.client import Answer, Client, validation_problems
from sciml_data.integrations.invenio.metadata import to_invenio
from sciml_data.metadata import Facts, facts_of
from sciml_data.progress import Log, Progress, counted, format_bytes
from sciml_data.registry import Verified
from sciml_data.transfer import RetryPolicy
from sciml_data.transfer.protocols.source import SourceError

logger = logging.getLogger(__name__)

DEPOSITS_NAME = "deposits.json"
# help.zenodo.org, "What are the size limitations?", read in 2026. Other instances have their own.
ZENODO_FILES, ZENODO_BYTES = 100, 50 * 10**9
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Repository:
    """An instance of InvenioRDM, and the name that it has as publisher."""

    url: str
    publisher: str
    max_files: int | None = None
    max_bytes: int | None = None


ZENODO = Repository("https://zenodo.org", "Zenodo", ZENODO_FILES, ZENODO_BYTES)
ZENODO_SANDBOX = Repository(
    "https://sandbox.zenodo.org", "Zenodo sandbox", ZENODO_FILES, ZENODO_BYTES
)


@dataclass(frozen=True)
class PublishingPlan:
    """What would be sent to a repository.

    Attributes:
        facts: of the version.
        repository: where to.
        files: name in the record -> file on the disk.
        archive: zip file among them, which `publish_files` writes; None if there is none.
        native: the native files.
        body: access, files and metadata of the draft.
    """

    facts: Facts
    repository: Repository
    files: Mapping[str, Path]
    archive: Path | None
    native: Verified
    body: dict[str, Any]

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each file in bytes; of an archive, the sum of the files inside it."""
        return {
            name: self.native.manifest.total_bytes if path == self.archive else path.stat().st_size
            for name, path in self.files.items()
        }


@dataclass(frozen=True)
class Deposit:
    """A draft, or a published record.

    Attributes:
        record: its id in the repository.
        doi: reserved or registered DOI; None if the instance gives none.
        page: address for a browser.
        is_published: whether everybody can see it.
        sent: number of files that this call sent.
    """

    record: str
    doi: str | None
    page: str
    is_published: bool
    sent: int


def plan_publishing(
    verified: Verified, repository: Repository, *, archive: Path | None = None, has_rights: bool
) -> PublishingPlan:
    """Return what would be sent: native files and the registry's files that describe them.

    Args:
        verified: the native files.
        repository: where to.
        archive: zip file to put the native files in, for a repository that takes few files.
        has_rights: the user says that she may publish data whose licence does not say so.

    Raises:
        CallError: the data are synthetic, the licence is not stated, or the repository takes fewer
            or smaller files.
    """
    descriptor = verified.descriptor
    facts = facts_of(descriptor)
    name = f"{facts.dataset} {facts.version}"
    if verified.is_synthetic:
        raise CallError(f"{name} is a synthetic sample", untouched="nothing was sent")
    unstated = [licence.text for licence in facts.licences if not licence.is_stated]
    if (unstated or not facts.licences) and not has_rights:
        raise CallError(
            f"the licence of {name} is not stated: "
            f"{'; '.join(unstated) or 'the descriptor has none'}",
            untouched="nothing was sent",
            hint="ask whoever made the data; --i-have-the-rights says that you may publish them",
        )
    native = {entry.path: verified.root / entry.path for entry in verified.manifest}
    if archive is not None:
        native = {archive.name: archive}
    described = {path.name: path for path in _described(descriptor.folder)}
    taken = {name: path for name, path in described.items() if name not in native}
    taken |= {f"sciml-data/{name}": path for name, path in described.items() if name in native}
    plan = PublishingPlan(
        facts,
        repository,
        native | taken,
        archive,
        verified,
        to_invenio(facts, repository.publisher),
    )
    _check_sizes(name, plan)
    return plan


def publish_files(
    plan: PublishingPlan,
    *,
    new_version_of: str | None = None,
    publish: bool = False,
    retry: RetryPolicy | None = None,
    log: Log = logger.info,
    progress: Progress | None = None,
) -> Deposit:
    """Send files and metadata, and return the draft or, with `publish`, the record.

    Args:
        plan: what to send.
        new_version_of: id of the published record of an earlier version; the repository then
            relates the two.
        publish: publish the draft. This is final.
        retry: retries and timeouts.
        log: gets a line for each step.
        progress: gets bytes (sent, to send).

    Raises:
        CallError: there is no token, or the version was published there already.
        FetchError: the repository refused something or does not answer; the draft is kept, and the
            same call resumes it.
        VerificationError: the repository has other bytes than were sent.
    """
    folder = plan.native.folder
    with folder.lock("publish the files"), Client(plan.repository.url, retry) as client:
        if plan.archive is not None:
            _write_zip(plan.archive, plan.native)
        try:
            draft = _find_or_create(client, plan, new_version_of, log)
            draft = _reserve_doi(client, draft, log)
            sent = _send_files(client, plan, draft, log, progress)
            draft = client.put(draft["links"]["self"], plan.body | {"pids": draft.get("pids", {})})
            if problems := validation_problems(draft):
                raise FetchError(
                    f"{plan.repository.url} does not accept the metadata",
                    problems=problems,
                    untouched="the draft is kept",
                    hint="correct datapackage.json, and repeat the command",
                )
            if publish:
                draft = client.post(draft["links"]["publish"])
        except SourceError as error:
            raise FetchError(
                f"{plan.repository.url}: {error.message}",
                untouched="the draft is kept, nothing is published",
                hint="the same command resumes",
            ) from error
        except KeyError as error:
            raise FetchError(
                f"{plan.repository.url} does not answer as InvenioRDM does: it sends no {error}",
                untouched="nothing is published",
            ) from error
        deposit = _deposit(draft, sent, is_published=publish)
        _remember(plan, deposit)
    return deposit


def _described(folder: Path) -> list[Path]:
    """Return the files of the registry that describe a version: descriptor, manifest, README."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    card = folder.parent / "README.md"
    return sorted([*files, *([card] if card.is_file() else [])])


def _check_sizes(name: str, plan: PublishingPlan) -> None:
    repository, size_bytes = plan.repository, sum(plan.sizes.values())
    if repository.max_files is not None and len(plan.files) > repository.max_files:
        raise CallError(
            f"{repository.publisher} takes {counted(repository.max_files, 'file')}, and {name} has "
            f"{len(plan.files)}",
            untouched="nothing was sent",
            hint="--zip FILE sends the native files as one archive",
        )
    if repository.max_bytes is not None and size_bytes > repository.max_bytes:
        raise CallError(
            f"{repository.publisher} takes {format_bytes(repository.max_bytes)}, and {name} has "
            f"{format_bytes(size_bytes)}",
            untouched="nothing was sent",
            hint=f"ask {repository.publisher} for more, then use `publish invenio --url`, which "
            "has no limit of its own",
        )


def _write_zip(archive: Path, verified: Verified) -> None:
    """Write the native files into a zip without compression; the same files give the same bytes."""
    if archive.exists():
        return  # the upload compares its md5 with that of the repository
    partial = archive.with_name(f".{archive.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as target:
        for entry in verified.manifest:
            info = zipfile.ZipInfo(entry.path)  # of 1980-01-01: no clock
            info.external_attr = 0o644 << 16
            source = verified.root / entry.path
            with source.open("rb") as stream, target.open(info, "w", force_zip64=True) as inside:
                while block := stream.read(BLOCK_BYTES):
                    inside.write(block)
    partial.rename(archive)


def _find_or_create(
    client: Client, plan: PublishingPlan, new_version_of: str | None, log: Log
) -> Answer:
    """Return the draft of an earlier call, or a new one."""
    known = _known(plan)
    if known is not None:
        if (draft := _existing(client, known["record"], "draft")) is not None:
            log(f"resuming the draft {known['record']}")
            return draft
        if (record := _existing(client, known["record"])) is not None:
            raise CallError(
                f"{plan.facts.dataset} {plan.facts.version} is published: "
                f"{record['links']['self_html']}",
                untouched="nothing was sent",
                hint="a later version of the dataset is published with --new-version-of "
                f"{known['record']}",
            )
        log(f"the draft {known['record']} was deleted in the repository; a new one is made")
    if new_version_of is None:
        draft = client.post(client.records_url(), plan.body)
    else:
        draft = client.post(client.records_url(new_version_of, "versions"))
    _remember(plan, _deposit(draft, 0, is_published=False))
    log(f"draft {draft['id']} was made in {plan.repository.url}")
    return draft


def _existing(client: Client, *parts: str) -> Answer | None:
    """Return a draft or a published record; None if the repository does not have it any more."""
    try:
        return client.get(client.records_url(*parts))
    except SourceError as error:
        if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        raise


def _reserve_doi(client: Client, draft: Answer, log: Log) -> Answer:
    """Return the draft with a DOI; an instance that registers none has no link for it."""
    if _doi(draft) is not None or "reserve_doi" not in draft["links"]:
        return draft
    draft = client.post(draft["links"]["reserve_doi"])
    log(f"DOI {_doi(draft)} is reserved; it works once the draft is published")
    return draft


def _send_files(
    client: Client, plan: PublishingPlan, draft: Answer, log: Log, progress: Progress | None
) -> int:
    """Send what the draft does not have, and return the number of files that were sent."""
    files_url = draft["links"]["files"]
    stored = {entry["key"]: entry for entry in client.get(files_url).get("entries", ())}
    for key in stored.keys() - plan.files.keys():
        client.delete(stored[key]["links"]["self"])
        log(f"{key} is not in this version and was removed from the draft")
    missing = {
        key: path for key, path in plan.files.items() if not _is_complete(stored.get(key), path)
    }
    if reused := len(plan.files) - len(missing):
        log(f"{reused} of {len(plan.files)} files are there")
    total = sum(path.stat().st_size for path in missing.values())
    done = 0

    def count(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        if progress is not None:
            progress(done, total)

    for key, path in missing.items():
        if key in stored:  # half sent, or with other bytes
            client.delete(stored[key]["links"]["self"])
        entries = client.post(files_url, [{"key": key}])["entries"]
        links = next(entry["links"] for entry in entries if entry["key"] == key)
        md5 = client.upload(links["content"], path, count)
        committed = client.post(links["commit"])
        if committed.get("checksum", f"md5:{md5}") != f"md5:{md5}":
            raise VerificationError(
                f"{key} has {committed['checksum']} in {plan.repository.url}, and md5:{md5} here",
                untouched="the draft is kept, nothing is published",
                hint="the same command sends the file again",
            )
    return len(missing)


def _is_complete(entry: Answer | None, path: Path) -> bool:
    """Return whether the repository has a file with these bytes."""
    if entry is None or entry.get("status") != "completed":
        return False
    if entry.get("size") != path.stat().st_size:
        return False
    with path.open("rb") as stream:
        md5 = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return bool(entry.get("checksum") == f"md5:{md5}")


def _doi(draft: Answer) -> str | None:
    return (draft.get("pids", {}).get("doi") or {}).get("identifier")


def _deposit(draft: Answer, sent: int, *, is_published: bool) -> Deposit:
    return Deposit(str(draft["id"]), _doi(draft), draft["links"]["self_html"], is_published, sent)


def _deposits_path(plan: PublishingPlan) -> Path:
    return plan.native.folder.root / DEPOSITS_NAME


def _known(plan: PublishingPlan) -> dict[str, Any] | None:
    path = _deposits_path(plan)
    known = read_json(path) if path.is_file() else {}
    deposit: dict[str, Any] | None = known.get(_host(plan))
    return deposit


def _remember(plan: PublishingPlan, deposit: Deposit) -> None:
    path = _deposits_path(plan)
    known = read_json(path) if path.is_file() else {}
    known[_host(plan)] = {
        "record": deposit.record,
        "doi": deposit.doi,
        "page": deposit.page,
    }
    write_atomically(path, json.dumps(known, indent=2) + "\n")


def _host(plan: PublishingPlan) -> str:
    return urlsplit(plan.repository.url).netloc
