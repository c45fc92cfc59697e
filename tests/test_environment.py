"""One set of pins, in two locks and for conda; and the installer of what is missing."""

import ast
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fedkit.compat import environment

ROOT = Path(environment.__file__).parents[2]
FULL, RUNTIME = ROOT / "requirements.lock", environment.LOCK
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
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


def conda_pip_part() -> list[str]:
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    return next(part["pip"] for part in parts if isinstance(part, dict))


def run_as_conda_does(lines: list[str], folder: Path) -> subprocess.CompletedProcess:
    """Run a pip part as conda does: its lines in a file beside environment.yml, and these flags.

    ``--dry-run`` and no index: everything is here already, so pip only checks the pins.
    """
    file = folder / "condaenv.requirements.txt"
    file.write_text("\n".join(lines) + "\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    flags = {"PIP_NO_DEPS": "1", "PIP_IGNORE_REQUIRES_PYTHON": "1"}  # as README.md and environment.yml say
    offline = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = [sys.executable, "-m", "pip", "install", "-U", "-r", file.name, "--exists-action=b", "--dry-run"]
    return subprocess.run(command, cwd=folder, env=clean | flags | offline, capture_output=True, text=True)


def test_the_runtime_lock_is_a_part_of_the_whole_lock():
    whole, part = entries(FULL), entries(RUNTIME)
    assert part.items() <= whole.items()
    assert len(part) < len(whole)


@pytest.mark.parametrize("lock", [FULL, RUNTIME], ids=lambda path: path.name)
def test_a_lock_has_hashes_and_no_address(lock):
    text = lock.read_text()
    assert all(entries(lock).values()), "an entry without a hash"
    for sign in ("://", "--index", "--extra-index", "--find-links", "--trusted-host", " @ "):
        assert sign not in text


def test_the_lock_pins_what_the_project_asks_for():
    project = PROJECT["project"]
    locked = pins(entries(FULL))
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["lab"], *extras["test"]]:
        requirement = Requirement(text)
        (version,) = locked[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, text


def test_environment_yml_names_the_same_pins_and_a_python_that_the_kit_runs_on():
    first, *named = conda_pip_part()
    assert first == "-r requirements.lock", "it must come first: the names after it take their hashes from it"
    locked = pins(entries(FULL))
    assert pins(named) == {name: locked[name] for name in pins(named)}
    assert pins(named).keys() >= NAMED
    (python,) = re.findall(r"- python=(\d+)\.(\d+)\n", (ROOT / "environment.yml").read_text())
    assert environment.PYTHONS[0] <= tuple(map(int, python)) <= environment.PYTHONS[1]


def test_the_pip_part_runs_as_conda_runs_it(tmp_path):
    (tmp_path / "requirements.lock").write_text(FULL.read_text())
    good = run_as_conda_does(conda_pip_part(), tmp_path)
    assert good.returncode == 0, good.stderr
    wrong = [line.replace("pandas==2.2.3", "pandas==2.2.2") for line in conda_pip_part()]
    assert wrong != conda_pip_part()
    bad = run_as_conda_does(wrong, tmp_path)
    assert bad.returncode != 0
    assert "pandas" in bad.stderr


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


def test_jax_is_left_out():
    """337 MB that TFF imports and does not use."""
    assert {"jax", "jaxlib"} & pins(entries(FULL)).keys() == set()


def in_python(code: str, *flags: str, **variables: str) -> str:
    command = [sys.executable, *flags, "-c", code]
    ended = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return ended.stdout


def test_importing_fedkit_loads_nothing_heavy():
    code = "import sys, fedkit; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in in_python(code).split()}
    assert loaded & {"jax", "matplotlib", "numpy", "pandas", "scipy", "sklearn", "tenseal", "tensorflow"} == set()


def test_it_works_on_a_bare_python_that_has_only_pip(tmp_path):
    import pip

    (tmp_path / "pip").symlink_to(Path(pip.__file__).parent)
    (tmp_path / "fedkit").symlink_to(ROOT / "fedkit")
    code = "from fedkit.compat import environment as e; print(*e.missing()); print(e.versions()['numpy'])"
    names, numpy = in_python(code, "-S", PYTHONPATH=str(tmp_path)).splitlines()
    assert {"numpy", "tensorflow-federated", "tenseal"} <= set(names.split())
    assert numpy == "missing"


def test_nothing_is_missing_here_and_one_line_says_so(capfd):
    environment.install()
    assert capfd.readouterr() == ("fedkit 0.1.0 is ready: all it needs is here.\n", "")


def test_versions_that_were_never_tested_are_said_and_used(capfd, monkeypatch):
    wanted = {Requirement(text).name: Requirement(text) for text in PROJECT["project"]["dependencies"]}
    for name in ("numpy", "pandas", "tensorflow", "matplotlib", "scikit-learn", "tf-keras"):
        assert {one.operator for one in wanted[name].specifier} == {">=", "<="}, name
    real = environment._version
    monkeypatch.setattr(
        environment, "_version", lambda name: {"numpy": "1.26.4", "pandas": "9.0"}.get(name, real(name))
    )
    environment.install()
    said, err = capfd.readouterr()
    ready, sentence = said.splitlines()
    assert "is ready" in ready
    assert re.fullmatch(
        r"fedkit goes on with versions that it was not tested with: numpy 1\.26\.4 \(tested: >=2\.0\.2,<=2[\d.]+\); "
        r"pandas 9\.0 \(tested: >=2\.2\.2,<=[\d.]+\)\.",
        sentence,
    )
    assert err == ""


def test_an_installed_fedkit_says_the_same_of_itself(monkeypatch, tmp_path):
    """Away from a checkout, from its metadata."""
    here = environment._project()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "fedkit" / "compat" / "environment.py"))
    address, requires = environment._project()
    assert address == here[0] == PROJECT["project"]["urls"]["Repository"]
    names = {Requirement(text).name for text in requires}
    assert names == {Requirement(text).name for text in PROJECT["project"]["dependencies"]}
    monkeypatch.setattr(environment, "_version", lambda name: None)
    with pytest.raises(RuntimeError, match="fedkit is not installed"):
        environment.repository()


