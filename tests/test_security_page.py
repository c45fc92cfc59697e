"""SECURITY.md names tests, faults, notebooks and code that exist, and says what is not true."""

import importlib
import re
from pathlib import Path

import pytest
from sabotages import FAULTS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
CLAIMS, OPEN = re.search(r"## What holds, against whom(.*?)\n## What is not true(.*?)\n## ", PAGE, re.DOTALL).groups()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [line for line in CLAIMS.splitlines() if re.match(r"\| (?!who |---)", line)]
HEADINGS = re.findall(r"^([\w/]+\.py): (.+)$", FAULTS.read_text(), flags=re.MULTILINE)


def test_every_test_on_the_page_is_named_in_full():
    assert len(TESTS) >= 20
    assert len(re.findall(r"tests/test_|tests/attacks", PAGE)) == len(re.findall(r"`tests/[\w/]+\.py::test_\w+`", PAGE))


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file, name):
    assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("row", ROWS)
def test_each_claim_has_a_test_and_faults_that_turn_its_file_red(row):
    file, faults = re.search(r"\| `tests/([\w/]+)\.py::test_\w+` \| `([\w/]+\.py)` \|$", row).groups()
    named = [each for heading, tests in HEADINGS if heading == faults for each in tests.split()]
    found = [each.partition("::")[0] for each in named]
    assert file in [each if "/" in each else f"test_{each}" for each in found]


@pytest.mark.parametrize(
    "sentence",
    [
        "No audit.",
        "No proof of ours.",
        "Not constant-time.",
        "Not safe from a quantum computer.",
        "All but one.",
        "A hospital and the coordinator choose the model.",
        "Sums of changing lists can be compared.",
        "Nonsense stops rounds, unnamed.",
        "Erased is not gone.",
        "A stolen disk reads on.",
        "CKKS has a shared key.",
        "Lies are added.",
        "a study in a folder does not have it",
        "Who can delete, can stop, and with a budget can read.",
        "Traffic is seen.",
        "The service at the bedside needs a proxy before it.",
        "Not tried on a real Google Drive.",
        "The simulation hands keys out.",
    ],
)
def test_what_is_not_true_is_said(sentence):
    assert sentence in " ".join(OPEN.split())


def test_nothing_stronger_is_said():
    assert re.findall(r"quantum.safe|post.quantum|unbreakable|military|provably|HIPAA|GDPR", PAGE, re.IGNORECASE) == []


def test_code_that_is_named_exists():
    named = set(re.findall(r"`((?:encryption|exchange|aggregators)(?:\.[a-z]+)?)\.([A-Za-z]\w*)(?:\(\))?`", PAGE))
    assert len(named) >= 3
    assert not [(room, name) for room, name in named if not hasattr(importlib.import_module(f"fedkit.{room}"), name)]


def test_notebooks_that_are_named_exist():
    assert (named := set(re.findall(r"[Nn]otebooks? (\d\d)", PAGE)))
    assert named <= {path.name[:2] for path in (ROOT / "notebooks" / "source").glob("*.py")}
