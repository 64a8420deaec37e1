"""Find the first mirror that lists the expected files, or the same files as at first."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sciml_data.errors import ListingError, Problem, UpstreamChangedError
from sciml_data.home import DatasetFolder
from sciml_data.progress import Log, counted
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.transfer.listing.listing import (
    Listing,
    changes,
    deviations,
    expected_names,
    join_names,
    new_listing,
    read_listing,
    save_listing,
    wanted_names,
)
from sciml_data.transfer.listing.query import ListingClient, MirrorAnswer
from sciml_data.transfer.protocols.mirrors import Sources, places
from sciml_data.transfer.protocols.retry import RetryPolicy

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AcceptedListing:
    """The listing that counts, and the answers of the mirrors.

    Attributes:
        listing: of the first mirror that was accepted, or the stored one.
        answers: of the places to request files from, in order.
        unasked: places that were not asked for a listing.
        objections: why no mirror was accepted, if none was; `listing` is then the stored one.
    """

    listing: Listing
    answers: tuple[MirrorAnswer, ...]
    unasked: tuple[Mirror, ...] = ()
    objections: tuple[Problem, ...] = ()

    def urls(self, path: str) -> tuple[str, ...]:
        """Return the URLs of a file: of the accepted mirror, then of others that may have it.

        A place that lists other files, but not this one, is left out. A mirror that cannot be
        listed is not: it may have the file.
        """
        listing = {answer.place.name for answer in self.answers if answer.files}
        places = [
            answer.place
            for answer in self.answers
            if path in answer.files or (answer.reason and answer.place.name not in listing)
        ]
        urls = (place.url(path) for place in (*places, *self.unasked))
        return tuple(dict.fromkeys(url for url in urls if url))


def list_files(
    descriptor: Descriptor,
    folder: DatasetFolder,
    *,
    bases: Sequence[str] = (),
    log: Log = logger.info,
    retry: RetryPolicy | None = None,
    keep: bool = True,
) -> AcceptedListing:
    """List the files of an unpinned version, and compare them with everything that is known.

    Mirrors are asked in order, those of the user first. The first one is accepted that meets
    `expected` of the descriptor and, if there is a stored listing, lists the same files.

    Args:
        descriptor: of the unpinned version.
        folder: in which the first accepted listing is stored.
        bases: mirrors of the user, as `user_mirrors` returns them.
        log: gets lines about the mirrors that are asked or skipped.
        retry: timeouts and retries.
        keep: store the listing if it is the first.

    Raises:
        ListingError: no mirror lists the expected files; `.problems` says what each lists.
        UpstreamChangedError: files were changed, added or removed since the stored listing.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    candidates = places(descriptor, bases)
    if candidates:
        log(f"{name} is unpinned: asking its mirrors for a listing")
    stored = read_listing(folder.listing)
    retry = retry or RetryPolicy()
    answers: list[MirrorAnswer] = []
    with Sources(connections=1, timeouts=retry.timeouts, log=log) as sources:
        expected = descriptor.expected
        client = ListingClient(sources, retry, expected_names(expected), wanted_names(expected))
        for place in candidates:
            answer = client.query(place)
            answers.append(answer)
            if _is_accepted(descriptor, answer, stored, folder):
                break
        else:
            return _without_a_mirror(descriptor, answers, stored, log)
    listing = stored or new_listing(answer.files.values())
    for problem in _objections(descriptor, answers[:-1], listing):
        log(f"mirror {problem.place} is skipped: {problem.message}")
    log(_acceptance(descriptor, answer, stored))
    for note in answer.notes:
        log(f"mirror {answer.place.name}: {note}")
    if keep and not folder.own.listing.is_file():
        save_listing(listing, folder.own.listing)
    asked = [answer.place for answer in answers]
    rest = tuple(mirror for mirror in descriptor.mirrors if mirror not in asked)
    return AcceptedListing(listing, (answer, *answers[:-1]), rest)


