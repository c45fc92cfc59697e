"""Where hospitals come from: `load` reads a data set of the kit, `from_frame` takes anybody's table.

`fedkit.chapters.partitions` makes pretend hospitals out of a pooled table, and `preparation.split` is the way on.
"""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from fedkit import tables


@dataclass(frozen=True, eq=False, repr=False)
class Hospital:
    """One hospital's rows, as it keeps them; ``len`` is the number of patients.

    name : unique in its federation
    table : n rows of features, as measured: float64 with NaN for a missing value, or pandas categories
    labels : int64, shape [n]: zeros and ones, or 0 to K - 1 of K classes
    """

    name: str
    table: pd.DataFrame
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Hospital {self.name}: {len(self)} patients>"


@dataclass(frozen=True, eq=False, repr=False)
class Federation:
    """Hospitals that measure the same columns, in a fixed order. Made by `load` and `from_frame`.

    name : of the data set
    numeric : names of the numeric columns
    categorical : levels of the others; the first, most frequent one is the reference of the one-hot coding
    classes : names of the labels 0, 1, ...; ValueError if a hospital has others
    """

    name: str
    hospitals: tuple[Hospital, ...]
    numeric: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]]
    classes: tuple[str, ...] = ("0", "1")

    def __post_init__(self) -> None:
        for hospital in self.hospitals:
            if not np.isin(hospital.labels, range(len(self.classes))).all():
                wanted = f"0 to {len(self.classes) - 1}, the numbers of {', '.join(self.classes)}"
                raise ValueError(f"{hospital.name} has labels that are none of {wanted}: from_frame numbers them.")

    def __iter__(self) -> Iterator[Hospital]:
        return iter(self.hospitals)

    def __len__(self) -> int:
        return len(self.hospitals)

    def __getitem__(self, name: str) -> Hospital:
        """Return the hospital of this name; KeyError if there is none."""
        if name not in self.names:
            raise KeyError(f"There is no hospital {name!r} in {self.name}; there are {', '.join(self.names)}.")
        return self.hospitals[self.names.index(name)]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{hospital.name} {len(hospital)}" for hospital in self)
        return f"<Federation {self.name}: {len(self)} hospitals, {sum(map(len, self))} patients ({sizes})>"

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals' names, in order."""
        return tuple(hospital.name for hospital in self.hospitals)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d columns after coding, in the order of `preparation.prepare`."""
        return tables.coded_columns(self.numeric, self.categorical)

    @property
    def sha256(self) -> str:
        """Hash of the content: names, columns, values and labels, whatever file they came from."""
        schema = [self.names, [len(hospital) for hospital in self], self.numeric, self.categorical]
        schema += [self.classes] if len(self.classes) > 2 else []
        digest = hashlib.sha256(json.dumps(schema).encode())
        for hospital in self:
            values = hospital.table[list(self.numeric)].to_numpy("<f8")
            digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
            for column in self.categorical:
                digest.update(json.dumps(hospital.table[column].astype(object).fillna("").tolist()).encode())
            digest.update(hospital.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def without(self, name: str) -> "Federation":
        """Return the federation without one hospital: KeyError if it is not there, ValueError if it is the last."""
        out = self[name]
        if len(self) == 1:
            raise ValueError(f"{name} is the only hospital of {self.name}: without it nobody is left.")
        return replace(self, hospitals=tuple(hospital for hospital in self if hospital is not out))

    def frame(self) -> pd.DataFrame:
        """Return everybody's rows in one table, as no real federation could: features, "label", "hospital".

        The way to another partition, and back by `from_frame(frame, site="hospital", label="label")`, if the classes
        have names with `classes=federation.classes`. ValueError if a feature is called "label" or "hospital".
        """
        if taken := {"label", "hospital"} & set(self.hospitals[0].table):
            raise ValueError(f"A feature is called {taken.pop()!r}, as a column of the pooled table is: rename it.")
        # The names of classes that nobody named are their numbers.
        values = np.arange(2) if self.classes == ("0", "1") else np.array(self.classes, dtype=object)
        rows = [hospital.table.assign(label=values[hospital.labels], hospital=hospital.name) for hospital in self]
        return pd.concat(rows, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Count, a row a hospital: patients, positives (label 1), prevalence, missing (share of empty cells).

        Of more than two classes, the patients of each ("label=class") are in the place of positives and prevalence.
        """
        rows = []
        for hospital in self:
            counts = {"positives": int(hospital.labels.sum()), "prevalence": hospital.labels.mean()}
            if len(self.classes) > 2:
                counts = {f"label={name}": int((hospital.labels == at).sum()) for at, name in enumerate(self.classes)}
            missing = {"missing": hospital.table.isna().to_numpy().mean()}
            rows.append({"hospital": hospital.name, "patients": len(hospital)} | counts | missing)
        return pd.DataFrame(rows)


