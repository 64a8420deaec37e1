"""What an installed wheel must be able to do, alone and with each extra alone.

`nox -s extras` runs this file with the Python of a fresh environment that holds the wheel, one
extra and nothing else. So this file imports the standard library only. The commands are those that
README and docs show for the extra, on synthetic samples:

    python tests/support/extras.py EXTRA     # "base", or what is typed between the brackets

With "base", nothing but the wheel is installed: the commands of every extra have to fail and name
their extra.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE = "base"
NAMED_AS = {"train-cpu": "train"}  # an error names the extra that runs everywhere
LAST_LINES = 25
TIMEOUT_S = 1800  # a run on two busy cores, TensorFlow's import included, takes minutes
MISSING = re.compile(r"No module named '([\w.]+)'|'?([\w.-]+)'? is not installed")


@dataclass(frozen=True)
class Uses:
    """Commands of an extra, in the order in which they are run.

    Attributes:
        prepare: commands for which the wheel is enough.
        needs: commands that need the extra, and name it where it is not installed.
        then: commands that use their results, or are not ours and so cannot name the extra.
    """

    needs: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


# A registry of one dataset with two splits, as docs/how-to/add-a-dataset.md makes it, and its
# ready files.
TIDES = (
    """python - <<'END'
from pathlib import Path
import h5py, numpy
Path("public").mkdir()
for split, days in (("train", 60), ("test", 10)):
    with h5py.File(f"public/{split}.h5", "w") as file:
        file["height"] = numpy.zeros((days, 24), "float32")
END""",
    "sciml-data new tides 1.0 --registry registry --files public --mirror https://example.org/tides/"
    " --title 'Hourly sea level of a made-up harbour' --license CC0-1.0 --creator Harbour"
    " --keyword tides --keyword sea --keyword synthetic --citation 'Harbour (2026): Sea level.'"
    " --source https://example.org/harbour --no-ask",
    """python - <<'END'
import json
from pathlib import Path
path = Path("registry/datapackages/tides/1.0/datapackage.json")
document = json.loads(path.read_text())
document["description"] = "Sea level at a harbour that does not exist, for each hour of a day. " * 2
variables = document["sciml"]["variables"]
variables["height"] |= {"dims": ["sample", "hour"], "units": "m", "long_name": "sea level"}
path.write_text(json.dumps(document))
card = "".join(f"## {name}\\n\\nMade up.\\n\\n" for name in (
    "What it is", "Instruments and processing", "Variables", "Licence", "How to cite",
    "Gaps and flaws", "Versions"))
Path("registry/datapackages/tides/README.md").write_text("# tides\\n\\n" + card)
END""",
    "sciml-data check --registry registry",
    "sciml-data derive --registry registry",
    "sciml-data get tides --registry registry --mirror file:$PWD/public",
    "sciml-data convert tides --registry registry",
)
TABLE = ("mkdir table && printf 'day,speed (m/s)\\n2001-02-03,1.5\\n' > table/winds.csv",)
EARTHQUAKES = (
    "sciml-data get tevolop_socal --sample",
    "sciml-data verify tevolop_socal --sample",
    "sciml-data convert tevolop_socal --sample",
)
CLOUDS = (
    "sciml-data get cloud_slstr_ds1 --sample"
    " --sample-set count.training=2 --sample-set count.inference=1",
    "sciml-data convert cloud_slstr_ds1 --sample",
)
# The base install cannot train, so the folder of a made-up run is written.
MADE_RUN = (
    f"""python - <<'END'
import os, sys
from pathlib import Path
sys.path.append({str(ROOT)!r})  # last, so that the package is the one of the wheel
from tests.support.mllog_records import record_of
from tests.support.run_samples import write_as_run
write_as_run(Path(os.environ["SCIML_DATA_HOME"], "runs/tevolop/made"), record_of("tevolop"))
END""",
    "sciml-data log made --org 'Uni of Example' --system node-a --output result-1.txt",
)
# One epoch on a small sample: what is shown is that every module is there.
CLOUDMASK = (
    "--sample --sample-set count.training=12 --sample-set count.inference=3"
    " --sample-set shape=96,96 --set patch=64 --set step=64 --set window=64 --set window_step=44"
    " --set epochs=1"
)
TRAINING = Uses(
    needs=("sciml-data run tevolop --sample --set epochs=1 --name mine",),
    then=(
        "sciml-data show mine",
        f"sciml-data run cloudmask {CLOUDMASK}",
    ),
)
SCAN = "".join(
    f" --sample-set {setting}"
    for setting in (
        "groups=123,187", "materials=6", "energies=100", "size=32", "probes=3", "view=16",
        "databases=1", "processes=1",
    )
)  # fmt: skip
CONVERT_ON_CLUSTER = """python - <<'END'
import contextlib, subprocess
address = "tcp://127.0.0.1:8786"
with contextlib.ExitStack() as stack:
    with contextlib.suppress(ImportError):
        from distributed import LocalCluster
        cluster = LocalCluster(1, processes=False, dashboard_address=None, host="tcp://127.0.0.1")
        address = stack.enter_context(cluster).scheduler_address
    convert = ("sciml-data", "convert", "cloud_slstr_ds1", "--sample", "--again")
    subprocess.run([*convert, "--cluster", address], check=True)
