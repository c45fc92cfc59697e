"""Membership inference: whether a patient is among those a model was trained on.

The attacker has the final model, which every hospital gets, and a patient's row: encrypting updates does not touch it.
Shadow models come for free here: runs of the same training with other seeds split the same patients otherwise. One run
is the target, the others the attacker's shadows: an attacker with as much data of the same kind, which is the worst
case (Carlini et al., "Membership Inference Attacks From First Principles", IEEE S&P 2022, assume it too).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics

from fedkit import preparation
from fedkit.compat.tff import tf
from fedkit.hospitals import Federation
from fedkit.learning import SHARED
from fedkit.models import Model, logistic_regression
from fedkit.records import Run

_FEW = 64  # shadow models: below it, one spread for all patients (Carlini et al., section VI-B)
_SPREAD = 1e-6  # keeps a patient of whom all shadows say exactly the same


@dataclass(frozen=True, eq=False)
class Signals:
    """What R models say about each of N patients, and who was trained on."""

    hospitals: np.ndarray  # the patients', text, shape [N]
    confidence: np.ndarray  # log(p / (1 - p)) of the probability p of the patient's true label, shape [R, N]
    member: np.ndarray  # whether the patient is a training row of the run, bool, shape [R, N]


def signals(runs: Sequence[Run], federation: Federation, model: Model | None = None) -> Signals:
    """Ask each run's model (logistic regression, if no other is given) about every patient of the federation.

    runs : of one method, each with another seed (else a ValueError): `learning.train_...(seed=range(33))`
    """
    model = model or logistic_regression()
    if len(federation.classes) > 2:
        raise ValueError(
            f"This attack asks for the probability of label 1, and here are {len(federation.classes)} classes."
        )
    seeds = [run.settings["seed"] for run in runs]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"One run a seed is needed, each seed once, and the seeds are {seeds}.")
    confidence, member = [], []
    for run in runs:
        left_out = run.settings["leave_out"]
        for part in preparation.sharing(federation, run.settings.get("prepared", "together")):
            split = preparation.split(part, run.settings["seed"], leave_out=left_out)
            for hospital in part:
                weights = run.weights[SHARED] if SHARED in run.weights else run.weights[hospital.name]
                features = tf.constant(preparation.prepare(hospital.table, split.statistics))
                logits = model.logits([tf.constant(each) for each in weights], features).numpy()
                confidence.append(np.where(hospital.labels == 1, logits, -logits).astype(np.float64))
                trained = np.isin(np.arange(len(hospital)), split.hospitals[hospital.name].train_rows)
                member.append(trained & (hospital.name not in left_out))
    names = np.repeat(federation.names, [len(hospital) for hospital in federation])
    shape = (len(runs), len(names))
    return Signals(names, np.concatenate(confidence).reshape(shape), np.concatenate(member).reshape(shape))


def by_loss(found: Signals, target: int) -> np.ndarray:
    """Score each patient, shape [N], by the loss of the run that is attacked: minus the cross-entropy, in nats.

    Yeom et al., "Privacy Risk in Machine Learning", IEEE CSF 2018, Adversary 1 (here for every threshold).
    """
    return -np.logaddexp(0, -found.confidence[target])


def by_likelihood_ratio(found: Signals, target: int, online: bool = True) -> np.ndarray:
    """Score each patient, shape [N], by how its confidence compares with that of shadow models.

    A patient whom every model gets right tells nothing by a small loss. So each is compared with itself: with the
    models that were trained on it, and those that were not, both as normal distributions (Carlini et al., Algorithm 1).
    Some shadows must be trained on each patient (if `online`), and others not (else a ValueError): 33 seeds are enough.

    online : whether the attacker's shadows may be trained on the patient: a log likelihood ratio. Else it only asks how
        surprising the confidence is for a model that was not (equation 4), in standard deviations
    """
    shadows = np.arange(len(found.confidence)) != target
    confidence, member = found.confidence[shadows], found.member[shadows]
    outside = _normal(confidence, ~member)
    own = found.confidence[target]
    if not online:
        return (own - outside[0]) / outside[1]
    inside = _normal(confidence, member)
    return _log_density(own, *inside) - _log_density(own, *outside)


def detection(truth: ArrayLike, scores: ArrayLike, at: Sequence[float] = (0.1, 0.01)) -> dict[str, float]:
    """How well a score tells members from others: AUROC, and how many it finds while it accuses next to nobody.

    truth : whether it is so, shape [n]; ValueError unless both occur
    scores : higher for "it is so", shape [n]; ValueError unless all are finite
    at : false positive rates R, 0 to 1, at (or below) which it gives the highest true positive one (their section II-C)
    """
    so, values = np.asarray(truth, dtype=bool), np.asarray(scores, dtype=np.float64)
    if so.ndim != 1 or so.shape != values.shape or not 0 < so.sum() < so.size or not np.isfinite(values).all():
        raise ValueError(f"One finite score for each is needed, of both groups: {so.sum()} of {so.size} are positive.")
    false, true, _ = metrics.roc_curve(so, values, drop_intermediate=False)
    found = {f"tpr at {rate:g}": float(true[false <= rate].max()) for rate in at}
    return {"auroc": float(metrics.auc(false, true)), **found}


def _normal(confidence: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each patient's confidence over the chosen shadows, each of shape [N]."""
    count = chosen.sum(axis=0)
    if not count.all():
        raise ValueError(
            f"{(count == 0).sum()} patients were trained on in all shadow models, or in none: train with more seeds."
        )
    mean = np.where(chosen, confidence, 0).sum(axis=0) / count
    squares = np.where(chosen, (confidence - mean) ** 2, 0).sum(axis=0)
    variance = squares.sum() / max(count.sum() - count.size, 1) if len(chosen) < _FEW else squares / count
    return mean, np.sqrt(np.broadcast_to(variance, mean.shape) + _SPREAD)


def _log_density(value: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return -np.log(spread) - ((value - mean) / spread) ** 2 / 2
