"""Gradient inversion on paper: a patient's row, read from the first layer of one update.

For a dense layer z = x W + b, the chain rule gives dL/dW = x^T dL/dz and dL/db =
dL/dz. After one step with one patient, each column of the kernel's update divided by
the bias's update is therefore the row x itself, exactly. With more patients it is a
mixture of their rows, each weighted with its own dL/dz; a hidden ReLU unit that only one
patient switches on still gives that patient's row.

References
----------
Phong et al., "Privacy-Preserving Deep Learning via Additively Homomorphic Encryption",
IEEE TIFS 13(5), 2018, section 3. Geiping et al., "Inverting Gradients - How easy is it
to break privacy in federated learning?", NeurIPS 2020, Proposition 3.1.
"""

from collections.abc import Mapping

import numpy as np

from fedkit.preparation import Statistics


def read(message: bytes, numbers: int) -> np.ndarray:
    """Take a message for a plain update: float32 from its beginning, as `aggregators.Mean` sends them.

    Parameters
    ----------
    message
        Any bytes. Of a ciphertext this reads nonsense, which is the point.
    numbers
        How many, p.

    Returns
    -------
    numpy.ndarray
        float64, shape [p]; 0 where the bytes are no finite number.

    Raises
    ------
    ValueError
        If the message is too short.
    """
    if len(message) < 4 * numbers:
        raise ValueError(f"{len(message)} bytes cannot hold {numbers} numbers of 4 bytes: is this the whole message?")
    with np.errstate(invalid="ignore"):  # any bytes may come
        found = np.frombuffer(message, "<f4", numbers).astype(np.float64)
    return np.where(np.isfinite(found), found, 0.0)


def rows(kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Divide a first layer's kernel update by its bias update: one candidate row a unit.

    Parameters
    ----------
    kernel
        Its update, or gradient, shape [d, units].
    bias
        Likewise, shape [units].

    Returns
    -------
    numpy.ndarray
        float64, shape [c, d]: c units moved at all. Exact after one step with one
        patient; else mixtures.
    """
    kernel, bias = np.asarray(kernel, dtype=np.float64), np.asarray(bias, dtype=np.float64)
    moved = bias != 0
    return (kernel[:, moved] / bias[moved]).T


def label(last_bias: np.ndarray) -> int:
    """Label of the one patient of one step: the logit's bias moves up for 1, down for 0.

    Parameters
    ----------
    last_bias
        The last layer's bias update, shape [1]; its gradient has the opposite sign.

    References
    ----------
    Zhao et al., "iDLG: Improved Deep Leakage from Gradients", arXiv:2001.02610, 2020.
    """
    return int(np.asarray(last_bias).item() > 0)


def as_measured(row: np.ndarray, statistics: Statistics) -> dict[str, float | str]:
    """Turn a prepared row back into what a doctor wrote down.

    The statistics are known to everybody who trains, and to a server that added them up.

    Parameters
    ----------
    row
        Shape [d], the columns of `Statistics.columns`.
    statistics
        What the rows were prepared with.

    Returns
    -------
    dict
        Column -> value in its own unit, or level. A missing value shows as the mean
        that stood in for it.
    """
    moments = statistics.moments
    known = np.isfinite(moments["std"])
    numbers = moments["mean"] + np.where(known, moments["std"], 0) * np.asarray(row[: len(moments)], dtype=np.float64)
    found: dict[str, float | str] = {str(column): float(value) for column, value in numbers.items()}
    at = len(moments)
    for column, levels in statistics.levels.items():
        coded = np.asarray(row[at : at + len(levels) - 1], dtype=np.float64)
        # The reference level is where all the others are 0: the nearest corner.
        found[column] = levels[int(np.argmax([0.5, *coded]))]
        at += len(levels) - 1
    return found


def subtract(mean: np.ndarray, patients: Mapping[str, float], known: Mapping[str, np.ndarray]) -> np.ndarray:
    """Take known updates out of a mean: what the hospitals that are left sent, on average.

    Whoever knows all updates but one reads the last one, encrypted sum or not: with two
    hospitals, each the other.

    Parameters
    ----------
    mean
        The weighted mean of all hospitals' updates, shape [p].
    patients
        Hospital -> patients, of all that take part.
    known
        Hospital -> update, of those that pool what they know; not all of them.

    Returns
    -------
    numpy.ndarray
        Weighted mean of the others' updates, shape [p].

    Raises
    ------
    ValueError
        If nobody is left.
    """
    left = sum(patients.values()) - sum(patients[name] for name in known)
    if len(known) >= len(patients) or left <= 0:
        raise ValueError("Every hospital's update is known already: there is nothing left to find.")
    total = np.asarray(mean, dtype=np.float64) * sum(patients.values())
    return (total - sum(patients[name] * np.asarray(update) for name, update in known.items())) / left


def errors(truth: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How far each patient's nearest candidate is off, feature by feature.

    Parameters
    ----------
    truth
        Prepared rows, shape [n, d].
    candidates
        What an attack found, shape [c, d].

    Returns
    -------
    numpy.ndarray
        Absolute errors, shape [n, d], in standard deviations for numeric columns, of
        the candidate with the least mean error (an attacker would have to know which: this
        favours it). Guessing 0 everywhere, the mean patient,
        is the chance level to hold them against.

    Raises
    ------
    ValueError
        If there is no candidate.
    """
    truth, candidates = np.atleast_2d(truth), np.atleast_2d(candidates)
    if not candidates.size:
        raise ValueError("There is no candidate: no unit of the layer moved.")
    distances = np.abs(truth[:, None] - candidates[None])
    return distances[np.arange(len(truth)), distances.mean(axis=2).argmin(axis=1)]


def psnr(truth: np.ndarray, guess: np.ndarray, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio of two images, in decibels; infinite if they are equal.

    Parameters
    ----------
    truth, guess
        Of one shape.
    peak
        The brightest value a pixel may have.
    """
    error = np.mean(np.square(np.asarray(truth, dtype=np.float64) - np.asarray(guess, dtype=np.float64)))
    return float(10 * np.log10(peak**2 / error)) if error else float("inf")
