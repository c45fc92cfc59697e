"""How good predictions are: the scores of one hospital's patients."""

from collections.abc import Sequence

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from scipy import optimize, special
from sklearn import linear_model
from sklearn import metrics as sk

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss", "calibration_intercept", "calibration_slope")
CLIP = 1e-7  # keeps the logit of a probability of exactly 0 or 1 finite


def scores(labels: ArrayLike, probabilities: ArrayLike, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Score the predictions for one hospital's patients.

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
    # A study asks for tens of thousands of these, and everything was checked above.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return {
            metric: float(_FUNCTIONS[metric](y, p)) if 0 < y.sum() < y.size or metric not in _BOTH_LABELS else np.nan
            for metric in metrics
        }


def detection(truth: ArrayLike, scores: ArrayLike, at: Sequence[float] = (0.1, 0.01)) -> dict[str, float]:
    """How well a score tells two groups apart: members from others, attackers from the honest.

    A mean over all thresholds hides an attack that is sure of a few: so also how many
    it finds while it accuses next to nobody wrongly.

    Parameters
    ----------
    truth
        Whether it is so, shape [n]; both must occur.
    scores
        Higher for "it is so": any finite numbers, shape [n].
    at
        False positive rates, each from 0 to 1.

    Returns
    -------
    dict
        "auroc", and for each rate "tpr at R": the highest true positive rate at a false
        positive rate of R at the most.

    Raises
    ------
    ValueError
        If only one group occurs, shapes differ, or a score is not finite.

    References
    ----------
    Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022,
    section II-C.
    """
    so, values = np.asarray(truth, dtype=bool), np.asarray(scores, dtype=np.float64)
    if so.ndim != 1 or so.shape != values.shape or not 0 < so.sum() < so.size or not np.isfinite(values).all():
        raise ValueError(f"One finite score for each is needed, of both groups: {so.sum()} of {so.size} are positive.")
    false, true, _ = sk.roc_curve(so, values, drop_intermediate=False)
    found = {f"tpr at {rate:g}": float(true[false <= rate].max()) for rate in at}
    return {"auroc": float(sk.auc(false, true)), **found}


def _intercept(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration intercept, 0 at best: below 0 the probabilities are too high on average, above 0 too low.

    The a of logit P(y = 1) = a + logit(p), slope held at 1 (Cox 1958, Biometrika
    45:562; Van Calster et al. 2019, BMC Med 17:230): at the most likely a, as many
    patients are expected to be ill as are.
    """
    logits = _logit(probabilities)
    far = np.abs(logits).max() + np.log(labels.size) + 1  # here nearly nobody, or nearly everybody, is expected ill
    return optimize.brentq(lambda a: special.expit(a + logits).sum() - labels.sum(), -far, far, xtol=1e-10)


def _slope(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration slope, 1 at best: below 1 the probabilities are too extreme, above 1 too timid.

    The b of logit P(y = 1) = a + b logit(p) (references as for the intercept). NaN
    where no finite b is the most likely one: all patients of one label lie above all
    of the other (Albert and Anderson 1984, Biometrika 71:1).
    """
    logits = _logit(probabilities)
    ill, healthy = logits[labels == 1], logits[labels == 0]
    if healthy.max() <= ill.min() or ill.max() <= healthy.min():
        return np.nan
    spread = logits.std()
    model = linear_model.LogisticRegression(penalty=None, solver="newton-cholesky", tol=1e-8)
    return model.fit((logits / spread)[:, None], labels).coef_[0, 0] / spread


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return special.logit(np.clip(probabilities, CLIP, 1 - CLIP))


_BOTH_LABELS = {"auroc", "auprc", "calibration_intercept", "calibration_slope"}
_FUNCTIONS = {
    "auroc": sk.roc_auc_score,
    "auprc": sk.average_precision_score,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p: sk.accuracy_score(y, p > 0.5),
    "log_loss": lambda y, p: sk.log_loss(y, np.clip(p, CLIP, 1 - CLIP), labels=[0, 1]),
    "calibration_intercept": _intercept,
    "calibration_slope": _slope,
}
