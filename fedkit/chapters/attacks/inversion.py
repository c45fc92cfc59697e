"""Gradient inversion on paper: a patient's row, read from the first layer of one update.

For a dense layer z = x W + b, the chain rule gives dL/dW = x^T dL/dz and dL/db = dL/dz. After one step with one
patient, each column of the kernel's update divided by the bias's update is therefore the row x itself, exactly. With
more patients it is a mixture of their rows, each weighted with its own dL/dz; a hidden ReLU unit that only one patient
switches on still gives that patient's row (Phong et al., "Privacy-Preserving Deep Learning via Additively Homomorphic
Encryption", IEEE TIFS 13(5), 2018, section 3; Geiping et al., "Inverting Gradients", NeurIPS 2020, Proposition 3.1).
"""

from collections.abc import Mapping

import numpy as np

from fedkit.preparation import Statistics


def read(message: bytes, numbers: int) -> np.ndarray:
    """Take any bytes for a plain update of float32 numbers, as `aggregators.Mean` sends them: float64, shape [numbers].

    Of a ciphertext this reads nonsense, which is the point; 0 where the bytes are no finite number.
    """
    if len(message) < 4 * numbers:
        raise ValueError(f"{len(message)} bytes cannot hold {numbers} numbers of 4 bytes: is this the whole message?")
    with np.errstate(invalid="ignore"):  # any bytes may come
        found = np.frombuffer(message, "<f4", numbers).astype(np.float64)
    return np.where(np.isfinite(found), found, 0.0)


def rows(kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Divide a first layer's kernel update [d, units] by its bias update [units]: a row for each unit that moved.

    float64, shape [c, d]. Exact after one step with one patient; else mixtures.
    """
    kernel, bias = np.asarray(kernel, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    moved = bias != 0
    return (kernel[:, moved] / bias[moved]).T


def label(last_bias: np.ndarray) -> int:
    """Label of the one patient of one step: the logit's bias, shape [1], moves up for 1 (iDLG, arXiv:2001.02610)."""
    return int(np.asarray(last_bias).item() > 0)


def as_measured(row: np.ndarray, statistics: Statistics) -> dict[str, float | str]:
    """Turn a prepared row, shape [d], back into what a doctor wrote down: column -> value in its own unit, or level.

    The statistics are known to everybody who trains, and to a server that added them up. A missing value shows as the
    mean that stood in for it.
    """
    moments, row = statistics.moments, np.asarray(row, dtype=np.float64)
    numbers = moments["mean"] + moments["std"].where(np.isfinite(moments["std"]), 0) * row[: len(moments)]
    found: dict[str, float | str] = {str(column): float(value) for column, value in numbers.items()}
    at = len(moments)
    for column, levels in statistics.levels.items():
        coded = row[at : at + len(levels) - 1]
        # The reference level is where all the others are 0: the nearest corner.
        found[column] = levels[int(np.argmax([0.5, *coded]))]
        at += len(levels) - 1
    return found


def subtract(mean: np.ndarray, patients: Mapping[str, float], known: Mapping[str, np.ndarray]) -> np.ndarray:
    """Take known updates out of a weighted mean [p]: the weighted mean of the others' updates, shape [p].

    Whoever knows all updates but one reads the last one, encrypted sum or not: with two hospitals, each the other.
    ValueError if all are `known`, hospital -> update; `patients` are those of all that take part.
    """
    left = sum(patients.values()) - sum(patients[name] for name in known)
    if len(known) >= len(patients) or left <= 0:
        raise ValueError("Every hospital's update is known already: there is nothing left to find.")
    total = np.asarray(mean, dtype=np.float64) * sum(patients.values())
    return (total - sum(patients[name] * np.asarray(update) for name, update in known.items())) / left


def errors(truth: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How far each patient's nearest candidate is off, feature by feature: shape [n, d], in standard deviations.

    Nearest has the least mean error: an attacker would have to know which, so this favours it. Guessing 0 everywhere,
    the mean patient, is the chance level to hold it against. ValueError if there is no candidate.
    """
    truth, candidates = np.atleast_2d(truth), np.atleast_2d(candidates)
    if not candidates.size:
        raise ValueError("There is no candidate: no unit of the layer moved.")
    distances = np.abs(truth[:, None] - candidates[None])
    return distances[np.arange(len(truth)), distances.mean(axis=2).argmin(axis=1)]


def psnr(truth: np.ndarray, guess: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two images with pixels up to 1, in decibels; infinite if they are equal."""
    error = np.mean(np.square(np.asarray(truth, dtype=np.float64) - np.asarray(guess, dtype=np.float64)))
    return float(10 * np.log10(1 / error)) if error else float("inf")
