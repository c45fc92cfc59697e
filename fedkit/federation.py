"""A hospital and its rows, and a federation of hospitals that measure the same columns."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Hospital:
    """One hospital's rows, as it keeps them.

    Attributes
    ----------
    name : str
        Unique in its federation.
    table : pandas.DataFrame
        n rows of features, as measured: float64 with NaN for a missing value, or
        pandas categories.
    labels : numpy.ndarray
        int64 of zeros and ones, shape [n].
    """

    name: str
    table: pd.DataFrame
    labels: np.ndarray

    def __len__(self) -> int:
        """Return the number of patients."""
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<Hospital {self.name}: {len(self)} patients>"


@dataclass(frozen=True, eq=False, repr=False)
class Federation:
    """Hospitals that measure the same columns. Made by `load` and `from_frame`.

    Attributes
    ----------
    name : str
        Of the data set.
    hospitals : tuple of Hospital
        In a fixed order.
    numeric : tuple of str
        Names of the numeric columns.
    categorical : dict of str to tuple of str
        The levels of each categorical column, the most frequent one first: it is the
        reference of the one-hot coding.
    """

    name: str
    hospitals: tuple[Hospital, ...]
    numeric: tuple[str, ...]
    categorical: dict[str, tuple[str, ...]]

    def __iter__(self) -> Iterator[Hospital]:
        return iter(self.hospitals)

    def __len__(self) -> int:
        """Return the number of hospitals."""
        return len(self.hospitals)

    def __getitem__(self, name: str) -> Hospital:
        """Return the hospital of this name; KeyError if there is none."""
        for hospital in self.hospitals:
            if hospital.name == name:
                return hospital
        raise KeyError(f"There is no hospital {name!r} in {self.name}; there are {', '.join(self.names)}.")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{hospital.name} {len(hospital)}" for hospital in self)
        return f"<Federation {self.name}: {len(self)} hospitals, {sum(map(len, self))} patients ({sizes})>"

    @property
    def names(self) -> tuple[str, ...]:
        """The hospitals' names, in order."""
        return tuple(hospital.name for hospital in self.hospitals)

    @property
    def sha256(self) -> str:
        """Hash of the content: names, columns, values and labels, whatever file they came from."""
        schema = [self.names, [len(hospital) for hospital in self], self.numeric, self.categorical]
        digest = hashlib.sha256(json.dumps(schema).encode())
        for hospital in self:
            values = hospital.table[list(self.numeric)].to_numpy("<f8")
            digest.update(np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes())
            for column in self.categorical:
                digest.update(json.dumps(hospital.table[column].astype(object).fillna("").tolist()).encode())
            digest.update(hospital.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def without(self, name: str) -> "Federation":
        """Return the federation without one hospital, with the same columns and levels.

        Parameters
        ----------
        name
            The hospital that is left out.

        Raises
        ------
        KeyError
            If there is no such hospital.
        ValueError
            If no hospital would be left.
        """
        out = self[name]
        if len(self) == 1:
            raise ValueError(f"{name} is the only hospital of {self.name}: without it nobody is left.")
        others = tuple(hospital for hospital in self if hospital is not out)
        return Federation(self.name, others, self.numeric, self.categorical)

    def frame(self) -> pd.DataFrame:
        """Return everybody's rows in one table, as no real federation could.

        It is the way to another partition, by `fedkit.partitions`, and back, by
        `hospitals.from_frame(frame, site="hospital", label="label")`.

        Returns
        -------
        pandas.DataFrame
            A row a patient: the columns as measured, then "label" and "hospital".

        Raises
        ------
        ValueError
            If a feature is called "label" or "hospital".
        """
        tables = [hospital.table.assign(label=hospital.labels, hospital=hospital.name) for hospital in self]
        if taken := {"label", "hospital"} & set(self.hospitals[0].table):
            raise ValueError(f"A feature is called {taken.pop()!r}, as a column of the pooled table is: rename it.")
        return pd.concat(tables, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Count what each hospital holds.

        Returns
        -------
        pandas.DataFrame
            A row a hospital: "hospital", "patients", "positives" (label 1),
            "prevalence" (positives / patients), "missing" (share of empty cells).
        """
        return pd.DataFrame(
            {
                "hospital": hospital.name,
                "patients": len(hospital),
                "positives": int(hospital.labels.sum()),
                "prevalence": hospital.labels.mean(),
                "missing": hospital.table.isna().to_numpy().mean(),
            }
            for hospital in self
        )
