from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fedkit.encryption import quantization, schemes
from fedkit.encryption.packing import BLOCK
from fedkit.encryption.quantization import DRAWS, EXACT_STEP, Dither, Layer, Layout, exact_layer, packed_layer

PARAMETERS = schemes.choose(4, numbers=10**6, bits=26)  # two numbers to a coefficient
REACH = [0, 0.5, 0.5 + norm.isf(2.0**-17)]  # how far each hospital's draws go,
SPREAD = [0, 1 / 12, 1 / 12 + 1]  # and their variance
HOSPITALS = st.sampled_from([1, 2, 3, 8, 25, 1000])
BITS = st.sampled_from([4, 8, 12, 17, 26, 40])


@given(st.integers(2, 52), st.integers(1, 6241), st.sampled_from([0, 1, DRAWS]))
def test_a_packed_layer_leaves_no_more_room_than_rounding_takes(bits, hospitals, draws):
    worst, largest = np.ceil(hospitals * (0.5 + REACH[draws])), 2 ** (bits - 1) - 1
    likely = np.ceil(hospitals / 2 + np.sqrt(2 * hospitals * SPREAD[draws] * np.log(2 * 2.0**64)))
    most = min(worst, likely)
    parameters = PARAMETERS._replace(bits=bits, hospitals=hospitals)
    if largest <= most:
        with pytest.raises(ValueError, match="no room"):
            packed_layer(1, 1.0, parameters, draws)
    else:  # the worst sum fits, and one step more would not
        assert packed_layer(1, 1.0, parameters, draws).limit + most == largest


def test_what_is_drawn_is_sub_gaussian_so_that_many_hospitals_draws_stay_within_the_room():
    """The moment generating function is below that of a normal number with the same variance, at every place."""
    for at in np.geomspace(0.01, 100, 400):
        assert np.log(np.sinh(at / 2) / (at / 2)) <= SPREAD[1] * at**2 / 2
        assert np.log(np.mean(np.exp(at * quantization._NORMAL))) <= at**2 / 2


@settings(deadline=None)
@given(HOSPITALS, BITS, st.sampled_from([1e-10, 1e-6, 1.0, 1e6]), st.sampled_from([0, 1, DRAWS]), st.binary())
def test_a_sum_within_its_bounds_is_right_to_the_rounding(hospitals, bits, size, draws, seed):
    bits = max(bits, (hospitals - 1).bit_length() + 3, int(2 * hospitals * REACH[draws]).bit_length() + 2)
    rng, parameters = np.random.default_rng([*seed]), schemes.choose(hospitals, bits=bits)
    bounds = size * rng.random(hospitals) ** 4  # some hospitals are much larger than others
    agreed = EXACT_STEP * np.rint(bounds / EXACT_STEP).sum()
    layout = Layout((packed_layer(7, agreed, parameters, draws),))
    # Everybody at the bound at once: on the same side in the first number, on the other in the second.
    share = rng.uniform(-1, 1, (hospitals, 7))
    share[:, 0], share[:, 1] = 1, -1
    numbers = bounds[:, None] * share
    coefficients = sum(layout.encode(row, b"%d" % at + seed) for at, row in enumerate(numbers))
    assert np.abs(coefficients).max() < 2 ** (parameters.room_bits - 1), "a sum must fit a coefficient"
    error = np.abs(layout.decode(coefficients) - numbers.sum(axis=0)).max()
    assert error <= layout.layers[0].step * hospitals * (0.5 + REACH[draws]) * (1 + 1e-6)


