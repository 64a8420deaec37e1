"""The 27 questions of the working group's rubric, and how the registry answers them.

The rubric (mlcommons-science/benchmark) has six categories of up to five points. Each question is
answered by yes, no or unknown, with the file, test or command that proves it. A check looks at
files and descriptors. It never takes somebody's word, except for the metrics' goal, which
`task.toml` states with a reason. `unknown` is for what this installation cannot see, such as tests
that are not in a wheel.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from sciml_data.bench.record.record import schema_problems
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.task import Task, datasets_of
from sciml_data.errors import CallError, DescriptorError, JsonError
from sciml_data.home import read_json
from sciml_data.metadata.fair import Report, assess
from sciml_data.progress import counted
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import Registry

YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"
README = "README.md"
MIN_WORDS = 150  # of a README that documents anything
CONTAINERS = ("docs/how-to/containers/Dockerfile", "docs/how-to/containers/sciml-data.def")
SETUP = "docs/how-to/install.md"
RESULTS = "results"  # folder of the registry with records of published runs
CRITERIA = re.compile(r"^## (?:What .*(?:score|number).*|.*[Ss]cores?)$", re.MULTILINE)
PAPERS = ("@article", "@inproceedings", "@proceedings", "@incollection")

Verdict = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    Attributes:
        verdict: yes, no or unknown.
        reason: a sentence.
        evidence: file, test or command that proves it.
        points: None gives all points for yes, and none otherwise.
    """

    verdict: Verdict
    reason: str
    evidence: str
    points: int | None = None


@dataclass(frozen=True)
class Subject:
    """A benchmark, and what its answers are made from."""

    task: Task
    registry: Registry

    @property
    def runner(self) -> Path:
        """Return the folder of the runner."""
        return self.task.folder

    @property
    def place(self) -> str:
        """Return the folder of the runner, relative to its registry."""
        return f"runners/{self.task.name}"

    @property
    def root(self) -> Path:
        """Return the registry that has the runner, which may be a checkout."""
        return self.runner.parents[1]

    @property
    def about(self) -> Mapping[str, Any]:
        """Return the tables of task.toml that describe the benchmark."""
        return self.task.about

    @property
    def catalogue(self) -> Mapping[str, Any]:
        """Return the table `[catalogue]` of task.toml; empty if there is none."""
        table: Mapping[str, Any] = self.about.get("catalogue", {})
        return table

    @cached_property
    def readme(self) -> str:
        """Return the text of the runner's README; empty if there is none."""
        path = self.runner / README
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    @cached_property
    def descriptors(self) -> list[Descriptor]:
        """Return the descriptors of all datasets of the benchmark, the default one first."""
        found = []
        for dataset in datasets_of(self.task):
            try:
                found.append(load_descriptor(self.registry, dataset, self.task.version))
            except (CallError, DescriptorError):
                continue
        return found

    @cached_property
    def fair(self) -> list[Report]:
        """Return the FAIR reports of all datasets.

        Raises:
            CallError: the extra `fair` is not installed.
        """
        return [assess(descriptor) for descriptor in self.descriptors]

    @cached_property
    def records(self) -> dict[str, Mapping[str, Any]]:
        """Return the valid records of published runs on real data, by path in the registry."""
        found: dict[str, Mapping[str, Any]] = {}
        for path in sorted((self.root / RESULTS / self.task.name).rglob("record*.json")):
            try:
                record = read_json(path)
            except JsonError:
                continue
            if not schema_problems(record) and not record["synthetic"]:
                found[path.relative_to(self.root).as_posix()] = record
        return found


@dataclass(frozen=True)
class Question:
    """A question of the rubric.

    Attributes:
        id: category and number.
        category: as the working group's catalogue names it.
        text: the question.
        points: for yes.
        check: answers it.
    """

    id: str
    category: str
    text: str
    points: int
    check: Callable[[Subject], Answer]


def _file(subject: Subject, name: str, what: str) -> Answer:
    """Return yes if a file of the runner exists."""
    path = f"{subject.place}/{name}"
    if (subject.runner / name).is_file():
        return Answer(YES, f"{what} is in {path}", path)
    return Answer(NO, f"{path} does not exist", path)


# --- software ------------------------------------------------------------------------------------


def code_exists(subject: Subject) -> Answer:
    """Check that the runner has code."""
    return _file(subject, "runner.py", "the code of the benchmark")


