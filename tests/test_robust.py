"""Each rule against an oracle, and against one attacker more than it can bear."""

import numpy as np
import pytest

from fedkit import learning
from fedkit.aggregators import Mean
from fedkit.chapters.attacks import forging, poisoning
from fedkit.chapters.robust import FLTrust, Krum, Median, NormClipped, TrimmedMean
from fedkit.hospitals import load
from fedkit.records import Ledger

SHAPES = {"kernel": (3, 1), "bias": (1,)}
RULES = [Median(), TrimmedMean(2), Krum(2), Krum(2, keep=5), NormClipped(), FLTrust("hospital 0")]


def updates(honest=5, malicious=(), spread=0.1, seed=0):
    """Honest hospitals around (1, -1, 2, 0), and malicious ones with given updates."""
    generator = np.random.default_rng(seed)
    vectors = np.array([1.0, -1, 2, 0]) + spread * generator.normal(size=(honest, 4))
    return {f"hospital {number}": vector for number, vector in enumerate([*vectors, *malicious])}


def joined(rule, vectors, patients=None):
    ledger = Ledger()
    state = rule.start(list(vectors), SHAPES, ledger)
    return rule.aggregate(state, vectors, patients or dict.fromkeys(vectors, 50), ledger)[1]


def off(vector):
    """How far from what the honest ones agree on."""
    return np.abs(vector - [1, -1, 2, 0]).max()


def test_median_and_trimmed_mean_by_hand():
    vectors = {str(n): np.array([float(n), -float(n), 0, 1]) for n in [1, 2, 3, 4, 100]}
    assert joined(Median(), vectors).tolist() == [3, -3, 0, 1]
    assert joined(Median(), {name: vectors[name] for name in ["1", "2", "3", "100"]}).tolist() == [2.5, -2.5, 0, 1]
    assert joined(TrimmedMean(1), vectors).tolist() == [3, -3, 0, 1]
    assert joined(TrimmedMean(0), vectors).tolist() == [22, -22, 0, 1]


def test_krum_by_hand():
    """n = 5, f = 1: the two nearest count. On a line at 0, 1, 2, 4, 50 the scores are 5, 2, 5, 13, ..."""
    vectors = {str(n): np.array([float(n), 0, 0, 0]) for n in [0, 1, 2, 4, 50]}
    assert Krum(1).scores(np.stack(list(vectors.values()))).tolist() == [5, 2, 5, 13, 46**2 + 48**2]
    assert joined(Krum(1), vectors).tolist() == [1, 0, 0, 0]
    assert joined(Krum(1, keep=3), vectors).tolist() == [1, 0, 0, 0]


def test_clipping_by_hand():
    vectors = {"A": np.array([3.0, 4, 0, 0]), "B": np.array([0, 0, 0.5, 0]), "C": np.array([0, 0, 0, 1.0])}
    assert np.allclose(joined(NormClipped(1), vectors, {"A": 2, "B": 1, "C": 1}), [0.3, 0.4, 0.125, 0.25])
    assert np.allclose(joined(NormClipped(), vectors), np.array([0.6, 0.8, 0.5, 1]) / 3)  # the median length is 1
    assert np.allclose(joined(NormClipped(100), vectors), joined(Mean(), vectors))


def test_fltrust_by_hand():
    """One at 60 degrees, twice as long, is shortened and trusted by half; one that points away not at all."""
    vectors = {"root": np.array([2.0, 0, 0, 0]), "slanted": np.array([2, np.sqrt(12), 0, 0])}
    vectors["away"] = np.array([-1.0, 5, 0, 0])
    assert np.allclose(joined(FLTrust("root"), vectors), [(2 + 0.5 * 1) / 1.5, 0.5 * np.sqrt(3) / 1.5, 0, 0], atol=1e-6)
    assert not joined(FLTrust("root"), {**vectors, "root": np.zeros(4)}).any()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("poison", [np.full(4, 1e3), np.array([-10.0, 10, -20, 5])])
def test_two_of_seven_cannot_steer_it_and_can_a_mean(rule, poison):
    vectors = updates(5, [poison, poison])
    assert off(joined(Mean(), vectors)) > 2
    assert off(joined(rule, vectors)) < (1.7 if rule.name == "clipped" else 0.3)


