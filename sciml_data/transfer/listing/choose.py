"""Find the first mirror that lists what is expected, or was listed before."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from sciml_data.errors import ListingError, Problem, UpstreamChangedError
from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.transfer.listing.ask import Answer, Asker
from sciml_data.transfer.listing.expected import deviations, file_names, named
from sciml_data.transfer.listing.listing import Listing, changes, keep_listing, read_listing
from sciml_data.transfer.protocols.mirrors import places
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Sources

Log = Callable[[str], None]


@dataclass(frozen=True)
class AcceptedListing:
    """The listing that counts, and who was asked.

    Attributes:
        listing: what the first mirror that will do listed, or what was kept of it.
        answers: of the places to ask for files, in order.
        unasked: places that were not asked for a listing.
        objections: why no mirror does, where none does; the listing is then the one that was kept.
    """

    listing: Listing
    answers: tuple[Answer, ...]
    unasked: tuple[Mirror, ...] = ()
    objections: tuple[Problem, ...] = ()

    def urls(self, path: str) -> tuple[str, ...]:
        """Return where to ask for a file: the mirror that was listed, then others that may have it.

        A place that lists nothing, or other files but not this one, is left out; a mirror that
        does not list at all is not.
        """
        listing = {one.place.name for one in self.answers if one.files}
        places = [
            one.place
            for one in self.answers
            if path in one.files or (one.reason and one.place.name not in listing)
        ]
        urls = (place.url(path) for place in (*places, *self.unasked))
        return tuple(dict.fromkeys(url for url in urls if url))


def list_files(
    descriptor: Descriptor,
    folder: DatasetFolder,
    *,
    bases: Sequence[str] = (),
    log: Log = lambda _: None,
    retry: RetryPolicy | None = None,
    keep: bool = True,
) -> AcceptedListing:
    """Return what the mirrors list of an unpinned version, held against all that is known.

    Mirrors are asked in order, those of the user first. The first counts whose listing meets
    `expected`, and is the one that was kept, where one was.

    Args:
        descriptor: of the unpinned version.
        folder: where the first accepted listing is kept.
        bases: mirrors of the user.
        log: is told who is asked, and which mirrors are passed over, and why.
        retry: timeouts and retries.
        keep: keep the listing, if it is the first.

    Raises:
        ListingError: no mirror lists what is expected; `.problems` says what each lists.
        UpstreamChangedError: files were changed, added or taken away since the kept listing.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    there = places(descriptor, bases)
    if there:
        log(f"{name} is unpinned: its mirrors are asked for what they list")
    kept = read_listing(folder.listing)
    retry = retry or RetryPolicy()
    answers: list[Answer] = []
    with Sources(connections=1, timeouts=retry.timeouts) as sources:
        asker = Asker(sources, retry, file_names(descriptor.expected))
        for place in there:
            answer = asker.ask(place)
            answers.append(answer)
            if _will_do(descriptor, answer, kept, folder):
                break
        else:
            return _without_a_mirror(descriptor, answers, kept, log)
    listing = kept or _listing(answer)
    for problem in _objections(descriptor, answers[:-1], listing):
        log(f"mirror {problem.place} is passed over: {problem.message}")
    log(_accepted(descriptor, answer, kept))
    if keep and kept is None:
        keep_listing(listing, folder.listing)
    asked = [answer.place for answer in answers]
    rest = tuple(one for one in descriptor.mirrors if one not in asked)
    return AcceptedListing(listing, (answer, *answers[:-1]), rest)


def _listing(answer: Answer) -> Listing:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Listing(tuple(sorted(answer.files.values())), now.replace("+00:00", "Z"))


def _will_do(
    descriptor: Descriptor, answer: Answer, kept: Listing | None, folder: DatasetFolder
) -> bool:
    """Return whether a place lists what is expected, and what was listed before.

    Raises:
        UpstreamChangedError: the place that the kept listing came from lists something else.
    """
    if not answer.files:
        return False
    problems = changes(kept, answer.files) if kept else []
    if kept and problems and any(answer.place.url(one.path) == one.url for one in kept.files):
        raise UpstreamChangedError(
            f"mirror {answer.place.name} does not list {descriptor.dataset} {descriptor.version} "
            f"as it was listed first: {len(problems)} files differ",
            problems=problems,
            untouched="nothing was fetched, and what is here was not changed",
            hint="changed files are a new version of the dataset. To start over with what is "
            f"listed now, move {folder.root} away",
        )
    return not (problems or answer.empty or deviations(descriptor.expected, answer.sizes))


def _accepted(descriptor: Descriptor, answer: Answer, kept: Listing | None) -> str:
    known = "as expected" if descriptor.expected else "and nothing is known to hold that against"
    if kept is not None:
        known = f"as listed first on {kept.listed}"
    return (
        f"mirror {answer.place.name} lists {len(answer.files)} files, "
        f"{sum(answer.sizes.values())} bytes, {known}"
    )


def _without_a_mirror(
    descriptor: Descriptor, answers: Sequence[Answer], kept: Listing | None, log: Log
) -> AcceptedListing:
    """Return the kept listing where no mirror will do; without one, say what each mirror lists."""
    objections = _objections(descriptor, answers, kept)
    sizes = {one.path: one.size_bytes for one in kept.files} if kept else {}
    if kept is not None and not deviations(descriptor.expected, sizes):
        for problem in objections:
            log(f"mirror {problem.place} is passed over: {problem.message}")
        log(f"no mirror will do; what was listed on {kept.listed} counts")
        return AcceptedListing(kept, tuple(answers), objections=tuple(objections))
    name = f"{descriptor.dataset} {descriptor.version}"
    access = descriptor.access
    wrong = f"no mirror lists what is expected of {name}"
    hint = (
        "another copy is asked first with --mirror s3://BUCKET/FOLDER, "
        "--mirror https://ENDPOINT/BUCKET/FOLDER or --mirror file:DIR"
    )
    if access and not answers:
        wrong = f"{name} cannot be fetched by a program: it is given out by {access['kind']} only"
    if access:
        steps = enumerate(access["steps"], start=1)
        hint = "".join([f"how to come by {name}", *(f"\n  {at}. {step}" for at, step in steps)])
    raise ListingError(wrong, problems=objections, untouched="nothing was fetched", hint=hint)


def _objections(
    descriptor: Descriptor, answers: Sequence[Answer], known: Listing | None
) -> list[Problem]:
    """Return what is wrong with each mirror, its places taken together."""
    paths = {path for answer in answers for path in answer.files}
    paths |= set(known.by_path) if known else set()
    found = []
    for name, group in itertools.groupby(answers, key=lambda answer: answer.place.name):
        asked = list(group)
        sentences = [
            sentence for answer in asked for sentence in _wrong(descriptor, answer, paths, known)
        ]
        reasons = sorted({answer.reason for answer in asked if answer.reason})
        what = sentences or reasons or ["it lists nothing of it"]
        found.append(Problem("mirror", name, "; ".join(what)))
    return found


def _wrong(
    descriptor: Descriptor, answer: Answer, paths: Collection[str], known: Listing | None
) -> list[str]:
    if not answer.files:
        return []
    found = deviations(descriptor.expected, answer.sizes, paths)
    if found:
        return found
    differing = [f"{one.kind} {one.place}" for one in changes(known, answer.files)] if known else []
    if differing:
        return [f"not as listed first: {named(differing)}"]
    return [f"nothing is listed of {named(answer.empty)}"] if answer.empty else []
