"""Change the code that other claims rest on, one spot at a time, and see that a test fails.

    nox -s mutation

mutmut makes the mutants of the modules that `[tool.mutmut]` in pyproject.toml names, and runs the
tests that reach each of them. A mutant that no test notices is one of three things: text for people
(the wording of a message is no promise), listed in `accepted_mutants.toml` with the reason why no
test can or should tell it apart, or a gap. Text left out, at least `MIN_KILLED` of the mutants have
to be killed or accepted.

A whole run takes half an hour on two cores. While you close a gap, run `mutmut run NAME` (NAME is a
glob), and then this module with `--report`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.support.paths import ROOT

MIN_KILLED = 0.98
ACCEPTED = Path(__file__).with_name("accepted_mutants.toml")
# Of this module the hashes only: the rest is about files that are cut off, which the tests of the
# engine, kills and faults cover in minutes rather than in milliseconds.
PARTLY = {
    "sciml_data.transfer.download.partial_file": re.compile(
        r"NamedHash|MultipartETag|x_\w*hash|x__short|x__part_bytes|x_is_verifiable"
        r"|x_content_problem|x_complete_file"
    )
}
STRING = re.compile(r"f?\"[^\"]*\"")
# Arguments of our errors that only a person reads.
PROSE_ARGUMENT = re.compile(rf",?\s*\b(hint|untouched)=(None|({STRING.pattern}\s*)+)")


def main() -> None:
    """Run mutmut, print a line for each module and each gap, and exit with 1 below the floor."""
    if "--report" not in sys.argv:
        subprocess.run(["mutmut", "run", "--max-children", "2"], cwd=ROOT, check=True)
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    counts: dict[str, Counter[str]] = {}
    gaps: list[str] = []
    accepted = tomllib.loads(ACCEPTED.read_text(encoding="utf-8"))["mutant"]
    used: set[int] = set()
    for line in listed.splitlines():
        name, _, status = line.strip().rpartition(": ")
        if not name or status == "not checked":  # of a run that was interrupted
            continue
        module, _, function = name.rpartition(".")
        if module in PARTLY and not PARTLY[module].search(function):
            continue
        is_killed = status in ("killed", "timeout")  # an endless loop is noticed
        diff = "" if is_killed else diff_of(name)
        kind = "killed" if is_killed else kind_of(name, diff, accepted, used)
        counts.setdefault(module, Counter())[kind] += 1
        if kind == "survived":
            gaps.append(f"{name}\n{diff}")
    print("\n".join(gaps))
    for entry in (entry for number, entry in enumerate(accepted) if number not in used):
        print(f"accepts nothing in this run: {entry['from']!r} to {entry['to']!r}")
    sys.exit(report(counts))


def diff_of(name: str) -> str:
    """Return the changed lines of a mutant, without the lines around them."""
    shown = get_diff_for_mutant(name)  # `mutmut show` does the same, a process for each
    lines = shown.split("@@", 2)[-1].splitlines()
    return "\n".join(line for line in lines if line[:1] in ("-", "+"))


def kind_of(name: str, diff: str, accepted: list[dict[str, str]], used: set[int]) -> str:
    """Return what a mutant that no test noticed is: text, accepted or survived.

    Args:
        name: of the mutant: module, function and number.
        diff: of the mutant.
        accepted: entries of `accepted_mutants.toml`.
        used: gets the indices of the entries that accept the mutant.
    """
    before, after = _sides(diff)
    if is_text(before, after):
        return "text"
    matching = {
        number for number, entry in enumerate(accepted) if accepts(entry, name, before, after)
    }
    used |= matching
    return "accepted" if matching else "survived"


def accepts(entry: dict[str, str], name: str, before: str, after: str) -> bool:
    """Return whether the entry's replacement, made once, is the whole mutant."""
    if not fnmatchcase(name.removeprefix("sciml_data."), entry.get("where", "*")):
        return False
    old, new = entry["from"], entry["to"]
    places = (place.start() for place in re.finditer(re.escape(old), before))
    return any(before[:place] + new + before[place + len(old) :] == after for place in places)


def is_text(before: str, after: str) -> bool:
    """Return whether a mutant changes nothing but words that a person reads."""
    if _without_prose(before) == _without_prose(after):
        return True
    for literal in STRING.finditer(before):
        if " " in literal.group() and after.startswith(before[: literal.start()]):
            kept = before[literal.end() :]
            changed = after[literal.start() : len(after) - len(kept)]
            marked = changed == "None" or _without_marks(changed) == _without_marks(literal.group())
            if marked and after.endswith(kept):
                return True
    return False


def _sides(diff: str) -> tuple[str, str]:
    """Return the removed and the added lines of a diff, each joined with single spaces."""
    removed, added = (
        " ".join(" ".join(line[1:] for line in diff.splitlines() if line[0] == sign).split())
        for sign in "-+"
    )
    return removed, added


def _without_prose(code: str) -> str:
    """Return code without arguments that only a person reads, and the comma after the last."""
    return re.sub(r",?\s*\)", ")", PROSE_ARGUMENT.sub("", code)).strip(", ")


def _without_marks(literal: str) -> str:
    """Return a string without what mutmut puts into it: XX at both ends, another case."""
    return literal.replace("XX", "").lower()


def report(counts: dict[str, Counter[str]]) -> int:
    """Print the table; return 1 if the share of all modules is below the floor."""
    print(f"{'module':44} killed  survived  accepted  text  share")
    counts = {**dict(sorted(counts.items())), "all": sum(counts.values(), Counter())}
    share = 1.0
    for module, row in counts.items():
        tried = row["killed"] + row["survived"] + row["accepted"]
        share = (row["killed"] + row["accepted"]) / tried if tried else 1.0
        numbers = f"{row['killed']:6}  {row['survived']:8}  {row['accepted']:8}  {row['text']:4}"
        print(f"{module:44} {numbers}  {share:.3f}")
    return int(share < MIN_KILLED)


if __name__ == "__main__":
    main()
