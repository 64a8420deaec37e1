"""A real Slurm of one node: munged, slurmctld and slurmd in a scratch folder, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import unused_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "scontrol")
HOW = "apt-get install --no-install-recommends slurm-wlm munge (as root, on Debian)"
START_S = 60
LEAST_CPUS = 2  # a job has two tasks; Slurm would hold it as pending for ever on a single processor
# Without cgroups, accounting and privileges of other users; both daemons on loopback only.
CONFIGURATION = """\
ClusterName=scratch
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=20
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A cluster of one node that is up."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.root / "slurm.conf")}

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, env=self.environment, timeout=300
        )


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: {HOW}")
    if os.geteuid() != 0:
        pytest.skip(f"the daemons of a scratch Slurm are started as root: {HOW}")
    root = tmp_path_factory.mktemp("slurm")
    for folder in ("munge", "state", "spool"):
        (root / folder).mkdir(mode=0o755)
    host = socket.gethostname().partition(".")[0]
    cpus = max(LEAST_CPUS, len(os.sched_getaffinity(0)))
    controller, daemon = unused_ports(2)
    text = CONFIGURATION.format(
        host=host, root=root, controller=controller, daemon=daemon, cpus=cpus
    )
    (root / "slurm.conf").write_text(text)
    with contextlib.ExitStack() as stack:
        cluster = Slurm(root)
        for name, words in _daemons(root, host).items():
            stack.enter_context(_running(name, words, cluster))
            time.sleep(0.5)
        _wait_idle(cluster)
        yield cluster
        cluster.call("scancel", "--user=root")


def _daemons(root: Path, host: str) -> dict[str, list[str]]:
    munge = root / "munge"
    key = munge / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {"key-file": key, "socket": munge / "socket", "pid-file": munge / "pid"}
    files |= {"log-file": munge / "log", "seed-file": munge / "seed"}
    options = [f"--{name}={path}" for name, path in files.items()]
    conf = str(root / "slurm.conf")
    return {
        "munged": ["munged", "--foreground", "--force", *options],
        "slurmctld": ["slurmctld", "-D", "-c", "-f", conf],
        "slurmd": ["slurmd", "-D", "-f", conf, "-N", host],
    }


@contextlib.contextmanager
def _running(name: str, words: list[str], cluster: Slurm) -> Iterator[None]:
    with (cluster.root / f"{name}.out").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=cluster.environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_idle(cluster: Slurm) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if cluster.call("sinfo", "--noheader", "--format=%T").stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(
        f"{path.name}: {path.read_text(errors='replace')[-1500:]}"
        for path in sorted(cluster.root.glob("*.out"))
    )
    pytest.fail(f"Slurm did not come up in {START_S} s\n{logs}")
