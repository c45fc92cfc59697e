"""Each rule against an oracle; the same for groups under encryption."""

import numpy as np
import pytest
from playing import Training

from fedkit import aggregators
from fedkit.aggregators import EncryptedMean, Mean, SharedKeyMean
from fedkit.chapters.robust import FLTrust, GroupwiseEncrypted, Krum, Median, NormClipped, TrimmedMean


def updates(honest=5, malicious=()):
    """Honest hospitals around (1, -1, 2, 0), and malicious ones with given updates."""
    vectors = np.array([1.0, -1, 2, 0]) + 0.1 * np.random.default_rng(0).normal(size=(honest, 4))
    return {f"hospital {number}": vector for number, vector in enumerate([*vectors, *malicious])}


def joined(rule, vectors, patients=None):
    return Training(rule, vectors).play(vectors, patients or dict.fromkeys(vectors, 50))


def off(vector):
    """How far from what the honest ones agree on."""
    return np.abs(vector - [1, -1, 2, 0]).max()


def line(*numbers):
    return {str(n): np.array([float(n), -float(n), 0, 1]) for n in numbers}


THREE = {"A": np.array([3.0, 4, 0, 0]), "B": np.array([0, 0, 0.5, 0]), "C": np.array([0, 0, 0, 1.0])}
SLANTED = np.array([2, np.sqrt(12), 0, 0])  # at 60 degrees to the root, and twice as long
TRUST = {"root": np.array([2.0, 0, 0, 0]), "slanted": SLANTED, "away": np.array([-1.0, 5, 0, 0])}


@pytest.mark.parametrize(
    ("rule", "vectors", "expected"),
    [
        (Median(), line(1, 2, 3, 4, 100), [3, -3, 0, 1]),
        (Median(), line(1, 2, 3, 100), [2.5, -2.5, 0, 1]),
        (TrimmedMean(1), line(1, 2, 3, 4, 100), [3, -3, 0, 1]),
        (TrimmedMean(0), line(1, 2, 3, 4, 100), [22, -22, 0, 1]),
        (Krum(1), line(0, 1, 2, 4, 50), [1, -1, 0, 1]),
        (Krum(1, keep=4), line(0, 1, 2, 4, 50), [1.75, -1.75, 0, 1]),
        (NormClipped(1), THREE, np.array([0.6, 0.8, 0.5, 1]) / 3),
        (NormClipped(), THREE, np.array([0.6, 0.8, 0.5, 1]) / 3),  # the median length is 1
        (NormClipped(100), THREE, np.array([3, 4, 0.5, 1]) / 3),
        (FLTrust("root"), TRUST, [2.5 / 1.5, 0.5 * np.sqrt(3) / 1.5, 0, 0]),  # shortened, and trusted by half
        (FLTrust("root"), TRUST | {"root": np.zeros(4)}, np.zeros(4)),
    ],
)
def test_a_rule_by_hand(rule, vectors, expected):
    assert np.allclose(joined(rule, vectors), expected, rtol=0, atol=1e-6)


def test_krum_counts_the_two_nearest_of_five():
    """On a line at 0, 1, 2, 4, 50, by hand."""
    numbers = np.array([[0.0], [1], [2], [4], [50]])
    assert Krum(1).scores(numbers).tolist() == [5, 2, 5, 13, 46**2 + 48**2]


def test_clipping_lets_a_liar_about_patients_through_and_votes_do_not():
    vectors = updates(6, [np.array([-1.0, 1, -2, 0])])
    lie = dict.fromkeys(vectors, 50) | {"hospital 6": 5000}
    assert off(joined(NormClipped(), vectors)) < 1.4 < 3 < off(joined(NormClipped(), vectors, lie))
    for rule in (Median(), TrimmedMean(2), Krum(2), FLTrust("hospital 0")):
        assert np.array_equal(joined(rule, vectors, lie), joined(rule, vectors))


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e300])
def test_an_update_that_is_no_number_is_refused_and_the_round_goes_on(poison):
    vectors = updates(6, [np.full(4, poison)])
    training = Training(Median(), vectors)
    assert np.array_equal(training.play(vectors, dict.fromkeys(vectors, 50)), joined(Median(), updates(6)))
    assert training.refused == [(1, "hospital 6")]
    with pytest.raises(ValueError, match="nothing to join"):
        joined(Median(), {"A": np.full(4, poison)})


