"""Figures are made again where something changed, and only there."""

import json
import subprocess
import sys

import pytest
from small_notebook import SOURCE
from tools import freshness, running

FIGURES = {"one.png": b"picture", "one.csv": b"numbers", "measured/speed.csv": b"seconds"}


@pytest.fixture
def drawn(checkout, monkeypatch):
    """The checkout, its notebook "run" by writing `FIGURES`, which a test may change."""
    figures = dict(FIGURES)

    def execute(notebook, file, *, profile, figures: object, **_):
        assert profile == "full"
        for name, content in drawn_by_it.items():
            (figures / name).parent.mkdir(exist_ok=True)
            (figures / name).write_bytes(content)
        return notebook

    drawn_by_it = figures
    monkeypatch.setattr(running, "execute", execute)
    make(checkout)
    return checkout, figures


def make(checkout, name="01_small"):
    freshness.make(name, checkout / ".cache" / f"{name}.ipynb")


def test_a_run_puts_its_figures_in_place_and_then_there_is_nothing_to_do(drawn):
    checkout, _ = drawn
    assert {name: (checkout / "figures" / name).read_bytes() for name in FIGURES} == FIGURES
    assert freshness.stale() == []


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "notebooks/source/01_small.py").write_text(SOURCE + "\n"),
        lambda top: (top / "fedkit/rounds.py").write_text("ROUNDS = 4\n"),
        lambda top: (top / "fedkit/new.py").write_text(""),
        lambda top: (top / "fedkit/rounds.py").rename(top / "fedkit/renamed.py"),
        lambda top: (top / "data/rows.csv").write_text("1\n"),
        lambda top: (top / "requirements.lock").write_text("numpy==2.1.4\n"),
        lambda top: (top / "figures/one.png").unlink(),
        lambda top: (top / "figures/one.png").write_bytes(b"edited"),
        lambda top: (top / "figures/measured/speed.csv").unlink(),
        lambda top: (top / "figures/.manifest.json").unlink(),
    ],
)
def test_any_change_makes_it_stale_until_it_is_made_again(drawn, change):
    checkout, _ = drawn
    change(checkout)
    assert freshness.stale() == ["01_small"]
    make(checkout)
    assert freshness.stale() == []


def test_what_a_notebook_never_imports_makes_nothing_stale(drawn):
    checkout, _ = drawn
    (checkout / "fedkit" / "notebooks").mkdir()
    for apart in ("fedkit/report.py", "fedkit/notebooks/pairing.py", "README.md", "figures/by_hand.png"):
        (checkout / apart).write_text("changed")
    assert freshness.stale() == []


def test_a_figure_no_longer_drawn_is_removed(drawn):
    checkout, figures = drawn
    del figures["one.csv"]
    make(checkout)
    assert not (checkout / "figures" / "one.csv").exists()
    assert (checkout / "figures" / "one.png").exists()


def test_two_notebooks_may_not_write_one_figure(drawn):
    checkout, _ = drawn
    (checkout / "notebooks" / "source" / "02_other.py").write_text(SOURCE.replace("# 01. A", "# 02. A"))
    with pytest.raises(ValueError, match=r"02_other and 01_small both write measured/speed\.csv, one\.csv, one\.png"):
        make(checkout, "02_other")


def test_a_notebook_that_fails_leaves_the_figures_as_they_were(drawn, monkeypatch):
    checkout, _ = drawn

    def fail(*_, figures, **__):
        (figures / "one.png").write_bytes(b"half a picture")
        raise RuntimeError("a cell failed")

    monkeypatch.setattr(running, "execute", fail)
    with pytest.raises(RuntimeError):
        make(checkout)
    assert (checkout / "figures" / "one.png").read_bytes() == b"picture"


def test_only_the_reports_notebooks_are_asked_for(drawn):
    checkout, _ = drawn
    for name in ("00_start_here", "99_attacks"):
        (checkout / "notebooks" / "source" / f"{name}.py").write_text("")
    assert freshness.makers() == ["01_small"]


def test_the_manifest_is_readable_by_people(drawn):
    checkout, _ = drawn
    manifest = json.loads((checkout / "figures" / ".manifest.json").read_text())
    assert set(manifest["01_small"]["outputs"]) == set(FIGURES)


def test_looking_loads_nothing_heavy():
    """`make figures` with nothing to do must not wait for imports."""
    code = "import sys; from tools import __main__, freshness; freshness.stale(); print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in ended.stdout.split()}
    assert loaded & {"jupytext", "nbformat", "numpy", "papermill", "pandas", "tensorflow"} == set()
