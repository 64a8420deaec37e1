"""The JAX backend has the losses of TensorFlow and the same records, without importing it.

Keras takes its backend once a process, so each test has processes of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data.bench.training import jax_backend
from sciml_data.errors import CallError
from tests.support.conv_problem import ROWS
from tests.support.processes_of_keras import WITHOUT_TENSORFLOW, needs_jax, output_of

LOSS_TOLERANCE = 1e-4  # relative, after 3 epochs: other kernels, other order of float32 sums

TRAIN = """
import json, sys
from tests.support.conv_problem import conv_losses
print(json.dumps(conv_losses({changed!r})))
"""


@needs_jax
@pytest.mark.slow
def test_jax_gives_the_losses_of_tensorflow() -> None:
    changed = {"clip_norm": 0.05, "weight_decay": 0.001}
    code = TRAIN.format(changed=changed)

    on_jax = output_of(WITHOUT_TENSORFLOW + code, KERAS_BACKEND="jax", NPROC="1")
    on_tensorflow = output_of(code, KERAS_BACKEND="tensorflow")

    assert [samples for _, _, samples in on_jax] == [ROWS] * 3
    np.testing.assert_allclose(on_jax, on_tensorflow, rtol=LOSS_TOLERANCE)
    assert on_jax[2][0] < on_jax[0][0] * 0.9


RUN = """
import json, sys
from sciml_data.bench.run import staging
from sciml_data.cli import group
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import toy_source
staging.stage = toy_source
rest = ["--registry", str(TOY_REGISTRY), "--home", {home!r}]
words = ["run", "toy", "--backend", "jax", "--model", "noisy", *{words!r}]
group([*words, *rest], standalone_mode=False)
print(json.dumps("tensorflow" in sys.modules))
"""


@needs_jax
@pytest.mark.slow
def test_a_run_on_jax_leaves_a_record_and_is_resumed_where_it_was_stopped(tmp_path: Path) -> None:
    from sciml_data.bench.record.record import load_record
    from sciml_data.bench.record.runs import all_runs
    from sciml_data.home import Home

    home = Home(tmp_path)
    stop = """
from sciml_data.bench.run import execution
log_epoch = execution._log_epoch
def stop_after_two(journal, progress, log):
    log_epoch(journal, progress, log)
    if progress.epochs == 2:
        sys.stdout.flush()
        print(json.dumps("stopped"))
        raise SystemExit(0)
"""
    run = RUN.format(home=str(tmp_path), words=["--name", "whole", "--threads", "1"])
    halted = RUN.format(home=str(tmp_path), words=["--name", "halted"])
    resumed = RUN.format(home=str(tmp_path), words=["--name", "halted"])
    halted = halted.replace(
        "staging.stage =", stop + "execution._log_epoch = stop_after_two\nstaging.stage ="
    )

    has_tensorflow = output_of(WITHOUT_TENSORFLOW + run)
    output_of(WITHOUT_TENSORFLOW + halted)
    output_of(WITHOUT_TENSORFLOW + resumed)

    one, other = (load_record(folder) for folder in sorted(all_runs(home), reverse=True))
    assert not has_tensorflow
    assert one["status"] == "success"
    assert one["model"]["framework"] == "Keras 3 on JAX (experimental)"
    assert (one["distribution"]["backend"], one["distribution"]["device_type"]) == ("jax", "cpu")
    assert one["software"]["libraries"]["jax"]
    assert one["hardware"]["intra_op_threads"] == 1
    assert other["timing"]["resumed_epochs"] == 2
    assert one["metrics"] == other["metrics"]


@needs_jax
@pytest.mark.parametrize("name", ["mirrored:2", "multiworker"])
def test_several_devices_are_refused(name: str) -> None:
    with pytest.raises(CallError, match="one process on one device"):
        jax_backend.make_strategy(name, {})
