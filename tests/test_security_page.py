"""SECURITY.md names tests and code that exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE)))
CODE = sorted(set(re.findall(r"`(encryption(?:\.[a-z]+)?\.[A-Za-z]\w*)`", PAGE)))


def test_the_page_names_some():
    assert len(TESTS) >= 5
    assert len(CODE) >= 3


@pytest.mark.parametrize("path", TESTS)
def test_a_test_that_is_named_exists(path):
    assert "\ndef test_" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CODE)
def test_code_that_is_named_exists(name):
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(f"fedkit.{module}"), attribute)


@pytest.mark.parametrize("number", re.findall(r"[Nn]otebooks? (\d\d)", PAGE))
def test_a_notebook_that_is_named_exists(number):
    assert list((ROOT / "notebooks" / "source").glob(f"{number}_*.py"))