END"""
LOAD_WITH_TORCH = """python - <<'END'
import sciml_data
from sciml_data.ready import select_samples, torch_dataset
events = sciml_data.open_dataset("tevolop_socal", sample=True)
samples = select_samples(events, x=["latitude", "longitude", "depth"], y="magnitude")
data = torch_dataset(samples, batch_size=64, seed=0)
assert sum(len(y) for x, y in data) == len(samples)
END"""
# Nothing listens at this port: with PySocks the proxy is asked, and there is no connection.
THROUGH_SOCKS = """\
export ALL_PROXY=socks5://127.0.0.1:9
{ sciml-data get uno_almanac --limit 1 || true; } 2>&1 | tee socks.txt
if grep --quiet PySocks socks.txt; then exit 1; fi
grep --quiet 'no connection' socks.txt"""

BASE_COMMANDS = (
    "sciml-data --help",
    "sciml-data list",
    "sciml-data describe tevolop_socal",
    *EARTHQUAKES,
    *CLOUDS,
    """python - <<'END'
import sciml_data
events = sciml_data.open_dataset("tevolop_socal", sample=True)
series = sciml_data.open_dataset("tevolop_socal", sample=True, view="fortnights")
clouds = sciml_data.open_dataset("cloud_slstr_ds1", sample=True, split="training")  # two files
print(float(events["magnitude"].mean()), series.sizes, float(clouds["reflectance"].mean()))
END""",
    "sciml-data cite tevolop_socal",
    "sciml-data cite tevolop_socal --format bibtex",
    "sciml-data export croissant tevolop_socal",
    "sciml-data export datacite uno_ccle --format xml --to datacite.xml",
    "sciml-data export schema.org uno_ccle",
    "sciml-data export rocrate uno_ccle",
    "sciml-data export dcat tevolop_socal",
    *TIDES,
    "sciml-data catalog --registry registry",
    *MADE_RUN,
    "sciml-data board",
    "sciml-data export every-eval-ever made",
    "sciml-data export croissant-task made",
    "sciml-data export croissant-task tevolop",
    "sciml-data export spdx made",
    "sciml-data export run-crate made --to crate.zip",
    "sciml-data cache",
    "python -c 'from sciml_data.testing import FdsnServer, FileServer, S3Server'",
)

# Keys are what is typed between the brackets; nox has a session for each.
EXTRAS: dict[str, Uses] = {
    "train": TRAINING,
    "train-cpu": TRAINING,
    "train,stemdl": Uses(
        (f"sciml-data run stemdl_reconstruction --sample{SCAN} --model base --set epochs=1",)
    ),
    "train,uno": Uses(("sciml-data run uno --sample --set epochs=1",)),
    "jax": Uses(
        (f"sciml-data run cloudmask --backend jax {CLOUDMASK}",)
    ),
    "intake": Uses(
        needs=(),
        prepare=TIDES,
        then=(
            """python - <<'END'
import functools, http.server, os, threading
import intake
sources = intake.open_catalog("registry/catalog/sciml.yaml")
tides = sources["tides"](version="1.0", split="test")
assert tides.to_dask()["height"].chunks
assert tides.read()["height"].shape == (10, 24)
assert tides.describe()["user_parameters"]
assert intake.open_catalog("registry/catalog/sciml.v2.yaml")["tides"].read(split="train").sizes
assert "tevolop_socal" in intake.cat.sciml_data
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="registry/catalog")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/sciml.yaml"
os.environ["SCIML_DATA_REGISTRY"] = "registry"  # a catalogue from afar names datasets of this one
assert intake.open_catalog(address)["tides"](split="train").read()["height"].shape == (60, 24)
END""",
        ),
    ),
    "cluster": Uses(prepare=CLOUDS, needs=(CONVERT_ON_CLUSTER,)),
    "datalad": Uses(
        needs=("sciml-data mirror create mirror uno_ccle",),
        then=(
            "sciml-data mirror publish mirror --to www",
            "git config --global user.name A && git config --global user.email a@example.org",
            "datalad clone www/uno_ccle.git clone",
            "git -C clone checkout --quiet 1.0 && git -C clone annex whereis --all | grep -q http",
        ),
    ),
    "fair": Uses(
        (
            "sciml-data fair tevolop_socal",
            "sciml-data fair uno_ccle --page index.html",
            "sciml-data export dcat tevolop_socal --format turtle",
        )
    ),
    "formats": Uses(
        needs=("sciml-data get optical_damage_ds1 --sample",),
        prepare=TABLE,
        then=(
            "sciml-data convert optical_damage_ds1 --sample",
            "sciml-data new winds 1.0 --registry registry --files table --no-ask",
            "grep -q csv_table registry/datapackages/winds/1.0/datapackage.json",
            "python -c 'import pyarrow.parquet, scipy.io'",
        ),
    ),
    "mlflow": Uses(prepare=MADE_RUN, needs=("sciml-data export mlflow made --to sqlite:///runs.db",)),
    "pooch": Uses(
        (
            """python - <<'END'
