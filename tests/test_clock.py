"""The clock changes when updates are counted, and nothing else: at its limits it is federated averaging to the bit."""

import itertools

import numpy as np
import pandas as pd
import pytest

from fedkit import aggregators, learning, models, preparation
from fedkit.chapters import clock
from fedkit.chapters.heterogeneity import ClassWeights, Scaffold
from fedkit.learning import Plan, Task
from fedkit.studies import policies

NAMES = ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]
ROWS = {"Cleveland": 212, "Hungary": 206, "Switzerland": 86, "VA Long Beach": 140}
ROUNDS = 5


def sites(**columns):
    return pd.DataFrame({"speed": 1.0, "bandwidth": 1e6, "latency": 0.1, "present": 1.0} | columns, index=NAMES)


@pytest.fixture(scope="module")
def runs(heart):
    ways = aggregators.Mean(), aggregators.EncryptedMean()
    return [learning.train_federated(heart, rounds=ROUNDS, seed=3, aggregator=way) for way in ways]


@pytest.fixture
def costs(runs):
    return lambda row_seconds=0.01, **columns: clock.costs(sites(**columns), ROWS, runs[1].ledger, row_seconds)


def vector(run):
    return models.flatten(run.weights["shared"])


def test_a_round_costs_what_its_rows_messages_and_bytes_cost(runs, costs):
    found = costs(speed=[1.0, 0.5, 1.0, 1.0], bandwidth=[1e6, 1e6, 1e3, 1e6])
    assert found["busy"].tolist() == pytest.approx([2.12, 4.12, 0.86, 1.4])
    ledger = runs[1].ledger.query("round > 0 and bytes > 0")
    assert found["bytes"].sum() * ROUNDS == pytest.approx(ledger["bytes"].sum())
    messages = len(ledger) / ROUNDS / 4
    assert messages > 4, "two letters, a list and a sum, and patients once"
    assert found["both"].tolist() == (found["busy"] + found["link"]).tolist()
    assert found["link"].tolist() == pytest.approx(found["bytes"] / found["bandwidth"] + 0.1 * messages)
    more = clock.costs(
        pd.concat([sites(), sites().set_axis(list("abcd"))]), ROWS | dict.fromkeys("abcd", 100), ledger, 1.0
    )
    assert more["bytes"]["a"] == pytest.approx(found["bytes"].mean())


@pytest.mark.parametrize("wrong", [{"speed": 0.0}, {"present": 0.0}, {"present": 1.5}, {"latency": -1.0}])
def test_what_no_site_can_be_is_refused(costs, wrong):
    with pytest.raises(ValueError, match="above 0"):
        costs(**wrong)


def test_waiting_for_all_takes_as_long_as_the_slowest_and_gives_the_weights_of_train_federated(heart, runs, costs):
    cost = costs(speed=[1.0, 1.0, 0.1, 1.0])
    longest = cost["both"]["Switzerland"]
    diary = clock.rounds(cost, ROUNDS * longest + 0.1)
    assert diary.groupby("step")["seconds"].first().tolist() == pytest.approx(longest * np.arange(1, ROUNDS + 1))
    for plain, aggregator in zip(runs, (None, aggregators.EncryptedMean()), strict=True):
        run = clock.train(heart, diary, aggregator, seed=3)
        assert vector(run).tobytes() == vector(plain).tobytes()
        moved = run.ledger["bytes"].sum(), plain.ledger["bytes"].sum()
        assert moved[0] == moved[1]
    assert diary["bytes"].sum() == pytest.approx(runs[1].ledger.query("round > 0")["bytes"].sum())


@pytest.mark.parametrize("speed", [1.0, [1.0, 0.9, 0.1, 2.0]], ids=["equal speeds", "any speeds"])
def test_a_buffer_of_all_hospitals_is_federated_averaging(heart, runs, costs, speed):
    cost = costs(speed=speed)
    diary = clock.buffered(cost, ROUNDS * cost["both"].max() + 0.1, size=4)
    assert vector(clock.train(heart, diary, seed=3)).tobytes() == vector(runs[0]).tobytes()


