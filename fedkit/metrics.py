"""How good predictions are: the scores of one hospital's patients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss", "calibration_intercept", "calibration_slope")
CLIP = 1e-7  # keeps the logit of a probability of exactly 0 or 1 finite


def scores(labels: ArrayLike, probabilities: ArrayLike, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Score the predictions for one hospital's patients.

    Written in NumPy, since a study asks for tens of thousands of these (50 times
    faster than scikit-learn); the tests hold them to scikit-learn's definitions.

    Parameters
    ----------
    labels
        0 or 1, shape [n].
    probabilities
        Predicted probability of label 1, shape [n].
    metrics
        Which of `METRICS`. Each costs only what it needs.

    Returns
    -------
    dict
        Metric -> value, NaN where it is not defined: AUROC, AUPRC and calibration
        need both labels, and the calibration slope also labels that the
        probabilities do not separate perfectly. Accuracy cuts at 0.5. Log loss is
        in nats. Log loss and calibration keep probabilities 1e-7 away from 0 and 1.

    Raises
    ------
    ValueError
        For shapes that differ, no rows, other labels than 0 and 1, probabilities
        outside 0 to 1, or an unknown metric.
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if y.ndim != 1 or y.shape != p.shape or not y.size:
        raise ValueError(f"Labels {y.shape} and probabilities {p.shape} must be one row a patient, at least one.")
    if not np.all((y == 0) | (y == 1)):
        raise ValueError("Labels must be 0 or 1: code the outcome before scoring.")
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("Probabilities must lie from 0 to 1 and not be NaN: apply the sigmoid, or check the training.")
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise ValueError(f"Unknown metric {unknown[0]!r}: choose from {', '.join(METRICS)}.")
    return {metric: float(_FUNCTIONS[metric](y, p)) for metric in metrics}


def _auroc(y: np.ndarray, p: np.ndarray) -> float:
    """Count the (ill, healthy) pairs in the right order, ties half (Hanley and McNeil 1982, Radiology 143:29)."""
    ill, healthy = p[y == 1], np.sort(p[y == 0])
    if not ill.size or not healthy.size:
        return np.nan
    below_twice = np.searchsorted(healthy, ill, "left") + np.searchsorted(healthy, ill, "right")
    return below_twice.sum() / (2 * ill.size * healthy.size)


def _auprc(y: np.ndarray, p: np.ndarray) -> float:
    """Average precision: that at every distinct threshold, weighted by the recall it adds."""
    if not 0 < y.sum() < y.size:
        return np.nan
    order = np.argsort(-p, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(p[order])), y.size - 1)
    found = np.cumsum(y[order])[last_of_ties]
    return np.sum(np.diff(found, prepend=0) * found / (last_of_ties + 1)) / y.sum()


def _intercept(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration intercept, 0 at best: below 0 the probabilities are too high on average, above 0 too low.

    The a of logit P(y = 1) = a + logit(p), slope held at 1 (Cox 1958, Biometrika
    45:562; Van Calster et al. 2019, BMC Med 17:230). NaN with one label only.
    """
    if not 0 < labels.sum() < labels.size:
        return np.nan
    logits, share = _logit(probabilities), labels.mean()
    # Had every patient the highest (lowest) logit, this a would be right: the true one lies between.
    low, high = special.logit(share) - logits.max(), special.logit(share) - logits.min()
    return optimize.brentq(lambda a: special.expit(a + logits).mean() - share, low - 1, high + 1, xtol=1e-10)


def _slope(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration slope, 1 at best: below 1 the probabilities are too extreme, above 1 too timid.

    The b of logit P(y = 1) = a + b logit(p) (references as for the intercept). NaN
    where no finite b is the most likely one: one label only, or all patients of one
    label above all of the other (Albert and Anderson 1984, Biometrika 71:1).
    """
    logits = _logit(probabilities)
    ill, healthy = logits[labels == 1], logits[labels == 0]
    if not ill.size or not healthy.size or healthy.max() <= ill.min() or ill.max() <= healthy.min():
        return np.nan
    return _fit(labels, np.column_stack([np.ones_like(logits), logits]))[1]


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return special.logit(np.clip(probabilities, CLIP, 1 - CLIP))


def _fit(labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Most likely coefficients of a logistic model, shape [k]: Newton's method; NaN if it does not settle.

    A step that would climb is halved: far from the solution a full one can overshoot.
    """

    def loss(coefficients: np.ndarray) -> float:
        z = columns @ coefficients
        return np.sum(np.logaddexp(0, z) - labels * z)

    coefficients = np.zeros(columns.shape[1])
    for _ in range(100):
        p = special.expit(columns @ coefficients)
        gradient = columns.T @ (labels - p)
        try:
            step = np.linalg.solve(columns.T @ (columns * (p * (1 - p))[:, None]), gradient)
        except np.linalg.LinAlgError:
            break
        if gradient @ step < 1e-10:  # twice what the loss can still fall; this step's own error is far smaller
            return coefficients + step
        for _ in range(30):
            if loss(coefficients + step) <= loss(coefficients):
                break
            step = step / 2
        coefficients = coefficients + step
    return np.full(columns.shape[1], np.nan)


_FUNCTIONS = {
    "auroc": _auroc,
    "auprc": _auprc,
    "brier": lambda y, p: np.mean((p - y) ** 2),
    "accuracy": lambda y, p: np.mean((p > 0.5) == y),
    "log_loss": lambda y, p: -np.mean(np.log(np.clip(np.where(y == 1, p, 1 - p), CLIP, 1 - CLIP))),
    "calibration_intercept": _intercept,
    "calibration_slope": _slope,
}