def lock_of(folder: Path, text: str) -> Path:
    (folder / "some.lock").write_text(text)
    return folder / "some.lock"


def test_only_what_is_absent_and_meant_for_this_python_is_missing(tmp_path):
    lock = lock_of(
        tmp_path,
        "# a comment\n\n"
        "absent-one==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "absent-two==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:cc\n"
        "numpy==0.0.1 \\\n    --hash=sha256:dd\n",
    )
    found = environment.missing(lock)
    assert list(found) == ["absent-one"]
    assert "--hash=sha256:aa" in found["absent-one"]
    assert "--hash=sha256:bb" in found["absent-one"]


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


@pytest.fixture
def offline(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    settings = {"NO_INDEX": "1", "CONFIG_FILE": os.devnull, "FIND_LINKS": str(tmp_path)}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "installed"))  # and not into this Python


def test_what_is_missing_is_installed_whatever_python_it_asks_for(tmp_path, offline, capfd):
    lock = lock_of(tmp_path, f"absent_one==1.0 --hash=sha256:{wheel(tmp_path, 'absent_one')}\n")
    environment.install(lock)
    assert (tmp_path / "installed" / "absent_one.py").exists()
    out, err = capfd.readouterr()
    assert out.startswith("fedkit installs absent_one")
    assert out.count("\n") == 1
    assert err == ""


@pytest.mark.parametrize(("there", "words"), [(True, ""), (False, r"\. Check the internet .*No matching distribution")])
def test_a_wrong_hash_or_no_internet_installs_nothing_and_ends_in_a_sentence(tmp_path, offline, there, words):
    if there:
        wheel(tmp_path, "absent_one")
    lock = lock_of(tmp_path, f"absent_one==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(RuntimeError, match=f"pip could not install absent_one{words}"):
        environment.install(lock)
    assert not (tmp_path / "installed").exists()


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