def slow_fedbuff(federation, diary, seed):
    """Algorithm 1 of the paper, one hospital after the other; the model of each version is kept."""
    split = preparation.split(federation, seed).hospitals
    plan, versions = Plan(), [Plan().model.initial_weights(13, seed)]
    for _, arrived in diary.groupby("step"):
        moves, patients = [], []
        for row in arrived.itertuples():
            own = split[row.hospital]
            order = learning.row_order(seed, row.began, row.hospital, len(own.train_labels))
            task = Task(versions[row.began - 1], [], own.train_features, own.train_labels, order)
            staleness = len(versions) - row.began
            moves.append(learning.local_updates(plan, [task])[0].update * (1 + staleness) ** -0.5)
            patients.append(len(own.train_labels))
        step = models.unflatten(np.average(moves, axis=0, weights=patients), [(13, 1), (1,)])
        versions.append([now + move for now, move in zip(versions[-1], step, strict=True)])
    return models.flatten(versions[-1])


def test_what_a_clock_cannot_play_is_a_sentence(heart, costs):
    for size in (2, 5):
        with pytest.raises(ValueError, match="wait for 3 to 4 hospitals"):
            clock.buffered(costs(), 10, size)
    with pytest.raises(ValueError, match="SCAFFOLD keeps something at home"):
        clock.train(heart, clock.rounds(costs(), 10), algorithm=Scaffold())
    for wrong in ("Hungary", ("Hungary", 3), (("Hungary", 0),), (("Hungary", 1, 2),)):
        with pytest.raises(ValueError, match="numbers must be pairs"):
            clock.Steps(wrong)
    with pytest.raises(ValueError, match="Steps names Hungary, and not Cleveland"):
        clock.Steps((("Hungary", 3),)).steps(None, "Cleveland")


