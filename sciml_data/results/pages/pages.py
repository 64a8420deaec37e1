"""Pages whose tables and numbers are written from result sets; the prose between them is by hand.

A page is Markdown with comments that describe what is generated after them, up to `<!-- end -->`:

    <!-- table
    sets = ["uno/auc-row"]
    metrics = ["mse", "r2"]
    -->
    (the table)
    <!-- end -->

    R2 is <!-- value uno/auc-row test r2 -->0.832<!-- end -->, of ridge
    <!-- value uno/auc-row test r2 ridge -->0.769<!-- end -->.

`value SET PART METRIC [NAME]` is the median score of the model, or of the baseline NAME; NAME can
be `least` or `most` (of the seeds), `lower` or `upper` (of the 95 % interval) or `outcome`, too.
`fact SET KEY/KEY` is a value of the first record. `quote SOURCE` marks numbers that somebody else
published; these are not written. `tally` counts the results of all comparisons of the page.
`labels` has names of metrics and baselines for all tables of a page, in TOML, and `trivial` the
baselines that reach a metric without skill; `tables.py` has the keys of a table. A result set that
does not exist gives "not measured".
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.scoring.intervals import BETTER, NO_DIFFERENCE, WORSE
from sciml_data.errors import CallError, Problem, SciMLDataError, nearest
from sciml_data.home import write_atomically
from sciml_data.progress import counted
from sciml_data.results.pages.evidence import NO_INTERVAL
from sciml_data.results.pages.script_tables import TABLE_NAME
from sciml_data.results.pages.stored import result_set_names
from sciml_data.results.pages.tables import (
    NOT_MEASURED,
    OUTCOME,
    Lookup,
    PageWords,
    TableRequest,
    evidence_of,
    number,
    table_text,
)
from sciml_data.results.submission.collection import is_submission

MARK = re.compile(r"<!-- (table|value|fact|quote|tally)\b(.*?)-->(.*?)<!-- end -->", re.DOTALL)
WORDS = re.compile(r"<!-- (labels|trivial)\b(.*?)-->", re.DOTALL)
# In a generated text: the end of the comment before it is missing, or two branches were merged.
BROKEN = re.compile(r"<!--|^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
OPENED = re.compile(r"<!-- (?:table|value|fact|quote|tally|end)\b")
# What no check of numbers reads: generated text, comments, code, addresses of links.
NOT_PROSE = (
    MARK,
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"^(```.*?^```| {4}[^\n]*)$", re.DOTALL | re.MULTILINE),
    re.compile(r"`(?!-?[\d.,]+ ?%?`)[^`\n]*`"),  # a number alone is not code
    re.compile(r"\]\([^)]*\)"),
)
# A score has a decimal point or is a percentage; counts, years and sizes are neither. "95 %
# interval" is a term.
SCORE = re.compile(r"(?<![\w.])\d*\.\d+(?![\w.]*\w)|\b\d+ ?%(?! interval)")
TALLY = re.compile(r"(<!-- tally *-->).*?(<!-- end -->)", re.DOTALL)
DIGITS = 3
RESULTS = (BETTER, NO_DIFFERENCE, WORSE, "without an interval", NOT_MEASURED)


def build_pages(pages: Iterable[Path], results: Path) -> list[Path]:
    """Write the generated tables and numbers of pages, and return the pages that changed.

    Args:
        pages: Markdown files.
        results: folder of the result sets.

    Raises:
        CallError: a page asks for what the records do not have, or is marked wrongly; each problem
            has page and line. No page is written.
    """
    lookup, problems = Lookup(results), []
    texts = {}
    for page in pages:
        text = page.read_text(encoding="utf-8")
        built, wrong = _built(page, text, lookup)
        problems += wrong
        if built != text:
            texts[page] = built
    if problems:
        raise CallError(
            "the pages cannot be built", problems=problems, untouched="no page was changed"
        )
    for page, built in texts.items():
        write_atomically(page, built)
    return list(texts)


def page_problems(pages: Iterable[Path], results: Path) -> Iterator[Problem]:
    """Yield where pages differ from the records, and numbers that no record has.

    A number of the prose is accepted if it is generated, code, or inside of `quote`.
    """
    lookup = Lookup(results)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        built, wrong = _built(page, text, lookup)
        yield from wrong
        for expected, actual in zip(MARK.finditer(built), MARK.finditer(text), strict=True):
            if expected[0] != actual[0]:
                lines, message = _first_difference(actual[0], expected[0])
                yield Problem("page", _place(page, text, actual.start(), lines), message)
        for found in SCORE.finditer(prose(text)):
            message = f"{found[0]} is from no record: use `value`, or `quote` with its source"
            yield Problem("number", _place(page, text, found.start()), message)


def unprinted_sets(pages: Iterable[Path], results: Path) -> Iterator[Problem]:
    """Yield stored result sets and tables that no page prints, so that no loss can be left out.

    A submission need not be on a page.
    """
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    printed = set(re.findall(r"[\w./+-]+", "\n".join(match[2] for match in MARK.finditer(text))))
    tables = [path.parent.relative_to(results).as_posix() for path in results.rglob(TABLE_NAME)]
    for name in [*result_set_names(results), *sorted(tables)]:
        if name not in printed and not is_submission(results / name):
            yield Problem("page", name, "is on no page: print it, or remove it")


def prose(text: str) -> str:
    """Return a page with everything blanked that is not prose by hand; line breaks stay."""
    for pattern in NOT_PROSE:
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text


def _built(page: Path, text: str, lookup: Lookup) -> tuple[str, list[Problem]]:
    """Return a page with its generated texts, and what is wrong with it."""
    problems = []
    page_words = _page_words(text)

    def written(match: re.Match[str]) -> str:
        kind, words = match[1], match[2]
        try:
            if kind != "quote" and BROKEN.search(match[3]):
                raise CallError("has no matching `<!-- end -->`, or marks of a merge conflict")
            made = WRITERS[kind](words, match[3], lookup, page_words)
        except (SciMLDataError, tomllib.TOMLDecodeError) as error:
            message = error.message if isinstance(error, SciMLDataError) else str(error)
            problems.append(Problem(kind, _place(page, text, match.start()), message))
            return match[0]
        return f"<!-- {kind}{words}-->{made}<!-- end -->"

    built = MARK.sub(written, text)
    built = TALLY.sub(lambda match: f"{match[1]}{tally(built)}{match[2]}", built)
    rest = MARK.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    problems += [
        Problem("mark", _place(page, text, found.start()), "has no matching `<!-- end -->`")
        for found in OPENED.finditer(rest)
    ]
    return built, problems


def tally(text: str) -> str:
    """Return how many rows of the comparisons of a page have each result."""
    counts: Counter[str] = Counter()
    is_comparison = False
    for line in text.splitlines():
        if not line.startswith("|"):
            is_comparison = False
        elif line.endswith(f"| {OUTCOME} |"):
            is_comparison = True
        elif is_comparison and not line.startswith("| ---"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            result = NOT_MEASURED if NOT_MEASURED in cells else cells[-1]
            counts["without an interval" if result.endswith(NO_INTERVAL) else result] += 1
    return ", ".join(f"{counts[result]} {result}" for result in RESULTS if counts[result])


def _page_words(text: str) -> PageWords:
    found: dict[str, dict[str, Any]] = {"labels": {}, "trivial": {}}
    for match in WORDS.finditer(text):
        found[match[1]] |= tomllib.loads(match[2])
    return PageWords(**found)


def _table(words: str, _old: str, lookup: Lookup, of_page: PageWords) -> str:
    made = table_text(TableRequest.of(tomllib.loads(words), of_page), lookup)
    return f"\n{made}\n"


def _value(words: str, _old: str, lookup: Lookup, of_page: PageWords) -> str:
    *place, digits = words.split() if re.search(r" digits=\d+ *$", words) else [*words.split(), ""]
    if len(place) not in {3, 4}:
        raise CallError("`value` takes SET PART METRIC [NAME] [digits=N]")
    if not lookup.has(*place[:3]):
        return NOT_MEASURED
    found = evidence_of(TableRequest.of({}, of_page), lookup(place[0]), place[1], place[2])
    size = int(digits.removeprefix("digits=") or DIGITS)
    name = place[3] if len(place) == 4 else "median"
    if name == "outcome":
        return found.verdict
    spread, ends = found.metric.spread, found.interval or (None, None)
    named = {"median": spread.median, "least": spread.minimum, "most": spread.maximum}
    named |= {"lower": ends[0], "upper": ends[1], **found.metric.baselines}
    if name not in named:
        raise CallError(f"{place[0]} has no baseline {name!r}{nearest(name, named)}")
    return number(named[name], size)


def _fact(words: str, _old: str, lookup: Lookup, _of_page: PageWords) -> str:
    name, _, path = words.strip().partition(" ")
    if name not in lookup:
        return NOT_MEASURED
    value: Any = lookup(name).records[0]
    for key in path.split("/"):
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise CallError(f"the record of {name} has no {path}") from None
    if isinstance(value, bool | str) or value is None:
        return str(value)
    return f"{value:,}" if isinstance(value, int) else number(value, DIGITS)


def _quote(words: str, old: str, _lookup: Lookup, _of_page: PageWords) -> str:
    if not words.strip():
        raise CallError("`quote` names its source: <!-- quote SOURCE -->0.9<!-- end -->")
    return old


def _tally(_words: str, old: str, _lookup: Lookup, _of_page: PageWords) -> str:
    return old  # `_built` writes it, when all tables are there


WRITERS: Mapping[str, Callable[[str, str, Lookup, PageWords], str]] = {
    "table": _table,
    "value": _value,
    "fact": _fact,
    "quote": _quote,
    "tally": _tally,
}


def _place(page: Path, text: str, offset: int, lines: int = 0) -> str:
    return f"{page.name}:{text.count(chr(10), 0, offset) + 1 + lines}"


def _first_difference(actual: str, expected: str) -> tuple[int, str]:
    """Return the number of equal lines, and what the first other line is and should be."""
    old, new = actual.splitlines(), expected.splitlines()
    for equal, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            return equal, f"is {before!r:.200}; the records give {after!r:.200}"
    return min(len(old), len(new)), f"has {counted(len(old), 'line')}; the records give {len(new)}"