def _is_accepted(
    descriptor: Descriptor, answer: MirrorAnswer, stored: Listing | None, folder: DatasetFolder
) -> bool:
    """Return whether a place lists the expected files, and the same as before.

    Raises:
        UpstreamChangedError: the place of the stored listing lists other files now.
    """
    if not answer.files:
        return False
    problems = changes(stored, answer.files) if stored else []
    is_same_place = stored and any(answer.place.url(file.path) == file.url for file in stored.files)
    if problems and is_same_place:
        raise UpstreamChangedError(
            f"mirror {answer.place.name} lists other files of {descriptor.dataset} "
            f"{descriptor.version} than at first: "
            + ("1 file differs" if len(problems) == 1 else f"{len(problems)} files differ"),
            problems=problems,
            untouched="nothing was fetched, and existing files were not changed",
            hint="changed files are a new version of the dataset. To start over with the present "
            f"listing, move {folder.files_root} away",
        )
    is_expected = not deviations(descriptor.expected, answer.sizes)
    return not problems and not answer.empty_prefixes and is_expected


def _acceptance(descriptor: Descriptor, answer: MirrorAnswer, stored: Listing | None) -> str:
    how = "as expected" if descriptor.expected else "and the registry does not say what to expect"
    if stored is not None:
        how = f"as first listed on {stored.listed}"
    return (
        f"mirror {answer.place.name} lists {counted(len(answer.files), 'file')}, "
        f"{sum(answer.sizes.values())} bytes, {how}"
    )


def _without_a_mirror(
    descriptor: Descriptor, answers: Sequence[MirrorAnswer], stored: Listing | None, log: Log
) -> AcceptedListing:
    """Return the stored listing if no mirror was accepted.

    Raises:
        ListingError: no listing is stored, or it is not as expected.
    """
    objections = _objections(descriptor, answers, stored)
    sizes = {file.path: file.size_bytes for file in stored.files} if stored else {}
    if stored is not None and not deviations(descriptor.expected, sizes):
        for problem in objections:
            log(f"mirror {problem.place} is skipped: {problem.message}")
        log(f"no mirror can be used; the listing of {stored.listed} counts")
        return AcceptedListing(stored, tuple(answers), objections=tuple(objections))
    name = f"{descriptor.dataset} {descriptor.version}"
    access = descriptor.access
    message = f"no mirror lists the expected files of {name}"
    hint = (
        "name another copy: --mirror s3://BUCKET/FOLDER, --mirror https://ENDPOINT/BUCKET/FOLDER "
        "or --mirror file:DIR"
    )
    if access and not answers:
        message = f"{name} cannot be fetched by a program: access is by {access['kind']} only"
    if access:
        steps = enumerate(access["steps"], start=1)
        lines = (f"\n  {number}. {step}" for number, step in steps)
        hint = "".join([f"how to get {name}", *lines])
    raise ListingError(message, problems=objections, untouched="nothing was fetched", hint=hint)


def _objections(
    descriptor: Descriptor, answers: Sequence[MirrorAnswer], known: Listing | None
) -> list[Problem]:
    """Return one problem for each mirror, with the reasons of all its places."""
    paths = {path for answer in answers for path in answer.files}
    paths |= set(known.by_path) if known else set()
    problems = []
    for name, group in itertools.groupby(answers, key=lambda answer: answer.place.name):
        of_mirror = list(group)
        sentences = [
            sentence
            for answer in of_mirror
            for sentence in _wrong_in(descriptor, answer, paths, known)
        ]
        reasons = sorted({answer.reason for answer in of_mirror if answer.reason})
        parts = sentences or reasons or ["it lists no file of the dataset"]
        problems.append(Problem("mirror", name, "; ".join(parts)))
    return problems


def _wrong_in(
    descriptor: Descriptor, answer: MirrorAnswer, paths: Collection[str], known: Listing | None
) -> list[str]:
    """Return what is wrong with the files that a place lists."""
    if not answer.files:
        return []
    if sentences := deviations(descriptor.expected, answer.sizes, paths):
        return sentences
    problems = changes(known, answer.files) if known else []
    if problems:
        differing = [f"{problem.kind} {problem.place}" for problem in problems]
        return [f"not as first listed: {join_names(differing)}"]
    if answer.empty_prefixes:
        return [f"no file is listed below {join_names(answer.empty_prefixes)}"]
    return []
