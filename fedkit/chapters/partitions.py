"""One pooled table split into pretend hospitals, to study what difference the split makes.

Each function returns the table with a new column "hospital" ("hospital 1", "hospital 2", ...): every row belongs to one
hospital, no hospital is empty, and the order of the rows stays. Too few rows, a column "hospital", and an alpha that is
no number above 0 are refused with a ValueError. Go on with `fedkit.hospitals.from_frame`.
"""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from fedkit.checks import is_positive, is_whole, require


def iid(frame: pd.DataFrame, hospitals: int, seed: int) -> pd.DataFrame:
    """Deal the rows out at random, as even as possible: all hospitals are alike."""
    _check(frame, hospitals)
    return _assign(frame, _even_sizes(len(frame), hospitals), np.random.default_rng(seed))


def by_label_skew(frame: pd.DataFrame, label: Hashable, hospitals: int, alpha: float, seed: int) -> pd.DataFrame:
    """Give hospitals of one size different shares of each label.

    A hospital's shares q are drawn from Dirichlet(alpha * p), p being the shares in the whole table; its rows are then
    drawn without replacement, with the labels drawn from q. Where a label has run out, the others take its place in
    proportion. Hsu, Qi and Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification", arXiv:1909.06335, 2019, section 3.

    label : its column: any values, none missing (else a ValueError)
    alpha : small: nearly one label a hospital; large: nearly `iid`
    """
    _check(frame, hospitals, alpha=alpha)
    if label not in frame.columns or frame[label].isna().any():
        raise ValueError(f"The label {label!r} must be a column of the table without missing values.")
    rng = np.random.default_rng(seed)
    codes, labels = pd.factorize(frame[label], sort=True)
    waiting = [rng.permutation(np.flatnonzero(codes == code)).tolist() for code in range(len(labels))]
    prior = np.bincount(codes) / len(codes)
    owners = np.empty(len(frame), dtype=np.int64)
    # The last hospitals get what is left, so they are served in a random order.
    sizes = _even_sizes(len(frame), hospitals)
    for hospital in rng.permutation(hospitals):
        shares, needed = rng.dirichlet(alpha * prior), sizes[hospital]
        while needed:
            left = np.array([len(rows) for rows in waiting])
            open_shares = np.where(left > 0, shares, 0)
            # With a tiny alpha all the weight may lie on labels that have run out.
            weights = open_shares if open_shares.sum() > 0 else left
            wanted = rng.multinomial(needed, weights / weights.sum())
            for rows, count in zip(waiting, np.minimum(wanted, left), strict=True):
                for _ in range(count):
                    owners[rows.pop()] = hospital
                needed -= count
    return _named(frame, owners)


def by_quantity_skew(frame: pd.DataFrame, hospitals: int, alpha: float, seed: int, min_rows: int = 10) -> pd.DataFrame:
    """Give hospitals different numbers of rows, dealt out at random.

    Each gets `min_rows` (`fedkit.hospitals.from_frame` asks for 10); the rest is shared out in proportions drawn from
    Dirichlet(alpha, ..., alpha). Small: one hospital has nearly all rows; large: nearly `iid`. As "quantity skew"
    of Li et al., "Federated Learning on Non-IID Data Silos", ICDE 2022, arXiv:2102.02079; the minimum is ours.
    """
    require("min_rows", min_rows, lambda it: is_whole(it, 0), "a whole number")
    least = max(min_rows, 1)
    _check(frame, hospitals, least, alpha)
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(hospitals, float(alpha)))
    sizes = least + rng.multinomial(len(frame) - hospitals * least, shares / shares.sum())
    return _assign(frame, sizes, rng)


def by_feature_shift(
    frame: pd.DataFrame, feature: Hashable, hospitals: int, strength: float, seed: int
) -> pd.DataFrame:
    """Give hospitals of one size different values of a feature: the first gets many low ones, the last many high ones.

    Rows are put in the order of `strength` times the feature's rank, from 0 to 1, plus a number from 0 to 1 that is
    drawn for each, and cut into equal parts. 0: `iid`; large: sorted. What the label follows from stays the same: a
    covariate shift (Shimodaira, J Stat Plan Inference 2000;90:227). A missing value has the middle rank.
    """
    _check(frame, hospitals)
    if feature not in frame.columns or not pd.api.types.is_numeric_dtype(frame[feature]) or not 0 <= strength < np.inf:
        raise ValueError(f"{feature!r} must be a numeric column of the table, and the strength a number from 0 on.")
    ranks = frame[feature].rank(pct=True).fillna(0.5).to_numpy()
    place = strength * ranks + np.random.default_rng(seed).random(len(frame))
    owners = np.empty(len(frame), dtype=np.int64)
    owners[place.argsort(kind="stable")] = np.repeat(np.arange(hospitals), _even_sizes(len(frame), hospitals))
    return _named(frame, owners)


def _check(frame: pd.DataFrame, hospitals: int, least: int = 1, alpha: float = 1.0) -> None:
    require("frame", frame, lambda it: isinstance(it, pd.DataFrame), "a table, such as federation.frame()")
    if "hospital" in frame.columns:
        raise ValueError("The table has a column 'hospital' already: drop or rename it first.")
    require("hospitals", hospitals, is_whole, "a whole number, at least 1 hospital")
    require("alpha", alpha, is_positive, "a number above 0")
    if len(frame) < (needed := hospitals * least):
        raise ValueError(
            f"{len(frame)} rows cannot be split into {hospitals} hospitals: at least {needed} rows are needed."
        )


def _even_sizes(rows: int, hospitals: int) -> np.ndarray:
    return np.full(hospitals, rows // hospitals) + (np.arange(hospitals) < rows % hospitals)


def _assign(frame: pd.DataFrame, sizes: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    return _named(frame, rng.permutation(np.repeat(np.arange(len(sizes)), sizes)))


def _named(frame: pd.DataFrame, owners: np.ndarray) -> pd.DataFrame:
    return frame.assign(hospital=[f"hospital {owner + 1}" for owner in owners])