def code_complete(subject: Subject) -> Answer:
    """Check that data, splits, models, training, scores and baselines are all code."""
    place = f"{subject.place}/runner.py"
    path = subject.runner / "runner.py"
    if not path.is_file():
        return Answer(NO, "there is no runner.py", place)
    names = {
        getattr(node, "name", getattr(node, "id", ""))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    }
    lacking = [name for name in ("prepare", "build", "sample_loss") if name not in names]
    if lacking or not split_names(subject.runner):
        missing = ", ".join([*lacking, *([] if split_names(subject.runner) else ["stored splits"])])
        return Answer(NO, f"{missing} missing", place)
    return Answer(
        YES, "data, splits, models, loss, baselines and scores are code of runner and engine", place
    )


def code_documented(subject: Subject) -> Answer:
    """Check that the runner has a README of some length."""
    words = len(subject.readme.split())
    place = f"{subject.place}/{README}"
    if words < MIN_WORDS:
        return Answer(NO, f"the README has {words} words", place)
    return Answer(YES, "a README, and --help-settings for every setting", place)


def runs_unmodified(subject: Subject) -> Answer:
    """Check that the benchmark runs on a sample, without a download and without an edit."""
    command = f"sciml-data run {subject.task.name} --sample"
    if subject.descriptors and subject.descriptors[0].sample:
        return Answer(YES, "it runs on a synthetic sample, from one command", command)
    return Answer(NO, "the default dataset has no sample, so that a run needs a download", command)


def container_or_setup(subject: Subject) -> Answer:
    """Check that there are set-up instructions or a container recipe."""
    found = [name for name in (*CONTAINERS, SETUP) if (subject.root / name).is_file()]
    if found:
        return Answer(YES, "set-up instructions and container recipes exist", ", ".join(found))
    return Answer(UNKNOWN, "this installation is not a checkout", "pip install 'sciml-data[train]'")


# --- specification -------------------------------------------------------------------------------


def system_constraints(subject: Subject) -> Answer:
    """Check that memory, disk and hours are stated for data beyond the sample."""
    place = f"{subject.place}/task.toml, [[system]]"
    needed = ("memory_gib", "disk_gib", "hours")
    tiers = [block for block in subject.about.get("system", ()) if block["tier"] != "sample"]
    if not tiers:
        return Answer(NO, "memory, disk and hours are not stated", place)
    lacking = [[name for name in needed if name not in block] for block in tiers]
    measured = _measured_run(subject)
    if (
        all(lacking)
        and measured
        and any(set(names) <= {"memory_gib", "hours"} for names in lacking)
    ):
        return Answer(YES, f"disk is stated; a published run took {measured[1]}", measured[0])
    if all(lacking):
        best = min(lacking, key=len)
        return Answer(NO, f"for real data {', '.join(best)} were not measured", place)
    return Answer(YES, "memory, disk and hours of a run on real data are stated", place)


def _measured_run(subject: Subject) -> tuple[str, str] | None:
    """Return a published record with memory and duration, and both in words."""
    for path, record in subject.records.items():
        memory = record["resources"]["peak_host_memory_bytes"]
        seconds = record["timing"]["time_to_train_s"]
        if memory and seconds:
            return path, f"{memory / 2**30:.1f} GiB of memory and {seconds / 3600:.2f} hours"
    return None


def task_defined(subject: Subject) -> Answer:
    """Check that the task is described."""
    place = f"{subject.place}/task.toml, [task] description"
    if subject.task.description:
        return Answer(YES, "the task is stated in a paragraph", place)
    return Answer(NO, "task.toml has no description", place)


def format_defined(subject: Subject) -> Answer:
    """Check that the variables of the default dataset are described."""
    command = f"sciml-data describe {subject.task.dataset}"
    variables = subject.descriptors[0].variables if subject.descriptors else {}
    if variables:
        return Answer(
            YES,
            f"{counted(len(variables), 'variable')} with dimensions, type, unit and meaning",
            command,
        )
    return Answer(NO, "the ready form is not described", command)


def inputs_defined(subject: Subject) -> Answer:
    """Check that the inputs are stated."""
    place = f"{subject.place}/task.toml, [[input]]"
    names = [block["name"] for block in subject.about.get("input", ())]
    if names:
        return Answer(YES, f"inputs: {', '.join(names)}", place)
    return Answer(NO, "inputs are not stated", place)


