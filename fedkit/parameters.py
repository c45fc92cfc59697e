"""A model's weights as one flat vector, and back; and the weighted mean of such vectors."""

from collections.abc import Sequence

import numpy as np


def flatten(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Lay arrays one behind the other in one vector.

    Parameters
    ----------
    arrays
        A model's weights, or an update of them, of any shapes.

    Returns
    -------
    numpy.ndarray
        float64, shape [p], p the number of parameters.
    """
    return np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in arrays])


def unflatten(vector: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Cut a flat vector into float32 arrays of the given shapes: the inverse of `flatten`.

    Parameters
    ----------
    vector
        Shape [p].
    shapes
        One shape an array, in the order in which they were flattened.

    Returns
    -------
    list of numpy.ndarray
        float32, in the given shapes.

    Raises
    ------
    ValueError
        If the shapes do not ask for exactly p numbers.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) != len(vector):
        raise ValueError(
            f"A vector of {len(vector)} numbers cannot fill arrays of {sum(sizes)}: check the model's shapes."
        )
    parts = np.split(np.asarray(vector), np.cumsum(sizes)[:-1])
    return [part.reshape(shape).astype(np.float32) for part, shape in zip(parts, shapes, strict=True)]


def weighted_mean(vectors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Mean of vectors, each counted with its weight (its hospital's number of patients).

    Parameters
    ----------
    vectors
        k vectors of shape [p].
    weights
        k numbers, not negative, not all zero.

    Returns
    -------
    numpy.ndarray
        float64, shape [p].

    Raises
    ------
    ValueError
        If a weight is negative, or all are zero.

    References
    ----------
    McMahan et al., "Communication-Efficient Learning of Deep Networks from
    Decentralized Data", AISTATS 2017, Algorithm 1.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if np.any(weights < 0) or weights.sum() == 0:
        raise ValueError(f"Weights must be positive numbers of patients, and these are {weights.tolist()}.")
    return weights @ np.asarray(vectors, dtype=np.float64) / weights.sum()
