"""Where hospitals come from: `load` reads a data set of the kit, `from_frame` and `join` take anybody's table.

`check` says all that is wrong with a table, `fedkit.chapters.partitions` makes pretend hospitals out of a pooled one,
and `preparation.split` is the way on.
"""

import hashlib
import inspect
import io
import json
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fedkit import tables
from fedkit.checks import has, known, require
from fedkit.reading.report import report
from fedkit.reading.table import Reading


@dataclass(frozen=True, eq=False, repr=False)
class Hospital:
    """One hospital's rows, as it keeps them; ``len`` is their number. `join` makes one; ValueError if it is none.

    name : unique in its federation
    table : n rows of features, as measured: float64 with NaN for a missing value, or pandas categories of text
    labels : int64 below the number of `classes`, shape [n]
    patients : whose row it is, text, shape [n], so that a patient's rows stay together; each row is a patient if None
    test : True for the rows to be tested on, bool, shape [n]; `preparation.split` draws them if None
    classes : how many there are
    """

    name: str
    table: pd.DataFrame
    labels: np.ndarray
    patients: np.ndarray | None = None
    test: np.ndarray | None = None
    classes: int = 2

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.table, self.labels, self.patients, self.test) if each is not None}
        labels = isinstance(self.labels, np.ndarray) and self.labels.dtype == np.int64
        dtypes = zip(self.table.columns, self.table.dtypes, strict=True)
        odd = [name for name, dtype in dtypes if dtype != np.float64 and not _is_text_levels(dtype)]
        if len(sizes) > 1:
            fault = f"has {len(self.table)} rows in its table, and {len(self.labels)} labels"
        elif not labels or not np.isin(self.labels, range(self.classes)).all():
            fault = f"has labels that are not 0 to {self.classes - 1}, of int64"
        elif odd:
            fault = f"has columns that are neither float64 nor categories of text ({', '.join(map(str, odd[:6]))})"
        elif np.isinf(self.table.select_dtypes(np.float64)).to_numpy().any():
            fault = "has infinite numbers"
        elif self.test is not None and len({*self.test.tolist()}) < 2:
            fault = "has no row to train on, or none to test on"
        else:
            return
        raise ValueError(f"{self.name} {fault}: make it with hospitals.join, which reads any table or says what to do.")

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
    classes : names of the labels 0, 1, ...

    ValueError if two hospitals have one name, or one has other classes.
    """

    name: str
    hospitals: tuple[Hospital, ...]
    numeric: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]]
    classes: tuple[str, ...] = ("0", "1")

    def __post_init__(self) -> None:
        looks = [tables.fold(tables.clean(name)) for name in self.names]
        if twice := {name for name, look in zip(self.names, looks, strict=True) if looks.count(look) > 1}:
            raise ValueError(f"Two hospitals of {self.name} have one name: {tables.listed(sorted(twice))}.")
        for hospital in self.hospitals:
            if hospital.classes != len(self.classes):
                wanted = f"{len(self.classes)} classes ({', '.join(self.classes)})"
                raise ValueError(f"{hospital.name} has labels of {hospital.classes} classes, and not of {wanted}.")

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
            for own in (hospital.patients, hospital.test):
                digest.update(b"" if own is None else json.dumps(own.tolist()).encode())
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

        And "patient" and "test", if they are known. The way to another partition, and back by `from_frame(frame,
        site="hospital", label="label")`, with `classes=federation.classes` if the classes have names. ValueError if a
        feature has the name of one of them.
        """
        # The names of classes that nobody named are their numbers.
        names = np.arange(2) if self.classes == ("0", "1") else np.array(self.classes, dtype=object)
        rows = []
        for hospital in self:
            more = {"label": names[hospital.labels], "hospital": hospital.name}
            more |= {"patient": hospital.patients, "test": hospital.test}
            if taken := more.keys() & set(hospital.table):
                raise ValueError(f"A feature is called {taken.pop()!r}, as a column of the pooled table is: rename it.")
            rows.append(hospital.table.assign(**{name: each for name, each in more.items() if each is not None}))
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


ROOTS = (Path(__file__).parent / "data", Path(__file__).parent.parent / "data")  # in a wheel, and in a checkout


