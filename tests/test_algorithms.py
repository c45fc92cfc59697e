"""Methods of a few lines that change one step of federated averaging, in the simulation and in a study."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from exchange_parts import Class

from fedkit import aggregators, exchange, learning, models, preparation
from fedkit.exchange import results
from fedkit.exchange.work import Training
from fedkit.learning import Algorithm


@dataclass(frozen=True)
class FedProx(Algorithm):
    """Pull the local model back to the shared one: mu / 2 x squared distance is added to the loss (Li et al. 2020)."""

    mu: float = 0.1
    name = "FedProx"

    def gradient(self, model, weights, start, own, features, labels):
        found = super().gradient(model, weights, start, own, features, labels)
        return tuple(g + self.mu * (w - s) for g, w, s in zip(found, weights, start, strict=True))


@dataclass(frozen=True)
class Scaffold(Algorithm):
    """Correct each step by what this hospital's gradients differ from all hospitals' (Karimireddy et al. 2020)."""

    name = "SCAFFOLD"

    def own(self, weights):
        return [np.zeros_like(part) for part in [*weights, *weights]]  # this hospital's control, and that of all

    def gradient(self, model, weights, start, own, features, labels):
        found = super().gradient(model, weights, start, own, features, labels)
        mine, shared = own[: len(weights)], own[len(weights) :]
        return tuple(g - m + s for g, m, s in zip(found, mine, shared, strict=True))

    def send(self, plan, task, update):
        n, distance = len(update), plan.distance(len(task.labels))
        change = [-shared - part / distance for shared, part in zip(task.own[n:], update, strict=True)]
        return [*update, *change], [*(mine + c for mine, c in zip(task.own, change, strict=False)), *task.own[n:]]

    def take(self, mean, own):
        n = len(mean) // 2
        return mean[:n], [*own[:n], *(shared + c for shared, c in zip(own[n:], mean[n:], strict=True))]


@dataclass(frozen=True)
class KeepLast(Algorithm):
    """The last layer stays at its hospital, and is trained there alone (FedPer, Arivazhagan et al. 2019)."""

    name = "FedPer"

    def own(self, weights):
        return list(weights[-2:])

    def local(self, weights, own):
        return [*weights[:-2], *own] if own else weights

    def send(self, plan, task, update):
        return update[:-2], [mine + part for mine, part in zip(task.own, update[-2:], strict=True)]

    def take(self, mean, own):
        return [*mean, *(np.zeros_like(part) for part in own)], own

    def weigh(self, task):
        return 1


HOW = {"rounds": 4, "epochs": 2, "seed": 3}


def vector(weights):
    return models.flatten(weights["shared"] if isinstance(weights, dict) else weights)


@pytest.fixture(scope="module")
def plain(heart):
    return {how: learning.train_federated(heart, algorithm=how, **HOW) for how in (None, FedProx(0.5), Scaffold())}


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


def test_a_pull_of_nothing_is_federated_averaging_to_the_bit(heart, plain):
    nothing = learning.train_federated(heart, algorithm=FedProx(0.0), **HOW)
    assert vector(nothing.weights).tobytes() == vector(plain[None].weights).tobytes()
    drift = [run.metrics.query("metric == 'distance'")["value"].mean() for run in (plain[FedProx(0.5)], nothing)]
    assert drift[0] < 0.9 * drift[1]


@pytest.mark.parametrize("how", [None, FedProx(0.5), Scaffold()], ids=str)
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
    assert np.abs(vector(secret.weights) - vector(run.weights)).max() < 2e-6  # 2^-22 x patients, of 4 rounds
    assert np.allclose(study.final(), run.final(), atol=1e-3)


def test_a_layer_that_stays_at_home_does_not_travel(heart):
    how = {"algorithm": KeepLast(), "model": models.mlp((4,)), "rounds": 3}
    run = learning.train_federated(heart, **how)
    up = run.ledger.query("direction == 'up' and round > 0")
    assert set(up["bytes"]) == {4 * (13 * 4 + 4)}
    first = models.mlp((4,)).initial_weights(13, 0)
    assert all(np.array_equal(a, b) for a, b in zip(run.weights["shared"][-2:], first[-2:], strict=True))
    assert (run.final() != 0.5).all(), "who trains is tested with its own last layer"
    secret = learning.train_federated(heart, aggregator=aggregators.EncryptedMean(), **how)
    assert np.abs(vector(secret.weights) - vector(run.weights)).max() < 2e-6
    participant, *_ = exchange.rehearse(heart, algorithm=KeepLast(), hidden=(4,), rounds=3)
    assert participant.study.settings.sizes == (52, 4)
    assert np.abs(vector(participant.weights) - vector(run.weights)).max() < 2e-6
    assert results.run(participant).final()["Cleveland"] == pytest.approx(run.final()["Cleveland"], abs=1e-3)
    left_out = learning.train_federated(heart, leave_out=["Hungary"], **how)
    assert left_out.final()["Hungary"] == 0.5, "nobody trained a last layer for it"


def test_a_method_says_how_much_a_hospital_weighs(heart):
    asked = []

    class Listening(aggregators.Mean):
        def aggregate(self, state, updates, weights, ledger):
            asked.append(weights)
            return super().aggregate(state, updates, weights, ledger)

    learning.train_federated(heart, algorithm=KeepLast(), aggregator=Listening(), model=models.mlp((4,)), rounds=1)
    assert asked == [dict.fromkeys(heart.names, 1)]


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
    assert np.abs(np.frombuffer(model, np.float32) - vector(plain[Scaffold()].weights)).max() < 2e-6


def test_a_letter_that_was_not_counted_changes_nothing_that_is_kept(scaffold):
    room, late = scaffold(deadline_seconds=60.0), "VA Long Beach"
    room.until(5)  # in number 3, somebody's update outgrew its bound
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
