"""Each hospital's patients in train and test rows, prepared with statistics of the train rows."""

import hashlib
import operator
from collections.abc import Callable, Sequence

import numpy as np

from fedkit.federation import Federation, Hospital
from fedkit.preparation import Prepared, Split, aggregate_statistics, local_sums, prepare


def split(
    federation: Federation,
    seed: int,
    test_fraction: float = 0.3,
    leave_out: Sequence[str] = (),
    add: Callable[[dict[str, np.ndarray]], np.ndarray] | None = None,
) -> Split:
    """Split each hospital's patients into train and test rows, and prepare them.

    Each hospital draws its own test rows, the same share of each class; which ones
    depends on the seed and on its name only, so they stay the same when another
    hospital leaves. The statistics are those of the training rows of the hospitals
    that take part, aggregated from their sums.

    Parameters
    ----------
    federation
        The hospitals.
    seed
        Not negative.
    test_fraction
        Share of the rows of each class that are tested on, between 0 and 1, rounded
        to whole rows. A class of two rows or more has at least one on each side; the
        only row of a class is trained on.
    leave_out
        Hospitals that give no sums, and prepare their rows with those of the others.
    add
        How the hospitals' sums (hospital -> numbers, shape [n]) become their total,
        shape [n]: `aggregators.EncryptedMean.total`, say, so that nobody reads any but
        the total. They are just added up if None.

    Returns
    -------
    Split
        In the federation's order, with the hospitals left out.

    Raises
    ------
    ValueError
        If the seed is negative, the fraction is not between 0 and 1, a hospital is too
        small to have a test row, or `leave_out` names one that is not there or leaves
        nobody.
    """
    trained = [hospital for hospital in federation if hospital.name not in leave_out]
    if not trained or len(trained) + len(set(leave_out)) != len(federation):
        there = ", ".join(federation.names)
        raise ValueError(
            f"leave_out must name some of {there} (without all of them nobody trains), and is {leave_out!r}."
        )
    seed = operator.index(seed)
    if seed < 0 or not 0 < test_fraction < 1:
        raise ValueError(f"The seed must be 0 or more and the fraction between 0 and 1: got {seed}, {test_fraction}.")
    sides = {}
    for hospital in federation:
        test = _test_rows(hospital, seed, test_fraction)
        sides[hospital.name] = np.setdiff1d(np.arange(len(hospital)), test), test
    sums = {
        hospital.name: local_sums(
            hospital.table.iloc[sides[hospital.name][0]], federation.numeric, federation.categorical
        )
        for hospital in trained
    }
    if add is None:
        statistics = aggregate_statistics(sums.values())
    else:
        total = add({name: own.to_vector() for name, own in sums.items()})
        statistics = aggregate_statistics([sums[trained[0].name].with_vector(total)])
    prepared = {}
    for hospital in federation:
        train, test = sides[hospital.name]
        features = prepare(hospital.table, statistics)
        labels = hospital.labels.astype(np.float32)
        prepared[hospital.name] = Prepared(features[train], labels[train], features[test], labels[test], train, test)
    return Split(seed, statistics.columns, prepared, statistics)


def _test_rows(hospital: Hospital, seed: int, test_fraction: float) -> np.ndarray:
    """Draw a hospital's test rows, a class at a time."""
    name = int.from_bytes(hashlib.sha256(hospital.name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(np.random.SeedSequence([seed, name]))
    drawn = []
    for label in (0, 1):
        rows = np.flatnonzero(hospital.labels == label)
        count = min(max(round(test_fraction * len(rows)), 1), len(rows) - 1)
        drawn.append(rng.permutation(rows)[: max(count, 0)])
    rows = np.sort(np.concatenate(drawn))
    if not len(rows):
        raise ValueError(f"{hospital.name} has too few patients ({len(hospital)}) to test on any of them.")
    return rows
