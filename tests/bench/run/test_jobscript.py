"""A job script is complete, quoted, and not submitted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli import group
from sciml_data.errors import CallError, SciMLDataError
from tests.support.paths import TOY_REGISTRY


def sbatch(*words: str) -> Result:
    return CliRunner().invoke(group, ["sbatch", *words, "--registry", str(TOY_REGISTRY)])


def test_a_script_requests_resources_stages_and_trains(tmp_path: Path) -> None:
    result = sbatch(
        "toy", "--seed", "3", "--nodes", "2", "--cpus-per-task", "4", "--time", "01:00:00",
        "--home", str(tmp_path),
    )  # fmt: skip

    lines = result.stdout.splitlines()
    steps = [line for line in lines if line.startswith("srun ")]
    (run,) = [line for line in lines if line.startswith("run=(")]
    assert result.exit_code == 0
    assert lines[0] == "#!/usr/bin/env bash"
    assert {"#SBATCH --nodes=2", "#SBATCH --time=01:00:00", "#SBATCH --requeue"} <= set(lines)
    assert " -m sciml_data run toy --seed 3 " in run
    assert f"--home {tmp_path}" in run
    assert "--threads 4" in run
    assert len(steps) == 2
    assert "--ntasks=1" in steps[0]
    assert steps[0].endswith("--stage-only")
    assert "--kill-on-bad-exit=1" in steps[1]
    assert steps[1].endswith('--nodes 2 --name "slurm-${SLURM_JOB_ID}"')


def test_help_about_settings_makes_no_job() -> None:
    result = sbatch("toy", "--help-settings")

    assert isinstance(result.exception, CallError)
    assert "run toy --help-settings" in str(result.exception)
    assert result.stdout == ""


def test_the_gpus_of_a_node_are_divided_among_its_tasks() -> None:
    shared = sbatch("toy", "--gpus-per-node", "4", "--ntasks-per-node", "2")
    uneven = sbatch("toy", "--gpus-per-node", "4", "--ntasks-per-node", "3")

    assert "--gpus-per-task=2 " in shared.stdout
    assert isinstance(uneven.exception, CallError)
    assert "cannot be divided among 3 tasks" in str(uneven.exception)


def test_a_name_of_ones_own_is_kept(tmp_path: Path) -> None:
    result = sbatch("toy", "--name", "first", "--home", str(tmp_path))

    assert result.stdout.count("--name") == 1
    assert result.stdout.splitlines()[-1].endswith("--nodes 1 --name first")


def directives(result: Result) -> set[str]:
    return {
        line.removeprefix("#SBATCH --")
        for line in result.stdout.splitlines()
        if line.startswith("#SBATCH ")
    }


def test_options_of_a_cluster_are_passed_on() -> None:
    result = sbatch(
        "toy", "--qos", "short", "--mem", "16G", "--constraint", "a100&nvme", "--mail-type",
        "END,FAIL", "--mail-user", "a@example.org", "--sbatch-option", "exclusive",
        "--sbatch-option", "gres=gpu:a100:2", "--sbatch-option", "no-requeue",
    )  # fmt: skip

    assert {
        "qos=short", "mem=16G", "constraint=a100&nvme", "mail-type=END,FAIL",
        "mail-user=a@example.org", "exclusive", "gres=gpu:a100:2",
    } < directives(result)  # fmt: skip
    text = result.stdout
    assert text.index("--requeue") < text.index("--no-requeue")  # the last one counts


@pytest.mark.parametrize("words", [("--seeds", "0-4"), ("--array", "0-4"), ("--seeds=0-4",)])
def test_seeds_are_an_array_of_jobs(words: tuple[str, ...]) -> None:
    result = sbatch("toy", *words, "--name", "first")

    assert "array=0-4" in directives(result)
    [run] = [line for line in result.stdout.splitlines() if line.startswith("run=(")]
    assert "--seed" not in run
    assert result.stdout.splitlines()[-1].endswith(
        '--seed "${SLURM_ARRAY_TASK_ID}" --name first"-s${SLURM_ARRAY_TASK_ID}"'
    )


def test_jobs_of_an_array_have_names_of_their_own() -> None:
    script = sbatch("toy", "--array", "0-4%2").stdout
    stand_in = 'srun() { printf "%s\\n" "$@"; }\nSLURM_ARRAY_JOB_ID=7\nSLURM_ARRAY_TASK_ID=3\n'

    done = subprocess.run(
        ["bash"], input=stand_in + script, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-4:] == ["--seed", "3", "--name", "slurm-7-s3"]


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("90", "1 hour 30 minutes"),
        ("2:00", "2 minutes"),
        ("02:00:00", "2 hours"),
        ("1-12", "1 day 12 hours"),
        ("1-02:03:04", "1 day 2 hours 3 minutes 4 seconds"),
    ],
)
def test_a_time_limit_is_said_in_words(time: str, words: str) -> None:
    result = sbatch("toy", "--time", time)

    assert f"time={time}" in directives(result)
    assert f"time limit: {words}\n" in result.stderr


def test_a_submission_without_slurm_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    result = sbatch("toy", "--submit")

    assert isinstance(result.exception, CallError)
    assert "sbatch cannot be started" in str(result.exception)


def test_a_dry_run_prints_the_script_and_submits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert sbatch("toy", "--submit", "--dry-run").stdout == sbatch("toy").stdout


@pytest.mark.parametrize("home", ["plain", "with space", 'it\'s; $(touch x) `y` "z"'])
def test_a_script_is_quoted(tmp_path: Path, home: str) -> None:
    """Run the script's own line in bash, with a stand-in for srun that prints its words."""
    script = sbatch("toy", "--set", "epochs=2", "--home", str(tmp_path / home)).stdout
    stand_in = 'srun() { printf "%s\\n" "$@"; }\nSLURM_JOB_ID=7\n'

    done = subprocess.run(
        ["bash"], input=stand_in + script, capture_output=True, text=True, check=True, cwd=tmp_path
    )

    words = done.stdout.splitlines()
    assert words.count(str((tmp_path / home).resolve())) == 2
    assert words[-2:] == ["--name", "slurm-7"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="apt-get install shellcheck")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "job.sh"

    result = sbatch("toy", "--gpus-per-node", "2", "--home", "a b", "--output", str(path))

    assert result.exit_code == 0
    assert result.stdout == ""
    subprocess.run(["shellcheck", str(path)], check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["toi"], "did you mean 'toy'"),
        (["toy", "--model", "smal"], "did you mean 'small'"),
        (["toy", "--stage-only"], "sets --stage-only itself"),
        (["toy", "--time", "1:0\nrm -r x"], "special meaning in a script"),
        (["toy", "--partition", "a b"], "special meaning in a script"),
        (["toy", "--time", "2h"], "not a time limit of Slurm"),
        (["toy", "--time", "0"], "less than a minute"),
        (["toy", "--time", "900-0"], "more than a year"),
        (["toy", "--array", "a"], "not a list of seeds"),
        (["toy", "--array", "0-4", "--seeds", "0-4"], "--array cannot be used with --seeds"),
        (["toy", "--array", "0-4", "--seed", "1"], "--array cannot be used with --seed"),
        (["toy", "--sbatch-option", "nodes=2"], "has an option: --nodes"),
        (["toy", "--sbatch-option", "--exclusive"], "is not NAME=VALUE or NAME"),
        (["toy", "--sbatch-option", "comment=a b"], "special meaning in a script"),
        (["toy", "--strategy", "data_parallel"], "keras.distribution is not supported"),
        (["toy", "--name", "../x"], "cannot be named"),
        (["toy", "--resume", "latest"], "no such run"),
    ],
)
def test_a_wrong_call_writes_nothing(words: list[str], message: str) -> None:
    result = sbatch(*words)

    assert isinstance(result.exception, SciMLDataError)
    assert result.exception.exit_code == 2
    assert message in str(result.exception)
    assert result.stdout == ""


