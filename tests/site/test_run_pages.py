"""The commands that repeat a run are those that `sciml-data run` reads."""

from __future__ import annotations

from typing import Any

from sciml_data.bench.task.settings import resolve_settings
from sciml_data.bench.task.task import load_task
from sciml_data.cli.run import command as run_verb
from sciml_data.site.run_pages import install_lines, remarks, run_command
from tests.support.paths import TOY_REGISTRY
from tests.support.records import sample_record

TOY = TOY_REGISTRY / "runners" / "toy"


def repeated(record: dict[str, Any]) -> dict[str, Any]:
    """Return the options that `run` reads from the command that repeats a record."""
    words = run_command(record)
    assert words[:2] == ["sciml-data", "run"]
    context = run_verb.make_context("run", words[2:])
    return dict(context.params)


def test_the_command_that_repeats_a_run_is_valid_and_gives_its_settings() -> None:
    task = load_task(TOY)
    overrides = ["epochs=3", "xla=true", "learning_rate=0.005"]
    settings = resolve_settings(task, overrides, model="noisy", split="halves", is_sample=True)
    data = {**sample_record()["dataset"], "sample_seed": 4, "sample_set": ["rows=9"]}
    record = sample_record(
        synthetic=True,
        settings=settings,
        settings_overridden=["epochs", "learning_rate", "xla"],
        dataset=data,
        model=sample_record()["model"] | {"name": "noisy"},
        split={**sample_record()["split"], "name": "halves"},
    )

    options = repeated(record)

    again = resolve_settings(
        task, options["overrides"], model=options["model"], split=options["split"], is_sample=True
    )
    assert again == settings
    assert (options["sample"], options["sample_seed"]) == (True, 4)
    assert options["sample_set"] == ("rows=9",)
    assert (options["strategy"], options["threads"], options["seed"]) == ("default", 1, 0)
    assert options["dataset"] == "toy_points"


def test_a_variant_and_devices_are_in_the_command() -> None:
    record = sample_record(
        benchmark={**sample_record()["benchmark"], "variant": "dose"},
        distribution={**sample_record()["distribution"], "strategy": "mirrored", "replicas": 2},
    )

    options = repeated(record)

    assert (options["variant"], options["dataset"]) == ("dose", "toy_points")
    assert options["strategy"] == "mirrored:2"


def test_remarks_say_what_the_commands_cannot_guarantee() -> None:
    code = {**sample_record()["code"], "commit": "a" * 40, "is_dirty": True, "reason": None}

    assert install_lines(sample_record(code=code))[1] == f"git checkout {'a' * 40}"
    assert any("are in no commit" in remark for remark in remarks(sample_record(code=code)))
    assert install_lines(sample_record()) == ["pip install 'sciml-data[train]==0.1.0'"]


def test_a_runner_of_another_registry_is_marked() -> None:
    code = {**sample_record()["code"], "registry": "Harbour laboratory", "is_dirty": True}

    said = [text for text in remarks(sample_record(code=code)) if "Harbour laboratory" in text]

    assert len(said) == 1
    assert code["runner_digest"] in said[0]
