"""Energy counters are read from files like those of Linux; a real counter is not tested."""

from pathlib import Path

import pytest

from sciml_data.bench.monitoring.rapl import Rapl

RANGE_UJ = 262_143_328_850  # of an Intel Xeon


def package(root: Path, number: int, energy_uj: int, *, name: str = "package-0") -> Path:
    """Write a zone as the kernel shows it, and return its counter."""
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_joules_of_two_packages_add_up(tmp_path: Path) -> None:
    first, second = package(tmp_path, 0, 5_000_000), package(tmp_path, 1, 1_000_000)
    rapl = Rapl(tmp_path, now_s=0.0)

    first.write_text("7000000\n")
    second.write_text("1500000\n")

    assert rapl.read(1.0) == pytest.approx(2.5)
    assert (rapl.reason, rapl.method) == (None, "RAPL, 2 packages, whole computer")


def test_a_counter_that_wrapped_is_continued(tmp_path: Path) -> None:
    counter = package(tmp_path, 0, RANGE_UJ - 1_000_000)
    rapl = Rapl(tmp_path, now_s=0.0)

    counter.write_text("2000000\n")

    assert rapl.read(1.0) == pytest.approx(3.0)


def test_a_counter_that_may_have_wrapped_twice_is_not_a_measurement(tmp_path: Path) -> None:
    package(tmp_path, 0, 0)
    rapl = Rapl(tmp_path, now_s=0.0)

    assert rapl.read(200.0) == 0.0
    assert rapl.read(200.0 + RANGE_UJ / 1e6 / 1000 + 1) is None
    assert "may have wrapped twice in 263 s" in str(rapl.reason)


def test_parts_of_a_package_and_the_board_are_not_counted_with_it(tmp_path: Path) -> None:
    package(tmp_path, 0, 0)
    package(tmp_path, 1, 0, name="psys")
    (tmp_path / "intel-rapl:0:0").mkdir()
    (tmp_path / "intel-rapl-mmio:0").mkdir()

    assert Rapl(tmp_path).method == "RAPL, 1 package, whole computer"


def test_a_counter_only_root_may_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, 0, 0)
    read_text = Path.read_text

    def refuse(path: Path, encoding: str | None = None) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", refuse)
    rapl = Rapl(tmp_path)

    assert rapl.reason == "RAPL counters may be read only by root here"
    assert rapl.read(1.0) is None


def test_a_computer_without_counters_says_so(tmp_path: Path) -> None:
    rapl = Rapl(tmp_path / "absent")

    assert rapl.reason == "the system shows no RAPL counter of a processor package"


def test_a_counter_that_is_lost_ends_the_measurement_for_good(tmp_path: Path) -> None:
    counter = package(tmp_path, 0, 0)
    rapl = Rapl(tmp_path, now_s=0.0)
    counter.write_text("garbage\n")

    assert rapl.read(1.0) is None
    counter.write_text("5000000\n")

    assert rapl.read(2.0) is None
    assert str(rapl.reason).startswith("RAPL counters could not be read")
