"""SECURITY.md names tests, notebooks and code that exist."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_tests_that_are_named_exist():
    assert len(paths := set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))) >= 5
    assert not [path for path in paths if "\ndef test_" not in (ROOT / path).read_text(encoding="utf-8")]


def test_code_that_is_named_exists():
    assert len(named := set(re.findall(r"`(encryption(?:\.[a-z]+)?)\.([A-Za-z]\w*)`", PAGE))) >= 3
    assert not [(room, name) for room, name in named if not hasattr(importlib.import_module(f"fedkit.{room}"), name)]


def test_notebooks_that_are_named_exist():
    assert (named := set(re.findall(r"[Nn]otebooks? (\d\d)", PAGE)))
    assert named <= {path.name[:2] for path in (ROOT / "notebooks" / "source").glob("*.py")}
