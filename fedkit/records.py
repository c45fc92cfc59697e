"""`Run`: what one training leaves behind, and the `Ledger` of its bytes and seconds."""

import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedkit.compat import environment
from fedkit.hospitals import Federation

_versions = functools.cache(environment.versions)
LEDGER_COLUMNS = ["round", "hospital", "direction", "phase", "bytes", "seconds"]


class Ledger:
    """Bytes and seconds as they are spent: each round, hospital, direction and phase.

    Attributes
    ----------
    round : int
        The round that new rows belong to; 0 is what happens before the first.
    """

    def __init__(self) -> None:
        self.round = 0
        self._rows: list[tuple] = []

    def add(self, hospital: str, direction: str, phase: str, bytes: int = 0, seconds: float = 0.0) -> None:
        """Note one row.

        Parameters
        ----------
        hospital
            A hospital's name, or "server".
        direction
            "up" (hospital to server), "down" (server to hospital), "peer" (hospital
            to hospital), or "" for work that moves no bytes.
        phase
            What was done: "train", "keys", "encrypt", "send", "clear" (sent readable,
            beside what is encrypted), "refused" (sent, and not taken), "add", "decrypt",
            "score" (look at what hospitals contribute), "apply".
        bytes
            Length of what was sent.
        seconds
            Wall time of the work.
        """
        self._rows.append((self.round, hospital, direction, phase, int(bytes), float(seconds)))

    @contextmanager
    def timed(self, hospital: str, phase: str) -> Iterator[None]:
        """Note the wall time of the work inside a ``with``."""
        start = time.perf_counter()
        yield
        self.add(hospital, "", phase, seconds=time.perf_counter() - start)

    def frame(self) -> pd.DataFrame:
        """All rows, as a DataFrame with the columns of `LEDGER_COLUMNS`."""
        return pd.DataFrame(self._rows, columns=LEDGER_COLUMNS)


@dataclass(frozen=True)
class Run:
    """One training: what was asked for, what came out, and what it cost.

    Attributes
    ----------
    method : str
        How the model was trained, for example "federated".
    settings : dict
        Rounds, seed, learning rate and so on: text, numbers, lists.
    metrics : pandas.DataFrame
        Columns round, hospital, metric, value.
    ledger : pandas.DataFrame
        Columns round, hospital, direction, phase, bytes, seconds (see `Ledger`).
    predictions : pandas.DataFrame
        Columns hospital, label, probability: the test rows after the last round.
    weights : dict of str to list of numpy.ndarray
        The final model: under "shared", or one a hospital under its name.
    provenance : dict
        Data set, its hash, and the versions of what computed.
    """

    method: str
    settings: dict
    metrics: pd.DataFrame
    ledger: pd.DataFrame
    predictions: pd.DataFrame
    weights: dict[str, list[np.ndarray]]
    provenance: dict

    @classmethod
    def of(
        cls,
        method: str,
        federation: Federation,
        settings: dict,
        metrics: Iterable[tuple[int, str, str, float]],
        ledger: pd.DataFrame,
        predictions: Iterable[tuple[str, np.ndarray, np.ndarray]],
        weights: dict[str, list[np.ndarray]],
    ) -> "Run":
        """Put a run together: metrics as rows, predictions as hospital, labels and probabilities."""
        tables = [
            pd.DataFrame({"hospital": name, "label": labels.astype(int), "probability": probabilities.astype(float)})
            for name, labels, probabilities in predictions
        ]
        return cls(
            method=method,
            settings=settings,
            metrics=pd.DataFrame(metrics, columns=["round", "hospital", "metric", "value"]),
            ledger=ledger,
            predictions=pd.concat(tables, ignore_index=True),
            weights=weights,
            provenance={"data": federation.name, "sha256": federation.sha256, "versions": dict(_versions())},
        )

    def __repr__(self) -> str:
        last = self.metrics[self.metrics["round"] == self.metrics["round"].max()]
        auroc = last.loc[last["metric"] == "auroc", "value"].mean()
        traffic = self.ledger["bytes"].sum() / 1e3
        return (
            f"Run({self.method}; seed {self.settings['seed']}, {self.settings['rounds']} rounds: "
            f"AUROC {auroc:.3f} (mean of hospitals), {traffic:,.0f} kB moved)"
        )

    def final(self, metric: str = "auroc") -> pd.Series:
        """Values of a metric after the last round, by hospital."""
        rows = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["round"] == self.settings["rounds"])]
        return rows.set_index("hospital")["value"].rename(metric)

    def save(self, folder: str | Path) -> None:
        """Write the run into a folder: three CSV tables, the weights (npz) and run.json."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for table in _TABLES:
            # repr of a float64 is the shortest text that reads back as the same number
            getattr(self, table).to_csv(folder / f"{table}.csv", index=False, lineterminator="\n")
        arrays = {f"{owner}/{i}": array for owner, arrays in self.weights.items() for i, array in enumerate(arrays)}
        np.savez(folder / "weights.npz", **arrays)
        about = {"method": self.method, "settings": self.settings, "provenance": self.provenance}
        (folder / "run.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


_TABLES = ("metrics", "ledger", "predictions")


def load(folder: str | Path) -> Run:
    """Read a run that `Run.save` wrote.

    Raises
    ------
    FileNotFoundError
        If the folder does not hold a run.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(
            f"{folder} holds no run: there is no run.json in it. Name the folder that was saved to."
        )
    how = {"keep_default_na": False, "na_values": {"value": ""}, "float_precision": "round_trip"}
    tables = {table: pd.read_csv(folder / f"{table}.csv", **how) for table in _TABLES}
    weights: dict[str, list[np.ndarray]] = {}
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        for key in arrays.files:  # in the order they were saved
            weights.setdefault(key.rsplit("/", 1)[0], []).append(arrays[key])
    return Run(**json.loads((folder / "run.json").read_text()), weights=weights, **tables)


