"""The report stands alone, shows every figure with its numbers, and refuses to be half a report."""

import re
from pathlib import Path

import pandas as pd
import pytest
from tools import report

ENTRIES = [name for entries in report.CHAPTERS.values() for name, _ in entries]
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
    assert page.count("<img ") == len(ENTRIES)
    assert page.count("0.875") == len(ENTRIES)
    assert "&lt;Cleveland&gt;" in page
    assert "tensorflow-federated" in page


@pytest.mark.parametrize("suffix", [".png", ".csv"])
def test_a_missing_figure_or_table_is_named(figures, suffix):
    (figures / ENTRIES[3]).with_suffix(suffix).unlink()
    with pytest.raises(FileNotFoundError, match=ENTRIES[3]):
        report.page(figures)


def test_the_readme_shows_the_numbers_of_the_committed_figures():
    root = Path(__file__).parent.parent
    readme = (root / "README.md").read_text()
    assert readme == report.renewed(readme, report.headline(root / "figures"))


def test_a_changed_number_changes_the_readme(tmp_path):
    columns = ["method", "hospital", "metric", "mean", "low", "high", "n"]
    for name, mean in (("auroc_forest", 0.9), ("paired_differences", -0.01)):
        rows = [("federated", "Cleveland", "auroc", mean, mean - 0.1, mean + 0.1, 20)]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / f"{name}.csv", index=False)
    assert "| Cleveland | 0.90 | -0.010 [-0.110, +0.090] |" in report.headline(tmp_path)


def test_a_readme_without_marks_is_refused():
    with pytest.raises(ValueError, match="must hold the marks"):
        report.renewed("no marks here", "1")
