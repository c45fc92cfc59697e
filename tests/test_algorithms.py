"""Methods of a few lines that change one step of federated averaging, in the simulation and in a study."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
from exchange_parts import Class
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from fedkit import aggregators, exchange, learning, models, preparation
from fedkit.chapters import heterogeneity
from fedkit.chapters.clock import Steps
from fedkit.chapters.heterogeneity import AFL, AtHome, ClassWeights, Ditto, FedProx, QFedAvg, Scaffold
from fedkit.compat.tff import tf, tff
from fedkit.exchange import results
from fedkit.exchange.work import Training
from fedkit.learning import Algorithm

OWN = (("Cleveland", 3), ("Hungary", 9), ("Switzerland", 1), ("VA Long Beach", 6))
METHODS = [None, FedProx(0.5), Scaffold(), AtHome(), QFedAvg(), AFL(), Ditto(0.5), ClassWeights((1.0, 3.0)), Steps(OWN)]
HOW = {"rounds": 4, "epochs": 2, "seed": 3}


def vector(weights):
    return models.flatten(weights["shared"] if isinstance(weights, dict) else weights)


@pytest.fixture(scope="module")
def plain(heart):
    return {how: learning.train_federated(heart, algorithm=how, **HOW) for how in METHODS}


def slow_scaffold(federation, rounds, epochs, seed, rate=0.3, batch_size=32):
    """Algorithm 1 of the paper, in numpy, for logistic regression: option II, all hospitals, weighted by patients."""
    split = preparation.split(federation, seed).hospitals
    ones = {name: np.ones(len(rows.train_labels)) for name, rows in split.items()}
    train = {
        name: (np.c_[rows.train_features, ones[name]].astype(float), rows.train_labels) for name, rows in split.items()
    }
    x, c = np.zeros(14), np.zeros(14)
    controls, patients = {name: np.zeros(14) for name in train}, np.array([len(y) for _, y in train.values()], float)
    for round in range(1, rounds + 1):
        moves, changes = [], []
        for name, (rows, labels) in train.items():
            y, steps = x.copy(), 0
            for order in learning.row_order(seed, round, name, len(labels), epochs):
                for at in range(0, len(order), batch_size):
                    batch = order[at : at + batch_size]
                    error = 1 / (1 + np.exp(-rows[batch] @ y)) - labels[batch]
                    y, steps = y - rate * (rows[batch].T @ error / len(batch) - controls[name] + c), steps + 1
            new = controls[name] - c + (x - y) / (steps * rate)
            moves, changes = [*moves, y - x], [*changes, new - controls[name]]
            controls[name] = new
        x, c = x + patients @ moves / patients.sum(), c + patients @ changes / patients.sum()
    return x


def test_scaffold_is_what_its_paper_says(heart, plain):
    assert np.abs(vector(plain[Scaffold()].weights) - slow_scaffold(heart, **HOW)).max() < 1e-5
    assert np.abs(vector(plain[Scaffold()].weights) - vector(plain[None].weights)).max() > 1e-2
    how = {"algorithm": Scaffold(), "rounds": 3, "batch_size": None}
    epochs, steps = learning.train_federated(heart, **how, epochs=4), learning.train_federated(heart, **how, steps=4)
    assert np.abs(vector(epochs.weights) - vector(steps.weights)).max() < 1e-6, "a step is counted as one"


class Counting(Algorithm):
    """Send a number that is no small one beside the update."""

    name = "counting"

    def send(self, plan, task, update):
        return [*update, np.float32([12])], task.own

    def take(self, mean, own):
        return [part * mean[-1] for part in mean[:-1]], own


def test_a_method_that_sends_more_than_a_study_takes_hears_of_it(heart):
    how = {"algorithm": Counting(), "rounds": 1}
    with pytest.raises(ValueError, match=r"round 1 has a number beyond what was agreed on \(10, `most_change`\)"):
        exchange.rehearse(heart, **how)
    participant, *_ = exchange.rehearse(heart, **how, most_change=12)
    secret = learning.train_federated(heart, **how, aggregator=aggregators.EncryptedMean(most_change=12))
    assert vector(participant.weights).tobytes() == vector(secret.weights).tobytes()


def by_loss(federation, weight, rounds, epochs, seed):
    """FedAvg whose mean counts each hospital by `weight`, of its losses before each round so far."""
    split, plan = preparation.split(federation, seed).hospitals, learning.Plan(epochs=epochs)
    w, losses = plan.model.initial_weights(13, seed), {name: [] for name in split}
    for round in range(1, rounds + 1):
        moves = []
        for name, own in split.items():
            odds = np.c_[own.train_features, np.ones(len(own.train_labels))].astype(float) @ models.flatten(w)
            losses[name].append(np.mean(np.logaddexp(0, odds) - own.train_labels * odds))
            order = plan.order(seed, round, name, len(odds))
            task = learning.Task(w, [], own.train_features, own.train_labels, order)
            moves.append(learning.local_updates(plan, [task])[0].update)
        step = np.average(moves, axis=0, weights=[weight(np.array(seen)) for seen in losses.values()])
        w = [a + b for a, b in zip(w, models.unflatten(step, [(13, 1), (1,)]), strict=True)]
    return models.flatten(w)


@pytest.mark.parametrize(
    ("how", "weight"),
    [(QFedAvg(), lambda seen: seen[-1]), (AFL(), lambda seen: np.exp(0.5 * seen.sum()))],
    ids=["q-FedAvg", "AFL"],
)
def test_hospitals_count_by_their_losses_as_the_papers_say(heart, plain, how, weight):
    assert np.abs(vector(plain[how].weights) - by_loss(heart, weight, **HOW)).max() < 1e-6


def test_a_pull_is_mu_times_the_way_from_the_shared_model(heart):
    rows = next(iter(preparation.split(heart, 0).hospitals.values()))
    rng, model = np.random.default_rng(0), models.logistic_regression()
    batch = tf.constant(rows.train_features), tf.constant(rows.train_labels)
    start, mine = ([tf.constant(rng.normal(size=size), tf.float32) for size in ((13, 1), (1,))] for _ in range(2))
    plain, at_start = (Algorithm().gradient(model, tuple(w), (), (), *batch) for w in (mine, start))
    pulled = FedProx(0.7).gradient(model, tuple(mine), tuple(start), (), *batch)
    both = Ditto(0.7).gradient(model, (*start, *mine), (*start, *mine), tuple(mine), *batch)
    for own, first, slope, w, s in zip(pulled, both[2:], plain, mine, start, strict=True):
        assert np.allclose(own, slope + 0.7 * (w - s), atol=1e-6)
        assert np.allclose(first, slope + 0.7 * (w - s), atol=1e-6)
    assert all(np.allclose(a, b) for a, b in zip(both[:2], at_start, strict=True)), "the shared one is not pulled"


def test_a_server_that_goes_its_own_way_may_do_so_with_an_encrypted_mean(heart):
    how = HOW | {"server_optimizer": tff.learning.optimizers.build_adam(0.1)}
    plain = learning.train_federated(heart, **how)
    secret = learning.train_federated(heart, aggregator=aggregators.EncryptedMean(), **how)
    assert np.abs(vector(plain.weights) - vector(secret.weights)).max() < 2e-6


@pytest.mark.parametrize("how", METHODS, ids=str)
def test_the_simulation_and_a_study_come_to_the_same_model_encrypted_or_not(heart, plain, how):
    run = plain[how]
    name = f" + {how.name}" if how else ""
    assert (run.method, run.settings.get("algorithm")) == (f"federated{name}", repr(how) if how else None)
    secret = learning.train_federated(heart, algorithm=how, aggregator=aggregators.EncryptedMean(), **HOW)
    assert secret.method == f"federated{name} + BFV"
    (participant, *others) = exchange.rehearse(heart, algorithm=how, **HOW)
    study = results.run(participant, heart)
    assert (study.method, study.settings) == (f"federated{name} + BFV, folder", run.settings)
    for weights in (study.weights, *(other.weights for other in others)):
        assert vector(weights).tobytes() == vector(secret.weights).tobytes()
    assert np.abs(vector(secret.weights) - vector(run.weights)).max() < 1e-5
    mine = participant.rows.name
    one = heart[mine].table.head(9)
    if how and how.own(how.local(secret.weights["shared"], [])):  # the shared model may serve nobody
        with pytest.raises(ValueError, match="no model for"):
            study.predict(one, mine)
    else:
        assert np.array_equal(study.predict(one, mine), secret.predict(one, mine))
    assert results.run(participant).final()[mine] == pytest.approx(run.final()[mine], abs=1e-3)
    if not isinstance(how, Ditto):  # of others, nobody can test what stays at their place
        assert np.allclose(study.final(), run.final(), atol=1e-3)


def test_ditto_trains_the_shared_model_as_ever_and_a_second_one_that_is_local_without_the_pull(heart, plain):
    free, tied = (learning.train_federated(heart, algorithm=Ditto(mu), **HOW) for mu in (0.0, 3.0))
    for run in (free, tied):
        assert vector(run.weights).tobytes() == vector(plain[None].weights).tobytes()
    alone = learning.train_local(heart, **HOW)
    assert free.final("log_loss").tolist() == alone.final("log_loss").tolist(), "to the bit"
    shared = plain[None].final("log_loss")
    far, near = ((run.final("log_loss") - shared).abs().mean() for run in (free, tied))
    assert 0 < near < far


def test_an_intercept_of_ones_own_gives_right_probabilities_and_does_not_travel(heart):
    shared, own = (learning.train_federated(heart, algorithm=each, rounds=50) for each in (None, AtHome()))
    off = [run.final("calibration_intercept").abs().mean() for run in (shared, own)]
    assert off[1] < 0.6 * off[0]
    assert set(own.ledger.query("direction == 'up' and round > 0")["bytes"]) == {4 * 13}
    with pytest.raises(ValueError, match="2 cannot stay at home"):
        learning.train_federated(heart, algorithm=AtHome(2), rounds=1)


def test_class_weights_of_one_change_nothing_and_heavier_ones_raise_the_probability_of_their_class(heart, plain):
    one, three = (learning.train_federated(heart, algorithm=ClassWeights((1.0, w)), **HOW) for w in (1.0, 3.0))
    assert np.abs(vector(one.weights) - vector(plain[None].weights)).max() < 1e-6
    assert three.predictions["probability"].mean() > one.predictions["probability"].mean() + 0.1


def test_newton_is_the_pooled_fit_encrypted_or_not(heart):
    rows = preparation.split(heart, 3).hospitals.values()
    x, y = (np.concatenate([getattr(one, part) for one in rows]) for part in ("train_features", "train_labels"))
    pooled = LogisticRegression(C=1 / 3, tol=1e-10, max_iter=1000, solver="newton-cholesky").fit(x.astype(float), y)
    right = np.r_[pooled.coef_[0], pooled.intercept_]
    for aggregator in (None, aggregators.EncryptedMean()):
        run = heterogeneity.newton(heart, aggregator=aggregator, seed=3)
        assert np.abs(vector(run.weights) - right).max() < 1e-5
        assert run.ledger.query("round > 0")["bytes"].sum() > 0
    assert run.method == "federated + Newton + BFV"


def test_newton_with_intercepts_at_home_is_the_pooled_fit_with_one_for_each_hospital(heart):
    split = preparation.split(heart, 3).hospitals
    x = np.concatenate([rows.train_features for rows in split.values()]).astype(float)
    y = np.concatenate([rows.train_labels for rows in split.values()])
    own = np.repeat(np.eye(4), [len(rows.train_labels) for rows in split.values()], axis=0)

    def loss(w):
        odds = np.c_[x, own] @ w
        return np.logaddexp(0, odds).sum() - y @ odds + 1.5 * w[:-4] @ w[:-4]

    right = minimize(loss, np.zeros(x.shape[1] + 4), method="BFGS", options={"gtol": 1e-6}).x
    for aggregator in (None, aggregators.EncryptedMean()):
        run = heterogeneity.newton(heart, aggregator=aggregator, seed=3, own_intercepts=True, rounds=8)
        for name, intercept in zip(heart.names, right[-4:], strict=True):
            assert np.abs(vector(run.weights[name]) - [*right[:-4], intercept]).max() < 1e-4
    assert run.method == "federated + Newton + own intercepts + BFV"
    numbers = 13 + 13 * 14 // 2
    plain = heterogeneity.newton(heart, seed=3, own_intercepts=True)
    assert set(plain.ledger.query("direction == 'up' and round > 0")["bytes"]) == {8 * numbers}, "no intercept travels"


def test_cyclic_training_is_a_walk_from_hospital_to_hospital(heart):
    run = heterogeneity.cyclic(heart, **HOW)
    split, w = preparation.split(heart, HOW["seed"]).hospitals, np.zeros(14)
    for round in range(1, HOW["rounds"] + 1):
        for name, own in split.items():
            rows = np.c_[own.train_features, np.ones(len(own.train_labels))].astype(float)
            for order in learning.row_order(HOW["seed"], round, name, len(rows), HOW["epochs"]):
                for batch in (order[at : at + 32] for at in range(0, len(order), 32)):
                    error = 1 / (1 + np.exp(-rows[batch] @ w)) - own.train_labels[batch]
                    w = w - 0.3 * rows[batch].T @ error / len(batch)
    assert np.abs(vector(run.weights) - w).max() < 1e-5
    moved = run.ledger.query("round > 0 and bytes > 0")
    assert set(moved["direction"]) == {"peer"}
    begun = learning.train_federated(heart, rounds=1, seed=HOW["seed"]).ledger.query("round == 0 and bytes > 0")
    both = (each.groupby(["hospital", "direction"])["bytes"].sum() for each in (run.ledger.query("round == 0"), begun))
    pd.testing.assert_series_equal(*both)  # the statistics, which are added up as anywhere
    assert moved["bytes"].sum() == HOW["rounds"] * 4 * 4 * 14
    assert set(run.metrics["round"]) == set(range(HOW["rounds"] + 1))


def test_steps_a_round_are_the_same_number_at_all_hospitals_whatever_their_rows(heart):
    for steps, batch_size in ((1, 32), (7, 32), (3, None), (40, 50)):
        plan = learning.Plan(steps=steps, batch_size=batch_size)
        for rows in (5, 86, 212):
            order = plan.order(0, 1, "A", rows)
            assert order.shape == (steps, min(batch_size or rows, rows))
            counts = np.bincount(order.ravel(), minlength=rows)
            assert np.ptp(counts) <= 1, "each row once, before one comes again"
    one = {"rounds": 3, "batch_size": None, "seed": 3}
    once, step = learning.train_federated(heart, **one), learning.train_federated(heart, **one, steps=1)
    assert np.abs(vector(once.weights) - vector(step.weights)).max() < 1e-6, "an epoch of one batch is a step"
    how = {"rounds": 3, "steps": 5, "seed": 3}
    run = learning.train_federated(heart, **how)
    participant, *_ = exchange.rehearse(heart, **how)
    assert results.run(participant, heart).settings == run.settings
    assert run.settings["steps"] == 5
    assert np.abs(vector(participant.weights) - vector(run.weights)).max() < 2e-6
    with pytest.raises(ValueError, match="steps must be None, or a whole number"):
        learning.Plan(steps=0)


def test_a_model_that_is_tuned_at_home_is_one_more_round_alone(heart, plain):
    run, plan = plain[None], learning.Plan(epochs=2)
    tuned, tied = (heterogeneity.fine_tuned(run, heart, plan, mu) for mu in (0.0, 3.0))
    shared = vector(run.weights)
    every = [[one.weights[name] for name in heart.names] for one in (tuned, tied)]
    far, near = (np.mean([np.linalg.norm(vector(w) - shared) for w in models]) for models in every)
    assert 0 < near < far
    assert set(tuned.weights) == {"shared", *heart.names}
    assert tuned.method == "federated, fine-tuned"
    rows = preparation.split(heart, 3).hospitals["Hungary"]
    again = plan.model.predict(tuned.weights["Hungary"], rows.test_features)
    assert np.allclose(tuned.predictions.query("hospital == 'Hungary'")["probability"], again)


def test_recalibrating_at_home_keeps_the_order_and_mends_the_mean(heart):
    run = learning.train_federated(heart, rounds=30)
    mended = heterogeneity.recalibrated(run, heart)
    assert np.allclose(mended.final(), run.final())
    assert mended.final("calibration_intercept").abs().mean() < 0.6 * run.final("calibration_intercept").abs().mean()
    assert len(mended.metrics) == len(run.metrics)


def test_a_layer_that_stays_at_home_does_not_travel(heart):
    how = {"algorithm": AtHome(2), "model": models.mlp((4,)), "rounds": 3}
    run = learning.train_federated(heart, **how)
    up = run.ledger.query("direction == 'up' and round > 0")
    assert set(up["bytes"]) == {4 * (13 * 4 + 4)}
    first = models.mlp((4,)).initial_weights(13, 0)
    assert all(np.array_equal(a, b) for a, b in zip(run.weights["shared"][-2:], first[-2:], strict=True))
    assert (run.final() != 0.5).all(), "who trains is tested with its own last layer"
    secret = learning.train_federated(heart, aggregator=aggregators.EncryptedMean(), **how)
    assert np.abs(vector(secret.weights) - vector(run.weights)).max() < 2e-6
    participant, *_ = exchange.rehearse(heart, algorithm=AtHome(2), hidden=(4,), rounds=3)
    assert participant.study.settings.sizes == (52, 4)
    assert np.abs(vector(participant.weights) - vector(run.weights)).max() < 2e-6
    assert results.run(participant).final()["Cleveland"] == pytest.approx(run.final()["Cleveland"], abs=1e-3)
    left_out = learning.train_federated(heart, leave_out=["Hungary"], **how)
    assert left_out.final()["Hungary"] == 0.5, "nobody trained a last layer for it"


# In a folder, what a hospital keeps must follow from the folder and its rows.


@pytest.fixture
def scaffold(tmp_path, heart):
    work = partial(Training, algorithm=Scaffold())
    return lambda **how: Class(tmp_path, heart, work=work, algorithm=Scaffold(), **HOW | how).open()


def test_a_hospital_that_is_started_again_keeps_what_it_kept(scaffold, plain):
    room = scaffold()
    for _ in range(20):
        room.restart("Hungary")
        room.step()
        room.coordinator.step()
    assert {status.stage for status in room.step().values()} == {"done"}
    (model,) = room.models()
    assert np.abs(np.frombuffer(model, np.float32) - vector(plain[Scaffold()].weights)).max() < 1e-5


def test_a_letter_that_was_not_counted_changes_nothing_that_is_kept(scaffold):
    room, late = scaffold(deadline_seconds=60.0), "VA Long Beach"
    room.until(5)
    room.letter("one", 5, late).unlink()
    before = room.hospitals[late].replica.held.state[1]
    others = [name for name in room.federation.names if name != late]
    room.wait()
    room.step(*others)
    room.coordinator.step()
    assert room.counted[-1] == ("update", sorted(others))
    for again in (False, True):
        if again:
            room.restart(late)
        room.step()
        held = room.hospitals[late].replica.held
        n = len(held.weights)
        assert all(np.array_equal(a, b) for a, b in zip(before[:n], held.state[1][:n], strict=True))
        shared = [each.replica.held.state[1] for each in room.hospitals.values()]
        assert all(np.array_equal(a, b) for own in shared for a, b in zip(own[n:], held.state[1][n:], strict=True))


def test_another_algorithm_than_the_studys_is_refused(scaffold):
    room = scaffold()
    for work, said in {
        Training: "by Scaffold() and this hospital by federated averaging",
        partial(Training, algorithm=FedProx(0.5)): "by Scaffold() and this hospital by FedProx(mu=0.5)",
    }.items():
        room.work = work
        room.restart("Hungary")
        status = room.hospitals["Hungary"].step()
        assert status.stage == "refused"
        assert said in str(status)


def test_two_settings_of_a_method_are_two_methods():
    assert FedProx(0.1) == FedProx(0.1) != FedProx(0.2)

    class Loose(Algorithm):
        def __init__(self, mu):
            self.mu = mu

    assert Loose(1) != Loose(2)
    assert repr(Loose(1)).endswith("Loose(mu=1)")
    for unclear in (Loose([1]), Loose(np.ones(3)), dataclass(type("Open", (Algorithm,), {}))()):
        with pytest.raises(ValueError, match="of a frozen dataclass or another class with a hash"):
            learning.Plan(algorithm=unclear)
    with pytest.raises(ValueError, match="of a frozen dataclass or another class with a hash"):
        learning.Plan(model=type("Open", (models.Model,), {"__hash__": None})())


def test_a_method_without_a_name_is_called_by_its_class_and_stands_in_the_settings(heart):
    class Nameless(Algorithm):
        pass

    run = learning.train_federated(heart, algorithm=Nameless(), rounds=1)
    assert run.method == "federated + Nameless"
    assert run.settings["algorithm"].endswith("Nameless()")
    assert AFL.name == "AFL"
    assert type("Child", (FedProx,), {})().name == "Child"


WRONG = [(FedProx, {"mu": wrong}) for wrong in ("0.1", np.nan, True)] + [(AFL, {name: "0.1"}) for name in ("q", "rate")]
WRONG += [(ClassWeights, {"weights": wrong}) for wrong in ("12", (1.0, "3"), 3.0, ())]


@pytest.mark.parametrize(("how", "setting"), [*WRONG, (Ditto, {"mu": None}), (AtHome, {"arrays": "1"})], ids=str)
def test_a_setting_that_is_no_number_is_refused_with_its_name(how, setting):
    what = f"{how.__name__}'s {next(iter(setting))} must be like "
    with pytest.raises(ValueError, match=what):
        how(**setting)


def test_a_method_of_ones_own_may_have_any_other_settings_too():
    @dataclass(frozen=True)
    class Mine(FedProx):
        kind: str = "x"
        on: bool = True
        after: int | None = None

    assert Mine(after=3).after == 3


def test_newton_needs_an_aggregator_and_settings_as_a_plan_does(heart):
    for wrong in ({"aggregator": "BFV"}, {"rounds": "6"}, {"rounds": 0}, {"penalty": "3.0"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            heterogeneity.newton(heart, **wrong)
    for how, why in ((AtHome(1.5), r"1.5 cannot stay at home"), (ClassWeights((1.0,)), "2 classes need a weight each")):
        with pytest.raises(ValueError, match=why):
            learning.train_federated(heart, algorithm=how, rounds=1)


def test_what_cannot_follow_a_run_or_be_handed_around_is_refused(heart, plain):
    fewer, alone = heart.without("Hungary"), learning.train_local(heart, rounds=1)
    for wrong in ((plain[None], fewer), ("run", heart), (plain[None], "heart")):
        with pytest.raises(ValueError, match="must be"):
            heterogeneity.recalibrated(*wrong)
    with pytest.raises(ValueError, match="one with a shared model"):
        heterogeneity.fine_tuned(alone, heart, learning.Plan())
    with pytest.raises(ValueError, match="plan must be a plan"):
        heterogeneity.fine_tuned(plain[None], heart, {"epochs": 1})
    for wrong in ({"leave_out": ["Hungary"]}, {"algorithm": Scaffold()}, {"round": 3}):
        with pytest.raises(TypeError, match=f"cyclic has no setting '{next(iter(wrong))}'"):
            heterogeneity.cyclic(heart, **wrong)
    with pytest.raises(ValueError, match="federation must be"):
        heterogeneity.cyclic("heart")