def keep(file: Path, run: Run) -> None:
    """Save a run as one zip file, there whole or not at all, whoever else writes it now."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
        run.save(Path(scratch, "run"))
        os.replace(shutil.make_archive(f"{scratch}/kept", "zip", f"{scratch}/run"), file)


def recall(file: Path) -> Run | None:
    """Read what `keep` saved; None if it is not there, or damaged."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            shutil.unpack_archive(file, scratch, "zip")  # it checks a sum of each file
            return load(scratch)
        except Exception:  # whatever is wrong with it: it is made again
            return None


def compare(first: Run, second: Run) -> pd.DataFrame:
    """Say where two runs differ, seconds aside: no rows means that they are the same run.

    Returns
    -------
    pandas.DataFrame
        Columns what, first, second. A table is shown by its number of rows, or by the
        first row that differs; weights by their shapes, or by their largest difference.
    """
    rows = []
    settings = [
        {"method": run.method}
        | {f"settings: {key}": value for key, value in run.settings.items()}
        | {f"provenance: {key}": value for key, value in run.provenance.items()}
        for run in (first, second)
    ]
    for key in settings[0] | settings[1]:
        ours, theirs = (side.get(key) for side in settings)
        if ours != theirs:
            rows.append((key, ours, theirs))
    for name in _TABLES:
        ours, theirs = (getattr(run, name).drop(columns="seconds", errors="ignore") for run in (first, second))
        if len(ours) != len(theirs):
            rows.append((name, f"{len(ours)} rows", f"{len(theirs)} rows"))
        elif not ours.equals(theirs):
            where = ((ours != theirs) & ~(ours.isna() & theirs.isna())).any(axis=1).argmax()
            rows.append((name, tuple(ours.iloc[where]), tuple(theirs.iloc[where])))
    for owner in first.weights | second.weights:
        ours, theirs = (run.weights.get(owner, []) for run in (first, second))
        if [w.shape for w in ours] != [w.shape for w in theirs]:
            rows.append((f"weights: {owner}", [w.shape for w in ours], [w.shape for w in theirs]))
        elif gap := max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)):
            rows.append((f"weights: {owner}", "differ by at most", gap))
    return pd.DataFrame(rows, columns=["what", "first", "second"])


class _Glued:
    """A number that a notebook shows, and that a program can read from its output."""

    def __init__(self, name: str, value: float) -> None:
        self.name, self.value = name, value

    def _repr_mimebundle_(self, **_: object) -> dict:
        return {
            "text/plain": f"{self.name} = {self.value:.6g}",
            "application/vnd.fedkit+json": {"name": self.name, "value": self.value},
        }


def glue(name: str, value: float) -> None:
    """Show ``name = value`` in a notebook, so that a test can read it back and compare.

    Parameters
    ----------
    name
        Unique in its notebook.
    value
        A finite number.

    Raises
    ------
    ValueError
        If the value is not finite.
    """
    from IPython.display import display  # only a notebook has it, and only a notebook calls this

    if not np.isfinite(value):
        raise ValueError(f"{name} is {value}, and only a finite number can be compared with a golden one.")
    display(_Glued(name, float(value)))
