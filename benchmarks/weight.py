"""Count the lines of the runners and of the engine, beside those of two other benchmark suites.

    python benchmarks/weight.py

Counted are all lines of all Python files, with comments and docstrings. The figures of AlgoPerf
(mlcommons/algorithmic-efficiency, commit 2c90454f of 2025-09-05) and SciML-Bench
(stfc-sciml/sciml-bench, commit 3fbaaa0 of 2023-05-09) were counted in the same way. An AlgoPerf
workload has a part that JAX and PyTorch share, and a part for each; `one framework` is the shared
part with the larger of the two.

Exit code 1: a goal is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT_IN = ("cloudmask", "stemdl_classification", "stemdl_reconstruction", "tevolop", "uno")
MOST_TOGETHER, MOST_EACH, MOST_FILES, MOST_SMALL = 5_400, 1_200, 7, 350
ENGINE = ("bench", "ready")
ENGINE_BEFORE, MOST_GROWTH = 12_529, 900  # lines at commit 556148e, before runners shared code
# Lines of one framework, by workload.
ALGOPERF = {
    "mnist": 485, "cifar": 677, "imagenet_vit": 631, "criteo1tb": 931, "fastmri": 1_011,
    "ogbg": 1_150, "librispeech_deepspeech": 1_091, "imagenet_resnet": 2_111, "wmt": 3_114,
    "librispeech_conformer": 2_275,
}  # fmt: skip
SCIML_BENCH = {
    "optical_damage": 369, "dms_structure": 451, "em_denoise": 473, "slstr_cloud": 794,
    "hydronet": 1_847, "stemdl_classification": 304,
}  # fmt: skip


def main() -> None:
    """Print the counts, and exit with 1 if a goal is missed."""
    counts = {path.parent.name: count(path.parent) for path in runner_files()}
    failed = []
    print(f"{'runner':<24} {'files':>5} {'lines':>6}")
    for name, (files, lines) in sorted(counts.items()):
        limit = MOST_EACH if name in BUILT_IN else MOST_SMALL
        is_met = lines <= limit and files <= MOST_FILES
        failed += [] if is_met else [name]
        goal = f"goal: {limit:,} lines, {MOST_FILES} files"
        print(f"{name:<24} {files:>5} {lines:>6,}  {goal if is_met else f'{goal}: MISSED'}")
    together = sum(counts[name][1] for name in BUILT_IN)
    failed += ["together"] if together > MOST_TOGETHER else []
    print(f"{'the five, together':<24} {'':>5} {together:>6,}  goal: {MOST_TOGETHER:,}")
    engine = [count(ROOT / "sciml_data" / package) for package in ENGINE]
    for package, (files, lines) in zip(ENGINE, engine, strict=True):
        print(f"engine, {package:<16} {files:>5} {lines:>6,}")
    growth = sum(lines for _, lines in engine) - ENGINE_BEFORE
    failed += ["engine"] if growth > MOST_GROWTH else []
    print(f"{'engine, growth':<30} {growth:>+6,}  goal: at most {MOST_GROWTH:+,}")
    for suite, of in (("AlgoPerf, one framework", ALGOPERF), ("SciML-Bench", SCIML_BENCH)):
        print(f"\n{suite}: " + ", ".join(f"{name} {lines:,}" for name, lines in of.items()))
    sys.exit(bool(failed))


def runner_files() -> list[Path]:
    """Return the path of each runner's `runner.py`."""
    return sorted((ROOT / "runners").glob("*/runner.py"))


def count(folder: Path) -> tuple[int, int]:
    """Return the number of Python files of a folder that are not empty, and of their lines."""
    texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*.py")]
    return sum(len(text.splitlines()) > 1 for text in texts), sum(
        len(text.splitlines()) for text in texts
    )


if __name__ == "__main__":
    main()
