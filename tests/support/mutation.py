"""Change the code that other claims rest on, one spot at a time, and see that a test fails.

    nox -s mutation

mutmut makes the mutants of the modules that `[tool.mutmut]` in pyproject.toml names, and runs the
tests that reach each of them. A mutant that no test notices is one of three things: text for people
(the wording of a message is no promise), listed in `accepted_mutants.toml` with the reason why no
test can or should tell it apart, or a gap. The share of killed mutants, text left out, has to be at
least `MIN_KILLED` of all.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.support.paths import ROOT

MIN_KILLED = 0.9
ACCEPTED = Path(__file__).with_name("accepted_mutants.toml")
# Of this module the hashes only: the rest is about files that are cut off, which the tests of the
# engine, kills and faults cover in minutes rather than in milliseconds.
PARTLY = {
    "sciml_data.transfer.download.partial_file": re.compile(
        r"NamedHash|MultipartETag|x_\w*hash|x__short|x__part_bytes|x_is_verifiable"
    )
}
# Arguments of our errors that only a person reads.
PROSE_ARGUMENT = re.compile(r"^(hint|untouched)=")
SENTENCE = re.compile(r"f?\"[^\"]* [^\"]*\"")


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
    for line in listed.splitlines():
        name, _, status = line.strip().rpartition(": ")
        if not name or status == "not checked":  # of a run that was interrupted
            continue
        module, _, function = name.rpartition(".")
        if module in PARTLY and not PARTLY[module].search(function):
            continue
        is_killed = status in ("killed", "timeout")  # an endless loop is noticed
        diff = "" if is_killed else diff_of(name)
        kind = "killed" if is_killed else kind_of(diff, accepted)
        counts.setdefault(module, Counter())[kind] += 1
        if kind == "survived":
            gaps.append(f"{name}\n{diff}")
    print("\n".join(gaps))
    sys.exit(report(counts))


def diff_of(name: str) -> str:
    """Return the changed lines of a mutant, without the lines around them."""
    shown = get_diff_for_mutant(name)  # `mutmut show` does the same, a process for each
    lines = shown.split("@@", 2)[-1].splitlines()
    return "\n".join(line for line in lines if line[:1] in ("-", "+"))


def kind_of(diff: str, accepted: list[dict[str, str]]) -> str:
    """Return what a mutant that no test noticed is: text, accepted or survived."""
    if is_text(diff):
        return "text"
    if any(entry["change"].strip() in diff for entry in accepted):
        return "accepted"
    return "survived"


def is_text(diff: str) -> bool:
    """Return whether a mutant changes nothing but words that a person reads."""
    before = [line[1:].strip() for line in diff.splitlines() if line.startswith("-")]
    after = [line[1:].strip() for line in diff.splitlines() if line.startswith("+")]
    if all(PROSE_ARGUMENT.match(line) for line in before):
        return True
    if len(before) != len(after):
        return False
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return all(
        SENTENCE.search(old)
        and (_without_marks(old) == _without_marks(new) or SENTENCE.sub("None", old) == new)
        for old, new in changed
    )


def _without_marks(line: str) -> str:
    """Return a line without what mutmut puts into strings: XX at both ends, another case."""
    return line.replace("XX", "").lower()


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
