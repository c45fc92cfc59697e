"""Execute a notebook with papermill, and keep of it what its reader wants: the outputs."""

import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from modulefinder import ModuleFinder
from pathlib import Path
from unittest.mock import patch

import nbformat
import papermill
import psutil
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

import tools
from tools import pairing

QUIET_SECONDS = 600  # a notebook that has computed and printed nothing for so long hangs, on any machine;
BUSY_SECONDS = 7200  # and so does one that has used the processor for so long
IDLE = 0.01  # of a processor: a kernel that only waits uses less
# A processor a notebook: as many run side by side as there are, and sums are added up in one order.
ONE_ORDER = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"), "1"
)
# And in that of one kind of processor: by default each library adds up as this machine's is fastest, and last digits
# differ from machine to machine.
with suppress(OSError):
    if " avx2 " in Path("/proc/cpuinfo").read_text():
        ONE_ORDER |= {"OPENBLAS_CORETYPE": "Haswell", "TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "AVX2"}
        ONE_ORDER["NPY_DISABLE_CPU_FEATURES"] = (
            "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
        )


def make(name: str, solutions: bool = False) -> list[str]:
    """Execute a notebook in full; then, all at once, put it, its rule and its figures (not the solutions') in place.

    The rule, ``NAME.mk``, tells make when to do it again: when a module that it imports, however indirectly, or
    a figure that it drew (returned) was edited or deleted. RuntimeError as `execute`: every file is as before.
    """
    began = time.time_ns()
    done = tools.root() / ".cache" / ("solutions" if solutions else "notebooks") / f"{name}.ipynb"
    staging = done.with_suffix("")
    shutil.rmtree(staging, ignore_errors=True)
    execute(pairing.of(name, solutions), staging / done.name, "full", staging / "figures")
    files = sorted(path for path in (staging / "figures").rglob("*") if path.is_file() and not solutions)
    drawn = [str(path.relative_to(staging)) for path in files]
    needs = [*modules(name), *drawn]
    rule = f"{done.relative_to(tools.root())}: {' '.join(needs)}\n" + "".join(f"{file}:\n" for file in needs)
    done.with_suffix(".mk").write_text(rule)  # its last lines: what is deleted is out of date, instead of an error
    for path, place in [*zip(files, map(tools.root().joinpath, drawn), strict=True), (staging / done.name, done)]:
        os.utime(path, ns=(began, began))  # what was edited meanwhile is newer
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, place)
    shutil.rmtree(staging)
    return drawn


def modules(name: str) -> list[str]:
    """List the files of fedkit that a notebook imports, directly or not."""
    finder = ModuleFinder(path=[str(tools.root())])
    finder.run_script(str(pairing.source(name)))
    files = [Path(module.__file__) for module in finder.modules.values() if module.__file__]
    return sorted(str(file.relative_to(tools.root())) for file in files if file.is_relative_to(tools.root() / "fedkit"))


def execute(
    notebook: dict, file: Path, profile: str, figures: Path, kernel: str = "python3", changed: dict | None = None
) -> dict:
    """Execute a notebook from top to bottom, in a folder of its own: it sees no checkout around it, as in Colab.

    It is written to `file`, also where it fails, as far as it came, and its figures to `figures`. The profile is
    "full", which is what the notebook itself says, or "smoke"; `changed` are further parameters, as a reader changes
    them. RuntimeError if a cell raises, hangs, or ends Python.
    """
    settings = ONE_ORDER | {"FEDKIT_FIGURES": str(figures.resolve())}
    settings["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # else the kernel's debugger warns, on stderr
    if kernel == "python3":  # in this environment: what another notebook has trained already
        settings["FEDKIT_RUNS"] = str(tools.root() / ".cache" / "runs")
    file.parent.mkdir(parents=True, exist_ok=True)
    how = {"kernel_name": kernel, "progress_bar": False, "start_timeout": 10**6, "iopub_timeout": 10**6}  # see _watched
    how["parameters"] = ({} if profile == "full" else {"PROFILE": profile}) | (changed or {})
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, settings), _watched(printed) as verdict:
        try:
            papermill.execute_notebook(notebook, file, cwd=folder, stdout_file=printed, **how)
        except papermill.PapermillExecutionError as error:
            raise RuntimeError(f"{file.stem}: a cell failed. What was run is in {file}.\n{error}") from None
        except RuntimeError:  # the kernel is dead
            why = [*verdict, "its Python ended in the middle of a cell (no memory left?)."][0]
            raise RuntimeError(f"{file.stem}: {why} What was run is in {file}.") from None
    notebook = nbformat.read(file, as_version=4)
    notebook.metadata = pairing.METADATA
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:  # of which nothing is left but outputs: no times, no progress bars
        cell.metadata = {key: cell.metadata[key] for key in pairing.metadata(["plumbing"]) if cell.metadata.get(key)}
        if cell.cell_type == "code":
            bar = "application/vnd.jupyter.widget-view+json"
            cell.outputs = [output for output in cell.outputs if bar not in output.get("data", {})]
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})  # what was printed in pieces is one
    nbformat.write(notebook, file)
    return notebook


@contextmanager
def _watched(printed: io.StringIO) -> Iterator[list[str]]:
    """Kill the processes that are started meanwhile if they hang; the list then holds the reason."""
    before, verdict, over = psutil.Process().children(recursive=True), [], threading.Event()

    def watch() -> None:
        seen, since = (0.0, 0), time.monotonic()
        while not over.wait(min(1.0, QUIET_SECONDS / 10)):
            with suppress(psutil.NoSuchProcess):  # one that ends while it is looked at
                started = [one for one in psutil.Process().children(recursive=True) if one not in before]
                used = sum(sum(one.cpu_times()[:4]) for one in started)  # with its children that have ended
                if abs(used - seen[0]) > IDLE * QUIET_SECONDS or printed.tell() > seen[1]:
                    seen, since = (used, printed.tell()), time.monotonic()
                if time.monotonic() - since > QUIET_SECONDS:
                    verdict.append(f"it has computed and printed nothing for {QUIET_SECONDS} s, and was stopped.")
                elif used > BUSY_SECONDS:
                    verdict.append(f"it has used the processor for {BUSY_SECONDS} s, and was stopped.")
                for process in started[::-1] if verdict else []:
                    process.kill()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield verdict
    finally:
        over.set()
        thread.join()
