"""The pages for makers are true: what they name is there, one version is everywhere, and `make help` is complete."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import fedkit

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
UNSAID = {"published", "help"}  # the second half of `notebooks`; help says itself
FILES = re.compile(r"`([\w.-]+(?:/[\w.-]+)+|[\w-]+\.(?:md|lock|toml|cff))`")
NEW = {"CHANGELOG.md", "dataset.json", "SHA256SUMS", "network.lock", "README.md", "data/NAME"}
PLACES = {
    "FedProx": "fedkit/chapters/heterogeneity.py",
    "METHODS": "tests/test_algorithms.py",
    "slow_scaffold": "tests/test_algorithms.py",
    "chapters/heterogeneity.py: algorithms": "tests/sabotages.txt",
    "methods": "fedkit/studies/differ.py",
    "Clipped": "README.md",
    "records.glue": "notebooks/source/10_slow_and_absent_hospitals.py",
    "notebooks 01 to": "Makefile",
    "only-include": "pyproject.toml",
    "Net": "tests/test_network.py",
    "Wire": "fedkit/network/resident.py",
    "site": "fedkit/network/post.py",
    "hospital": "fedkit/network/parties.py",
    "server": "fedkit/network/parties.py",
    "rehearse": "fedkit/exchange/rehearsal.py",
    "Algorithm": "fedkit/learning.py",
}


def absent(page: str) -> list[str]:
    """Return the files that a page names, and that are not there."""
    named = set(FILES.findall(page)) - NEW
    assert len(named) > 12
    return sorted(name for name in named if not any(ROOT.glob(name)) and not any(ROOT.glob(f"fedkit/{name}")))


def test_the_files_to_copy_are_there():
    assert absent(PAGE) == []
    assert absent(PAGE.replace("resident.py", "lodger.py")) == ["fedkit/network/lodger.py"]


@pytest.mark.parametrize(("name", "file"), PLACES.items())
def test_what_a_recipe_names_is_where_it_says(name, file):
    assert re.search(rf"\b{re.escape(name)}\b", PAGE)
    assert re.search(rf"\b{re.escape(name)}\b", (ROOT / file).read_text(encoding="utf-8"))


@pytest.mark.parametrize("step", ["own", "local", "gradient", "send", "take", "weigh"])
def test_the_steps_of_a_method_are_those_of_the_code(step):
    assert f"`{step}`" in PAGE
    assert f"    def {step}(self" in (ROOT / "fedkit" / "learning.py").read_text(encoding="utf-8")


def test_one_version_and_one_day_stand_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "fedkit/__init__.py"
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest, day = re.search(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M).groups()
    assert (newest, day) == (cited["version"], str(cited["date-released"]))
    assert newest == fedkit.__version__


def unsaid(makefile: str) -> set[str]:
    """Return what a person calls, and `make help` does not say."""
    phony = re.search(r"^\.PHONY: (.+?[^\\])$", makefile, re.M | re.S)[1].replace("\\\n", " ").split()
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", makefile, re.M))
    said = set(re.findall(r"^([a-z][a-z-]*): .*?## \S", makefile, re.M))
    return ((targets | set(phony)) - said - UNSAID) | (targets ^ set(phony))


def test_make_help_is_complete():
    assert unsaid(MAKEFILE) == set()
    assert unsaid(MAKEFILE.replace("  ## the release", "  # the release")) == {"dist"}
    assert unsaid(MAKEFILE + "\nsecret:\n\t@true\n") == {"secret"}
