"""Who hears a sum again and again, in steps of other sizes: do the sums tell more than the sum?"""

import numpy as np
import pytest
from exchange_parts import Class, federation
from scipy.interpolate import BSpline
from scipy.special import rel_entr
from scipy.stats import norm

from fedkit.encryption import quantization, schemes
from fedkit.encryption.quantization import DRAWS, Layout, packed_layer

WAYS = [(0, True), (1, True), (DRAWS, False)]


def likelihood(offsets, draws):
    """Of each number of steps that rounding, with so many draws, may move a number by."""
    if draws < 2:  # uniform numbers, added up; what rounding itself does counts as one
        knots = np.arange(draws + 2) - (draws + 1) / 2
        return np.nan_to_num(BSpline.basis_element(knots, extrapolate=False)(offsets))
    integral = lambda place: place * norm.cdf(place) + norm.pdf(place)  # noqa: E731
    return integral(offsets - 1) - 2 * integral(offsets) + integral(offsets + 1)


def read(steps, heard, total, most, draws):
    """Return the larger of two numbers, by what is most likely: from sums in many steps, if they add up to `total`."""
    larger, sizes = np.arange(total / 2, most, steps.min() / 16), np.array(steps)[:, None]
    reach = np.arange(-3 * draws - 1, 3 * draws + 2)
    near = np.rint(larger / sizes)[..., None] + reach
    rest = np.array(heard)[:, None, None] - near
    one = likelihood(near - (larger / sizes)[..., None], draws)
    two = likelihood(rest - ((total - larger) / sizes)[..., None], draws)
    fit = np.log(np.maximum(one * two, 1e-24).sum(axis=-1)).sum(axis=0)
    best = larger[fit >= fit.max() - 1e-9]
    return np.median(best[best < best[0] + 2 * steps.min()])


@pytest.mark.parametrize(("draws", "told"), WAYS)
def test_two_hospitals_numbers_from_their_sum_in_many_steps(draws, told):
    """The sum itself is given, too. Rounding at random in proportion is not enough in steps as coarse as here."""
    rng, parameters, right = np.random.default_rng(5), schemes.choose(3, bits=26), 0
    for game in range(40):
        numbers = rng.uniform(-1, 1, 2)
        layers = [packed_layer(1, step * 2**25, parameters, draws) for step in rng.uniform(0.2, 1, 200)]
        heard = [
            sum(Layout((layer,)).encode(own[None], bytes([at, round, game])) for at, own in enumerate(numbers))[0]
            for round, layer in enumerate(layers)
        ]
        steps = np.array([layer.step for layer in layers])
        right += abs(read(steps, heard, numbers.sum(), 1.0, draws) - numbers.max()) < 0.05
    assert right > 30 if told else right < 11, f"{right} of 40"


@pytest.mark.parametrize(("draws", "told"), WAYS[1:])
def test_a_sum_of_two_tells_less_than_a_billionth_of_a_bit_more_by_the_law_of_what_is_drawn(draws, told):
    """The law of the very numbers that are drawn, all 65,536 of them, and of one uniform number."""
    steps, drawn = np.arange(-8, 9), np.zeros(1) if draws < 2 else quantization._NORMAL
    hat = lambda own: np.maximum(1 - np.abs(steps[:, None] - own - drawn), 0).mean(axis=1)  # noqa: E731
    laws = ([np.convolve(hat(own), hat(total - own)) for own in np.arange(16) / 16] for total in np.arange(5) / 5)
    assert (max(rel_entr(law, np.mean(law, axis=0)).sum(axis=1).mean() for law in laws) > 1e-9 * np.log(2)) == told


def test_a_study_draws_what_it_adds_before_rounding_anew_for_each_sum_of_each_hospital(tmp_path):
    """The model stands still, and all steps are too coarse: what opens is what was drawn, and never the same."""
    room = Class(tmp_path, federation(columns=100), rounds=4, learning_rate=1e-15, public=False).open()
    room.play()
    hospital = room.hospitals["Hospital 0"]
    step = hospital.replica.counted.layer(1, room.settings.most_change, hospital.study.parameters).step
    drawn = np.array([hospital.replica.opened(number)[1:-2] for number in range(2, 6)]) / step
    assert np.array_equal(drawn, np.rint(drawn))
    assert len({tuple(each) for each in drawn}) == 4
    assert 0.6 < drawn.var() / (3 * (2 / 12 + 1)) < 1.5  # of 408, once in a billion by chance


def test_what_scores_add_up_to_is_never_the_same_nor_as_fine_as_its_fractions(tmp_path):
    """From exact sums one could work out of which fractions they are made: how many ill patients each tests on."""
    found = set()
    for study in range(4):
        (room := Class(tmp_path / str(study), rounds=1, public=False).open()).play()
        found.add(tuple(room.hospitals["Hospital 0"].replica.opened(2)[-2:] * 2**4))
    assert len(found) > 1
    assert all(np.rint(part) == part for pair in found for part in pair)
    assert {round(tests / 2**4) for _, tests in found} == {room.hospitals["Hospital 0"].scores[0]["auroc"][1]}
