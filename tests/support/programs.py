"""Servers and proxies of the system, each started on loopback with a configuration of the test.

A test is skipped where its program is not installed.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.ports import unused_ports

PLACES = os.pathsep.join(
    ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/lib/squid"]
)
START_S = 20.0
POLL_S = 0.02


def find_program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path=PLACES)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a program that stays in the foreground, from when it listens to the end of the context.

    Args:
        command: its path and arguments.
        port: of 127.0.0.1, on which it will listen.
        log: file for its output.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            until = time.monotonic() + START_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"{command[0]} does not start: {log.read_text()}")
                time.sleep(POLL_S)
            yield
        finally:
            process.terminate()
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def _public_folder() -> Iterator[Path]:
    """Yield a folder in which programs of other users may read and write.

    Folders of tests are in one of pytest, which makes it private whenever a session of it starts.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[int]:
    """Run OpenSSH's server, and yield its port.

    `folder/.ssh` has the key of the user and the host's key as a known one: HOME is this folder.
    """
    program = find_program("sshd")
    keygen = find_program("ssh-keygen")
    (port,) = unused_ports(1)
    ssh = folder / ".ssh"
    ssh.mkdir(mode=0o700, parents=True)
    host_key, key = folder / "host_key", ssh / "id_ed25519"
    for path in (host_key, key):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    (ssh / "authorized_keys").write_bytes(key.with_suffix(".pub").read_bytes())
    public = host_key.with_suffix(".pub").read_text().split()
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd separates privileges
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\n"
        f"AuthorizedKeysFile {ssh / 'authorized_keys'}\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPasswordAuthentication yes\nSubsystem sftp internal-sftp\n"
        "MaxStartups 100\n"
    )
    with running([program, "-D", "-e", "-f", str(config)], port, folder / "sshd.log"):
        yield port


@contextlib.contextmanager
def vsftpd(root: Path, folder: Path) -> Iterator[int]:
    """Run vsftpd for anonymous users, and yield its port; only root can start it."""
    program = find_program("vsftpd")
    if os.getuid() != 0:
        pytest.skip("only root can start vsftpd")
    (port,) = unused_ports(1)
    empty = folder / "empty"
    empty.mkdir()
    config = folder / "vsftpd.conf"
    with _public_folder() as public:
        shutil.copytree(root, public / "files")
        (public / "files").chmod(0o755)  # the user `ftp` may read, and must not write
        config.write_text(
            f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nanonymous_enable=YES\n"
            f"anon_root={public / 'files'}\nsecure_chroot_dir={empty}\nbackground=NO\n"
            f"seccomp_sandbox=NO\nftp_username={_nobody()}\nnopriv_user={_nobody()}\n"
        )
        with running([program, str(config)], port, folder / "vsftpd.log"):
            yield port


def _nobody() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("ftp", "nobody") if name in names), getpass.getuser())


@contextlib.contextmanager
def microsocks(folder: Path, user: str = "", password: str = "") -> Iterator[tuple[str, Path]]:
    """Run a SOCKS5 proxy, and yield HOST:PORT and its log, which names the targets."""
    program = find_program("microsocks")
    (port,) = unused_ports(1)
    folder.mkdir(exist_ok=True)
    login = ["-u", user, "-P", password] if user else []
    log = folder / "microsocks.log"
    with running([program, "-i", "127.0.0.1", "-p", str(port), *login], port, log):
        yield f"127.0.0.1:{port}", log


@contextlib.contextmanager
def tinyproxy(folder: Path, user: str = "", password: str = "") -> Iterator[tuple[str, Path]]:
    """Run tinyproxy, and yield HOST:PORT and its log."""
    program = find_program("tinyproxy")
    (port,) = unused_ports(1)
    folder.mkdir(exist_ok=True)
    config, log = folder / "tinyproxy.conf", folder / "tinyproxy.log"
    login = f"BasicAuth {user} {password}\n" if user else ""
    config.write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Connect\n"
        f'LogFile "{log}"\nAllow 127.0.0.1\n{login}'
    )
    with running([program, "-d", "-c", str(config)], port, folder / "output"):
        yield f"127.0.0.1:{port}", log


@contextlib.contextmanager
def squid(folder: Path, user: str = "", password: str = "") -> Iterator[tuple[str, Path]]:
    """Run squid without a cache, and yield HOST:PORT and its log of requests, there at its end."""
    program = find_program("squid")
    (port,) = unused_ports(1)
    folder.mkdir(exist_ok=True)
    with _public_folder() as own:
        config = _squid_config(own, port, user, password)
        with running([program, "-N", "-f", str(config)], port, folder / "output"):
            yield f"127.0.0.1:{port}", folder / "access.log"
        shutil.copy(own / "access.log", folder)


def _squid_config(folder: Path, port: int, user: str, password: str) -> Path:
    config = folder / "squid.conf"
    rules = "http_access allow all\n"
    if user:
        helper = find_program("basic_ncsa_auth")
        digest = hashlib.md5(password.encode(), usedforsecurity=False).hexdigest()
        (folder / "users").write_text(f"{user}:{digest}\n")  # the helper takes plain md5, too
        rules = (
            f"auth_param basic program {helper} {folder / 'users'}\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
        )
    config.write_text(
        f"http_port 127.0.0.1:{port}\npid_filename {folder}/pid\ncache deny all\n"
        f"cache_log {folder}/cache.log\naccess_log stdio:{folder}/access.log\nlogfile_rotate 0\n"
        f"coredump_dir {folder}\nshutdown_lifetime 0 seconds\ncache_effective_user {_owner()}\n"
        f"visible_hostname squid.example\npinger_enable off\n{rules}"
    )
    return config


def _owner() -> str:
    """Return the user as whom squid runs: it refuses to be root."""
    return "proxy" if os.getuid() == 0 else getpass.getuser()
