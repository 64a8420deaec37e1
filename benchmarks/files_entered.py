"""Count the files of the package that one command enters: how far a reader has to travel.

`sys.setprofile` sees every call. A file counts once a function or method of it was called;
class bodies, lambdas, comprehensions and module bodies do not count, since importing a module is
not following it. The goals are those of the design: a newcomer who steps through a command with a
debugger visits at most that number of files.

    python benchmarks/files_entered.py            # the three commands and their goals
    python benchmarks/files_entered.py --names    # and the files, in the order of the first call

`get` and `convert` use the NCI-ALMANAC subset in `../shared/mirror` beside the checkout. `board`
uses two records that this script writes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType

import sciml_data
from sciml_data.cli import main

PACKAGE = Path(sciml_data.__file__).resolve().parent
ROOT = PACKAGE.parent
GOALS = {"get": 18, "convert": 20, "board": 15}


def files_entered(arguments: Sequence[str]) -> list[str]:
    """Run a command in this process and return the files it enters, in order of the first call."""
    called: dict[CodeType, None] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.setdefault(frame.f_code)

    threading.setprofile(profile)
    sys.setprofile(profile)
    sys.argv = ["sciml-data", *arguments]
    try:
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            main()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(dict.fromkeys(path for code in called if (path := _path_of(code))))


def _path_of(code: CodeType) -> str | None:
    """Return the file of a function of the package; None for other code and for class bodies."""
    is_function = not code.co_name.startswith("<") and bool(code.co_flags & 0x02)  # CO_NEWLOCALS
    path = Path(code.co_filename)
    if not is_function or "__qualname__" in code.co_names or not path.is_relative_to(PACKAGE):
        return None
    return str(path.relative_to(ROOT))


def write_records(folder: Path) -> None:
    """Write two records of different seeds, as `board` reads them."""
    sys.path.insert(0, str(ROOT))
    from tests.support.board_samples import a_run

    for seed in (0, 1):
        place = folder / f"run-{seed}"
        place.mkdir(parents=True)
        (place / "record.json").write_text(json.dumps(a_run(seed, 0.25 + seed)), encoding="utf-8")


def run() -> None:
    """Print the counts beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", action="store_true", help="print the files, too")
    shows_names = parser.parse_args().names
    mirror = ROOT.parent / "shared" / "mirror"
    folder = Path(tempfile.mkdtemp())
    try:
        write_records(folder / "runs")
        home = ["--home", str(folder / "home")]
        commands = {
            "get": ["get", "uno_almanac", "--mirror", f"file:{mirror}", *home],
            "convert": ["convert", "uno_almanac", *home],
            "board": ["board", str(folder / "runs")],
        }
        counts = {}
        for name, arguments in commands.items():
            files = files_entered(arguments)
            counts[name] = len(files)
            if shows_names:
                print("\n".join(["", name, *(f"  {file}" for file in files)]), file=sys.stderr)
    finally:
        shutil.rmtree(folder)
    print(
        "command  files  goal",
        *(f"{n:7}  {c:5}  {GOALS[n]:4}" for n, c in counts.items()),
        sep="\n",
    )


if __name__ == "__main__":
    run()
