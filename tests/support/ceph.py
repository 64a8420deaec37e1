"""A Ceph cluster with a single node and S3 gateways on loopback, for tests with a real gateway.

The sites that serve the datasets run Ceph's object gateway. The Debian packages are enough:

    python -m tests.support.ceph check DIR   prints why a cluster cannot be started, or nothing
    python -m tests.support.ceph up DIR      prints the addresses; DIR must not exist
    python -m tests.support.ceph down DIR    stops the daemons of `up`, and removes DIR

Ports are free ports, so that several clusters can run. There is a monitor and an OSD on a file, but
no manager; data have a single copy. Everybody on the machine can use the owner's keys.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path

from tests.support.ports import unused_ports

PACKAGES = "ceph-mon ceph-osd radosgw ceph-common"
INSTALL = f"apt-get install --no-install-recommends {PACKAGES}"
PROGRAMS = (
    "ceph",
    "ceph-authtool",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
)
STORE_BYTES = 24 << 30  # of the OSD's file, which is sparse
FREE_BYTES = 24 << 30  # needed for uploads of tests and benchmarks, and for Ceph itself
START_S = 120.0  # for each daemon; they are up in 20 s on two idle cores
STOP_S = 30.0
ACCESS_KEY, SECRET_KEY = "owner", "ownerofthebuckets"
# cephx stays on: without it a gateway waits for minutes and gives up. Pools have a single copy,
# because there is a single OSD. The monitor accepts nearly full disks.
CONFIGURATION = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
run dir = {folder}
crash dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
osd objectstore = bluestore
bluestore block size = {store_bytes}
osd memory target = 1073741824
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail warn = 2
mon data avail crit = 1
[client]
rgw enable ops log = false
rgw enable usage log = false
rgw gc obj min wait = 5
rgw gc processor period = 20
"""
GATEWAY_SECTION = """\
[client.{name}]
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


@dataclass(frozen=True)
class Ceph:
    """A running cluster: its folder, the addresses of its gateways by name, the owner's keys."""

    folder: str
    urls: dict[str, str]
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY


def why_not(folder: Path) -> str:
    """Return why a cluster cannot be started below a folder, or an empty text."""
    if os.geteuid() != 0:
        return "Ceph's daemons are started as root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found; on Debian: {INSTALL}"
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        return f"{folder} has {free >> 30} GiB free, {FREE_BYTES >> 30} are needed"
    return ""


def up(folder: Path, gateways: tuple[str, ...] = ("one", "two")) -> Ceph:
    """Start a cluster in a new folder, and return it once its gateways respond."""
    folder = folder.absolute()
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir(parents=True)
    mon_v2, mon_v1, *ports = unused_ports(2 + len(gateways))
    sections = [
        GATEWAY_SECTION.format(name=name, port=port)
        for name, port in zip(gateways, ports, strict=True)
    ]
    fsid = str(uuid.uuid4())
    configuration = CONFIGURATION.format(
        fsid=fsid, folder=folder, mon_v2=mon_v2, mon_v1=mon_v1, store_bytes=STORE_BYTES
    )
    (folder / "ceph.conf").write_text(configuration + "".join(sections), encoding="utf-8")
    urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(gateways, ports, strict=True)}
    ceph = Ceph(str(folder), urls)
    _start_monitor(folder, fsid, f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]")
    _start_osd(folder)
    for name in gateways:
        _allow(folder, f"client.{name}", mon="allow rw", osd="allow rwx")
        start_gateway(ceph, name)
    _run(
        folder, "radosgw-admin", "user", "create", "--uid=owner", "--display-name=owner",
        f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}",
    )  # fmt: skip
    (folder / "cluster.json").write_text(json.dumps(asdict(ceph), indent=2), encoding="utf-8")
    return ceph


def read_cluster(folder: Path) -> Ceph:
    """Return the cluster that was started in a folder."""
    return Ceph(**json.loads((folder / "cluster.json").read_text(encoding="utf-8")))