def test_the_bytes_are_those_of_the_mean():
    mean, median = (Training(rule) for rule in (Mean(), Median()))
    for training in (mean, median):
        training.play(updates(), dict.fromkeys(updates(), 50))
    assert mean.ledger.frame().drop(columns="seconds").equals(median.ledger.frame().drop(columns="seconds"))


PATIENTS = {f"Zürich {number}": 20 + 10 * number for number in range(13)}
HOSPITALS = list(PATIENTS)


def sent(round=1):
    generator = np.random.default_rng(round)
    return {name: 1 + 0.1 * generator.normal(size=14) for name in HOSPITALS}


def train(aggregator, rounds=1):
    """Means of some rounds, and the ledger."""
    training = Training(aggregator, HOSPITALS)
    means = [training.play(sent(round), PATIENTS) for round in range(1, rounds + 1)]
    return np.stack(means), training.ledger.frame()


def plain_mean(names, vectors):
    return aggregators.weighted_mean([vectors[name] for name in names], [PATIENTS[name] for name in names])


@pytest.mark.parametrize("regroup", [False, True])
@pytest.mark.parametrize("rule", [Median(), TrimmedMean(1)])
def test_it_is_the_rule_over_the_groups_plain_means(regroup, rule):
    aggregator = GroupwiseEncrypted(EncryptedMean(), 3, rule, regroup=regroup)
    for round, mean in enumerate(train(aggregator, 3)[0], start=1):
        groups = [plain_mean(group, sent(round)) for group in aggregator.members(HOSPITALS, round)]
        assert np.abs(mean - np.median(groups, axis=0)).max() < 3e-6  # of three, trimming one leaves the median too


def test_who_is_missing_moves_nobody_else_and_a_group_without_enough_has_no_vote():
    aggregator, vectors = GroupwiseEncrypted(inner := EncryptedMean(), 3, least=4), sent(1)
    groups = aggregator.members(HOSPITALS, 1)
    del vectors[groups[0][0]]
    heard = [plain_mean(group, vectors) for group in (groups[0][1:], *groups[1:])]
    mean = Training(aggregator, HOSPITALS).play(vectors, PATIENTS)
    assert np.abs(mean - np.median(heard, axis=0)).max() < 3e-5
    del vectors[groups[1][0]]
    with pytest.raises(ValueError, match="Of 3 groups 2 were heard"):
        Training(aggregator, HOSPITALS).play(vectors, PATIENTS)
    assert inner.least == 3


def test_groups_are_of_any_of_many_hospitals():
    vectors = {f"H{number}": np.full(14, number / 100) for number in range(120)}
    aggregator = GroupwiseEncrypted(EncryptedMean())
    mean = Training(aggregator, vectors).play(vectors, dict.fromkeys(vectors, 50))
    means = [np.mean([vectors[name] for name in group], axis=0) for group in aggregator.members([*vectors], 1)]
    assert np.abs(mean - np.median(means, axis=0)).max() < 3e-5