def test_what_would_never_end_is_refused(heart, costs):
    for name, wrong in (("until", np.inf), ("deadline", 0), ("deadline", -1), ("sample", -1), ("sample", 1.5)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            clock.rounds(costs(), **{"until": 10.0} | {name: wrong})
    with pytest.raises(ValueError, match="until must be"):
        clock.buffered(costs(), np.inf)
    for wrong in (costs().assign(both=np.nan), costs().drop(columns="both"), costs().assign(both=0.0)):
        with pytest.raises(ValueError, match="costs must be what"):
            clock.rounds(wrong, 10.0)
    diary = clock.rounds(costs(), 10.0)
    for wrong in (costs(), diary.assign(hospital="Bern")):
        with pytest.raises(ValueError, match="The diary must be one of"):
            clock.train(heart, wrong)
    with pytest.raises(ValueError, match="algorithm must be"):
        clock.train(heart, diary, algorithm=Scaffold)
    assert clock.train(heart, diary, algorithm=ClassWeights((1.0, 2.0))).method.endswith("class weights")


def test_late_updates_begin_at_old_models_and_count_less_as_the_paper_says(heart, costs):
    diary = clock.buffered(costs(speed=[1.0, 1.0, 0.1, 1.0], present=[1.0, 1.0, 1.0, 0.8]), 40)
    late = diary["step"] - diary["began"]
    assert late.max() >= 2
    assert set(diary.loc[late == late.max(), "hospital"]) == {"Switzerland"}
    assert (diary.groupby("step")["hospital"].nunique() == 3).all()
    found = vector(clock.train(heart, diary, seed=3))
    assert np.abs(found - slow_fedbuff(heart, diary, 3)).max() < 1e-6
    secret = vector(clock.train(heart, diary, aggregators.EncryptedMean(), seed=3))
    assert np.abs(found - secret).max() < 5e-6


def test_a_deadline_leaves_out_who_is_late_and_a_round_of_two_is_lost(heart, costs):
    cost = costs(speed=[1.0, 1.0, 0.1, 1.0], present=[1.0, 1.0, 1.0, 0.5])
    diary = clock.rounds(cost, 60, deadline=3.0, seed=1)
    assert not diary.loc[diary["hospital"] == "Switzerland", "taken"].any()
    there = diary.groupby("seconds")["hospital"].nunique()
    assert set(there) == {3, 4}, "VA is there, or not"
    assert (diary.groupby("seconds")["taken"].sum() == there.map({4: 3, 3: 0})).all()
    assert sorted(there.index) == pytest.approx(3.0 * np.arange(1, 21)), "the clock goes on where a round is lost"
    assert diary[diary["taken"]].groupby("step").size().tolist() == [3] * (there == 4).sum()
    assert diary["busy"].max() == pytest.approx(3.0), "and who is late stops"
    run = clock.train(heart, diary, aggregators.EncryptedMean(), seed=3)
    sent = run.ledger.query("round > 0 and phase == 'send' and direction == 'up'")
    assert set(sent["hospital"]) == {"Cleveland", "Hungary", "VA Long Beach"}
    with pytest.raises(ValueError, match="never moves"):
        clock.train(heart, clock.rounds(cost, 60, deadline=1.0), seed=3)


def test_a_sample_asks_so_many_of_those_who_are_there(costs):
    diary = clock.rounds(costs(present=0.9), 300, sample=3, seed=0)
    asked = diary.groupby("seconds")["hospital"].agg(frozenset)
    assert asked.map(len).isin([2, 3]).all()
    assert asked.nunique() >= 4
    assert diary["taken"].tolist() == (diary.groupby("seconds")["hospital"].transform("size") == 3).tolist()
    assert clock.rounds(costs(present=0.9), 300, sample=3, seed=0).equals(diary)
    assert not clock.rounds(costs(present=0.9), 300, sample=3, seed=1).equals(diary)


def test_who_is_often_away_begins_less_often(costs):
    diary = clock.rounds(costs(present=[1.0, 1.0, 1.0, 0.25]), 2000)
    assert 0.2 < (diary["hospital"] == "VA Long Beach").sum() / diary["step"].max() < 0.3
    begun = clock.buffered(costs(present=[1.0, 1.0, 1.0, 0.25]), 2000)["hospital"].value_counts()
    assert 0.25 < begun["VA Long Beach"] / begun["Cleveland"] < 0.6


def test_steps_are_shared_out_so_that_all_are_done_within_a_step():
    rng = np.random.default_rng(0)
    for total in (4, 9, 12, 40):
        before, step = (pd.Series(rng.uniform(0.1, 2.0, 3), list("abc")) for _ in range(2))
        steps = clock.allocate(before, step, total)
        done = before + step * steps
        assert steps.sum() == total
        assert steps.min() >= 1
        assert done[steps > 1].max() <= (done + step).min() + 1e-9, "nobody could take one more before the last is done"
        splits = (each for each in itertools.product(range(1, total), repeat=2) if sum(each) < total)
        best = min(max(before + step * [*each, total - sum(each)]) for each in splits)
        assert done.max() == pytest.approx(best), "no other way is faster"


def test_a_hospital_takes_the_steps_that_it_was_given(heart):
    plain = learning.train_federated(heart, rounds=2, seed=3, batch_size=None)
    one = learning.train_federated(heart, rounds=2, seed=3, batch_size=None, algorithm=steps(1, 1, 1, 1))
    assert vector(one).tobytes() == vector(plain).tobytes()
    how = steps(3, 1, 20, 5)
    for name, taken in how.numbers:
        order = Plan(algorithm=how).order(3, 1, name, ROWS[name])
        assert order.shape == (taken, 32)
        assert order.ravel().tolist() == learning.row_order(3, 1, name, ROWS[name], 8).ravel()[: 32 * taken].tolist()
    assert learning.train_federated(heart, rounds=2, seed=3, algorithm=how).method == "federated + own steps"


def steps(*numbers):
    return clock.Steps(tuple(zip(NAMES, numbers, strict=True)))


def test_the_table_scores_the_model_that_there_is_at_a_time(heart, costs, monkeypatch):
    monkeypatch.setattr(policies, "AT", (1, 10, 20))
    diary = clock.buffered(costs(speed=[1.0, 1.0, 0.1, 1.0]), 20)
    watched, split = policies.Watched(aggregators.Mean()), preparation.split(heart, 3).hospitals
    run = clock.train(heart, diary, watched, seed=3)
    found = policies.scored(watched.moves, diary, split)
    for metric in policies.SCORES:
        assert found[metric].xs(20, level=1)[NAMES].tolist() == pytest.approx(run.final(metric).tolist(), abs=1e-6)
    then = run.metrics["round"] == diary.loc[diary["seconds"] <= 10, "step"].max()
    auroc = run.metrics.loc[then & (run.metrics["metric"] == "auroc"), "value"]
    assert found["auroc", "mean", 10] == pytest.approx(auroc.mean())
    assert found["auroc", "mean", 1] == 0.5, "nothing has moved"
    assert policies.scored([], diary[:0], split)["auroc", "mean", 20] == 0.5
