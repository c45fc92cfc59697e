"""The report's figures, made again only where something they follow from has changed.

``figures/.manifest.json`` notes, for each notebook, a hash of what went in (its
source, the modules it may import, the data, the lock) and a hash of each file that
came out. A notebook is run again if either is no longer so. This module is imported
before anything heavy is, so that finding nothing to do takes no time.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import tools

MAKERS = ("01", "02", "03", "04", "05", "06", "07", "08")  # the notebooks that draw the report's figures
# What no figure follows from, so that editing it makes none stale.
_APART = ("fedkit/classroom", "fedkit/notebooks/", "fedkit/report")


def figure_folder() -> Path:
    """Return the folder of the report's figures."""
    return tools.root() / "figures"


def makers() -> list[str]:
    """Return the names of the notebooks that draw the report's figures."""
    return [name for name in tools.names() if name.startswith(MAKERS)]


def stale() -> list[str]:
    """Return the notebooks that must be run again for the figures to be up to date."""
    manifest = _manifest()
    return [name for name in makers() if not _is_fresh(name, manifest.get(name))]


def make(name: str, file: Path) -> dict:
    """Run a notebook at the full profile, and put its figures in place once it has ended well.

    Parameters
    ----------
    name
        The notebook.
    file
        Where to write it, executed.

    Returns
    -------
    dict
        The executed notebook.

    Raises
    ------
    ValueError
        If two notebooks write a figure of the same name.
    RuntimeError
        If a cell fails; the figures are then as before.
    """
    from fedkit.compat import environment
    from tools import pairing, running

    inputs = _inputs(name)  # before the run: an edit meanwhile makes it stale
    text = pairing.source(name).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as staging:
        notebook = pairing.make(name, text, environment.repository())
        notebook = running.execute(notebook, file, profile="full", figures=Path(staging))
        made = {str(path.relative_to(staging)): path for path in _files([Path(staging)])}
        manifest = _manifest()
        before = manifest.pop(name, {}).get("outputs", {})
        for other, record in manifest.items():
            if common := made.keys() & record["outputs"].keys():
                raise ValueError(f"{name} and {other} both write {', '.join(sorted(common))}. Rename one of them.")
        for gone in before.keys() - made.keys():
            (figure_folder() / gone).unlink(missing_ok=True)
        for relative, path in made.items():
            target = figure_folder() / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        outputs = {relative: _hash([path]) for relative, path in sorted(made.items())}
    manifest[name] = {"inputs": inputs, "outputs": outputs}
    figure_folder().mkdir(exist_ok=True)  # a notebook may draw nothing
    _manifest_file().write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return notebook


def _is_fresh(name: str, record: dict | None) -> bool:
    if not record or record["inputs"] != _inputs(name):
        return False
    files = {figure_folder() / relative: digest for relative, digest in record["outputs"].items()}
    return all(path.exists() and _hash([path]) == digest for path, digest in files.items())


def _inputs(name: str) -> str:
    paths = _files([tools.root() / "fedkit", tools.root() / "data"])
    used = [path for path in paths if not str(path.relative_to(tools.root())).startswith(_APART)]
    return _hash([tools.root() / "notebooks" / "source" / f"{name}.py", tools.root() / "requirements.lock", *used])


def _files(folders: Iterable[Path]) -> list[Path]:
    found = (path for folder in folders for path in folder.rglob("*"))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def _hash(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _manifest_file() -> Path:
    return figure_folder() / ".manifest.json"


def _manifest() -> dict[str, dict]:
    if not _manifest_file().exists():
        return {}
    return json.loads(_manifest_file().read_text(encoding="utf-8"))