def test_groups_cover_everybody_once_and_follow_seed_and_round():
    fixed, drawn = (GroupwiseEncrypted(EncryptedMean(), 4, regroup=regroup, seed=1) for regroup in (False, True))
    groups = drawn.members(HOSPITALS, 1)
    assert sorted(name for group in groups for name in group) == sorted(HOSPITALS)
    assert sorted(map(len, groups)) == [3, 3, 3, 4]
    assert groups == drawn.members(HOSPITALS[::-1], 1) != drawn.members(HOSPITALS, 2)
    assert fixed.members(HOSPITALS, 1) == fixed.members(HOSPITALS, 2)
    assert fixed.members(HOSPITALS, 1) != GroupwiseEncrypted(EncryptedMean(), 4, seed=2).members(HOSPITALS, 1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: joined(TrimmedMean(4), updates(7)), "choose a smaller `trim`"),
        (lambda: joined(Krum(3), updates(7)), "needs 9 hospitals"),
        (lambda: joined(Krum(2, keep=6), updates(7)), "`keep` is 6"),
        (lambda: Training(FLTrust("Bern"), HOSPITALS), "'Bern', whom FLTrust trusts"),
        (lambda: TrimmedMean(-1), "must be"),
        (lambda: Krum(0.5), "must be"),
        (lambda: Krum(1, 0), "must be"),
        (lambda: NormClipped(0), "must be"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 3, least=2), "hides nothing"),
        (lambda: Training(GroupwiseEncrypted(EncryptedMean(), 5), HOSPITALS), "13 hospitals cannot make 5 groups of 3"),
        (lambda: train(GroupwiseEncrypted(EncryptedMean(), 3, least=5)), "13 hospitals cannot make 3 groups of 5"),
        (lambda: Training(GroupwiseEncrypted(EncryptedMean()), map(str, range(301))), "of 300 hospitals at the most"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 2), "groups must be a whole number, 3 to 100"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 101), "groups must be a whole number, 3 to 100"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), "3"), "groups must be .*'3'"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), rule=Median), "rule must be .*without brackets"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), seed="0"), "seed must be"),
        (lambda: GroupwiseEncrypted(EncryptedMean), "inner must be .*without brackets"),
        (lambda: NormClipped("1e-3"), "norm must be .*'1e-3'"),
        (lambda: GroupwiseEncrypted(Mean()), "give an EncryptedMean"),
        (lambda: GroupwiseEncrypted(SharedKeyMean()), "give an EncryptedMean"),
        (lambda: GroupwiseEncrypted(EncryptedMean(), 4, TrimmedMean(2)), "`trim`"),
    ],
)
def test_what_cannot_be_robust_or_private_is_refused_at_the_start(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_every_hospital_gets_and_opens_every_groups_sum_and_answers_for_its_own_group_only():
    inner = EncryptedMean()
    training = Training(GroupwiseEncrypted(inner, 3), HOSPITALS)
    training.play(sent(1), PATIENTS)
    training.play(sent(2), PATIENTS)  # nobody has others: one number
    ledger = training.ledger.frame().query("round == 2")
    down = ledger.query("direction == 'down' and phase == 'send'").groupby("hospital")["bytes"]
    assert (set(down.count()), down.sum().nunique()) == ({3}, 1)
    assert set(ledger.query("direction == 'up' and phase == 'send'").groupby("hospital").size()) == {1}
    assert set(ledger.query("direction == 'up' and phase == 'share'").groupby("hospital").size()) == {1}
    assert set(ledger.query("phase == 'decrypt'").groupby("hospital").size()) == {1}
    groups = training.aggregator.members(HOSPITALS, 2)
    parties = training.state.inner.parties
    assert {tuple(parties.keyrings[name].listed) for name in HOSPITALS} == set(groups)
    assert len({parties.keyrings[name].number for name in HOSPITALS}) == 1, "a partition is one number"


class Cut:
    """From some round on, key shares of some hospitals arrive damaged."""

    def __init__(self, names):
        self.names, self.cut = names, False

    def __call__(self, sender, message):
        damaged = self.cut and sender in self.names and b'"share"' in message[:400]
        return message[:-1] if damaged else message


def test_a_group_that_is_not_heard_has_no_vote_and_two_groups_have_no_majority():
    groups = GroupwiseEncrypted(EncryptedMean(), 4).members(HOSPITALS, 1)
    for lost, count in ((groups[:1], 3), (groups[:2], 2)):
        network = Cut([name for group in lost for name in group])
        training = Training(GroupwiseEncrypted(EncryptedMean(network=network), 4), HOSPITALS)
        training.play(sent(1), PATIENTS)
        network.cut = True
        if count == 3:
            heard = [plain_mean(group, sent(2)) for group in groups[1:]]
            assert np.abs(training.play(sent(2), PATIENTS) - np.median(heard, axis=0)).max() < 3e-6
        else:
            with pytest.raises(ValueError, match="Of 4 groups 2 were heard"):
                training.play(sent(2), PATIENTS)
