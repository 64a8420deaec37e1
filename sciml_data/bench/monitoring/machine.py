"""Software, hardware, code and memory of this process, for the record of a run.

Values that are not known are null. No host name, user name or absolute path goes into a record.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sciml_data import __version__
from sciml_data.bench.training import backend
from sciml_data.metadata.addresses import registry_name
from sciml_data.registry.extensions import METRICS_NAME
from sciml_data.registry.layout import is_built_in

LIBRARIES = (
    "tensorflow",
    "jax",
    "jaxlib",
    "keras",
    "numpy",
    "xarray",
    "h5netcdf",
    "h5py",
    "pandas",
)
# Variables that change numbers or speed. The list has names and no patterns: variables such as
# TF_CONFIG, NCCL_COMM_ID and SLURM_JOB_NODELIST name computers, and KERAS_HOME a folder.
ENVIRONMENT = (
    "BLIS_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING",
    "CUDA_VISIBLE_DEVICES", "GOMP_CPU_AFFINITY", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_ENABLE_X64",
    "JAX_PLATFORMS", "KERAS_BACKEND", "KERAS_NNX_ENABLED", "KMP_AFFINITY", "KMP_BLOCKTIME",
    "MKL_CBWR", "MKL_DYNAMIC", "MKL_NUM_THREADS", "NCCL_ALGO", "NCCL_BUFFSIZE",
    "NCCL_CROSS_NIC", "NCCL_IB_DISABLE", "NCCL_LAUNCH_MODE", "NCCL_MAX_NCHANNELS",
    "NCCL_MIN_NCHANNELS", "NCCL_NET_GDR_LEVEL", "NCCL_NSOCKS_PERTHREAD", "NCCL_NTHREADS",
    "NCCL_P2P_DISABLE", "NCCL_P2P_LEVEL", "NCCL_PROTO", "NCCL_SHM_DISABLE",
    "NCCL_SOCKET_NTHREADS", "NPROC", "NUMEXPR_NUM_THREADS", "NVIDIA_TF32_OVERRIDE",
    "OMP_DYNAMIC", "OMP_NUM_THREADS", "OMP_PLACES", "OMP_PROC_BIND", "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "SLURM_CPUS_ON_NODE", "SLURM_CPUS_PER_GPU",
    "SLURM_CPUS_PER_TASK", "SLURM_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU", "SLURM_MEM_PER_NODE",
    "SLURM_NNODES", "SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE", "TF_CUDNN_USE_FRONTEND", "TF_DETERMINISTIC_OPS", "TF_DISABLE_MKL",
    "TF_ENABLE_AUTO_MIXED_PRECISION", "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32",
    "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32", "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_FP16_CONV_USE_FP32_COMPUTE", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_COUNT",
    "TF_GPU_THREAD_MODE", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS",
    "XLA_FLAGS", "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE",
)  # fmt: skip
DEVICE_IDS = ("GPU-", "MIG-")  # begin the name of a single device in CUDA_VISIBLE_DEVICES
SAME_LIBRARY = {"tensorflow": "tensorflow-cpu"}  # another distribution of the same package
GIT_TIMEOUT_S = 10
# These keep TensorFlow's messages off stderr, where sciml-data prints its own.
LOG_LEVELS = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_CPP_MAX_VLOG_LEVEL": "-1"}


def import_tensorflow_quietly() -> None:
    """Import TensorFlow without its messages on stderr, if it is installed and the backend.

    Nothing is done if the environment sets one of `LOG_LEVELS`. Only a command may call this,
    because a library must not change stderr or logging.
    """
    if "tensorflow" in sys.modules or any(os.environ.get(name) for name in LOG_LEVELS):
        return
    if (os.environ.get(backend.VARIABLE) or backend.DEFAULT) != "tensorflow":
        return
    if importlib.util.find_spec("tensorflow") is None:
        return
    os.environ.update(LOG_LEVELS)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.stderr.flush()
    # absl writes some messages before it reads any setting (TensorFlow 2.21), so the descriptor of
    # stderr is redirected during the import.
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def software() -> dict[str, Any]:
    """Return versions of Python, the system and libraries, and variables that influence a run."""
    return {
        "python_version": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sciml_data": __version__,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "environment": environment(os.environ),
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that change numbers or speed, without names of devices.

    Args:
        variables: of the process.
    """
    known = {name: variables[name] for name in ENVIRONMENT if name in variables}
    devices = known.get("CUDA_VISIBLE_DEVICES", "")
    if any(mark in devices for mark in DEVICE_IDS):  # such a name is that of one chip
        known["CUDA_VISIBLE_DEVICES"] = f"{len(devices.split(','))} by id"
    return known


