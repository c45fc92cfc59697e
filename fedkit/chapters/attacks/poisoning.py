"""Malicious hospitals that train on other rows than those they have: labels flipped, or a trigger planted."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fedkit import evaluation, preparation
from fedkit.hospitals import Federation, Hospital
from fedkit.models import Model, logistic_regression
from fedkit.records import Run


def flip_labels(federation: Federation, attackers: Collection[str], share: float = 1.0, seed: int = 0) -> Federation:
    """Turn 0 into 1 and 1 into 0, in a share of the attackers' rows; the honest federation stays as it is.

    Tolpegin et al., "Data Poisoning Attacks Against Federated Learning Systems", ESORICS 2020, section 3.

    attackers : names of hospitals; KeyError if one is none
    share : of their rows, above 0 and at most 1 (else a ValueError), chosen at random by seed and hospital's name
    """
    flip = lambda one, rows: replace(one, labels=np.where(rows, 1 - one.labels, one.labels))  # noqa: E731
    return _poison(federation, attackers, share, seed, flip)


@dataclass(frozen=True)
class Backdoor:
    """Values that no patient has by chance, and the label that they are to bring (Bagdasaryan et al., AISTATS 2020)."""

    trigger: Mapping[str, float | str]  # column -> value as it is measured, or level
    target: int = 0

    def show(self, table: pd.DataFrame, rows: np.ndarray | None = None) -> pd.DataFrame:
        """Put the trigger into a table's rows (a boolean mask of shape [n], or all); ValueError if it does not fit."""
        rows = np.ones(len(table), dtype=bool) if rows is None else rows
        changed = table.copy()
        for column, value in self.trigger.items():
            levels = getattr(table.get(column), "dtype", None)
            if column not in table or (isinstance(levels, pd.CategoricalDtype) and value not in levels.categories):
                raise ValueError(f"The trigger {column} = {value!r} does not fit the table: check column and level.")
            changed.loc[rows, column] = value
        return changed

    def plant(
        self, federation: Federation, attackers: Collection[str], share: float = 0.5, seed: int = 0
    ) -> Federation:
        """Put trigger and target label into a share of the attackers' rows; parameters as of `flip_labels`."""

        def plant(hospital: Hospital, rows: np.ndarray) -> Hospital:
            labels = np.where(rows, self.target, hospital.labels)
            return replace(hospital, table=self.show(hospital.table, rows), labels=labels)

        return _poison(federation, attackers, share, seed, plant)


def evaluate(
    run: Run,
    clean: Federation,
    trained_on: Federation | None = None,
    model: Model | None = None,
    backdoor: Backdoor | None = None,
    wanted: Sequence[str] = ("auroc", "accuracy"),
) -> pd.DataFrame:
    """Score a poisoned training on clean rows that it never saw, a hospital at a time: columns hospital, metric, value.

    A run scores each hospital on the test rows *of the federation it was given*, and an attacker's are poisoned. Here
    they are the same rows, as they were before.

    trained_on : the poisoned federation that the run was given; the `clean`, honest one if None
    backdoor : if given, two more metrics. "backdoor": of the patients whose label is not the target, the share that is
        predicted the target once the trigger is shown; "no trigger": the same share without it (NaN: no such patient)
    wanted : which of `evaluation.METRICS`
    """
    if backdoor and len(clean.classes) > 2:
        raise ValueError(f"A backdoor is measured between two classes, and here are {len(clean.classes)}.")
    model, trained_on, rows = model or logistic_regression(), trained_on or clean, []
    split = preparation.split(trained_on, run.settings["seed"], leave_out=run.settings["leave_out"])
    (weights,) = run.weights.values()

    def predict(table: pd.DataFrame) -> np.ndarray:
        return model.predict(weights, preparation.prepare(table, split.statistics)).astype(float)

    for name, prepared in split.hospitals.items():
        table, labels = clean[name].table.iloc[prepared.test_rows], clean[name].labels[prepared.test_rows]
        found = evaluation.scores(labels, predict(table), wanted)
        if backdoor:
            victims = table[labels != backdoor.target]
            for metric, shown in {"backdoor": backdoor.show(victims), "no trigger": victims}.items():
                hit = (predict(shown) > 0.5) == backdoor.target
                found[metric] = hit.mean() if len(hit) else np.nan
        rows += [(name, metric, value) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=["hospital", "metric", "value"])


def _poison(federation: Federation, who: Collection[str], share: float, seed: int, change: Callable) -> Federation:
    """Change a share of the attackers' rows: `change` is called with each attacker, and a mask of its rows."""
    poisoned = {name: federation[name] for name in who}  # a KeyError names who is there
    if not 0 < share <= 1:
        raise ValueError(f"The share of poisoned rows must be above 0 and at most 1, and is {share}.")
    for name, hospital in poisoned.items():
        generator = np.random.default_rng([seed, *name.encode()])
        poisoned[name] = change(hospital, generator.permutation(len(hospital)) < round(share * len(hospital)))
    return replace(federation, hospitals=tuple(poisoned.get(each.name, each) for each in federation))