def test_an_option_that_run_does_not_know_is_refused() -> None:
    result = sbatch("toy", "--modl", "small")

    assert result.exit_code == 2
    assert "No such option '--modl'" in result.stderr
    assert "sbatch [OPTIONS] BENCHMARK" in result.stderr


@pytest.mark.parametrize(("typed", "meant"), [("--qoss", "--qos"), ("--sede", "--seed")])
def test_an_option_of_either_command_is_suggested(typed: str, meant: str) -> None:
    assert f"'{meant}'" in sbatch("toy", typed, "1").stderr


def test_help_has_examples() -> None:
    command = group.get_command(click.Context(group), "sbatch")

    assert command is not None
    assert "sciml-data sbatch" in (command.epilog or "")


def convert(*words: str) -> Result:
    return CliRunner().invoke(group, ["sbatch", "convert", *words])


def steps_of(script: str, task: int, folder: Path) -> list[str]:
    """Return the words of the command that a task of the array would run."""
    stand_in = f'srun() {{ printf "%s\\n" "$@"; }}\nSLURM_ARRAY_TASK_ID={task}\n'
    done = subprocess.run(
        ["bash"], input=stand_in + script, capture_output=True, text=True, check=True, cwd=folder
    )
    return done.stdout.splitlines()


def test_a_conversion_in_shares_is_an_array_with_a_last_step(tmp_path: Path) -> None:
    result = convert(
        "cloud_slstr_ds1", "--array", "8%4", "--cpus-per-task", "4", "--set", "compression=gzip",
        "--home", str(tmp_path), "--time", "04:00:00",
    )  # fmt: skip

    assert {"array=1-8%4", "cpus-per-task=4", "job-name=sciml-convert-cloud_slstr_ds1"} <= (
        directives(result)
    )
    share, last = (steps_of(result.stdout, task, tmp_path) for task in (3, 0))
    assert share[-4:] == ["--share", "3/8", "--jobs", "4"]
    assert last[-1] == "--finish"
    for words in (share, last):
        assert words[:2] == ["--ntasks=1", "--cpus-per-task=4"]
        assert words[3:8] == ["-m", "sciml_data", "convert", "cloud_slstr_ds1", "--set"]
        assert words[words.index("--home") + 1] == str(tmp_path)
    assert "#     sbatch --array=0 --dependency=afterok:" in result.stdout