_ROOTS = (Path(__file__).parent / "data", Path(__file__).parent.parent / "data")  # in a wheel, and in a checkout


def load(name: str = "heart_disease", features: Sequence[str] | None = None) -> Federation:
    """Read a data set that comes with the kit, one hospital a CSV, and verify it.

    name : a folder of ``data/``: ValueError if there is none, or one of its files is not the published one
    features : columns to learn from; None means those that the data set proposes
    """
    folders = {folder.parent.name: folder.parent for root in _ROOTS for folder in root.glob("*/dataset.json")}
    if name not in folders:
        raise ValueError(f"There is no data set {name!r}; there are: {', '.join(sorted(folders))}.")
    dataset = json.loads(_verified(folders[name], "dataset.json"))
    files = {hospital["name"]: _verified(folders[name], hospital["file"]) for hospital in dataset["hospitals"]}
    frames = [pd.read_csv(io.BytesIO(content)).assign(hospital=hospital) for hospital, content in files.items()]
    frame, label = pd.concat(frames, ignore_index=True), dataset["label"]
    frame[label["name"]] = (frame.pop(label["column"]) > label["above"]).astype(int)
    for column, code in dataset["missing"].items():
        frame[column] = frame[column].mask(frame[column] == code)
    for column in dataset["categorical"]:
        frame[column] = tables.as_names(frame[column])
    chosen = dataset["features"] if features is None else features
    return from_frame(frame, site="hospital", label=label["name"], features=chosen, name=name)


def _verified(folder: Path, file: str) -> bytes:
    """Read a file whose hash stands in the folder's SHA256SUMS, or refuse it."""
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        content = (folder / file).read_bytes()
    except OSError as error:
        raise ValueError(f"The data set {folder.name} is not complete ({error}): run `make data` again.") from error
    expected = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}.get(file)
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"data/{folder.name}/{file} is not the published file: its sha256 is {found}, and SHA256SUMS says "
            f"{expected}. Run `make data` to build it again, or use from_frame for rows of your own."
        )
    return content


def from_frame(
    frame: pd.DataFrame,
    *,
    site: Hashable,
    label: Hashable,
    features: Sequence[Hashable] | None = None,
    classes: Sequence[Hashable] | None = None,
    min_rows: int = 10,
    name: str = "table",
) -> Federation:
    """Make a federation of anybody's table, the hospitals in the order in which they first occur.

    Numbers stay numbers; text, booleans and pandas categories become categories, with the levels that occur anywhere
    in the federation. Missing values are kept, and filled in after the split. A hospital may have patients of one class
    only (its AUROC is then not defined), and a column may be empty at some. A table that cannot be used is refused
    (TypeError, ValueError) with a sentence that names the column, the hospital or the value, and says what to do.

    frame : a row a patient
    site : column of the hospital; its values become names ("3" for 3)
    label : column of the label: 0 and 1, or False and True, never missing; with `classes`, other values too
    features : columns to learn from; None means all others
    classes : all values of the label, two or more, in the order of their numbers: ["stable", "worse", "dead"]
    min_rows : fewer patients are refused: a hospital's sums would say too much about each, and a test of it nothing
    name : what the federation is called
    """
    features = tables.choose_columns(frame, site, label, features)
    sites = tables.as_sites(frame[site], min_rows)
    labels, classes = tables.as_labels(frame[label], classes)
    if labels.min() == labels.max():
        raise ValueError(f"The label {label!r} is {classes[labels[0]]} in every row: there is nothing to tell apart.")
    values = {str(column): tables.as_feature(frame[column], sites) for column in features}
    numeric = tuple(column for column, cells in values.items() if cells.dtype == np.float64)
    categorical = {}
    for column in [column for column in values if column not in numeric]:
        # Agreed once for all splits, reference included: all it takes is a hospital's count of each level.
        categorical[column] = tables.order_levels(Counter(cell for cell in values[column] if cell is not None))
        values[column] = pd.Categorical(values[column], categories=categorical[column])
    table = pd.DataFrame(values)
    own = {hospital: np.flatnonzero(sites == hospital) for hospital in dict.fromkeys(sites)}
    rows = (Hospital(n, table.iloc[at].reset_index(drop=True), labels[at]) for n, at in own.items())
    made = Federation(name, tuple(rows), numeric, categorical, classes)
    if len(set(made.columns)) < len(made.columns) or not made.columns:
        fault = "two columns of the same name" if made.columns else "no column, since none of the features ever varies"
        names = ", ".join(made.columns or values)
        raise ValueError(f"After coding there would be {fault}: {names}. Rename or replace them.")
    return made
