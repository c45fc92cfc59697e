import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit import quantization
from fedkit.quantization import Layout, headroom, pack, packed_layer, unpack, wide_layer

# Widths that fit one coefficient of 52 bits, as schemes.choose offers it.
SHAPES = st.sampled_from([(52, 1), (26, 2), (17, 3), (13, 4)])


@given(st.data(), SHAPES)
def test_packed_integers_come_back(data, shape):
    bits, fields = shape
    half = 2 ** (bits - 1)
    integers = np.array(data.draw(st.lists(st.integers(-half, half - 1), min_size=1, max_size=20)))
    packed = pack(integers, bits, fields)
    assert len(packed) == -(-len(integers) // fields)
    assert np.array_equal(unpack(packed, bits, fields, len(integers)), integers)


@given(st.data(), SHAPES, st.integers(2, 24))
def test_packed_integers_can_be_added(data, shape, hospitals):
    bits, fields = shape
    most = (2 ** (bits - 1) - 1) // hospitals
    rows = st.lists(st.integers(-most, most), min_size=5, max_size=5)
    integers = np.array([data.draw(rows) for _ in range(hospitals)])
    total = sum(pack(row, bits, fields) for row in integers)
    assert np.array_equal(unpack(total, bits, fields, 5), integers.sum(axis=0))


def test_a_negative_digit_borrows_from_the_next():
    assert pack(np.array([-1, 1]), 26, 2).tolist() == [2**26 - 1]


@given(st.integers(2, 52), st.integers(1, 6241))
def test_headroom_is_tight(bits, hospitals):
    worst_rounding, largest = -(-hospitals // 2), 2 ** (bits - 1) - 1
    if largest <= worst_rounding:
        with pytest.raises(ValueError, match="no room"):
            headroom(bits, hospitals)
        return
    room = headroom(bits, hospitals)
    assert room + worst_rounding == largest  # the worst sum fits, and one step more would not
    assert unpack(np.array([room + worst_rounding]), bits, 1, 1)[0] == largest
    assert unpack(np.array([room + worst_rounding + 1]), bits, 1, 1)[0] < 0


@given(st.integers(1, 24), st.floats(1e-6, 1e6), SHAPES.filter(lambda shape: shape[1] > 1), st.integers(0, 2**32 - 1))
def test_a_sum_within_its_bounds_is_right_to_half_a_step_a_hospital(hospitals, size, shape, seed):
    bits, fields = shape
    rng = np.random.default_rng(seed)
    bounds = size * rng.random(hospitals) ** 4  # some hospitals are much larger than others
    layout = Layout((packed_layer(7, bounds.sum(), bits, fields, hospitals),))
    # Everybody at the bound at once, and on the same side, in the first number.
    numbers = bounds[:, None] * np.concatenate([np.ones((hospitals, 1)), rng.uniform(-1, 1, (hospitals, 6))], axis=1)
    decoded = layout.decode(sum(layout.encode(row) for row in numbers))
    assert np.abs(decoded - numbers.sum(axis=0)).max() <= layout.layers[0].step * hospitals / 2 * (1 + 1e-6)


def test_layers_keep_their_own_steps_and_places():
    layout = Layout((wide_layer(2, 52, 4), packed_layer(3, 10.0, 26, 2, 4), packed_layer(1, 0.001, 26, 2, 4)))
    assert (layout.size, layout.coefficients) == (6, 2 + 2 + 1)
    numbers = np.array([3.0, -700.0, 1.5, -2.25, 0.125, -0.0005])
    assert np.abs(layout.decode(layout.encode(numbers)) - numbers).tolist() <= [2**-23] * 2 + [2e-7] * 3 + [2e-11]


def test_a_wide_layer_gives_each_hospital_an_equal_part():
    layer = wide_layer(1, 52, 24)
    assert layer.limit * 24 <= 2**51 - 1 < (layer.limit + 1) * 24
    with pytest.raises(ValueError, match="diverge"):
        Layout((layer,)).encode(np.array([(layer.limit + 1) * layer.step]))


def test_what_does_not_fit_is_refused():
    layout = Layout((packed_layer(3, 1.0, 26, 2, 4),))
    with pytest.raises(ValueError, match="agreed on 3 numbers, and this vector has 4"):
        layout.encode(np.zeros(4))
    with pytest.raises(ValueError, match="beyond"):
        layout.encode(np.array([0.0, 1.1, 0.0]))


def test_maxima_are_a_layers_own():
    assert quantization.maxima(np.array([1.0, -3.0, 2.0, -0.5]), [3, 1]).tolist() == [3.0, 0.5]
