"""Each rule against an oracle, and against one attacker more than it can bear; the same for groups under encryption."""

import numpy as np
import pytest

from fedkit import aggregators, learning
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.chapters.attacks import forging, poisoning
from fedkit.chapters.robust import FLTrust, GroupwiseEncrypted, Krum, Median, NormClipped, TrimmedMean
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


HOSPITALS = [f"Zürich {number}" for number in range(9)]
PATIENTS = {name: 20 + 10 * number for number, name in enumerate(HOSPITALS)}
LAYERS = {"kernel": (13, 1), "bias": (1,)}


def nine(round=1):
    generator = np.random.default_rng(round)
    return {name: 1 + 0.1 * generator.normal(size=14) for name in HOSPITALS}


def train(aggregator, rounds=3):
    """Means of some rounds, and the ledger."""
    ledger, means = Ledger(), []
    state = aggregator.start(HOSPITALS, LAYERS, ledger)
    for ledger.round in range(1, rounds + 1):
        state, mean = aggregator.aggregate(state, nine(ledger.round), PATIENTS, ledger)
        means.append(mean)
    return np.stack(means), ledger.frame()


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize("regroup", [False, True])
@pytest.mark.parametrize("rule", [Median(), TrimmedMean(1)])
def test_it_is_the_rule_over_the_groups_plain_means(scheme, regroup, rule):
    aggregator = GroupwiseEncrypted(EncryptedMean(scheme), 3, rule, regroup=regroup)
    means, _ = train(aggregator)
    for round, mean in enumerate(means, start=1):
        vectors = nine(round)
        groups = [
            aggregators.weighted_mean([vectors[name] for name in group], [PATIENTS[name] for name in group])
            for group in aggregator.members(HOSPITALS, round)
        ]
        assert np.abs(mean - np.median(groups, axis=0)).max() < 1e-6  # of three, trimming one leaves the median too


def test_groups_cover_everybody_once_and_follow_seed_and_round():
    fixed, drawn = (GroupwiseEncrypted(EncryptedMean(), 4, regroup=regroup, seed=1) for regroup in (False, True))
    groups = drawn.members(HOSPITALS, 1)
    assert sorted(name for group in groups for name in group) == sorted(HOSPITALS)
    assert sorted(map(len, groups)) == [2, 2, 2, 3]
    assert groups == drawn.members(HOSPITALS[::-1], 1)
    assert groups != drawn.members(HOSPITALS, 2)
    assert fixed.members(HOSPITALS, 1) == fixed.members(HOSPITALS, 2)
    assert fixed.members(HOSPITALS, 1) != GroupwiseEncrypted(EncryptedMean(), 4, seed=2).members(HOSPITALS, 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GroupwiseEncrypted(EncryptedMean(), 3, least=1), "hides nothing"),
        (lambda: train(GroupwiseEncrypted(EncryptedMean(), 5)), "9 hospitals cannot make 5 groups of 2"),
        (lambda: train(GroupwiseEncrypted(EncryptedMean(), 3, least=4)), "9 hospitals cannot make 3 groups of 4"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 2), "no majority"),
        (lambda: GroupwiseEncrypted(Mean()), "give one that encrypts"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 4, TrimmedMean(2)), "`trim`"),
    ],
)
def test_groups_that_cannot_be_robust_or_private_are_refused_at_the_start(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_it_bears_one_bad_group_of_three_and_not_two():
    aggregator = GroupwiseEncrypted(EncryptedMean(), 3)
    first, second, _ = aggregator.members(HOSPITALS, 1)
    loud = forging.SignFlip(50)
    together = forging.Poisoned(aggregator, dict.fromkeys(first, loud))
    apart = forging.Poisoned(aggregator, {first[0]: loud, second[0]: loud})
    assert np.abs(train(together, 1)[0] - 1).max() < 0.2, "three attackers who share one group spoil one vote"
    assert train(apart, 1)[0].min() < -5, "two attackers in two groups have the median"
    assert train(forging.Poisoned(EncryptedMean(), {first[0]: loud}), 1)[0].max() < 0, "a mean falls to one"


def test_every_hospital_gets_and_decrypts_every_groups_sum():
    _, ledger = train(GroupwiseEncrypted(EncryptedMean("ckks"), 3), 1)
    down = ledger.query("direction == 'down' and phase == 'send' and round == 1").groupby("hospital")["bytes"]
    assert set(down.count()) == {3}
    assert down.sum().nunique() == 1
    assert set(ledger.query("phase == 'decrypt' and round == 1").groupby("hospital").size()) == {3}
    assert set(ledger.query("direction == 'up' and phase == 'send' and round == 1").groupby("hospital").size()) == {1}


def test_two_in_a_group_read_each_other_and_redrawn_groups_leak_by_subtraction():
    """The price in privacy, in numbers that every hospital decrypts."""
    aggregator = GroupwiseEncrypted(EncryptedMean(), 4, regroup=True)
    pair = next(group for group in aggregator.members(HOSPITALS, 1) if len(group) == 2)
    vectors, total = nine(), sum(PATIENTS[name] for name in pair)
    mean = aggregators.weighted_mean([vectors[name] for name in pair], [PATIENTS[name] for name in pair])
    partner = (total * mean - PATIENTS[pair[0]] * vectors[pair[0]]) / PATIENTS[pair[1]]
    assert np.allclose(partner, vectors[pair[1]])

    def known(rounds, regroup):
        """How many updates, were they the same each round, follow from all the sums that are read."""
        drawn = GroupwiseEncrypted(EncryptedMean(), 4, regroup=regroup)
        groups = [group for round in range(1, rounds + 1) for group in drawn.members(HOSPITALS, round)]
        return np.linalg.matrix_rank([[name in group for name in HOSPITALS] for group in groups])

    assert known(10, regroup=False) == 4
    assert known(10, regroup=True) == len(HOSPITALS)
