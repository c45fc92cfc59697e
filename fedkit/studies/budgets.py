"""The table of notebook 11: what a private model costs, by epsilon, unit, place of the noise, federation and model.

Thousands of trainings are too many for TFF. These are written in numpy, with noise that is a rounded normal; a test
holds them to `privacy.train`, with the same noise, to the last digits.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import expit

from fedkit import hospitals, preparation
from fedkit.chapters import partitions, privacy
from fedkit.chapters.privacy import Guarantee
from fedkit.evaluation import calibration_error, scores
from fedkit.hospitals import Federation
from fedkit.models import Arrays, Model, flatten, mlp, unflatten
from fedkit.preparation import Prepared
from fedkit.studies.grids import Grid

EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, np.inf)
LEAST = {4: 4, 50: 45}  # hospitals -> the fewest in a sum that is opened
MODELS = (Model(), mlp((16,)))
Clipped = privacy.ClippedPatients | privacy.ClippedHospitals
PLACES = ("in the sum", "at each hospital")
# How a hospital trains where it is hidden as a whole; all its rows are in each step.
LOCAL = {"steps": 5, "batch_size": None, "learning_rate": 0.5}
# Where the middle of all patients may be, and how far they are apart: from textbooks, and from no row.
_TYPICAL = {"age": (55, 10), "trestbps": (130, 20), "chol": (220, 50), "thalach": (140, 25), "oldpeak": (1, 1)}
_TYPICAL |= dict.fromkeys(("sex", "fbs", "exang"), (0.5, 0.5))


def made_up() -> pd.DataFrame:
    """Return two patients whom nobody has seen: one below the middle, and one above."""
    numbers = {name: [middle - spread, middle + spread] for name, (middle, spread) in _TYPICAL.items()}
    return pd.DataFrame(numbers).assign(cp="4", restecg="0")


def public(whole: Federation) -> preparation.Sums:
    """Return their sums, in place of the hospitals'."""
    return preparation.local_sums(made_up(), whole.numeric, whole.categorical)


@cache
def federation(count: int) -> Federation:
    """Return the four hospitals, or their patients dealt out to pretend ones."""
    real = hospitals.load()
    if count == len(real):
        return real
    rows = partitions.iid(real.frame().drop(columns="hospital"), count, 0)
    return hospitals.from_frame(rows, site="hospital", label="label", min_rows=1)


@lru_cache(maxsize=4)
def split(count: int, seed: int) -> dict[str, Prepared]:
    """Split and prepare rows, with public statistics."""
    told = public(federation(count)).to_vector()
    return preparation.split(federation(count), seed, add=lambda sums: told).hospitals


