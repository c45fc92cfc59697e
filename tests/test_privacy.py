"""Differential privacy: the noise is what it should be, nothing leaves without it, and an audit would notice."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from scipy import stats

from fedkit import aggregators, learning, models, preparation
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.chapters import clock, privacy
from fedkit.chapters.privacy import STEPS, ClippedHospitals, ClippedPatients, Guarantee, Private
from fedkit.encryption import MessageError
from fedkit.encryption.together import Together
from fedkit.learning import Plan, Task
from fedkit.records import Ledger
from fedkit.studies import budgets, leaks

NAMES = ["A", "B", "C", "D"]
DELTA = 1e-5


def around(inner, guarantee, **how):
    return Private(inner, guarantee, budgets.public(budgets.federation(4)), **{"seed": 0} | how)


def summed(private, vectors, rounds=1, ledger=None):
    """Noisy sums of a few rounds, in steps, by hospitals that send vectors; they are None where there are none yet."""
    ledger, found = ledger or Ledger(), []
    size = len(next(iter(vectors.values())))
    state = private.start(list(vectors), {"kernel": (size,)}, ledger)
    for _ in range(rounds):
        state, mean = private.aggregate(state, vectors, dict.fromkeys(vectors, 1), ledger)
        found.append(np.rint(mean * len(vectors)).astype(np.int64))
    return found


# The noise


@pytest.mark.parametrize("variance", [1, 9, 10**5 + 1])
def test_noise_has_the_discrete_gaussians_probabilities(variance):
    drawn = privacy.discrete_gaussian(variance, 20_000, random.Random(7))
    reach = int(8 * variance**0.5) + 1
    whole = np.arange(-reach, reach + 1)
    chance = np.exp(-(whole**2) / (2 * variance))
    chance /= chance.sum()
    edges = np.unique(np.interp(np.linspace(0.001, 0.999, 25), np.cumsum(chance), whole).astype(int))
    cells = np.searchsorted(edges, whole)
    expected = np.bincount(cells, chance, len(edges) + 1) * len(drawn)
    seen = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    kept = expected > 5
    assert kept.sum() >= 4
    assert stats.chisquare(seen[kept], expected[kept] * seen[kept].sum() / expected[kept].sum()).pvalue > 1e-3
    assert not privacy.discrete_gaussian(0, 3, random.Random(0)).any()


def test_the_sampler_asks_for_whole_numbers_only():
    asked = []

    class Source:
        """It has no other number to give."""

        def randrange(self, below):
            asked.append(below)
            return source.randrange(below)

    source = random.Random(1)
    privacy.discrete_gaussian(10**12, 50, Source())
    assert all(type(below) is int for below in asked)
    assert max(asked) > 2**64, "no word of a machine is wide enough: Python's integers are"


def test_shares_of_little_noise_are_wide_enough_to_add_up_to_a_discrete_gaussian():
    assert Guarantee(1e9).variance(1, 10**6) == 64, "8 steps, squared"


def test_noise_of_a_sum_is_what_the_guarantee_asks_for_and_not_more():
    guarantee, size = Guarantee(1.0, rounds=3), 4000
    sensitivity = STEPS + size**0.5 / 2
    zeros = dict.fromkeys(NAMES, np.zeros(size))
    for inner, honest in ((Mean(), 1), (EncryptedMean(least=4), 3), (EncryptedMean(), 2)):
        private = around(inner, guarantee)
        (noise,) = summed(private, zeros)
        # What the honest ones of the least list add is enough, and all four add what they add.
        assert honest * guarantee.variance(size, private.honest) >= (guarantee.multiplier * sensitivity) ** 2
        expected = guarantee.multiplier * sensitivity * (4 / honest) ** 0.5
        assert noise.std() == pytest.approx(expected, rel=5 / (2 * size) ** 0.5)


def test_no_round_hospital_training_or_seed_has_the_noise_of_another():
    zeros, guarantee = dict.fromkeys(NAMES, np.zeros(20)), Guarantee(1.0, rounds=3)
    private = around(Mean(), guarantee)
    found = [*summed(private, zeros, 3), *summed(private, zeros, 3), *summed(around(Mean(), guarantee, seed=1), zeros)]
    assert len({tuple(noise) for noise in found}) == 7
    assert np.array_equal(found[0], summed(around(Mean(), guarantee), zeros)[0]), "a lesson's numbers come again"
    each = {tuple(private.share(0, 0, name, 20)) for name in NAMES}
    assert len(each) == 4


def test_without_a_seed_noise_is_from_the_system_whatever_is_seeded(monkeypatch):
    private, system, asked = around(Mean(), Guarantee(1.0), seed=None), random.SystemRandom.getrandbits, []
    monkeypatch.setattr(random.SystemRandom, "getrandbits", lambda self, k: asked.append(k) or system(self, k))
    drawn = set()
    for _ in range(4):
        random.seed(0)
        drawn.add(tuple(private.share(0, 0, "A", 20)))
    assert len(drawn) == 4
    assert len(asked) > 4 * 20
    asked.clear()
    assert around(Mean(), Guarantee(1.0)).share(0, 0, "A", 20).any()
    assert not asked, "a seed's noise can be computed by anybody"


def test_a_round_beyond_the_budget_is_refused_also_when_the_last_one_failed():
    zeros = dict.fromkeys(NAMES, np.zeros(5))
    with pytest.raises(ValueError, match="The budget is spent: 2 rounds"):
        summed(around(Mean(), Guarantee(1.0, rounds=2)), zeros, 3)

    class Fails(Mean):
        def total(self, *given):
            raise MessageError("no sum opened")

    private, ledger = around(Fails(), Guarantee(1.0, rounds=2)), Ledger()
    state = private.start(NAMES, {"kernel": (5,)}, ledger)
    for problem in ("no sum opened", "no sum opened", "The budget is spent"):
        with pytest.raises(ValueError, match=problem):
            private.aggregate(state, zeros, dict.fromkeys(NAMES, 1), ledger)


def test_a_noisy_sum_that_did_not_open_is_not_added_up_again_without_somebody():
    # The first sum lacks D's share; a second one, of A, B and C with the same noise, would show D's part by itself.
    lost = []

    def network(sender, message):
        if sender == "D" and b'"share"' in message:
            lost.append(sender)
            return message[:-1]
        return message

    private = around(EncryptedMean(network=network), Guarantee(1.0))
    with pytest.raises(MessageError, match="no more of that is allowed"):
        summed(private, dict.fromkeys(NAMES, np.ones(5)))
    assert len(lost) == 1


def test_a_list_shorter_than_the_noise_was_shared_out_for_is_not_opened():
    def network(sender, message):
        return message[:-1] if sender == "D" and b'"noised"' in message else message

    vectors = dict.fromkeys(NAMES, np.full(5, 8.0))
    assert len(summed(around(EncryptedMean(network=network), Guarantee(np.inf)), vectors)[0]) == 5
    with pytest.raises(MessageError, match="No list of 4 hospitals"):
        summed(around(EncryptedMean(least=4, network=network), Guarantee(np.inf)), vectors)
    state = EncryptedMean(least=4).start(NAMES, {"kernel": (5,)}, Ledger())
    assert {keys.least for keys in state.parties.keyrings.values()} == {4}, "each hospital holds to it by itself"


def test_who_may_read_single_letters_is_hidden_from_by_each_hospitals_own_noise():
    class Grouped(aggregators.Wrapped):
        """Anything around an encrypted mean may look at parts of a sum."""

    for inner in (Mean(), aggregators.SharedKeyMean(), Grouped(EncryptedMean(least=4))):
        assert around(inner, Guarantee(1.0)).honest == 1
    with pytest.raises(ValueError, match="nobody's noise is left"):
        around(EncryptedMean(), Guarantee(1.0), colluders=3)


def test_the_noisy_sum_is_exact_under_encryption():
    vectors = {name: np.array([at, -at, 4096.0, 0, 2**40]) for at, name in enumerate(NAMES)}
    guarantee = Guarantee(1.0)
    clear = around(Mean(), guarantee)
    clear.honest = 3
    assert np.array_equal(summed(clear, vectors)[0], summed(around(EncryptedMean(least=4), guarantee), vectors)[0])


# What leaves


def test_one_patient_changes_a_sum_by_no_more_than_is_hidden():
    random = np.random.default_rng(0)
    features = random.standard_normal((12, 6)).astype(np.float32) * np.geomspace(0.01, 1e5, 12)[:, None].astype("f4")
    features[-1] = 3e38  # its logit, and so its gradient, is no number: it adds nothing, and stops nobody
    labels = (np.arange(12) % 2).astype(np.float32)
    for model in (models.Model(), models.mlp((5,)), models.Model(classes=3)):
        weights = [part + random.standard_normal(part.shape).astype("f4") for part in model.initial_weights(6, 0)]
        plan = Plan(model=model, steps=1, batch_size=None, learning_rate=1.0, algorithm=ClippedPatients(clip=0.5))

        def sent(rows, weights=weights, plan=plan):
            order = np.arange(len(rows), dtype=np.int32)[None]
            return learning.local_updates(plan, [Task(weights, [], features[rows], labels[rows], order)])[0].sent

        every, size = np.arange(12), sum(map(np.size, weights))
        whole = sent(every)
        assert np.array_equal(whole, np.rint(whole))
        parts = np.array([sent(every[[at]]) for at in every])
        assert np.array_equal(parts.sum(axis=0), whole), "whole steps add up exactly"
        assert np.array_equal(whole - sent(np.delete(every, 7)), parts[7])
        lengths = np.linalg.norm(parts, axis=1)
        assert lengths.max() <= STEPS + size**0.5 / 2
        assert lengths.max() > 0.99 * STEPS, "some are long enough to be cut"


def test_one_hospital_sends_no_more_than_is_hidden():
    plan, task = Plan(algorithm=ClippedHospitals(clip=0.3)), Task([], [], np.zeros((9, 1)), np.zeros(9), None)
    for length in (1e-3, 0.3, 50.0):
        (sent,), _ = ClippedHospitals(clip=0.3).send(plan, task, [np.full(100, length / 10, np.float32)])
        assert np.array_equal(sent, np.rint(sent))
        assert np.linalg.norm(sent) <= STEPS + 5
        assert np.linalg.norm(sent) == pytest.approx(STEPS * min(length / 0.3, 1), abs=5)
    assert ClippedHospitals().weigh(task) == ClippedPatients().weigh(task) == 1


@pytest.fixture
def neighbours(heart):
    """The four hospitals, with a split of their own; and with a training patient more, others changed."""
    split = preparation.split(heart, 0)
    tested = [np.isin(np.arange(len(one)), split.hospitals[one.name].test_rows) for one in heart]
    one = replace(heart, hospitals=tuple(replace(h, test=t) for h, t in zip(heart, tested, strict=True)))
    first, *rest = one.hospitals
    table = pd.concat([first.table, first.table.iloc[[0]].assign(age=99.0, chol=600.0)], ignore_index=True)
    labels, test = np.append(first.labels, 1), np.append(first.test, False)
    at = np.flatnonzero(~test)[:9]
    table.loc[at, "thalach"], labels[at] = 77.0, 1 - labels[at]
    return one, replace(one, hospitals=(replace(first, table=table, labels=labels, test=test), *rest))


@pytest.mark.parametrize("unit", ["patient", "hospital"])
def test_rows_changed_and_noise_kept_nothing_else_that_leaves_changes_by_a_bit(neighbours, unit, monkeypatch):
    asked, inside = [], Together.sums

    def sums(self, purpose, layout, numbers, ledger, clear=None, groups=None):
        asked[-1].append((purpose, layout, {name: (len(own), weight) for name, (own, weight) in numbers.items()}))
        asked[-1].append((clear, groups, {name: own for name, (own, _) in numbers.items()}))
        return inside(self, purpose, layout, numbers, ledger)

    monkeypatch.setattr(Together, "sums", sums)
    letters, ledgers, times, statistics, began = [], [], [], [], []
    for federation in neighbours:
        seen, drawn = [], []

        def network(sender, message, seen=seen):
            seen.append((sender, len(message)))
            return message

        asked.append([])
        private = around(EncryptedMean(least=4, network=network), Guarantee(1.0, rounds=3, unit=unit))
        share = private.share
        monkeypatch.setattr(private, "share", lambda *of, share=share, to=drawn: to.append(share(*of)) or to[-1])
        run = privacy.train(federation, private)
        letters.append(seen)
        ledgers.append(run.ledger.drop(columns="seconds"))
        sites = pd.DataFrame({"speed": 1.0, "bandwidth": 1e6, "latency": 0.1, "present": 1.0}, federation.names)
        times.append(clock.costs(sites, dict.fromkeys(federation.names, 160), run.ledger, 0.01))
        told = private.total(None, "statistics", {}, None)
        split = preparation.split(federation, 0, add=lambda sums, told=told: told).hospitals
        statistics.append([told, *(rows.test_features for rows in split.values())])
        began.append(np.array(drawn))
    assert letters[0] == letters[1], "who sends what, in which order, of which size"
    pd.testing.assert_frame_equal(*ledgers)
    pd.testing.assert_frame_equal(*times)
    assert all(map(np.array_equal, *statistics)), "how rows are prepared"
    assert np.array_equal(*began), "the noise"
    one, other = ([each[::2], each[1::2]] for each in asked)
    assert one[0] == other[0], "purposes, layouts, sizes and weights"
    assert {purpose for purpose, *_ in one[0]} == {"noised"}, "no bounds, no statistics, no scores"
    assert all(part[:2] == ({}, None) or part[:2] == (None, None) for part in [*one[1], *other[1]])
    changed = [not np.array_equal(one[1][0][2][name], other[1][0][2][name]) for name in neighbours[0].names]
    assert changed == [True, False, False, False], "what is hidden has changed, so that something was to be seen"


def test_a_promise_holds_for_training_rows_once_they_are_drawn(neighbours, heart):
    # With one patient more, those who are tested by lot are others, and many rows come and go at once.
    one, other = (replace(each.hospitals[0], test=None) for each in neighbours)
    more = replace(one, table=pd.concat([one.table, other.table.tail(1)]), labels=np.append(one.labels, 1))
    kept = [np.isin(np.arange(len(each)), np.flatnonzero(neighbours[0].hospitals[0].test)) for each in (one, more)]

    def changed(*hospitals):
        drawn = [preparation.split(replace(heart, hospitals=(each,)), 0).hospitals[one.name] for each in hospitals]
        return len(np.setxor1d(*(rows.train_rows for rows in drawn)))

    assert changed(one, more) > 10
    assert changed(*(replace(each, test=test) for each, test in zip((one, more), kept, strict=True))) == 1


def test_what_was_not_paid_for_is_kept_back(heart):
    private = around(Mean(), Guarantee(1.0))
    with pytest.raises(ValueError, match="scores is kept back"):
        private.total(None, "scores", {}, Ledger())
    with pytest.raises(ValueError, match="whole steps"):
        learning.train_federated(heart, aggregator=private, rounds=1)
    with pytest.raises(ValueError, match="needs ClippedPatients"):
        privacy.train(heart, private, algorithm=ClippedHospitals())
    with pytest.raises(ValueError, match="steps=1"):
        learning.train_federated(heart, aggregator=private, rounds=1, algorithm=ClippedPatients())
    plan = Plan(steps=1, batch_size=None, learning_rate=1.0)
    with pytest.raises(ValueError, match="4097 patients are too many"):
        ClippedPatients().send(plan, Task([], [], np.zeros((4097, 1)), np.zeros(4097), None), [])


NONE, UNCLEAR = "A budget has epsilon above 0", "write a number, whole rounds, and unit="
WRONG = [(wrong, NONE) for wrong in ({"epsilon": 0}, {"epsilon": -1}, {"epsilon": np.nan}, {"delta": 0}, {"delta": 1})]
WRONG += [(wrong, UNCLEAR) for wrong in ({"epsilon": "1"}, {"rounds": 0}, {"rounds": 2.5}, {"unit": "patients"})]
WRONG += [(wrong, UNCLEAR) for wrong in ({"epsilon": [1]}, {"delta": "1e-5"}, {"delta": True}, {"unit": ["patient"]})]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_what_is_no_guarantee_is_refused_at_once(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Guarantee(**{"epsilon": 1.0} | wrong)


def test_what_is_clipped_has_a_length():
    for how in (ClippedPatients, ClippedHospitals):
        for wrong in ({"clip": 0}, {"clip": -1.0}, {"rate": "0.1"}, {"rate": np.inf}):
            with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a number above 0"):
                how(**wrong)


def test_a_promise_is_for_one_training_of_patients_with_one_row(heart):
    private = around(Mean(), Guarantee(1.0, rounds=2))
    for plan in ({"seed": range(2)}, {"rounds": 3}):
        with pytest.raises(ValueError, match="A promise is for one training"):
            privacy.train(heart, private, **plan)
    visits = [replace(one, patients=np.arange(len(one)) // 2) for one in heart]
    with pytest.raises(ValueError, match="give one row a patient"):
        privacy.train(replace(heart, hospitals=tuple(visits)), private)


def test_a_large_variance_of_numpy_is_a_whole_number_as_any():
    ours, numpys = (privacy.discrete_gaussian(kind(5 * 10**9), 20, random.Random(1)) for kind in (int, np.int64))
    assert np.array_equal(ours, numpys)


def test_a_run_says_that_its_noise_has_a_seed():
    guarantee = Guarantee(1.0)
    sums = preparation.local_sums(pd.DataFrame({"x": [0.0, 1.0]}), ("x",), {})
    assert "but for its seed" in Private(Mean(), guarantee, sums, seed=0).name
    assert "seed" not in Private(Mean(), guarantee, sums).name
    for wrong in ({"guarantee": 3.0}, {"public": None}, {"colluders": 0.5}, {"seed": "x"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            Private(Mean(), **{"guarantee": guarantee, "public": sums} | wrong)


# Accounting


@pytest.mark.parametrize(
    ("noise", "rows", "batch", "epochs", "published"),
    [  # the table of TensorFlow Privacy's tutorial on MNIST, in its README; Abadi et al., CCS 2016, section 3.2
        (1.3, 60_000, 256, 15, 1.2),
        (1.1, 60_000, 256, 60, 3.0),
        (0.7, 60_000, 256, 45, 7.0),
        (4.0, 100, 1, 100, 1.26),
    ],
)
def test_published_examples_come_out(noise, rows, batch, epochs, published):
    steps, sampling = epochs * rows // batch, batch / rows
    orders = [1 + at / 10 for at in range(1, 100)] + [*range(12, 64)]
    event = SelfComposedDpEvent(PoissonSampledDpEvent(sampling, GaussianDpEvent(noise)), steps)
    divergences = RdpAccountant(orders).compose(event)._rdp
    # They turned divergences into epsilon by Mironov's rule; today's is sharper (Balle et al., AISTATS 2020).
    theirs = np.min(divergences + np.log(1 / DELTA) / (np.array(orders) - 1))
    assert theirs == pytest.approx(published, rel=0.03)
    assert 0.75 * theirs < privacy.spent(noise, DELTA, steps, sampling) < theirs


def test_a_budget_and_its_noise_belong_together():
    for epsilon in (0.25, 1.0, 8.0):
        noise = Guarantee(epsilon).multiplier
        assert 0.999 * epsilon < privacy.spent(noise, DELTA, 20) <= epsilon
    # Tighter for Gaussian noise, and so never above; by little.
    event = SelfComposedDpEvent(GaussianDpEvent(Guarantee(1.0).multiplier), 20)
    assert 0.8 < PLDAccountant().compose(event).get_epsilon(DELTA) <= 1.0
    assert privacy.spent(1.0, DELTA, 100, 0.01) < privacy.spent(1.0, DELTA, 100) / 5


def test_the_sentences_say_what_the_guarantee_is():
    said = Guarantee(1.0).sentences(4, 1)
    parts = "one training patient more or less|epsilon 1)|1e-05 (delta)|20 rounds|4 hospitals or more"
    parts += "|who takes part|test patients|settings that were chosen"
    assert [part for part in parts.split("|") if part not in said] == []
    outside = privacy.spent(Guarantee(1.0).multiplier * (4 / 3) ** 0.5, DELTA, 20)
    assert f"nobody's noise faces epsilon {outside:.2g}" in said
    assert outside < 1
    assert "each hospital's own noise" in Guarantee(2.0, unit="hospital").sentences(1)
    assert "sends noise alone" in Guarantee(2.0, unit="hospital").sentences(1)
    assert "Nothing is promised" in Guarantee(np.inf).sentences(4)


# The audit


def test_p_values_are_those_of_the_papers_code():
    def theirs(m, r, v, epsilon, delta):  # appendix D, as printed
        q = 1 / (1 + np.exp(-epsilon))
        beta, alpha, total = stats.binom.sf(v - 1, r, q), 0.0, 0.0
        for i in range(1, v + 1):
            total += stats.binom.pmf(v - i, r, q)
            if total > i * alpha:
                alpha = total / i
        return min(beta + alpha * delta * 2 * m, 1)

    for case in [
        (1000, 100, 90, 1.0, 1e-5),
        (1000, 1000, 600, 0.3, 1e-3),
        (10, 5, 0, 1.0, 0.0),
        (50, 50, 50, 2.0, 0.0),
    ]:
        assert privacy.p_value(*case) == pytest.approx(theirs(*case), rel=1e-9)
    assert privacy.p_value(50, 50, 50, 2.0, 0.0) == pytest.approx((1 / (1 + np.exp(-2.0))) ** 50)


CANARIES = 50_000


def audited(guarantee, rounds=1):
    """Audit one round of the real mechanism: each canary is a patient with a direction of its own, in or out."""
    took_part = np.random.default_rng(5).random(CANARIES) < 0.5
    private = around(EncryptedMean(least=4), guarantee)
    zeros = dict.fromkeys(NAMES, np.zeros(CANARIES))
    (total,) = summed(private, zeros | {"A": STEPS * took_part.astype(float)})
    known = private.share(0, 0, "B", CANARIES)  # the one who colludes takes its own noise off
    return privacy.lower_bound(took_part, total - known - STEPS / 2, DELTA, 1000)


def test_the_audit_stays_below_the_accountants_epsilon_and_shows_something():
    # Rounding's half root of the size is hidden, too: with so many canaries the noise is a little larger.
    assert 0.3 < audited(Guarantee(1.0, rounds=1)) <= 1.0


def test_the_audit_says_so_where_half_of_the_noise_is_missing(monkeypatch):
    whole = Guarantee.variance
    monkeypatch.setattr(Guarantee, "variance", lambda *given: whole(*given) // 4)
    assert audited(Guarantee(1.0, rounds=1)) > 1.0


# The tables


@pytest.mark.parametrize("model", budgets.MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("unit", ["patient", "hospital"])
def test_the_tables_train_as_fedkit_does(model, unit):
    federation, guarantee = budgets.federation(4), Guarantee(2.0, rounds=4, unit=unit)
    private = around(Mean(), guarantee, seed=3)
    how = budgets.LOCAL if unit == "hospital" else {}
    clipped = budgets.algorithm(unit, 4)
    run = privacy.train(federation, private, algorithm=clipped, model=model, seed=2, **how)
    ours = run.weights["shared"]
    size = sum(map(np.size, ours))
    noise = [sum(private.share(0, at, name, size) for name in federation.names) for at in range(4)]
    rows = budgets.split(4, 2)
    found = budgets.train(rows, model, clipped, noise, 2)
    assert all(np.allclose(one, other, atol=2e-5) for one, other in zip(found, ours, strict=True))
    drawn = budgets.noise(replace(guarantee, rounds=200), 4, "in the sum", size, np.random.default_rng(0))
    variance = replace(guarantee, rounds=200).variance(size, 3)
    assert drawn.std() == pytest.approx((4 * variance) ** 0.5, rel=0.05)


def test_attacks_find_what_is_there_and_no_more():
    found = leaks.rows(6, models=("logistic regression",))
    mean, error = found["membership"].mean(), found["membership"].sem()
    assert 0.5 < mean - 2 * error < mean < 0.55, "a small model of many rows tells little, and something"
    assert abs(found["attribute"].mean()) < 3 * found["attribute"].sem()
    assert found["prevalence"].max() < 0.05
    assert found["epsilon"].unique() == [np.inf]
