"""The home: where things lie, one process at a time, whole files only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sciml_data.errors import LockedError
from sciml_data.home import HOME_VARIABLE, Home, find_home, publish, write_atomically


def test_the_home_is_the_one_asked_for_then_the_environments_then_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "environment"))

    assert find_home(tmp_path / "asked").root == tmp_path / "asked"
    assert find_home().root == tmp_path / "environment"
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    assert find_home().root == tmp_path / "user" / "sciml-data"


def test_a_sample_lies_apart_from_the_real_data(home: Home) -> None:
    real, sample = home.dataset("waves", "1.0"), home.dataset("waves", "1.0", sample_seed=3)

    assert real.root == home.root / "waves" / "1.0"
    assert sample.root != real.root
    assert not sample.root.is_relative_to(real.root)


def test_another_process_is_told_that_the_folder_is_held(home: Home) -> None:
    folder = home.dataset("waves", "1.0")
    program = (
        "import sys; from pathlib import Path\n"
        "from sciml_data.home import DatasetFolder\n"
        "with DatasetFolder(Path(sys.argv[1])).lock('fetch waves 1.0'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(folder.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(LockedError, match="cannot verify waves"), folder.lock("verify waves"):
            pass
        holder.stdin.close()
    with folder.lock("verify waves"):
        assert folder.root.is_dir()


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