def load(name: str | Path = "heart_disease", features: Sequence[str] | None = None) -> Federation:
    """Read a data set: a folder of CSV files, with a `dataset.json` that says what they hold, and their hashes.

    name : a folder of ``data/``, or the path of another: ValueError if there is none, or a file has another hash
    features : columns to learn from; None means those that the data set proposes
    """
    folders = {folder.parent.name: folder.parent for root in ROOTS for folder in root.glob("*/dataset.json")}
    folder, frames = name if isinstance(name, Path) else folders.get(name), []
    if folder is None:
        raise ValueError(f"There is no data set {name!r}; there are: {', '.join(sorted(folders))}.")
    dataset = json.loads(_verified(folder, "dataset.json"))
    for part in dataset["hospitals"]:  # a file each, or one of many whose names are in a column
        rows = pd.read_csv(io.BytesIO(_verified(folder, part["file"])))
        frames.append(rows.assign(hospital=part.get("name") or rows.pop(part["column"])))
    frame, label = pd.concat(frames, ignore_index=True), dataset["label"]
    frame[label["name"]] = (frame.pop(label["column"]) > label["above"]).astype(int)
    frame = frame.astype(dict.fromkeys(dataset["categorical"], "category"))
    how = {"features": dataset["features"] if features is None else features, "test": dataset.get("test")}
    how |= {"missing": {column: [code] for column, code in dataset["missing"].items()}, "keep": dataset.get("keep", ())}
    return from_frame(frame, site="hospital", label=label["name"], name=folder.name, **how)


def _verified(folder: Path, file: str) -> bytes:
    """Read a file whose hash stands in the folder's SHA256SUMS, or refuse it."""
    try:
        lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        if not ((folder / file).is_file() and (folder / file).resolve().is_relative_to(folder.resolve())):
            raise FileNotFoundError(f"{file} is no file in it")
        content = (folder / file).read_bytes()
    except OSError as error:
        raise ValueError(f"{folder} is not complete ({error}): run `make data NAME={folder.name}`.") from error
    expected = {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}.get(file)
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        what = f"data/{folder.name}/{file} is not the published file: sha256 {found}, and SHA256SUMS says {expected}"
        raise ValueError(f"{what}. Run `make data NAME={folder.name}`, or use from_frame for rows of your own.")
    return content


def example() -> pd.DataFrame:
    """Return a small table to try things with, made up by a computer: 180 patients of three hospitals, a row each."""
    rng = np.random.default_rng(0)
    age, smoker = rng.normal(60, 10, 180).round(), rng.random(180) < 0.3
    ill = age / 10 + 2 * smoker + rng.normal(0, 1, 180) > 6.6
    frame = pd.DataFrame({"hospital": np.repeat(["Harbour", "Hill", "Park"], 60), "age": age, "smoker": smoker})
    frame["ward"] = rng.choice(["heart", "lung", None], 180, p=[0.5, 0.4, 0.1])
    return frame.assign(outcome=np.where(ill, "died", "lived"))


def from_frame(
    frame: pd.DataFrame,
    *,
    site: Hashable,
    label: Hashable,
    features: Sequence[Hashable] | None = None,
    classes: Sequence[Hashable] | None = None,
    patient: Hashable = None,
    test: Hashable | Sequence[int] = None,
    min_rows: int = 10,
    name: str = "table",
    **cells: Any,
) -> Federation:
    """Make a federation of anybody's table, the hospitals in the order in which they first occur.

    Numbers stay numbers; text, booleans and pandas categories become categories, with the levels that occur anywhere
    in the federation. Missing values are kept, and filled in after the split. A hospital may have patients of one class
    only (its AUROC is then not defined), and a column may be empty at some. A table that cannot be used is refused with
    all that is wrong in it (`tables.Refused`, a ValueError); what is taken and looks odd is a warning. Test rows and
    batches are drawn by the seed, the hospital's name and the row's position: another order is another split.

    frame : a row a patient, or a row a visit and `patient`
    site : column of the hospital; its values become names ("3" for 3)
    label : column of the label: 0 and 1, or False and True; or (column, the value that is 1)
    features : columns to learn from; None means all others
    classes : all values of the label, two or more, in the order of their numbers: ["stable", "worse", "dead"]
    patient : column that names the patient, whose rows stay on one side of every split
    test : a split of one's own: a column of "train" and "test" (or False and True), or the positions of the test rows
    min_rows : fewer patients are refused: a hospital's sums would say too much about each, and a test of it nothing
    name : what the federation is called
    cells : what cells mean: missing, decimal, below, above, rare, keep; see `tables.Cells`
    """
    known("hospitals.from_frame", cells, _arguments(from_frame))
    how = {"site": site, "label": label, "features": features, "classes": classes, "patient": patient, "test": test}
    read = _accepted(Reading(frame, min_rows=min_rows, **how, **cells))
    levels = {at: tuple(cells.categories) for at, cells in read.columns.items() if isinstance(cells, pd.Categorical)}
    numeric = tuple(at for at in read.columns if at not in levels)
    made = Federation(name, tuple(_hospitals(read)), numeric, levels, read.classes)
    if len(set(made.columns)) < len(made.columns) or not made.columns:
        fault = "two columns of the same name" if made.columns else "no column, since none of the features ever varies"
        names = ", ".join(made.columns or read.columns)
        raise ValueError(f"After coding there would be {fault}: {names}. Rename or replace them.")
    return made


