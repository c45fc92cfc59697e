"""`Run`: what one training leaves behind, and the `Ledger` of its bytes and seconds."""

import csv
import functools
import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedkit.checks import is_number, is_whole, require
from fedkit.compat import environment
from fedkit.hospitals import Federation
from fedkit.models import Model
from fedkit.preparation import Statistics, prepare

_versions = functools.cache(environment.versions)

# The tables of a run with what their columns hold, and the most that a number may be: 0 is the least.
_TABLES = {
    "metrics": {"round": "int64", "hospital": str, "metric": str, "value": float},
    "ledger": {"round": "int64", "hospital": str, "direction": str, "phase": str, "bytes": "int64", "seconds": float},
    "predictions": {"hospital": str, "label": "int64", "probability": float},
}
_MOST = {"label": 1, "probability": 1, "round": 2**31, "bytes": 2**53, "seconds": 2**53}
_FILES = (*(f"{table}.csv" for table in _TABLES), "weights.npz", "preparation.json", "run.json")


class Ledger:
    """Bytes and seconds as they are spent: each round (0: before the first), hospital, direction and phase."""

    def __init__(self) -> None:
        self.round = 0
        self._rows: list[tuple] = []

    def add(self, hospital: str, direction: str, phase: str, bytes: int = 0, seconds: float = 0.0) -> None:
        """Note what a hospital, or "server", did, the length of what it sent, and the wall time of the work.

        The direction is "up" (hospital to server), "down" (back), "peer" (hospital to hospital), or "" for work that
        moves no bytes. The phase is "train", "keys", "encrypt", "send", "clear" (sent readable, beside what is
        encrypted), "refused" (sent, and not taken), "add", "decrypt", "score" (look at contributions) or "apply".
        """
        self._rows.append((self.round, hospital, direction, phase, int(bytes), float(seconds)))

    @contextmanager
    def timed(self, hospital: str, phase: str) -> Iterator[None]:
        """Note the wall time of the work inside a ``with``."""
        start = time.perf_counter()
        yield
        self.add(hospital, "", phase, seconds=time.perf_counter() - start)

    def frame(self) -> pd.DataFrame:
        """Return all rows: columns round, hospital, direction, phase, bytes, seconds."""
        return pd.DataFrame(self._rows, columns=[*_TABLES["ledger"]])


