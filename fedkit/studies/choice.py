"""Nested choices: a setting is chosen on the training rows of a split, before its test rows are looked at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fedkit import preparation
from fedkit.hospitals import Federation
from fedkit.records import Run


def choose(ways: Mapping[Any, Callable[..., list[Run]]], inner: Federation, folds: int = 5) -> Any:
    """Return which way of training has the smallest log loss, mean over hospitals, in an inner cross-validation.

    ways : what is chosen among, a penalty say -> how it is trained, a function of a federation and seeds
    inner : a split's `training_part`, split again at random
    folds : how many inner splits
    """
    if len(ways) == 1:
        return next(iter(ways))
    losses = {}
    for name, train in ways.items():
        losses[name] = np.mean([run.final("log_loss").mean() for run in train(inner, seed=range(folds))])
    return min(losses, key=losses.get)


def training_part(federation: Federation, seed: int, leave_out: Sequence[str] = ()) -> Federation:
    """Return the training rows of a split as a federation of its own, to choose on: its test rows are not there."""
    split, parts = preparation.split(federation, seed, leave_out=leave_out), []
    for hospital in federation:
        rows = split.hospitals[hospital.name].train_rows
        own = {"labels": hospital.labels[rows], "test": None}  # of one's own split, only the training rows are here
        own |= {"patients": None if hospital.patients is None else hospital.patients[rows]}
        parts.append(replace(hospital, table=hospital.table.iloc[rows], **own))
    return replace(federation, hospitals=tuple(one for one in parts if one.name not in leave_out))