def join(
    frame: pd.DataFrame,
    agreed: Any,
    *,
    name: str,
    label: Hashable = None,
    patient: Hashable = None,
    test: Hashable | Sequence[int] = None,
    min_rows: int = 10,
    **cells: Any,
) -> Hospital:
    """Make one hospital of its own table, for columns that others agreed on; refused as by `from_frame`.

    A level that the others do not know is refused, or becomes "other" if that is a level and `rare` is above 0.

    agreed : the settings of a study, or a federation, with whose numbers its own are compared
    name : of the hospital
    label : as in `from_frame`; None means what `agreed` calls it
    patient, test, min_rows, cells : as in `from_frame`
    """
    known("hospitals.join", cells, _arguments(join))
    require("agreed", agreed, has("numeric", "categorical"), "the settings of a study, or a federation")
    how = {"site": name, "label": label, "patient": patient, "test": test, "min_rows": min_rows}
    (made,) = _hospitals(_accepted(Reading(frame, agreed=agreed, **how, **cells)))
    return made


class Check(NamedTuple):
    """What `check` found: shown as two tables in a notebook.

    complaints : see `tables.Complaint`, the worst first
    report : see `reading.report`; `plots.differences` draws it
    """

    complaints: pd.DataFrame
    report: pd.DataFrame

    def __repr__(self) -> str:
        said = "\n".join(map(str, map(tables.Complaint._make, self.complaints.to_numpy().tolist())))
        return f"{said or 'Nothing is wrong.'}\n{self.report.round(3).to_string(index=False, na_rep='')}"

    def _repr_html_(self) -> str:
        said = self.complaints.to_html(index=False) if len(self.complaints) else "<p>Nothing is wrong.</p>"
        return said + self.report.round(3).to_html(index=False, na_rep="", max_rows=200)


def check(frame: pd.DataFrame, agreed: Any = None, *, site: Hashable = None, name: str = "here", **how: Any) -> Check:
    """Say all that is wrong with a table or looks odd in it, and describe each column at each hospital.

    agreed, name : for one hospital, as in `join`
    site, how : as in `from_frame`
    """
    known("hospitals.check", how, _arguments(from_frame if agreed is None else join))
    read = Reading(frame, agreed=agreed, site=site if agreed is None else name, **how)
    described = report(read)
    return Check(pd.DataFrame(read.complaints, columns=tables.Complaint._fields), described)


def _arguments(function: Callable) -> list[str]:
    return [*inspect.signature(function).parameters][1:-1] + [each.name for each in fields(tables.Cells)]


def _accepted(read: Reading) -> Reading:
    """Refuse what must be refused, and warn of what only a person can judge."""
    if refused := [each for each in read.complaints if each.severity == "refused"]:
        raise tables.Refused(refused)
    report(read)
    for each in read.complaints:
        warnings.warn(f"{each} (hospitals.check shows more)", stacklevel=3)
    return read


def _hospitals(read: Reading) -> Iterator[Hospital]:
    """Take the table apart, a hospital at a time."""
    table = pd.DataFrame(read.columns)
    for name, rows in zip(read.names, np.split(read.order, read.starts[1:]), strict=True):
        own = (None if each is None else each[rows] for each in (read.labels, read.patients, read.test))
        yield Hospital(name, table.iloc[rows].reset_index(drop=True), *own, len(read.classes))


def _is_text_levels(dtype: object) -> bool:
    return isinstance(dtype, pd.CategoricalDtype) and all(isinstance(level, str) for level in dtype.categories)