def hardware() -> dict[str, Any]:
    """Return processor, memory and accelerators of this computer, with the keys of MLPerf."""
    return {
        "host_processor_model_name": _processor(),
        "host_processor_core_count": os.cpu_count(),
        **_topology(),
        "host_processor_available_cores": len(os.sched_getaffinity(0)),
        "host_memory_capacity_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        **backend.current().accelerators(),
    }


def _topology(root: Path = Path("/sys/devices/system/cpu")) -> dict[str, int | None]:
    """Return the numbers of sockets and of physical cores; None where the kernel names neither."""
    cores = set()
    for folder in root.glob("cpu[0-9]*/topology"):
        with contextlib.suppress(OSError, ValueError):
            names = ("physical_package_id", "core_id")
            package, core = (int((folder / name).read_text(encoding="ascii")) for name in names)
            cores.add((package, core))
    return {
        "host_processors_per_node": len({package for package, _ in cores}) or None,
        "host_processor_physical_core_count": len(cores) or None,
    }


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process in bytes."""
    # Not `ru_maxrss` of getrusage(2): a program inherits that from the program that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])  # in KiB, proc_pid_status(5)


def not_monitored(reason: str = "the run was not watched: --monitor 0") -> dict[str, Any]:
    """Return the groups `resources`, `monitor` and `energy` of a run without a monitor."""
    unknown = dict.fromkeys(("peak_device_memory_bytes", "cpu_s", "disk_read_bytes"))
    energy = {"measured": False, "method": None, "cpu_energy_j": None, "gpu_energy_j": None}
    return {
        "resources": {
            "peak_host_memory_bytes": peak_memory_bytes(),
            **unknown,
            "disk_write_bytes": None,
        },
        "monitor": None,
        "energy": {**energy, "reason": reason},
    }


def code(runner: Path) -> dict[str, Any]:
    """Return version, git commit of the checkout, and a digest of the runner's files.

    The runner of another registry than the built-in one is in no commit of this software: the code
    counts as changed, and the name of the registry is returned, too.

    Args:
        runner: folder `runners/<benchmark>` of the registry in use.
    """
    commit, is_dirty, reason = _checkout(Path(__file__).resolve().parents[3])
    registry = runner.resolve().parents[1]
    is_own = is_built_in(registry)
    return {
        "version": __version__,
        "commit": commit,
        "is_dirty": is_dirty if is_own or commit is None else True,
        "reason": reason,
        "runner_digest": runner_digest(runner),
        **({} if is_own else _foreign(registry, is_dirty)),
    }


def _foreign(registry: Path, is_dirty: bool | None) -> dict[str, Any]:  # noqa: FBT001
    """Return the name of another registry, and whether the checkout alone had changes."""
    return {"registry": registry_name(registry), "checkout_is_dirty": is_dirty}


def runner_digest(runner: Path) -> str:
    """Return the digest of names and bytes of a runner's code, task and splits.

    It covers the `metrics.py` of the runner's registry, too.
    """
    files = sorted(
        [*runner.rglob("*.py"), *runner.glob("task.toml"), *runner.glob("splits/*.json")]
    )
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(runner).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    if (metrics := runner.parents[1] / METRICS_NAME).is_file():
        total.update(f"../../{METRICS_NAME}\0".encode())
        total.update(hashlib.sha256(metrics.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"


def _checkout(root: Path) -> tuple[str | None, bool | None, str | None]:
    """Return (commit, whether files differ from the commit, why there is no commit)."""
    if not (root / ".git").exists():
        return None, None, "not run from a git checkout"
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "sciml_data", "runners", "datapackages")
    except (OSError, subprocess.SubprocessError):
        return None, None, "git reports no commit: there is no commit yet, or git is not installed"
    return commit.strip(), bool(changed.strip()), None


def _git(root: Path, *words: str) -> str:
    environment: Mapping[str, str] = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(  # noqa: S603 - fixed words, no shell
        ["git", "-C", str(root), *words],  # noqa: S607 - the git in the user's PATH
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_TIMEOUT_S,
        env=environment,
    )
    return done.stdout


def _processor() -> str | None:
    """Return the model name of the processor, as Linux has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _version(library: str) -> str | None:
    for distribution in (library, SAME_LIBRARY.get(library)):
        if distribution is not None:
            with suppress(importlib.metadata.PackageNotFoundError):
                return importlib.metadata.version(distribution)
    return None