def outputs_defined(subject: Subject) -> Answer:
    """Check that the outputs are stated with their axes."""
    place = f"{subject.place}/task.toml, [output]"
    output = subject.about.get("output")
    if output:
        return Answer(YES, f"{output['meaning']}; axes {', '.join(output['axes'])}", place)
    return Answer(NO, "outputs are not stated", place)


# --- dataset -------------------------------------------------------------------------------------


def _fair(letter: str) -> Callable[[Subject], Answer]:
    def check(subject: Subject) -> Answer:
        """Check that no FAIR metric of a principle fails for the default dataset."""
        command = f"sciml-data fair {subject.task.dataset}"
        if not subject.fair:
            return Answer(UNKNOWN, "no dataset is described", command)
        report = subject.fair[0]
        failed = [
            f"{item.metric.title} ({item.metric.identifier})"
            for item in report.failures
            if item.metric.identifier.startswith(f"FsF-{letter}")
        ]
        if failed:
            return Answer(NO, f"fails: {', '.join(failed)}", command)
        return Answer(YES, "every metric of the principle that can be checked passes", command)

    return check


def splits_stable(subject: Subject) -> Answer:
    """Check that splits are stored with the digest of their members."""
    names = split_names(subject.runner)
    place = f"{subject.place}/splits/"
    for name in names:
        load_split(subject.runner, name)  # raises an error for a digest that differs
    if names:
        return Answer(YES, f"{len(names)} stored splits with digests: {', '.join(names)}", place)
    return Answer(NO, "no split is stored", place)


# --- metrics -------------------------------------------------------------------------------------


def metrics_defined(subject: Subject) -> Answer:
    """Check that each metric has a formula, a direction, a unit and a version."""
    place = f"{subject.place}/task.toml, [[metric]]"
    metrics = subject.task.metrics
    vague = [metric.id for metric in metrics if not (metric.formula and metric.unit)]
    if vague or not metrics:
        return Answer(NO, f"without formula or unit: {', '.join(vague) or 'none'}", place, 1)
    return Answer(
        YES, f"{counted(len(metrics), 'metric')} with formula, direction, unit and version", place
    )


def metrics_capture_goal(subject: Subject) -> Answer:
    """Return what task.toml says of the goal, with its reason."""
    place = f"{subject.place}/task.toml, [catalogue] goal"
    goal, reason = subject.catalogue.get("goal"), subject.catalogue.get("goal_reason", "")
    if goal == "full":
        return Answer(YES, reason, place)
    if goal == "part":
        return Answer(NO, f"in part: {reason}", place, 1)
    return Answer(UNKNOWN, "nobody has stated it", place)


# --- reference solution --------------------------------------------------------------------------


def reference_exists(subject: Subject) -> Answer:
    """Check that there is a model."""
    command = f"sciml-data run {subject.task.name} --model {subject.task.default_model}"
    return Answer(YES, f"models: {', '.join(subject.task.models)}", command)


def reference_documented(subject: Subject) -> Answer:
    """Check that the README has a section on models that names the default one."""
    place = f"{subject.place}/{README}, Models"
    section = re.split(r"^## Models.*$", subject.readme, flags=re.MULTILINE)[1:]
    if section and f"`{subject.task.default_model}`" in section[0]:
        return Answer(YES, "each model is described", place)
    return Answer(NO, "the README does not describe the default model", place)


def reference_system(subject: Subject) -> Answer:
    """Check that a published record lists hardware and software."""
    for path, record in subject.records.items():
        if record["hardware"]["host_memory_capacity_bytes"] and record["software"]["libraries"]:
            return Answer(YES, "a published record lists hardware, libraries and versions", path)
    place = f"{RESULTS}/{subject.task.name}/"
    return Answer(NO, "no record of a run on real data is published", place)


def reference_scored(subject: Subject) -> Answer:
    """Check that a published record has a value of every metric."""
    ids = {metric.id for metric in subject.task.metrics}
    place = f"{RESULTS}/{subject.task.name}/"
    if not subject.records:
        return Answer(NO, "no record of a run on real data is published", place)
    lacking = ids
    for path, record in subject.records.items():
        scored = {row["metric_id"] for row in record["metrics"] if row["score"] is not None}
        if ids <= scored:
            return Answer(YES, f"all {len(ids)} metrics are in a published record", path)
        lacking = min(lacking, ids - scored, key=len)
    return Answer(NO, f"no published record has {', '.join(sorted(lacking))}", place)