def logits(weights: Arrays, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log-odds, shape [n], and what the last layer sees, shape [n, units].

    weights : of one model, or each with a row of them for each row of the features: [n, ...]
    """
    *hidden, kernel, bias = weights
    seen = np.maximum(_times(features, hidden[0]) + hidden[1], 0) if hidden else features
    return _times(seen, kernel)[:, 0] + bias[..., 0], seen


def _times(features: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return features @ kernel if kernel.ndim == 2 else np.einsum("nd,ndu->nu", features, kernel)


def gradients(weights: Arrays, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient of each patient, shape [n, p]: of models with one hidden layer at the most."""
    found, seen = logits(weights, features)
    off = (expit(found) - labels)[:, None]
    last = [off * seen, off]
    if len(weights) > 2:
        back = off * weights[2][..., 0] * (seen > 0)
        last = [(features[:, :, None] * back[:, None]).reshape(len(labels), -1), back, *last]
    return np.concatenate(last, axis=1)


def clipped(vectors: np.ndarray, clip: float) -> np.ndarray:
    """Cut vectors, shape [n, p], to a length, and round them to whole steps."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.rint(vectors * (privacy.BELOW * privacy.STEPS / np.maximum(lengths, clip)))


def train(rows: dict[str, Prepared], model: Model, how: Clipped, noise: Sequence[np.ndarray], seed: int) -> Arrays:
    """Train as `privacy.train` does; hospitals train with `LOCAL`.

    noise : of the sum, in steps: a vector [p] for each round
    """
    parts = [(own.train_features, own.train_labels) for own in rows.values()]
    pooled = tuple(map(np.concatenate, zip(*parts, strict=True)))
    weights = model.initial_weights(pooled[0].shape[1], seed)
    shapes, scale = [part.shape for part in weights], how.rate * how.clip / privacy.STEPS / len(parts)
    for added in noise:
        if isinstance(how, privacy.ClippedPatients):
            sent = -gradients(weights, *pooled)
        else:
            sent = _local(weights, *pooled, [len(labels) for _, labels in parts])
        total = clipped(sent, how.clip).sum(axis=0) + added
        weights = unflatten(flatten(weights) + scale * total, shapes)
    return weights


def algorithm(unit: str, count: int) -> Clipped:
    """Return how a unit is clipped. That 640 patients train, at all hospitals together, is a guess."""
    return privacy.ClippedPatients(rate=count / 640) if unit == "patient" else privacy.ClippedHospitals()


def _local(weights: Arrays, features: np.ndarray, labels: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return by how much each hospital's training moves a model, shape [K, p]; `counts` are its rows."""
    first, start = np.cumsum([0, *counts[:-1]]), flatten(weights)
    ends = np.cumsum([part.size for part in weights])[:-1]
    moved = np.tile(start, (len(counts), 1))
    for _ in range(LOCAL["steps"]):
        own = np.float32(moved).repeat(counts, axis=0)
        parts = zip(np.split(own, ends, axis=1), weights, strict=True)
        each = gradients([part.reshape(-1, *like.shape) for part, like in parts], features, labels)
        moved -= LOCAL["learning_rate"] * np.add.reduceat(each, first, axis=0) / np.reshape(counts, (-1, 1))
    return moved - start


def noise(guarantee: Guarantee, count: int, place: str, size: int, random: np.random.Generator) -> np.ndarray:
    """Draw the noise of all sums, in steps, shape [rounds, p]: a share for each of `count` hospitals."""
    honest = LEAST[count] - 1 if place == PLACES[0] else 1
    spread = np.sqrt(count * guarantee.variance(size, honest))
    return np.rint(spread * random.standard_normal((guarantee.rounds, size)))


def judged(weights: Arrays, rows: dict[str, Prepared]) -> dict[str, float]:
    """Score a model: the mean over hospitals of 30 test patients or more, or over all patients of smaller ones."""
    tested = [(own.test_labels, own.test_features) for own in rows.values()]
    if min(len(labels) for labels, _ in tested) < 30:
        tested = [tuple(map(np.concatenate, zip(*tested, strict=True)))]
    found = []
    for labels, features in tested:
        chances = expit(logits(weights, features)[0])
        found.append([scores(labels, chances, ["auroc"])["auroc"], calibration_error(labels, chances)])
    return dict(zip(("auroc", "calibration"), np.mean(found, axis=0), strict=True))


def rows(seed: int, epsilons: Sequence[float] = EPSILONS) -> pd.DataFrame:
    """Train all models on one split, and score them."""
    found = []
    for count, (m, model), (u, unit) in product(LEAST, enumerate(MODELS), enumerate(("patient", "hospital"))):
        if count > 4 and model.hidden and unit == "hospital":
            continue  # left out, to save time
        parts = split(count, seed)
        size = sum(map(np.size, model.initial_weights(len(federation(count).columns), 0)))
        for (p, place), epsilon in product(enumerate(PLACES), epsilons):
            guarantee, drawn = Guarantee(epsilon, unit=unit), [seed, count, m, u, p, EPSILONS.index(epsilon)]
            added = noise(guarantee, count, place, size, np.random.default_rng(drawn))
            scored = judged(train(parts, model, algorithm(unit, count), added, seed), parts)
            about = {"seed": seed, "hospitals": count, "model": model.name, "unit": unit, "noise": place}
            found.append(about | {"epsilon": epsilon} | scored)
    return pd.DataFrame(found)


GRID = Grid("privacy", rows, range(20), (privacy, partitions))