@dataclass(frozen=True)
class Run:
    """One training: what was asked for, what came out, and what it cost.

    method : how the model was trained, for example "federated"
    settings : rounds, seed, learning rate and so on: text, numbers, lists
    metrics : columns round, hospital, metric, value
    ledger : that of the training, `Ledger.frame`
    predictions : columns hospital, label, probability of label 1 (test rows, last round); of more than two classes
        one of each, "probability=class", in the order of the labels
    weights : the final model: under "shared", and under its name what a hospital has of its own
    preparation : how rows became features, the statistics: under "shared", or each hospital's under its name
    provenance : data set, its hash, and the versions of what computed
    """

    method: str
    settings: dict
    metrics: pd.DataFrame
    ledger: pd.DataFrame
    predictions: pd.DataFrame
    weights: dict[str, list[np.ndarray]]
    preparation: dict[str, Statistics]
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
        preparation: dict[str, Statistics],
    ) -> "Run":
        """Put a run together: metrics as rows, predictions as hospital, labels and probabilities."""
        scored = pd.DataFrame(metrics, columns=[*_TABLES["metrics"]])
        several = [f"probability={one}" for one in federation.classes] if len(federation.classes) > 2 else []
        columns, parts = several or ["probability"], []
        for name, y, p in predictions:
            each = dict(zip(columns, np.reshape(p, (len(y), -1)).T, strict=True))
            parts.append(pd.DataFrame({"hospital": name, "label": y} | each))
        predicted = pd.concat(parts, ignore_index=True).astype({"label": "int64"} | dict.fromkeys(columns, float))
        provenance = {"data": federation.name, "sha256": federation.sha256, "versions": dict(_versions())}
        return cls(method, settings, scored, ledger, predicted, weights, preparation, provenance)

    def __repr__(self) -> str:
        what = f"{self.method}; seed {self.settings['seed']}, {self.settings['rounds']} rounds"
        auroc, traffic = self.final().mean(), self.ledger["bytes"].sum() / 1e3
        return f"Run({what}: AUROC {auroc:.3f} (mean of hospitals), {traffic:,.0f} kB moved)"

    def final(self, metric: str = "auroc") -> pd.Series:
        """Values of a metric after the last round, by hospital; ValueError if it has none of that name."""
        if metric not in (known := self.metrics["metric"].unique()):
            raise ValueError(f"This run has no metric {metric!r}: it has {', '.join(known)}.")
        rows = self.metrics[(self.metrics["metric"] == metric) & (self.metrics["round"] == self.settings["rounds"])]
        return rows.set_index("hospital")["value"].rename(metric)

    def predict(self, table: pd.DataFrame, hospital: str) -> np.ndarray:
        """Score patients of a hospital as it would: probability of label 1, float32, shape [n]; [n, K] of K classes.

        No TensorFlow is needed. ValueError for a column that is missing, or where this run has no model for it.

        table : the columns of the data set, as `Hospital.table` has them; more do not matter
        hospital : whose own model and statistics are taken, where there are any; the shared ones are for whoever comes
        """
        require("table", table, lambda it: isinstance(it, pd.DataFrame), "a table, as federation['Hungary'].table is")
        weights, statistics = (each.get(hospital, each.get("shared")) for each in (self.weights, self.preparation))
        if weights is None or statistics is None:
            raise ValueError(f"This run has no model for {hospital!r}: it has those of {', '.join(self.weights)}.")
        *hidden, last = [bias.size for bias in weights[1::2]]
        if [array.shape for array in weights] != Model(hidden, max(last, 2)).shapes(len(statistics.columns)):
            raise ValueError("The weights of this run are none of `models` for its columns: it cannot be asked.")
        return Model().predict(weights, prepare(table, statistics))

    def save(self, folder: str | Path) -> None:
        """Write the run into a folder: CSV tables, the weights (npz), the preparation, and run.json, which comes last.

        What is there of another run is replaced; a folder that is a file is a ValueError.
        """
        folder = Path(os.path.expanduser(folder))
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)  # labels of patients are no other account's
        except (FileExistsError, NotADirectoryError):
            raise ValueError(f"{folder} cannot hold a run, since a file is in its way: name a folder.") from None
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as new:
            for table in _TABLES:
                # repr of a float64 is the shortest text that reads back as the same number
                how = {"index": False, "lineterminator": "\n", "quoting": csv.QUOTE_NONNUMERIC}
                getattr(self, table).to_csv(Path(new, f"{table}.csv"), **how)
            np.savez(Path(new, "weights.npz"), *[array for arrays in self.weights.values() for array in arrays])
            told = {owner: statistics.to_json() for owner, statistics in self.preparation.items()}
            Path(new, "preparation.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            about = {name: getattr(self, name) for name in ("method", "settings", "provenance")}
            about["weights"] = [owner for owner, arrays in self.weights.items() for _ in arrays]  # of each array
            about["sha256"] = {file: hashlib.sha256(Path(new, file).read_bytes()).hexdigest() for file in _FILES[:-1]}
            Path(new, "run.json").write_text(_sealed(about), encoding="utf-8")
            (folder / "run.json").unlink(missing_ok=True)  # until its successor is there, there is no run
            for file in _FILES:
                Path(new, file).chmod(0o600)  # also where the folder was there before
                Path(new, file).replace(folder / file)


def _sealed(about: dict) -> str:
    """Write run.json, with a digest of its own beside those of the other files: of all of it but these 64 digits."""
    about["sha256"]["run.json"] = ""
    text = json.dumps(about, indent=1, default=np.generic.item) + "\n"
    return text.replace('"run.json": ""', f'"run.json": "{hashlib.sha256(text.encode()).hexdigest()}"')


def probabilities(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of predictions that are probabilities: of label 1, or of each class, "probability=class"."""
    return predictions.filter(regex="^probability(=|$)")


def load(folder: str | Path) -> Run:
    """Read a run that `Run.save` wrote: FileNotFoundError if it is not there, ValueError if it is damaged."""
    home = Path(os.path.expanduser(folder))
    if not (home / "run.json").is_file():
        raise FileNotFoundError(f"{home} holds no run: there is no run.json in it. Name the folder that was saved to.")
    with _reading(home / "run.json") as path:
        about = json.loads(text := path.read_text(encoding="utf-8"))
        kinds = {name: type(value) for name, value in about.items()}
        whole = {"method": str, "settings": dict, "provenance": dict, "weights": list, "sha256": dict}
        shows = kinds == whole and about["method"].isprintable()
        if not shows or not all(is_whole(about["settings"].get(name), 0) for name in ("rounds", "seed")):
            raise ValueError(f"it must hold {', '.join(whole)}, and in its settings rounds and seed, whole numbers")
        if _sealed(about) != text:
            raise ValueError("it is not the file that was saved: its own sha256 is another")
    tables, owners, digests = {}, about.pop("weights"), about.pop("sha256")
    for table, columns in _TABLES.items():
        with _reading(home / f"{table}.csv", digests) as path:
            how = {"keep_default_na": False, "na_values": {"value": ""}, "float_precision": "round_trip"}
            tables[table] = found = pd.read_csv(path, dtype=defaultdict(lambda: float, columns), **how)
            wanted, most = [*columns], _MOST
            if table == "predictions" and len(several := [*probabilities(found)]) > 2:
                wanted, most = [*wanted[:2], *several], dict.fromkeys(several, 1) | {"label": len(several) - 1}
            if list(found) != wanted:
                raise ValueError(f"its columns are {', '.join(found)}, and must be {', '.join(wanted)}")
            for column in found.columns.intersection([*most]):
                if not found[column].between(0, most[column]).all():
                    raise ValueError(f"{column} must lie from 0 to {most[column]}")
    weights: dict[str, list[np.ndarray]] = {}
    with _reading(home / "weights.npz", digests) as path:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed, and would unfold to any size")
        with np.load(path, allow_pickle=False) as arrays:  # in the order in which they were saved
            for owner, name in zip(owners, arrays.files, strict=True):
                weights.setdefault(owner, []).append(arrays[name])
                if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
                    raise ValueError("a weight is no finite number")
    with _reading(home / "preparation.json", digests) as path:
        told = json.loads(path.read_text(encoding="utf-8"))
        preparation = {owner: Statistics.from_json(each) for owner, each in told.items()}
    return Run(**about, weights=weights, preparation=preparation, **tables)


@contextmanager
def _reading(path: Path, digests: dict | None = None) -> Iterator[Path]:
    """Say in a sentence which file of a run cannot be read, whatever library finds out, and however."""
    advice = "copy the run again from where it was saved, or train it again"
    if not path.is_file():  # which may be read without end, or never
        raise FileNotFoundError(f"{path} is missing, and a run is not whole without it: {advice}.")
    try:
        if digests is not None and digests.get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
            raise ValueError("it is not the file that was saved: its sha256 is another")
        yield path
    except Exception as problem:
        why = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        raise ValueError(f"{path} is damaged ({why:.200}): {advice}.") from None


def compare(first: Run, second: Run, tolerance: float = 0.0) -> pd.DataFrame:
    """Say where two runs differ, seconds aside: no rows means that they are the same run.

    Columns what, first, second: a table is shown by its rows and columns, or by the first row that differs; weights by
    their shapes, or by their largest difference. Numbers may differ by `tolerance`, and bytes at will (CKKS has noise).
    """
    for name, run in {"first": first, "second": second}.items():
        require(name, run, lambda it: isinstance(it, Run), "a run")
    require("tolerance", tolerance, lambda it: is_number(it, 0), "a number from 0 on")
    rows = [("method", first.method, second.method)]
    for part in ("settings", "provenance"):
        ours, theirs = getattr(first, part), getattr(second, part)
        rows += [(f"{part}: {key}", ours.get(key), theirs.get(key)) for key in ours | theirs]
    ours, theirs = ({owner: each.to_json() for owner, each in run.preparation.items()} for run in (first, second))
    rows += [(f"preparation: {owner}", ours.get(owner), theirs.get(owner)) for owner in ours | theirs]
    rows = [row for row in rows if row[1] != row[2]]
    for name in _TABLES:
        aside = ["seconds", "bytes"] if tolerance else ["seconds"]
        ours, theirs = (getattr(run, name).drop(columns=aside, errors="ignore") for run in (first, second))
        shapes = [f"{len(one)} rows of {', '.join(one)}" for one in (ours, theirs)]
        if shapes[0] != shapes[1]:
            rows.append((name, *shapes))
            continue
        apart = (ours != theirs) & ~(ours.isna() & theirs.isna())
        for column in ours.columns.intersection(["value", *probabilities(ours)]):
            apart[column] &= ~((ours[column] - theirs[column]).abs() <= tolerance)
        for where in np.flatnonzero(apart.any(axis=1))[:1]:
            rows.append((name, tuple(ours.iloc[where]), tuple(theirs.iloc[where])))
    for owner in first.weights | second.weights:
        ours, theirs = (run.weights.get(owner, []) for run in (first, second))
        if [w.shape for w in ours] != [w.shape for w in theirs]:
            rows.append((f"weights: {owner}", [w.shape for w in ours], [w.shape for w in theirs]))
        elif not (gap := np.max([np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)])) <= tolerance:
            rows.append((f"weights: {owner}", "differ by at most", gap))
    return pd.DataFrame(rows, columns=["what", "first", "second"])


def glue(name: str, value: float) -> None:
    """Show ``name = value`` in a notebook, where a test reads it back; ValueError unless the value is finite."""
    from IPython.display import display  # only a notebook has it, and only a notebook calls this

    if not np.isfinite(value):
        raise ValueError(f"{name} is {value}, and only a finite number can be compared with a golden one.")
    said = {"name": name, "value": float(value)}
    display({"text/plain": f"{name} = {said['value']:.6g}", "application/vnd.fedkit+json": said}, raw=True)
