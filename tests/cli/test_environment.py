"""Environments as clusters have them: locales, users without a home folder, odd names, texts."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sciml_data
from sciml_data.cli import main
from sciml_data.errors import CallError
from sciml_data.registry.manifest import read_manifest
from sciml_data.testing.datasets import write_dataset, write_files
from tests.support.users import run_as, shared_folder

ODD = "a{b} {{ c }}%20d#é'q\"?&*[1]$X"  # the name of a home
NAMELESS = 54321  # a user id without an entry in passwd
NAME = "Überblick 日本.csv"


def in_locale(locale: str, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("LC_")}
    variables |= {"LC_ALL": locale, **environment}
    return subprocess.run(
        [sys.executable, "-m", "sciml_data", *words], env=variables, capture_output=True, check=True
    )


@pytest.fixture
def latin(tmp_path: Path) -> str:
    """Return the folder of a Latin-1 locale, which is made here."""
    if shutil.which("localedef") is None:
        pytest.skip("localedef, which makes the locale, is not installed")
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", tmp_path / "en_US.ISO-8859-1"],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no source of the locale")
    return str(tmp_path)


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1"])
def test_names_of_files_are_utf_8_in_every_locale(locale: str, latin: str, tmp_path: Path) -> None:
    write_files(tmp_path / "raw", {NAME: b"1"})
    words = ["new", "tides", "1.0", "--files", str(tmp_path / "raw"), "--no-ask"]

    in_locale(locale, *words, "--registry", str(tmp_path / "registry"), LOCPATH=latin)

    manifest = read_manifest(tmp_path / "registry/datapackages/tides/1.0/manifest.csv")
    assert [entry.path for entry in manifest] == [NAME]


def test_a_user_without_a_home_folder_is_told_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "SCIML_DATA_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.delenv("HOME")
    monkeypatch.chdir(tmp_path)

    monkeypatch.setattr(sys, "argv", ["sciml-data", "cache"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == CallError.exit_code
    assert "SCIML_DATA_HOME=DIR" in capsys.readouterr().err

    monkeypatch.setattr(sys, "argv", ["sciml-data", "cache", "--home", str(tmp_path / "home")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert not list(tmp_path.iterdir())


def test_paths_of_the_api_are_texts_too(tmp_path: Path) -> None:
    files = {"a.csv": b"1\n"}
    write_dataset(tmp_path / "registry", files)
    write_files(tmp_path / "raw", files)
    registry, home = str(tmp_path / "registry"), str(tmp_path / ODD)

    sciml_data.adopt_dataset("tiny", str(tmp_path / "raw"), registry=registry, home=home)

    verified = sciml_data.verify_dataset("tiny", registry=registry, home=home)
    assert (verified.root / "a.csv").read_bytes() == b"1\n"


def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    home = str(tmp_path / ODD)
    sciml_data.get_dataset("hydronet_ds1", sample=True, home=home)
    sciml_data.convert_dataset("hydronet_ds1", sample=True, home=home)
    sciml_data.verify_dataset("hydronet_ds1", sample=True, home=home, ready=True)

    opened = sciml_data.open_dataset("hydronet_ds1", split="min_data", sample=True, home=home)

    assert opened.chunk().mean().compute()


def test_an_empty_variable_is_not_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "registry", {"a.csv": b"1\n"})
    write_files(tmp_path / "raw", {"a.csv": b"1\n"})
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in ("SCIML_DATA_HOME", "SCIML_DATA_RUNS", "SCIML_DATA_REGISTRY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

    sciml_data.adopt_dataset("tiny", tmp_path / "raw", registry=tmp_path / "registry")

    assert not list(work.iterdir())
    assert (tmp_path / "share/sciml-data/data/tiny/1.0/native/a.csv").is_file()


def test_a_user_without_a_name_or_a_home_can_use_a_named_home() -> None:
    with shared_folder() as folder:
        files = {"a.csv": b"1\n"}
        write_files(folder / "raw", files)
        write_dataset(folder / "registry", files, mirrors=[{"": "http://data.example.org/"}])
        calls = [
            ["list"],
            ["get", "tiny", "--mirror", f"file:{folder / 'raw'}"],
            ["verify", "tiny"],
        ]

        def sciml(*words: str) -> int:
            argv = ["sciml-data", *words, "--registry", str(folder / "registry")]
            with (folder / "said").open("w") as said, pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", argv)
                patch.setattr(sys, "stderr", said)
                with pytest.raises(SystemExit) as end:
                    main()
            return int(end.value.code or 0)

        def nobody() -> None:
            for name in ("HOME", "USER", "SCIML_DATA_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
                os.environ.pop(name, None)
            with pytest.raises(KeyError):
                pwd.getpwuid(os.getuid())
            for words in calls:
                home = [] if words == ["list"] else ["--home", str(folder / "theirs")]
                assert sciml(*words, *home) == 0, (folder / "said").read_text()
            assert sciml("verify", "tiny") == CallError.exit_code
            assert "SCIML_DATA_HOME=DIR" in (folder / "said").read_text()

        for words in calls:  # imports everything: the folders of Python may be closed to others
            home = [] if words == ["list"] else ["--home", str(folder / "mine")]
            assert sciml(*words, *home) == 0
        (folder / "said").unlink()
        run_as(NAMELESS, nobody)
