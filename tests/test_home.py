"""The home: where things lie, one process at a time, whole files only."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sciml_data.bench.record.runs import new_run_folder, require_runs_folder
from sciml_data.cli.output import write_output
from sciml_data.errors import CallError, JsonError, LockedError, NotWritableError
from sciml_data.home import (
    HOME_VARIABLE,
    RUNS_VARIABLE,
    DatasetFolder,
    Home,
    find_home,
    publish,
    read_json,
    write_atomically,
)
from sciml_data.registry.manifest import lstat_inside
from tests.support.shared_library import compiled


def test_the_home_is_the_one_asked_for_then_the_environments_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "environment"))

    assert find_home(tmp_path / "asked").root == tmp_path / "asked"
    assert find_home(str(tmp_path / "asked")).root == tmp_path / "asked"
    assert find_home().root == tmp_path / "environment"
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    assert find_home().root == tmp_path / "user" / "sciml-data"


def test_a_sample_lies_apart_from_the_real_data(home: Home) -> None:
    real, sample = home.dataset("waves", "1.0"), home.dataset("waves", "1.0", sample_seed=3)

    assert real.root == home.root / "data" / "waves" / "1.0"
    assert sample.root == home.root / "samples" / "waves" / "1.0" / "3"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\0"])
def test_a_path_is_no_name_of_a_folder_in_a_home(home: Home, name: str) -> None:
    for make in (
        lambda: home.dataset(name, "1.0"),
        lambda: home.dataset("waves", name),
        lambda: home.dataset("waves", name, sample_seed=0),
        lambda: home.runs(name),
    ):
        with pytest.raises(CallError):
            make()


def test_the_seeds_of_the_samples_in_a_home_are_found(home: Home) -> None:
    for seed in (10, 2, -1):
        home.dataset("waves", "1.0", sample_seed=seed).root.mkdir(parents=True)
    (home.root / "samples" / "waves" / "1.0" / "notes").mkdir()

    assert home.sample_seeds("waves", "1.0") == [-1, 2, 10]
    assert home.sample_seeds("waves", "2.0") == []


def test_another_process_is_told_that_the_folder_is_held(home: Home) -> None:
    folder = find_home(home, wait=False).dataset("waves", "1.0")
    holder = hold(folder)
    with holder:
        with pytest.raises(LockedError, match="cannot verify waves"), folder.lock("verify waves"):
            pass
        assert holder.stdin is not None
        holder.stdin.close()
    with folder.lock("verify waves"):
        assert folder.root.is_dir()


def hold(folder: DatasetFolder, *, preload: str = "") -> subprocess.Popen[bytes]:
    """Return a process that has locked a folder until its standard input is closed."""
    program = (
        "import sys; from pathlib import Path\n"
        "from sciml_data.home import DatasetFolder\n"
        "with DatasetFolder(Path(sys.argv[1])).lock('fetch waves 1.0'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(folder.root)],
        env={**os.environ, "LD_PRELOAD": preload},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_process_waits_for_the_other_one_and_names_it(home: Home) -> None:
    lines: list[str] = []
    holder = hold(home.dataset("waves", "1.0"))
    assert holder.stdin is not None

    def log(line: str) -> None:
        lines.append(line)
        assert holder.stdin is not None
        holder.stdin.close()  # only now does the other process end

    with holder, find_home(home, log=log).dataset("waves", "1.0").lock("verify waves"):
        (line,) = lines
    assert line.startswith(f"waiting for process {holder.pid} on ")
    assert "(fetch waves 1.0)" in line


def test_what_a_killed_process_left_is_removed_by_the_next(home: Home) -> None:
    folder = home.dataset("waves", "1.0")
    folder.root.mkdir(parents=True)
    names = {".receipt.json.1": 7200, ".receipt.json.2": 60, ".note": 7200, "receipt.json.3": 7200}
    for name, age_s in names.items():
        (folder.root / name).write_text("")
        os.utime(folder.root / name, (time.time() - age_s,) * 2)

    with folder.lock("fetch waves 1.0"):
        left = {path.name for path in folder.root.iterdir()}

    assert names.keys() - left == {".receipt.json.1"}


def test_the_lock_of_a_killed_process_is_free(home: Home) -> None:
    folder = find_home(home, wait=False).dataset("waves", "1.0")
    with hold(folder) as holder:
        holder.kill()
    with folder.lock("verify waves"):
        pass


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_is_the_lock_where_the_file_system_has_no_locks(
    home: Home, tmp_path: Path, error: str
) -> None:
    preload = compiled(tmp_path, f"int flock(int f, int o) {{ errno = {error}; return -1; }}")
    folder = home.dataset("waves", "1.0")
    program = (
        "import sys; from sciml_data.home import find_home\n"
        "with find_home(sys.argv[1], wait=False).dataset('waves', '1.0').lock('verify'): pass\n"
    )
    command = [sys.executable, "-c", program, str(home.root)]

    def verify() -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "LD_PRELOAD": preload}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    with hold(folder, preload=preload) as holder:
        held = verify()
        holder.kill()
    after_kill = verify()

    assert "LockedError: cannot verify: process" in held.stderr
    assert after_kill.returncode == 0, after_kill.stderr


@pytest.mark.parametrize("setting", [None, ""])
def test_hdf5_files_are_opened_where_the_file_system_has_no_locks(
    tmp_path: Path, setting: str | None
) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1, 2]
    preload = compiled(tmp_path, "int flock(int f, int o) { errno = ENOLCK; return -1; }")
    program = (
        "import sys; from pathlib import Path; from sciml_data.formats import open_hdf5\n"
        "with open_hdf5(Path(sys.argv[1])) as file: print(file['x'][:].sum())\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
    env |= {"LD_PRELOAD": preload} | ({"HDF5_USE_FILE_LOCKING": setting} if setting == "" else {})

    opened = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.h5")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert opened.stdout == "3\n", opened.stderr

    late = subprocess.run(
        [sys.executable, "-c", f"import h5py; {program}", str(tmp_path / "a.h5")],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "export HDF5_USE_FILE_LOCKING=FALSE" in late.stderr


def test_the_first_home_is_written_and_the_others_are_only_read(tmp_path: Path) -> None:
    mine, site = tmp_path / "mine", tmp_path / "site"
    stacked = find_home([mine, site])
    folder = stacked.dataset("waves", "1.0")
    assert folder.native == mine / "data/waves/1.0/native"

    (site / "data/waves/1.0/native").mkdir(parents=True)

    assert folder.is_shared
    assert folder.native == site / "data/waves/1.0/native"
    assert folder.manifest == site / "data/waves/1.0/manifest.csv"
    assert folder.partial == mine / "data/waves/1.0/partial"
    assert folder.ready_places == (mine / "data/waves/1.0/ready", site / "data/waves/1.0/ready")
    assert folder.own.native == mine / "data/waves/1.0/native"
    assert stacked.versions("waves") == ["1.0"]
    (mine / "data/waves/1.0/native").mkdir(parents=True)
    assert not folder.is_shared


def test_homes_and_runs_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, f"{tmp_path / 'mine'}:{tmp_path / 'site'}:")
    monkeypatch.setenv(RUNS_VARIABLE, str(tmp_path / "runs"))

    home = find_home()

    assert (home.root, home.shared) == (tmp_path / "mine", (tmp_path / "site",))
    assert home.runs("waves") == tmp_path / "runs" / "waves"
    assert find_home(runs=tmp_path / "other").runs("waves") == tmp_path / "other" / "waves"
    monkeypatch.setenv(RUNS_VARIABLE, "")
    assert find_home().runs("waves") == tmp_path / "mine" / "runs" / "waves"


def test_a_published_file_replaces_the_one_that_was_there(tmp_path: Path) -> None:
    partial, final = tmp_path / "partial", tmp_path / "deep" / "final"
    for text in ("first", "second"):
        partial.write_text(text)
        publish(partial, final)

        assert final.read_text() == text
        assert not partial.exists()


def test_a_small_file_is_written_whole_and_nothing_is_left_over(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.json", "{}\n")
    write_atomically(tmp_path / "a" / "b.json", "[]\n")

    assert (tmp_path / "a" / "b.json").read_text() == "[]\n"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]


def test_an_output_replaces_a_file_in_one_step(tmp_path: Path) -> None:
    place = tmp_path / "out.txt"
    place.write_text("old", encoding="utf-8")
    before = place.stat().st_ino

    write_output(place, "néw")

    assert place.read_text(encoding="utf-8") == "néw"
    assert place.stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_an_output_goes_into_a_pipe_and_leaves_it_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text("utf-8")), daemon=True)
    reader.start()

    write_output(pipe, "text")

    reader.join(timeout=30)
    assert read == ["text"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_an_output_is_written_to_a_device(tmp_path: Path) -> None:
    terminal, device = os.openpty()  # no file can be made beside it, so a bug harms nothing
    link = tmp_path / "link"
    link.symlink_to(os.ttyname(device))
    try:
        write_output(link, "text\n")

        assert os.read(terminal, 100) == b"text\r\n"
        assert link.is_symlink()
        assert link.is_char_device()
    finally:
        os.close(device)
        os.close(terminal)


@pytest.mark.parametrize("exists", [True, False])
def test_an_output_follows_a_link_and_leaves_it_a_link(tmp_path: Path, *, exists: bool) -> None:
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    target.parent.mkdir()
    if exists:
        target.write_text("old", encoding="utf-8")
    link.symlink_to(Path("folder", "target"))

    write_output(link, "new")

    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


NOT_JSON = {
    "text": (b"not at all", "json"),
    "empty": (b"", "json"),
    "half": (b'{"a": [1, 2', "json"),
    "two documents": (b"{} {}", "json"),
    "latin-1": ('{"a": "Übung"}'.encode("latin-1"), "utf-8"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "utf-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "json"),
    "NaN": (b'{"a": [NaN]}', "nan"),
    "-Infinity": (b'{"a": -Infinity}', "nan"),
    "1e999": (b'{"a": -1e999}', "nan"),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "json"),
    "41 digits": (b'{"a": ' + b"9" * 41 + b"}", "json"),
    "200,000 levels": (b"[" * 200_000 + b"]" * 200_000, "json"),
    "66 levels": (b'{"a":' * 65 + b"[]" + b"}" * 65, "json"),
    "a key twice": (b'{"a": 1, "a": 2}', "json"),
    "half a character": (b'{"a": "\\ud800"}', "json"),
    "half a character in a key": (b'{"\\udfff": 1}', "json"),
}


@pytest.mark.parametrize(("content", "kind"), NOT_JSON.values(), ids=NOT_JSON)
def test_json_that_later_code_could_not_handle_is_refused(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)

    with pytest.raises(JsonError) as error:
        read_json(path)

    assert error.value.kind == kind
    assert "a.json" in error.value.message


def test_json_within_the_limits_is_read(tmp_path: Path) -> None:
    document = {"a": [1.5, None, True, "\x1b é 🌍"], "b": 10**39, "c": {"d": -0.0, "e": []}}
    for _ in range(60):
        document = {"a": document}
    (tmp_path / "a.json").write_text(json.dumps(document), encoding="utf-8")

    assert document == read_json(tmp_path / "a.json")


def test_a_json_file_beyond_its_size_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('"' + "a" * 100 + '"', encoding="utf-8")

    assert len(read_json(tmp_path / "a.json", max_bytes=102)) == 100
    with pytest.raises(JsonError) as error:
        read_json(tmp_path / "a.json", max_bytes=101)
    assert error.value.kind == "size"


def test_only_plain_files_are_read_as_json(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")

    found = {}
    for name in ("pipe", "folder", "link", "loop", "nothing", "a\0b"):
        with pytest.raises(JsonError) as error:
            read_json(tmp_path / name)
        found[name] = error.value.kind

    assert found == {
        **dict.fromkeys(("pipe", "folder", "link", "loop", "a\0b"), "file"),
        "nothing": "missing",
    }


def no_homes(folder: Path) -> dict[str, Path]:
    """Return paths at which no home can be made, by the reason."""
    (folder / "file").touch()
    (folder / "loop").symlink_to(folder / "loop")
    return {
        "below a file": folder / "file" / "x",
        "a file": folder / "file",
        "a loop of links": folder / "loop",
        "too long": folder / ("a" * 300),
        "a file system that makes no folders": Path("/proc/nohome"),
    }


@pytest.mark.parametrize(
    "reason",
    [
        "below a file",
        "a file",
        "a loop of links",
        "too long",
        pytest.param(
            "a file system that makes no folders",
            marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc"),
        ),
    ],
)
def test_a_home_that_cannot_be_made_is_one_error(tmp_path: Path, reason: str) -> None:
    path = no_homes(tmp_path)[reason]

    with (
        pytest.raises((NotWritableError, CallError), match=re.escape(path.name[:100])),
        find_home(path).dataset("waves", "1.0").lock("fetch waves 1.0"),
    ):
        pass
    with pytest.raises((NotWritableError, CallError)):
        new_run_folder(find_home(path), "tide", "lstm")


def test_runs_below_a_file_are_refused_before_the_work(tmp_path: Path) -> None:
    home = find_home(no_homes(tmp_path)["below a file"])

    with pytest.raises(NotWritableError, match="not a directory"):
        require_runs_folder(home)


def test_a_file_below_a_file_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert lstat_inside(tmp_path / "file" / "native", "a.bin") is None
