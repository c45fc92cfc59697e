"""Who hears a sum again and again, in steps of other sizes: do the sums tell more than the sum?"""

import numpy as np
import pytest
from exchange_parts import Class, federation
from scipy.interpolate import BSpline

from fedkit.encryption import promises, schemes
from fedkit.encryption.promises import Promises
from fedkit.encryption.quantization import DRAWS, Layout, packed_layer
from fedkit.exchange import rounds

WAYS = [(0, True), (1, True), (DRAWS, False)]


def likelihood(offsets, draws):
    """Of each number of steps that rounding, with so many draws, may move a number by: uniform numbers, added up."""
    knots = np.arange(draws + 2) - (draws + 1) / 2
    found = BSpline.basis_element(knots, extrapolate=False)(offsets)
    return np.maximum(np.nan_to_num(found), 1e-12)


def read(steps, heard, total, most, draws):
    """Return the larger of two numbers, by what is most likely: from sums in many steps, if they add up to `total`."""
    larger, sizes = np.arange(total / 2, most, steps.min() / 16), np.array(steps)[:, None]
    reach = np.arange(-draws // 2 - 1, draws // 2 + 2)
    near = np.rint(larger / sizes)[..., None] + reach
    rest = np.array(heard)[:, None, None] - near
    one = likelihood(near - (larger / sizes)[..., None], draws)
    two = likelihood(rest - ((total - larger) / sizes)[..., None], draws)
    fit = np.log((one * two).sum(axis=-1)).sum(axis=0)
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
        found = read(np.array([layer.step for layer in layers]), heard, numbers.sum(), 1.0, draws)
        right += abs(found - numbers.max()) < 0.05
    assert right > 30 if told else right < 11, f"{right} of 40"


@pytest.mark.parametrize(("draws", "told"), WAYS[::2])
def test_one_hospital_that_promises_far_too_much(tmp_path, monkeypatch, draws, told):
    """It says that it has so many patients that the model stands still, and so chooses the steps, round by round."""

    def drawn(self, sizes, parameters):
        made(self, sizes, parameters, draws)

    if told:
        made = Promises.__init__
        monkeypatch.setattr(promises.Promises, "__init__", drawn)
    room = Class(tmp_path, federation(3, rows=60, columns=6, seed=5), rounds=20, dither=None).open()
    room.until(2)  # honest up to here, so that it heard what all promise
    liar, *others = (hospital.replica for hospital in room.hospitals.values())
    layers, most = len(room.settings.layers), 2 ** (room.settings.bits - 1) - 20
    promised, asked, patients, rng = liar.opened(1)[1 : 1 + layers], {}, 10**12, np.random.default_rng(3)

    def lie(step):
        if step.purpose != "update":
            return type(liar).numbers(liar, step)
        asked[step.number] = [layer.step for layer in liar.promises.layout.layers[-layers:]]
        finer = 30 * 2 ** (min(len(asked) - 1, 17) / 17)  # than half of what all promised
        bounds = promised / 2 / finer * rng.uniform(0.7, 1.4, layers) * most
        kept = np.append(np.ones(layers), patients).astype("<f8").tobytes()
        liar._keep.write(rounds.place("promise", step.number), kept)
        nothing = np.zeros(sum(room.settings.layers))
        return np.concatenate([bounds, nothing, liar._pairs(rounds.METRICS[:1])]), patients

    monkeypatch.setattr(liar, "numbers", lie)
    room.play()
    coarse = [number for number, steps in asked.items() if steps[0] > promised[0] / 1000]
    assert len(coarse) > 15
    assert {len(names) for _, names in room.counted} == {3}, "nobody was left out"
    right, where = 0, np.repeat(np.arange(layers), room.settings.layers)
    truth = np.array([each._train(each.held, room.settings.rounds)[0] for each in others])
    truth *= np.array([[each._train(each.held, room.settings.rounds)[2]] for each in others])
    for place, layer in enumerate(where):
        steps = np.array([asked[number][layer] for number in coarse])
        sums = np.array([liar.opened(number)[1 + layers + place] for number in coarse])
        found = read(steps, np.rint(sums / steps), truth[:, place].sum(), promised[layer] / 2, draws)
        right += abs(found - truth[:, place].max()) < 0.05 * np.abs(truth[:, place]).max()
    assert right > 5 if told else right < 4, f"{right} of {len(where)}"


def test_what_scores_add_up_to_is_never_the_same_nor_as_fine_as_its_fractions(tmp_path):
    """From exact sums one could work out of which fractions they are made: how many ill patients each tests on."""
    found = set()
    for study in range(4):
        room = Class(tmp_path / str(study), rounds=1, dither=None).open()
        room.play()
        found.add(tuple(room.hospitals["Hospital 0"].replica.opened(2)[-2:] * 2**10))
    assert len(found) > 1
    assert all(np.rint(part) == part for pair in found for part in pair)
    assert {round(tests / 2**10) for _, tests in found} == {room.hospitals["Hospital 0"].scores[0]["auroc"][1]}
