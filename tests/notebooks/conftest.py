"""A checkout to try the maker's tool on, so that the real notebooks are left alone."""

from pathlib import Path

import pytest
import tools
from small_notebook import SOURCE


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A folder with one notebook's source, ``01_small``, which the tool takes for the checkout."""
    source = tmp_path / "notebooks" / "source" / "01_small.py"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE)
    (tmp_path / "fedkit").mkdir()
    (tmp_path / "fedkit" / "rounds.py").write_text("ROUNDS = 3\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "requirements.lock").write_text("numpy==2.1.3\n")
    monkeypatch.setattr(tools, "root", lambda: tmp_path)
    return tmp_path