@pytest.mark.parametrize("rule", [Median(), TrimmedMean(2), Krum(2)], ids=lambda rule: rule.name)
def test_a_colluding_majority_has_it(rule):
    """Median: 4 of 7. TrimmedMean(2): 3. Krum(2) with n = 7: 4, so that n < 2f + 3."""
    malicious = 3 if rule.name == "trimmed mean" else 4
    assert off(joined(rule, updates(7 - malicious, [np.full(4, 9.0)] * malicious))) > 2


def test_krum_falls_to_colluders_where_n_is_below_2f_plus_3():
    """Of six hospitals three collude: assumed f = 1 passes the check, the true f = 3 asks for nine."""
    poison = np.full(4, 9.0)
    assert off(joined(Krum(1), updates(3, [poison] * 3))) > 5
    assert off(joined(Krum(1), updates(5, [poison]))) < 0.3
    with pytest.raises(ValueError, match="needs 9 hospitals or more"):
        joined(Krum(3), updates(3, [poison] * 3))


def test_clipping_lets_a_liar_about_patients_through_and_votes_do_not():
    vectors = updates(6, [np.array([-1.0, 1, -2, 0])])
    lie = dict.fromkeys(vectors, 50) | {"hospital 6": 5000}
    assert off(joined(NormClipped(), vectors)) < 1.4
    assert off(joined(NormClipped(), vectors, lie)) > 3
    for rule in (Median(), TrimmedMean(2), Krum(2), FLTrust("hospital 0")):
        assert np.array_equal(joined(rule, vectors, lie), joined(rule, vectors))


def test_a_minority_that_is_merely_different_is_not_heard():
    """The price: two honest hospitals of seven whose patients differ are lost to the median and to Krum."""
    vectors = updates(5, [np.array([1.0, -1, 2, 3])] * 2, spread=0.01)
    assert joined(Mean(), vectors)[3] == pytest.approx(6 / 7, abs=0.02)
    for rule in (Median(), Krum(2)):
        assert abs(joined(rule, vectors)[3]) < 0.05


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (TrimmedMean(4), "choose a smaller `trim`"),
        (Krum(3), "needs 9 hospitals"),
        (Krum(2, keep=6), "`keep` is 6"),
        (FLTrust("Bern"), "'Bern', whom FLTrust trusts"),
    ],
)
def test_too_few_hospitals_are_refused_at_the_start(rule, sentence):
    with pytest.raises(ValueError, match=sentence):
        rule.start(list(updates(7)), SHAPES, Ledger())


@pytest.mark.parametrize(
    "make", [lambda: TrimmedMean(-1), lambda: Krum(0.5), lambda: Krum(1, 0), lambda: NormClipped(0)]
)
def test_bad_settings_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e300])
def test_an_update_that_is_no_number_is_refused_and_the_round_goes_on(poison):
    vectors, ledger = updates(6, [np.full(4, poison)]), Ledger()
    _, found = Median().aggregate(None, vectors, dict.fromkeys(vectors, 50), ledger)
    assert np.array_equal(found, joined(Median(), updates(6)))
    assert ledger.frame().query("phase == 'refused'")["hospital"].tolist() == ["hospital 6"]
    with pytest.raises(ValueError, match="nothing to join"):
        joined(Median(), {"A": np.full(4, poison)})


def test_the_bytes_are_those_of_the_mean():
    ledgers = []
    for rule in (Mean(), Median()):
        ledger = Ledger()
        rule.aggregate(rule.start(list(updates()), SHAPES, ledger), updates(), dict.fromkeys(updates(), 50), ledger)
        ledgers.append(ledger.frame().drop(columns="seconds"))
    assert ledgers[0].equals(ledgers[1])


def test_on_four_hospitals_the_median_bears_one_attacker_at_a_price_to_the_small_ones():
    heart = load("heart_disease")
    attackers = {"Hungary": forging.SignFlip(4)}

    def auroc(aggregator):
        runs = learning.train_federated(heart, rounds=20, seed=range(3), aggregator=aggregator)
        found = [poisoning.evaluate(run, heart, wanted=["auroc"]).set_index("hospital")["value"] for run in runs]
        return sum(found) / len(found)

    mean, median = auroc(Mean()), auroc(Median())
    assert auroc(forging.Poisoned(Mean(), attackers)).mean() < 0.4
    assert auroc(forging.Poisoned(Median(), attackers)).mean() > 0.7
    assert auroc(forging.Poisoned(FLTrust("Cleveland"), attackers)).mean() > 0.75
    assert (mean - median)["Switzerland"] > 0.02 > abs((mean - median)["Cleveland"])