import sciml_data
assert "swnet/CCLE_smiles.csv" in sciml_data.pooch("uno_ccle", "1.0").registry
END""",
        )
    ),
    "site": Uses(
        prepare=(*EARTHQUAKES, *MADE_RUN), needs=("sciml-data site build --to public-site",)
    ),
    "stemdl": Uses(
        needs=(f"sciml-data get stemdl_reconst_ds1 --sample{SCAN}",),
        then=("sciml-data convert stemdl_reconst_ds1 --sample",),
    ),
    "submit": Uses(
        prepare=MADE_RUN,
        needs=("sciml-data log --check result-1.txt",),
        then=(
            """python - <<'END'
import datetime
from sciml_data.results.submission.pdf import to_pdf
text = "# Title\\n\\n| 1 Å | µ² |\\n|---|---|\\n| a | b |\\n"
date = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
assert to_pdf(text, title="Title", subject="s", date=date).startswith(b"%PDF")
END""",
        ),
    ),
    "torch": Uses(prepare=EARTHQUAKES, needs=(LOAD_WITH_TORCH,)),
    # Without botocore, buckets are read anonymously with a notice, so no command fails.
    "s3": Uses((), then=("python -c 'import botocore.auth'",)),
    "socks": Uses((THROUGH_SOCKS,)),
    "uno": Uses(
        needs=("sciml-data get uno_almanac --sample",),
        then=(
            "sciml-data convert uno_almanac --sample",
            "sciml-data get uno_ccle --sample",
            "sciml-data convert uno_ccle --sample",
            "sciml-data get uno_auc --sample",
            "sciml-data convert uno_auc --sample",
            "python -c 'import hdf5plugin, lightgbm, sklearn'",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ExtraError(Exception):
    """A command that did not do what it has to do."""

    extra: str
    command: str
    reason: str
    output: str

    def __str__(self) -> str:
        """Return the reason first, then the command and the end of its output."""
        lines = self.output.rstrip().splitlines()[-LAST_LINES:]
        return "\n".join([f"extra {self.extra}: {self.reason}", "", f"$ {self.command}", *lines])


class Shell:
    """Runs commands in a scratch folder, with programs of this Python's environment first."""

    def __init__(self, folder: Path, extra: str) -> None:
        """Take the folder, which becomes the user's home, too, and the extra for messages."""
        self.extra = extra
        self._folder = folder
        programs = str(Path(sys.executable).parent)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SCIML_DATA_", "PYTHON", "GIT_"))
            and "proxy" not in name.lower()
        }
        self._environment = kept | {
            "HOME": str(folder),
            "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
            "SCIML_DATA_HOME": str(folder / "home"),
            "XDG_CONFIG_HOME": str(folder / ".config"),
        }

    def run(self, command: str) -> None:
        """Run a command that has to end with exit code 0.

        Raises:
            ExtraError: it does not; the reason names the missing module if one is missing.
        """
        code, output = self._output(command)
        if code:
            found = MISSING.search(output)
            module = next(filter(None, found.groups()), "") if found else ""
            reason = f"module {module} is missing" if module else f"exit code {code}"
            raise ExtraError(self.extra, command, reason, output)

    def run_without(self, command: str, extra: str) -> None:
        """Run a command that has to fail, and to name the extra that it needs.

        Raises:
            ExtraError: it succeeds, or names no extra.
        """
        code, output = self._output(command)
        named = re.search(rf"sciml-data\[{re.escape(extra.split(',', maxsplit=1)[0])}\b", output)
        if code == 0:
            raise ExtraError(extra, command, "succeeds without the extra", output)
        if not named:
            raise ExtraError(extra, command, "fails without naming the extra", output)

    def _output(self, command: str) -> tuple[int, str]:
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        first = command.partition("\n")[0]
        print(f"{time.monotonic() - began:6.1f} s  {done.returncode}  {first}", flush=True)  # noqa: T201
        return done.returncode, done.stdout


def check_extra(extra: str, folder: Path) -> None:
    """Run the commands of an extra in a scratch folder.

    Raises:
        ExtraError: the first command that did not do what it has to do.
    """
    shell = Shell(folder, extra)
    if extra != BASE:
        uses = EXTRAS[extra]
        for command in (*uses.prepare, *uses.needs, *uses.then):
            shell.run(command)
        return
    for command in BASE_COMMANDS:
        shell.run(command)
    for name, uses in EXTRAS.items():
        for command in uses.needs:
            shell.run_without(command, NAMED_AS.get(name, name))


def main(arguments: Sequence[str]) -> int:
    """Check one extra and print the first failure."""
    (extra,) = arguments
    with tempfile.TemporaryDirectory(prefix="sciml-data-extra-") as folder:
        try:
            check_extra(extra, Path(folder))
        except ExtraError as failure:
            print(failure, file=sys.stderr)  # noqa: T201
            return 1
    print(f"{extra}: works")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
