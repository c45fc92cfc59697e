import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit import aggregators, models

SHAPES = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=5)


@given(SHAPES, st.integers(0, 1000))
def test_unflatten_is_the_inverse_of_flatten(shapes, seed):
    arrays = [np.random.default_rng(seed).standard_normal(shape).astype(np.float32) for shape in shapes]
    again = models.unflatten(models.flatten(arrays), shapes)
    assert [array.shape for array in again] == shapes
    assert all(np.array_equal(one, other) for one, other in zip(arrays, again, strict=True))


def test_a_vector_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="A vector of 5 numbers cannot fill arrays of 6"):
        models.unflatten(np.zeros(5), [(2, 3)])


def test_the_mean_counts_patients():
    mean = aggregators.weighted_mean([np.array([1.0, 0.0]), np.array([4.0, 3.0])], [2, 1])
    assert mean.tolist() == [2.0, 1.0]


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [3, -1]])
def test_weights_that_are_no_numbers_of_patients_are_refused(weights):
    with pytest.raises(ValueError, match="positive numbers of patients"):
        aggregators.weighted_mean([np.ones(2), np.ones(2)], weights)
