"""One set of pins, in two locks and for conda; and the installer of what is missing."""

import ast
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pip
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fedkit.compat import environment

ROOT = Path(environment.__file__).parents[2]
FULL, RUNTIME = ROOT / "requirements.lock", environment.LOCK
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WANTED = PROJECT["project"]["dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
# What the kit is made of, and conda users should see by name.
NAMED = {"jupyterlab", "matplotlib", "numpy", "pandas", "papermill", "tenseal", "tensorflow", "tensorflow-federated"}


def entries(lock: Path) -> dict[str, str]:
    """Pin with marker ("numpy==2.1.3 ; ...") -> hashes."""
    split = [re.split(r"\s+--hash=", line) for line in lock.read_text().replace("\\\n", " ").splitlines()]
    return {pin.strip(): " ".join(sorted(map(str.strip, hashes))) for pin, *hashes in split}


def pins(texts) -> dict[str, set[str]]:
    """Name -> versions pinned with ``==``."""
    found = {}
    for requirement in map(Requirement, texts):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        found.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return found


@pytest.mark.parametrize("lock", [FULL, RUNTIME, ROOT / "notebooks/site/site.lock"], ids=lambda path: path.name)
def test_a_lock_has_hashes_no_address_and_no_jax(lock):
    """Jax is 337 MB that TFF imports and does not use."""
    assert all(entries(lock).values()), "an entry without a hash"
    assert not re.search("://|--index|--extra-index|--find-links|--trusted-host| @ ", lock.read_text())
    assert {"jax", "jaxlib"} & pins(entries(lock)).keys() == set()


def test_the_runtime_lock_is_a_part_of_the_whole_lock_which_pins_what_the_project_asks_for():
    assert entries(RUNTIME).items() < entries(FULL).items()
    locked, extras = pins(entries(FULL)), PROJECT["project"]["optional-dependencies"]
    for requirement in map(Requirement, [*WANTED, *extras["lab"], *extras["test"]]):
        (version,) = locked[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, requirement


def test_environment_yml_names_the_same_pins_and_a_python_that_the_kit_runs_on():
    *_, (first, *named) = CONDA[-1].values()
    python = tuple(map(int, re.fullmatch(r"python=(\d+)\.(\d+)", CONDA[0]).groups()))
    assert environment.PYTHONS[0] <= python <= environment.PYTHONS[1]
    assert first == "-r requirements.lock", "it must come first: the names after it take their hashes from it"
    assert pins(named).items() <= pins(entries(FULL)).items()
    assert pins(named).keys() >= NAMED


def test_the_pip_part_runs_as_conda_runs_it(tmp_path, monkeypatch):
    """Its lines in a file beside environment.yml, and these flags; with ``--dry-run`` pip only checks the pins."""
    (tmp_path / "requirements.lock").write_text(FULL.read_text())
    offline(monkeypatch, NO_DEPS="1", IGNORE_REQUIRES_PYTHON="1", DISABLE_PIP_VERSION_CHECK="1")
    command = [sys.executable, "-m", "pip", "install", "-U", "-r", "some.txt", "--exists-action=b", "--dry-run"]
    (tmp_path / "some.txt").write_text("\n".join(CONDA[-1]["pip"]))
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("file", ["README.md", "environment.yml"])
def test_the_flags_for_conda_are_written_down(file):
    assert "PIP_NO_DEPS=1 PIP_IGNORE_REQUIRES_PYTHON=1 conda env create -f environment.yml" in (ROOT / file).read_text()


def test_what_tff_needs_is_looked_for():
    """`fedkit.compat.tff.NEEDS` and the needs that pyproject.toml gives TFF are the same list."""
    tree = ast.parse((ROOT / "fedkit" / "compat" / "tff.py").read_text())
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    names = ast.literal_eval(values["PACKAGES"])
    looked_for = {
        names.get(name, name).replace("_", "-") for name in ast.literal_eval(values["NEEDS"].func.value).split()
    }
    metadata = {part["name"]: part["requires-dist"] for part in PROJECT["tool"]["uv"]["dependency-metadata"]}
    declared = {Requirement(text).name for texts in metadata.values() for text in texts} | {"tensorflow-federated"}
    # TensorFlow or fedkit itself would have failed before TFF asks for these.
    assert declared - looked_for == {"six", "tqdm", "typing-extensions", "mpmath"}
    assert looked_for - declared == set()
    assert looked_for <= pins(entries(RUNTIME)).keys()


def offline(monkeypatch, **settings: str) -> None:
    """Tell pip to ask nobody, and these settings."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {"NO_INDEX": "1", "CONFIG_FILE": os.devnull, **settings}.items():
        monkeypatch.setenv(f"PIP_{name}", value)


def test_it_works_on_a_bare_python_that_has_only_pip(tmp_path):
    """So `import fedkit` loads nothing else."""
    (tmp_path / "pip").symlink_to(Path(pip.__file__).parent)
    (tmp_path / "fedkit").symlink_to(ROOT / "fedkit")
    code = "from fedkit.compat import environment as e; print(*e.missing()); print(e.versions()['numpy'])"
    clean, command = os.environ | {"PYTHONPATH": str(tmp_path)}, [sys.executable, "-S", "-c", code]
    ended = subprocess.run(command, env=clean, capture_output=True, text=True)
    assert ended.stderr == ""
    names, numpy = ended.stdout.splitlines()
    assert {"numpy", "tensorflow-federated", "tenseal"} <= set(names.split())
    assert numpy == "missing"


def test_versions_that_were_never_tested_are_said_and_used(capfd, monkeypatch):
    wanted = {Requirement(text).name: Requirement(text).specifier for text in WANTED}
    for name in ("numpy", "pandas", "tensorflow", "matplotlib", "scikit-learn", "tf-keras"):
        assert {one.operator for one in wanted[name]} == {">=", "<="}, name
    real, others = environment._version, {"numpy": "1.26.4", "pandas": "9.0"}
    monkeypatch.setattr(environment, "_version", lambda name: others.get(name, real(name)))
    environment.install()
    said, err = capfd.readouterr()
    assert re.fullmatch(
        r".* is ready: .*\nfedkit goes on with versions that it was not tested with: numpy 1\.26\.4 "
        r"\(tested: >=2\.0\.2,<=2[\d.]+\); pandas 9\.0 \(tested: >=2\.2\.2,<=[\d.]+\)\.\n",
        said,
    )
    assert err == ""


def test_an_installed_fedkit_says_the_same_of_itself(monkeypatch, tmp_path):
    """Away from a checkout, from its metadata."""
    here = environment.repository()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "fedkit" / "compat" / "environment.py"))
    address, requires = environment._project()
    assert address == here == PROJECT["project"]["urls"]["Repository"]
    assert {Requirement(text).name for text in requires} == {Requirement(text).name for text in WANTED}
    monkeypatch.setattr(environment, "_version", lambda name: None)
    with pytest.raises(RuntimeError, match="fedkit is not installed"):
        environment.repository()


@pytest.fixture
def lock(tmp_path) -> Path:
    return tmp_path / "some.lock"


def test_only_what_is_absent_and_meant_for_this_python_is_missing(lock):
    lock.write_text(
        "# a comment\n\n"
        "absent-one==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "absent-two==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
        "numpy==0.0.1 \\\n    --hash=sha256:dd\n"
    )
    ((name, entry),) = environment.missing(lock).items()
    assert (name, re.findall("sha256:..", entry)) == ("absent-one", ["sha256:aa", "sha256:bb"])


def wheel(folder: Path, name: str) -> str:
    """Make the smallest wheel there can be; return its SHA-256."""
    file, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    contents = {
        f"{name}.py": "here = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: <3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for place, content in contents.items():
            archive.writestr(place, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("there", "right", "sentence"),
    [
        (True, True, ""),
        (True, False, "pip could not install absent_one"),
        (False, False, r"pip could not install absent_one\. Check the internet .*No matching distribution"),
    ],
)
def test_what_is_missing_is_installed_whatever_python_it_asks_for_or_a_sentence_says_why_not(
    tmp_path, lock, monkeypatch, capfd, there, right, sentence
):
    digest = wheel(tmp_path, "absent_one") if there else ""
    lock.write_text(f"absent_one==1.0 --hash=sha256:{digest if right else '0' * 64}\n")
    offline(monkeypatch, FIND_LINKS=str(tmp_path), TARGET=str(tmp_path / "installed"))  # and not into this Python
    with pytest.raises(RuntimeError, match=sentence) if sentence else contextlib.nullcontext():
        environment.install(lock)
    assert (tmp_path / "installed" / "absent_one.py").exists() == right
    assert right or not (tmp_path / "installed").exists()
    said, err = capfd.readouterr()
    assert re.fullmatch(r"fedkit installs absent_one .*\n", said)
    assert err == ""


def test_other_platforms_are_refused_with_advice(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(RuntimeError, match=r"needs Python 3\.11 to 3\.13, and this is Python 3\.10"):
        environment.install()
    monkeypatch.undo()
    monkeypatch.setattr(environment.platform, "machine", lambda: "arm64")
    with pytest.raises(RuntimeError, match="Colab"):
        environment.install()


def test_versions_name_no_machine():
    versions = environment.versions()
    assert versions["tensorflow-federated"] == "0.87.0"
    assert all(re.fullmatch(r"[\w.+]+", text) for text in versions.values())