def reference_open(subject: Subject) -> Answer:
    """Check that weights of a trained model are published, and not only the code."""
    if weights := subject.catalogue.get("weights"):
        return Answer(YES, "code trains it, and trained weights are published", weights)
    command = f"sciml-data run {subject.task.name}"
    return Answer(NO, "the code is open and trains it; trained weights are not published", command)


# --- documentation -------------------------------------------------------------------------------


def task_explained(subject: Subject) -> Answer:
    """Check that the README explains the task."""
    place = f"{subject.place}/{README}, Task"
    if "**Task.**" in subject.readme:
        return Answer(YES, "the README begins with the task", place)
    return Answer(NO, "the README does not explain the task", place)


def _stated(key: str) -> Callable[[Subject], Answer]:
    def check(subject: Subject) -> Answer:
        """Check that `[catalogue]` of task.toml states something, which the page shows."""
        place = f"{subject.place}/task.toml, [catalogue] {key}"
        if subject.catalogue.get(key):
            return Answer(YES, f"the {key} is stated and on the benchmark's page", place)
        return Answer(NO, f"the {key} is not stated", place)

    return check


def criteria_explained(subject: Subject) -> Answer:
    """Check that the README says what scores mean."""
    place = f"{subject.place}/{README}"
    if found := CRITERIA.search(subject.readme):
        section = found.group(0).removeprefix("## ")
        return Answer(YES, "the README says what scores mean", f"{place}, {section}")
    return Answer(NO, "the README has no section on scores", place)


def paper_exists(subject: Subject) -> Answer:
    """Check that a paper is among the citations."""
    place = f"{subject.place}/task.toml, [catalogue] cite"
    papers = [entry for entry in subject.catalogue.get("cite", ()) if entry.startswith(PAPERS)]
    if papers:
        return Answer(YES, f"papers: {len(papers)}", place)
    return Answer(NO, "no paper is cited", place)


# Category -> (question, points, check), in the order of the rubric.
RUBRIC: Mapping[str, tuple[tuple[str, int, Callable[[Subject], Answer]], ...]] = {
    "software": (
        ("Does code exist?", 1, code_exists),
        ("Is the code complete?", 1, code_complete),
        ("Is the code documented?", 1, code_documented),
        ("Does it run without modification?", 1, runs_unmodified),
        ("Is there a container or set-up instructions?", 1, container_or_setup),
    ),
    "specification": (
        ("Are system constraints stated?", 1, system_constraints),
        ("Is the task defined?", 1, task_defined),
        ("Is the format of the dataset defined?", 1, format_defined),
        ("Are inputs defined?", 1, inputs_defined),
        ("Are outputs defined?", 1, outputs_defined),
    ),
    "dataset": (
        ("Is the dataset findable?", 1, _fair("F")),
        ("Is the dataset accessible?", 1, _fair("A")),
        ("Is the dataset interoperable?", 1, _fair("I")),
        ("Is the dataset reusable?", 1, _fair("R")),
        ("Are the splits stable?", 1, splits_stable),
    ),
    "metrics": (
        ("Are the metrics fully defined?", 3, metrics_defined),
        ("Do the metrics capture the goal?", 2, metrics_capture_goal),
    ),
    "reference_solution": (
        ("Is there a reference solution?", 1, reference_exists),
        ("Is it documented?", 1, reference_documented),
        ("Are its hardware and software listed?", 1, reference_system),
        ("Are all metrics evaluated?", 1, reference_scored),
        ("Is it trainable and open, with weights?", 1, reference_open),
    ),
    "documentation": (
        ("Is the task explained?", 1, task_explained),
        ("Is the background explained?", 1, _stated("background")),
        ("Is the motivation explained?", 1, _stated("motivation")),
        ("Are evaluation criteria explained?", 1, criteria_explained),
        ("Is there a paper?", 1, paper_exists),
    ),
}
QUESTIONS = tuple(
    Question(f"{category}.{number}", category, text, points, check)
    for category, questions in RUBRIC.items()
    for number, (text, points, check) in enumerate(questions, start=1)
)
