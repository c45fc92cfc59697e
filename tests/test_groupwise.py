"""Groups under encryption: what the rule sees, what the hospitals see, and where it breaks."""

import numpy as np
import pytest

from fedkit import aggregators
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.chapters.attacks import forging
from fedkit.chapters.robust import GroupwiseEncrypted
from fedkit.chapters.robust import Median, TrimmedMean
from fedkit.records import Ledger

HOSPITALS = [f"Zürich {number}" for number in range(9)]
PATIENTS = {name: 20 + 10 * number for number, name in enumerate(HOSPITALS)}
SHAPES = {"kernel": (13, 1), "bias": (1,)}


def updates(round=1):
    generator = np.random.default_rng(round)
    return {name: 1 + 0.1 * generator.normal(size=14) for name in HOSPITALS}


def train(aggregator, rounds=3):
    """Means of some rounds, and the ledger."""
    ledger, means = Ledger(), []
    state = aggregator.start(HOSPITALS, SHAPES, ledger)
    for ledger.round in range(1, rounds + 1):
        state, mean = aggregator.aggregate(state, updates(ledger.round), PATIENTS, ledger)
        means.append(mean)
    return np.stack(means), ledger.frame()


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize("regroup", [False, True])
@pytest.mark.parametrize("rule", [Median(), TrimmedMean(1)])
def test_it_is_the_rule_over_the_groups_plain_means(scheme, regroup, rule):
    aggregator = GroupwiseEncrypted(EncryptedMean(scheme), 3, rule, regroup=regroup)
    means, _ = train(aggregator)
    for round, mean in enumerate(means, start=1):
        vectors = updates(round)
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


def test_a_group_of_one_is_refused():
    with pytest.raises(ValueError, match="hides nothing"):
        GroupwiseEncrypted(EncryptedMean(), 3, least=1)
    with pytest.raises(ValueError, match="9 hospitals cannot make 5 groups of 2"):
        GroupwiseEncrypted(EncryptedMean(), 5).start(HOSPITALS, SHAPES, Ledger())
    with pytest.raises(ValueError, match="9 hospitals cannot make 3 groups of 4"):
        GroupwiseEncrypted(EncryptedMean(), 3, least=4).start(HOSPITALS, SHAPES, Ledger())


def test_what_cannot_be_robust_or_private_is_refused():
    with pytest.raises(ValueError, match="no majority"):
        GroupwiseEncrypted(EncryptedMean(), 2)
    with pytest.raises(ValueError, match="give one that encrypts"):
        GroupwiseEncrypted(Mean())
    with pytest.raises(ValueError, match="`trim`"):
        GroupwiseEncrypted(EncryptedMean(), 4, TrimmedMean(2))


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
    vectors, total = updates(), sum(PATIENTS[name] for name in pair)
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