@settings(deadline=None)
@given(HOSPITALS, st.integers(0, 2**32 - 1))
def test_exact_layers_are_exact_up_to_an_equal_part_of_the_room(hospitals, seed):
    parameters = schemes.choose(hospitals)
    layer = exact_layer(3, parameters)
    most = layer.limit * EXACT_STEP  # far more than any hospital counts, sums or squares
    assert most > 1e21
    counts = np.random.default_rng(seed).integers(0, 2**40, hospitals)
    numbers = [np.array([count, -most, most]) for count in counts]
    digits = sum(layer.encode(row) for row in numbers)
    assert np.abs(digits).max() <= 2 ** (parameters.room_bits - 1)
    assert layer.decode(digits).tolist() == [counts.sum(), -most * hospitals, most * hospitals]
    for sign in (1, -1):
        with pytest.raises(ValueError, match="diverge"):
            layer.encode(np.array([0, 0, sign * most * 1.001]))
    tiny = np.array([0.1, -1e-12, 3 * 2.0**-40])  # what a mean of small numbers may be
    assert np.abs(layer.decode(layer.encode(tiny)) - tiny).max() <= 2.0**-41
    few = exact_layer(1, parameters, 1.0, 20)
    assert few.limit * hospitals <= 2**19 - 1 < (few.limit + 1) * hospitals


def test_what_is_whole_or_exact_is_not_left_to_chance():
    layer = packed_layer(4000, 5.0, schemes.choose(2, bits=4), 1)  # steps of 1
    assert set(layer.round(np.full(4000, -3.0), Dither(b""))) == {-3}
    assert set(exact_layer(4000, PARAMETERS).round(np.full(4000, 0.75 * EXACT_STEP), Dither(b""))) == {1}


def test_what_dither_changes_does_not_depend_on_the_number():
    """Its mean, and spread, of 100,000 numbers; rounding to the nearest, or with one draw, is as good as told."""
    error = 4 * np.array([1, np.sqrt(2)]) / np.sqrt(10**5)
    for draws, spread in ((DRAWS, 1 / 12 + SPREAD[DRAWS]), (1, None), (0, None)):
        layer, found = Layer(10**5, 1.0, 26, 2**20, draws=draws), []
        for own in (0.0, 0.25, 0.5):
            moved = layer.round(np.full(10**5, own), Dither(b"")) - own
            assert np.abs(moved).max() <= 0.5 + REACH[draws]
            found.append([moved.mean(), moved.var()])
        if spread:
            assert (np.abs(np.array(found) - [0, spread]) < error * [np.sqrt(spread), spread]).all()
        else:
            assert np.ptp(found, axis=0).max() > 0.2


def test_what_is_drawn_follows_from_the_secret_and_where_there_is_none_from_the_numbers():
    numbers, layer = np.zeros(3 * BLOCK), packed_layer(3 * BLOCK, 1.0, PARAMETERS)
    apart = [layer.round(numbers, dither) for dither in [Dither(b"a")] * 2 + [Dither(b"b"), Dither("a"), Dither("b")]]
    apart.append(layer.round(numbers + layer.step, Dither("a")) - 1)
    for secret, at in ((b"a", 0), ("a", 3)):
        assert np.array_equal(apart[at], layer.round(-numbers, Dither(secret)))
    for one, other in combinations(apart, 2):  # they agree about once in four times
        assert 0.2 < np.mean(one == other) < 0.35


def test_layers_keep_their_own_steps_and_places_and_rounded_is_what_arrives():
    packed = packed_layer(3, 10.0, PARAMETERS), packed_layer(1, 0.001, PARAMETERS)
    layout = Layout((exact_layer(2, PARAMETERS), *packed))
    assert (layout.size, layout.coefficients) == (6, 2 * PARAMETERS.digits(256) + 2 + 1)
    numbers = np.array([3.0, -700.0, 1.5, -2.25, 0.125, -0.0005])
    arrived = layout.decode(layout.encode(numbers))
    assert (np.abs(arrived - numbers) <= [0, 0, 2e-6, 2e-6, 2e-6, 2e-10]).all()
    assert np.array_equal(layout.rounded(numbers), arrived)


def test_what_does_not_fit_is_refused():
    layout = Layout((packed_layer(3, 1.0, PARAMETERS),))
    for odd in (np.zeros(4), np.zeros((3, 1)), np.zeros(0)):
        with pytest.raises(ValueError, match="3 numbers in a row were agreed on"):
            layout.encode(odd)
    for beyond in (1.1, np.nan, -np.inf):
        with pytest.raises(ValueError, match="beyond what one hospital has room for"):
            layout.encode(np.array([0.0, beyond, 0.0]))
