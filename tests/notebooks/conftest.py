"""A checkout to try the makers' tool on, so that the real notebooks are left alone."""

from pathlib import Path

import pytest
import tools
from small_notebook import SOURCE


def pytest_collection_modifyitems(items):
    """Begin with the notebooks, which take longest: workers that are done take over what is short."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder with one notebook's source, ``01_small``, which the tool takes for the checkout."""
    for folder in ("notebooks/source", "notebooks/solutions", "tests/golden"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "notebooks" / "source" / "01_small.py").write_text(SOURCE)
    monkeypatch.setattr(tools, "root", lambda: tmp_path)
    return tmp_path
