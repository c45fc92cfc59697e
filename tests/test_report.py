"""The report stands alone, shows every figure with its numbers, and refuses to be half a report."""

import re
from collections import Counter

import jupytext
import pandas as pd
import pytest
import tools
from tools import pairing, report

CAPTIONS = [
    report.captions("\n".join(c.source for c in jupytext.read(pairing.source(name)).cells)) for name in tools.names()
]
ENTRIES = [figure for captions in CAPTIONS for figure in captions]
PIXEL = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture
def figures(tmp_path):
    for name in ENTRIES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".png").write_bytes(PIXEL)
        pd.DataFrame({"hospital": ["<Cleveland>"], "value": [0.875]}).to_csv(path.with_suffix(".csv"), index=False)
    return tmp_path


def test_the_page_needs_no_other_file(figures):
    page = report.page(figures)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<img ") == page.count("0.875") == len(ENTRIES) > 20
    assert "&lt;Cleveland&gt;" in page
    assert "&#39;" in page, "the notebooks' words are escaped as well"
    assert "tensorflow-federated" in page


@pytest.mark.parametrize("suffix", [".png", ".csv"])
def test_a_missing_figure_or_table_is_named(figures, suffix):
    (figures / ENTRIES[3]).with_suffix(suffix).unlink()
    with pytest.raises(FileNotFoundError, match=ENTRIES[3]):
        report.page(figures)


def test_each_figure_there_is_drawn_by_one_notebook():
    """But for that of the bench."""
    assert [name for name, times in Counter(ENTRIES).items() if times > 1] == []
    folder = tools.root() / "figures"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.suffix in (".csv", ".png", ".svg")}
    drawn = {f"{name}.{ending}" for name in [*ENTRIES, "measured/scale"] for ending in ("csv", "png", "svg")}
    assert files == drawn


def test_a_caption_is_what_the_notebook_says_is_in_the_picture():
    saved = 'plots.save(it, "gain", table, measured=True)\nit'
    assert report.captions(f"{saved}\n*In the picture: a line\nrises.* And more.*") == {
        "measured/gain": "A line\nrises."
    }
    with pytest.raises(ValueError, match="saves the figure measured/gain what it shows"):
        report.captions(f'{saved}\nNothing.\nplots.save(other, "loss", table)\n*In the picture: two lines.*')


def test_the_readme_shows_the_numbers_of_the_committed_figures():
    readme = (tools.root() / "README.md").read_text()
    assert readme == report.renewed(readme, report.headline(tools.root() / "figures"))


def test_a_changed_number_changes_the_readme(tmp_path):
    columns = ["method", "hospital", "metric", "mean", "low", "high", "n"]
    for name, mean in (("auroc_forest", 0.9), ("paired_differences", -0.01)):
        rows = [("federated", "Cleveland", "auroc", mean, mean - 0.1, mean + 0.1, 20)]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"{name}.csv", index=False)
    assert "| Cleveland | 0.90 | -0.010 [-0.110, +0.090] |" in report.headline(tmp_path)


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ValueError, match="must hold the marks"):
        report.renewed("no marks here", "1")