def start_gateway(ceph: Ceph, name: str) -> None:
    """Start a gateway and wait until it responds."""
    _run(Path(ceph.folder), "radosgw", "-n", f"client.{name}")
    _wait(lambda: _answers(ceph.urls[name]), f"the gateway {ceph.urls[name]}")


def kill_gateway(ceph: Ceph, name: str) -> None:
    """Kill a gateway, like a machine that fails."""
    os.kill(int((Path(ceph.folder) / f"client.{name}.pid").read_text()), signal.SIGKILL)


def down(folder: Path) -> None:
    """Stop the daemons of a folder, gateways first, and remove the folder."""
    folder = folder.absolute()
    files = sorted(folder.glob("*.pid"), key=lambda file: ("client", "osd", "mon").index(
        file.name.partition(".")[0]
    ))  # fmt: skip
    for file in files:
        with contextlib.suppress(ValueError, ProcessLookupError, FileNotFoundError):
            pid = int(file.read_text())
            if str(folder).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue  # another process by now
            os.kill(pid, signal.SIGTERM)
            if not _ends(pid):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _start_monitor(folder: Path, fsid: str, address: str) -> None:
    keyring, monmap = str(folder / "keyring"), str(folder / "monmap")
    everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
    for option, entity in (("--create-keyring", "mon."), ("--gen-key", "client.admin")):
        _run(
            folder, "ceph-authtool", keyring, *dict.fromkeys((option, "--gen-key")),
            "-n", entity, *everything,
        )  # fmt: skip
    _run(folder, "monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
    _run(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
    _run(folder, "ceph-mon", "-i", "a")
    _run(folder, "ceph", "--connect-timeout", str(int(START_S)), "mon", "stat")


def _start_osd(folder: Path) -> None:
    identity = str(uuid.uuid4())
    _run(folder, "ceph", "osd", "new", identity, "0")
    _allow(folder, "osd.0", mon="allow profile osd", osd="allow *", mgr="allow profile osd")
    _run(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
    _run(folder, "ceph-osd", "-i", "0")
    _wait(lambda: " 1 up" in _run(folder, "ceph", "osd", "stat"), "the OSD")


def _allow(folder: Path, entity: str, **caps: str) -> None:
    """Make a key with capabilities, and add it to the keyring."""
    words = [word for pair in caps.items() for word in pair]
    with (folder / "keyring").open("a", encoding="utf-8") as keyring:
        keyring.write(_run(folder, "ceph", "auth", "get-or-create", entity, *words))


def _run(folder: Path, program: str, *arguments: str) -> str:
    """Run a program of Ceph with the cluster's configuration, and return its output."""
    with_configuration = [] if program in {"ceph-authtool", "monmaptool"} else [
        "-c", str(folder / "ceph.conf")
    ]  # fmt: skip
    with (folder / "commands.log").open("a", encoding="utf-8") as log:
        log.write(f"$ {program} {' '.join(arguments)}\n")
        log.flush()
        done = subprocess.run(
            [program, *with_configuration, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
            text=True, check=False, timeout=START_S,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{program} failed with {done.returncode}; see {folder}/commands.log")
    return done.stdout


def _answers(url: str) -> bool:
    import urllib3

    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return urllib3.request("GET", url, retries=False, timeout=5).status == HTTPStatus.OK
    return False


def _wait(holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > until:
            sys.exit(f"{what} did not come up in {START_S:g} s")
        time.sleep(0.2)


def _ends(pid: int) -> bool:
    until = time.monotonic() + STOP_S
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def main() -> None:
    """Run the command line."""
    verb, folder = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else ".")
    if verb == "check":
        print(why_not(folder))  # noqa: T201 (the output of the command)
    elif verb == "up":
        try:
            ceph = up(folder)
        except BaseException:
            shutil.copy(folder / "commands.log", f"{folder}.log")
            down(folder)
            raise
        print(*ceph.urls.values(), sep="\n")  # noqa: T201 (the output of the command)
    else:
        down(folder)


if __name__ == "__main__":
    main()