def test_a_conversion_without_array_is_one_job(tmp_path: Path) -> None:
    result = convert("cloud_slstr_ds1", "--jobs", "2", "--cpus-per-task", "8", "--sample")

    assert not any(line.startswith("array=") for line in directives(result))
    words = steps_of(result.stdout, 1, tmp_path)
    assert words[-2:] == ["--jobs", "2"]
    assert words.count("--jobs") == 1
    assert not {"--share", "--finish"} & {*words}


SBATCH = """#!/usr/bin/env bash
echo "$@" >> {log}
cat >> {log}
echo "$(( $(grep -c ^--parsable {log}) + 40 ));cluster"
"""


@pytest.mark.parametrize("refused", [False, True])
def test_submitting_shares_submits_the_printed_script_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, refused: bool
) -> None:
    log, program = tmp_path / "log", tmp_path / "sbatch"
    end = '[[ "$*" != *afterok* ]] || exit 1\n' if refused else ""
    program.write_text(SBATCH.format(log=log) + end)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    small = ("shape=96,96", "count.training=2", "count.inference=1")
    sizes = [word for size in small for word in ("--sample-set", size)]
    sample = ("cloud_slstr_ds1", "--sample", "--home", str(tmp_path))
    CliRunner().invoke(group, ["get", *sample, *sizes], catch_exceptions=False)
    words = (*sample, "--array", "8", "--submit")

    shown = convert(*words, "--dry-run").stdout
    assert not log.exists()
    result = convert(*words)

    last = "--parsable --array=0 --dependency=afterok:41 --kill-on-invalid-dep=yes"
    assert log.read_text() == f"--parsable\n{shown}{last}\n{shown}"
    assert result.stdout.split() == (["41"] if refused else ["41", "42"])
    if refused:
        assert isinstance(result.exception, CallError)
        assert "job 41 was submitted" in str(result.exception)


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_conversion_of_files_that_are_not_here_is_printed_and_not_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_begun: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # without any sbatch
    if is_begun:  # a fetch that was stopped before its first file
        (tmp_path / "data" / "tevolop_socal" / "1.0" / "native").mkdir(parents=True)
    words = ("tevolop_socal", "--version", "1.0", "--array", "8", "--home", str(tmp_path))

    refused, printed = convert(*words, "--submit"), convert(*words)

    assert isinstance(refused.exception, CallError)
    assert "nothing was submitted" in str(refused.exception)
    assert refused.exception.hint == "sciml-data get tevolop_socal --version 1.0"
    assert "--array" in printed.stdout
    assert refused.exception.hint in printed.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="apt-get install shellcheck")
@pytest.mark.parametrize("array", [(), ("--array", "8")])
def test_shellcheck_finds_nothing_in_a_conversion(tmp_path: Path, array: tuple[str, ...]) -> None:
    path = tmp_path / "job.sh"

    convert("cloud_slstr_ds1", "--home", "a b", "--output", str(path), *array)

    subprocess.run(["shellcheck", str(path)], check=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cloud_slst", "--array", "8"], "did you mean"),
        (["cloud_slstr_ds1", "--array", "0-4"], "not a number of shares"),
        (["cloud_slstr_ds1", "--array", "8", "--again"], "cannot be used with --again"),
        (["cloud_slstr_ds1", "--array", "8", "--cluster", "a:1"], "cannot be used with --cluster"),
        (["cloud_slstr_ds1", "--share", "1/8"], "sets --share itself"),
        (["cloud_slstr_ds1", "--finish"], "sets --finish itself"),
        (["cloud_slstr_ds1", "--nodes", "2"], "--nodes cannot be used with convert"),
        (
            ["cloud_slstr_ds1", "--gpus-per-node", "1"],
            "--gpus-per-node cannot be used with convert",
        ),
        (["cloud_slstr_ds1", "--set", "compression"], "is not KEY=VALUE"),
        (["cloud_slstr_ds1", "--array", "8", "--time", "2h"], "not a time limit"),
        (["inelastic_ds1"], "no format reads"),
    ],
)
def test_a_wrong_call_of_a_conversion_writes_nothing(words: list[str], message: str) -> None:
    result = convert(*words)

    assert isinstance(result.exception, SciMLDataError)
    assert message in str(result.exception)
    assert result.stdout == ""
