"""The report stands alone, shows every figure with its numbers, and refuses to be half a report."""

import re
from pathlib import Path

import pandas as pd
import pytest
import tools
from markupsafe import escape
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tools import report

ENTRIES = sorted(figure for name in tools.names() for figure in report.drawn(name))
FIGURES = tools.root() / "figures"


@pytest.fixture
def figures(tmp_path) -> Path:
    (tmp_path / "measured").mkdir()
    for name in ENTRIES:
        shown = PngInfo()
        shown.add_text("Description", f"The picture isn't there: {name}.")
        Image.new("1", (1, 1)).save(tmp_path / f"{name}.png", pnginfo=shown)
        (tmp_path / f"{name}.csv").write_text("hospital,value\n<Cleveland>,0.875\n")
    return tmp_path


def test_the_page_needs_no_other_file(figures):
    page = report.page(figures)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<img ") == page.count("0.875") == len(ENTRIES) > 20
    assert "&lt;Cleveland&gt;" in page
    assert "&#39;" in page, "the notebooks' words are escaped as well"
    assert "tensorflow-federated" in page


@pytest.mark.parametrize("suffix", ["png", "csv"])
def test_a_missing_figure_or_table_is_named(figures, suffix):
    (figures / f"{ENTRIES[3]}.{suffix}").unlink()
    with pytest.raises(FileNotFoundError, match=ENTRIES[3]):
        report.page(figures)


def test_each_figure_there_is_drawn_by_one_notebook():
    files = [str(path.relative_to(FIGURES)) for path in FIGURES.rglob("*.*") if path.suffix in (".csv", ".png", ".svg")]
    assert sorted(files) == sorted(f"{name}.{kind}" for name in ENTRIES for kind in ("csv", "png", "svg"))


def test_the_caption_is_what_the_picture_says_of_itself():
    about = {name: Image.open(FIGURES / f"{name}.png").text["Description"] for name in ENTRIES}
    page = report.page(FIGURES)
    assert [name for name, text in about.items() if escape(text) not in page] == []
    assert len(set(about.values())) == len(about), "no two pictures show the same"


def test_the_readme_shows_the_numbers_of_the_committed_figures():
    readme = (tools.root() / "README.md").read_text()
    assert readme == report.renewed(readme, report.headline(FIGURES))
    with pytest.raises(ValueError, match="must hold the marks"):
        report.renewed("no marks here", "1")


def test_a_changed_number_changes_the_readme(tmp_path):
    columns = ["method", "hospital", "metric", "mean", "low", "high", "n"]
    for name, mean in (("auroc_forest", 0.9), ("paired_differences", -0.01)):
        row = ("federated", "Cleveland", "auroc", mean, mean - 0.1, mean + 0.1, 20)
        pd.DataFrame([row], columns=columns).to_csv(tmp_path / f"{name}.csv", index=False)
    right = {"method": ["federated", "most frequent label"], "hospital": "Cleveland", "mean": [0.7, 0.6]}
    pd.DataFrame(right).to_csv(tmp_path / "accuracy_forest.csv", index=False)
    assert "| Cleveland | 0.90 | -0.010 [-0.110, +0.090] |" in report.headline(tmp_path)
    assert "| Cleveland | 0.70 | 0.60 |" in report.headline(tmp_path)
