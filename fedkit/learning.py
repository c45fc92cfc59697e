"""Train centrally, alone, or federated: the same work, grouped differently (see `teams`).

A round goes: TFF client work -> aggregator -> TFF optimizer -> evaluation, a hospital
at a time.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fedkit import hospitals, models, preparation
from fedkit.aggregators import Aggregator, Mean
from fedkit.compat import environment
from fedkit.compat.tff import tf, tff
from fedkit.evaluation import METRICS, scores
from fedkit.models import Model, logistic_regression
from fedkit.records import Ledger, Run


@lru_cache(maxsize=32)
def client_work(model: Model, features: int, batch_size: int, learning_rate: float) -> Callable:
    """Return the TFF computation in which every client trains on its own rows.

    Parameters
    ----------
    model
        What is trained.
    features
        Number of columns d.
    batch_size
        Rows a step; the last batch of an epoch holds what is left.
    learning_rate
        Of the gradient descent, ``tff.learning.optimizers.build_sgdm``.

    Returns
    -------
    callable
        ``work(weights, data)`` takes two lists, one entry a client: the model it
        starts from, and ``[features [n, d], labels [n], order [epochs, n]]`` with
        the rows' order in each epoch. It returns one update a client: the arrays of
        (trained - start).
    """
    optimizer = tff.learning.optimizers.build_sgdm(learning_rate)
    weights_type = tff.to_type([(np.float32, weight.shape) for weight in model.initial_weights(features, 0)])
    data_type = tff.to_type([(np.float32, (None, features)), (np.float32, (None,)), (np.int32, (None, None))])

    @tf.function
    def descend(weights, rows, labels, order):
        state = optimizer.initialize(tf.nest.map_structure(lambda w: tf.TensorSpec(w.shape, w.dtype), weights))
        for epoch in tf.range(tf.shape(order)[0]):
            for start in tf.range(0, tf.shape(order)[1], batch_size):
                batch = order[epoch, start : start + batch_size]
                with tf.GradientTape() as tape:
                    tape.watch(weights)
                    loss = model.loss(weights, tf.gather(rows, batch), tf.gather(labels, batch))
                state, weights = optimizer.next(state, weights, tape.gradient(loss, weights))
        return weights

    task_type = tff.to_type([weights_type, data_type])

    @tff.tensorflow.computation(task_type)
    def train(task):
        weights, data = task
        start = tuple(weights)
        return [end - begin for begin, end in zip(start, descend(start, *data), strict=True)]

    @tff.federated_computation(tff.FederatedType(task_type, tff.CLIENTS))
    def work(tasks):
        return tff.federated_map(train, tasks)

    return lambda weights, data: work([list(task) for task in zip(weights, data, strict=True)])


class Step(NamedTuple):
    """How the mean update moves the model.

    Attributes
    ----------
    start : object
        The optimizer's state before the first round.
    apply : callable
        ``apply(state, weights, gradient)`` returns the next state and weights;
        weights and gradient are tuples of float32 tensors.
    """

    start: Any
    apply: Callable


@lru_cache(maxsize=32)
def optimizer_step(
    shapes: tuple[tuple[int, ...], ...], optimizer: tff.learning.optimizers.Optimizer | None = None
) -> Step:
    """Return the last step of a round: an optimizer applies the mean update to the model.

    Parameters
    ----------
    shapes
        Of the model's weights.
    optimizer
        One of ``tff.learning.optimizers``. It takes the mean update for a gradient
        (turned around, since an update says where to go). SGD with rate 1 if None,
        which adds the mean: FedAvg.

    References
    ----------
    Reddi et al., "Adaptive Federated Optimization", ICLR 2021, Algorithm 1.
    """
    optimizer = optimizer or tff.learning.optimizers.build_sgdm(1.0)
    start = optimizer.initialize(tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes))
    return Step(start, tf.function(optimizer.next))


EACH_ROUND = ("auroc",)
SHARED = "shared"
Rows = tuple[np.ndarray, np.ndarray]


@dataclass
class Team:
    """Clients that train one model, the hospitals it serves, and how updates are applied."""

    clients: dict[str, Rows]
    serves: list[str]
    weights: list[np.ndarray]
    aggregator: Aggregator | None = None
    aggregator_state: Any = None
    step: Step | None = None
    optimizer_state: Any = None

    def apply(self, updates: dict[str, np.ndarray], ledger: Ledger) -> None:
        """Move the model by this round's updates, one flat vector a client."""
        shapes = [weight.shape for weight in self.weights]
        if self.aggregator is None:
            (step,) = updates.values()
            self.weights = [w + u for w, u in zip(self.weights, models.unflatten(step, shapes), strict=True)]
            return
        patients = {client: len(labels) for client, (_, labels) in self.clients.items()}
        self.aggregator_state, mean = self.aggregator.aggregate(self.aggregator_state, updates, patients, ledger)
        began = time.perf_counter()
        self.optimizer_state, weights = self.step.apply(
            self.optimizer_state,
            tuple(tf.constant(weight) for weight in self.weights),
            tuple(tf.constant(gradient) for gradient in models.unflatten(-mean, shapes)),
        )
        self.weights = [weight.numpy() for weight in weights]
        seconds = time.perf_counter() - began
        for who in ["server"] if self.aggregator.mean_is_read_by == "server" else self.clients:
            ledger.add(who, "", "apply", seconds=seconds)


@dataclass
class Training:
    """A run in the making."""

    seed: int
    split: preparation.Split
    ledger: Ledger = field(default_factory=Ledger)
    aggregator_state: Any = None
    teams: list[Team] = field(default_factory=list)
    metrics: list[tuple[int, str, str, float]] = field(default_factory=list)


def row_order(seed: int, round: int, client: str, rows: int, epochs: int = 1) -> np.ndarray:
    """Order in which a client goes through its rows: a function of these values alone.

    Returns
    -------
    numpy.ndarray
        int32, shape [epochs, rows]; each line is a permutation.
    """
    generator = np.random.default_rng([seed, round, *client.encode()])
    return np.stack([generator.permutation(rows) for _ in range(epochs)]).astype(np.int32)


def play_round(trainings: list[Training], model: Model, work: Callable, round: int, epochs: int, last: bool) -> None:
    """Train every client of every team in one TFF call; then join, apply and test, a team at a time."""
    jobs = [(training, team, client) for training in trainings for team in training.teams for client in team.clients]
    data = []
    for training, team, client in jobs:
        features, labels = team.clients[client]
        data.append([features, labels, row_order(training.seed, round, client, len(labels), epochs)])
    clock = Ledger()
    with clock.timed("all clients", "train"):
        updates = work([team.weights for _, team, _ in jobs], data)
    seconds = clock.frame()["seconds"].sum() / len(jobs)

    arrived = (models.flatten(update) for update in updates)
    for training in trainings:
        training.ledger.round = round
        for team in training.teams:
            sent = {client: next(arrived) for client in team.clients}
            for client, update in sent.items():
                if not np.isfinite(update).all():
                    raise ValueError(
                        f"The update of {client} in round {round} is not finite: training diverged. "
                        "Choose a smaller learning_rate."
                    )
                training.ledger.add(client, "", "train", seconds=seconds)
            start = models.flatten(team.weights)
            team.apply(sent, training.ledger)
            moved = models.flatten(team.weights) - start
            for client, update in sent.items():
                training.metrics.append((round, client, "distance", float(np.linalg.norm(update - moved))))
            for hospital in team.serves:
                rows = training.split.hospitals[hospital]
                wanted = METRICS if last else EACH_ROUND
                found = scores(rows.test_labels, model.predict(team.weights, rows.test_features), wanted)
                training.metrics += [(round, hospital, metric, value) for metric, value in found.items()]


def finish(method: str, federation: hospitals.Federation, model: Model, training: Training, settings: dict) -> Run:
    """Turn a training that has played its rounds into its record."""
    predictions = []
    for team in training.teams:
        for hospital in team.serves:
            rows = training.split.hospitals[hospital]
            probability = model.predict(team.weights, rows.test_features).astype(float)
            predictions.append(
                pd.DataFrame({"hospital": hospital, "label": rows.test_labels.astype(int), "probability": probability})
            )
    shared = len(training.teams) == 1
    return Run(
        method=method,
        settings=settings | {"seed": training.seed},
        metrics=pd.DataFrame(training.metrics, columns=["round", "hospital", "metric", "value"]),
        ledger=training.ledger.frame(),
        predictions=pd.concat(predictions, ignore_index=True),
        weights={SHARED if shared else next(iter(team.clients)): team.weights for team in training.teams},
        provenance={"data": federation.name, "sha256": federation.sha256, "versions": environment.versions()},
    )


def train_federated(
    federation: hospitals.Federation,
    *,
    rounds: int = 50,
    aggregator: Aggregator | None = None,
    seed: int | Sequence[int] = 0,
    model: Model | None = None,
    epochs: int = 1,
    batch_size: int | None = 32,
    learning_rate: float = 0.3,
    server_optimizer: tff.learning.optimizers.Optimizer | None = None,
    leave_out: Sequence[str] = (),
) -> Run | list[Run]:
    """Train one model at all hospitals: rows stay home, updates travel.

    Parameters
    ----------
    federation
        The hospitals.
    rounds
        How often every hospital trains and the updates are joined.
    aggregator
        How updates become one; `aggregators.Mean` if None.
    seed
        Decides which rows are for testing, the order of rows, and an MLP's first
        weights. A sequence trains one run a seed side by side, in a fraction of the
        time that one after the other would take.
    model
        `models.logistic_regression` if None.
    epochs
        How often a hospital goes through its rows in a round.
    batch_size
        Rows a step; None for all rows in one step.
    learning_rate
        Of the hospitals' gradient descent.
    server_optimizer
        One of ``tff.learning.optimizers``; SGD with rate 1, which is FedAvg, if None.
    leave_out
        Hospitals that do not train and are tested all the same.

    Returns
    -------
    Run, or a list of them
        A list, one run a seed, if `seed` is a sequence.

    Raises
    ------
    ValueError
        If a number is not positive, `leave_out` names a hospital that is not there or
        leaves nobody, or training diverges.

    References
    ----------
    McMahan et al., "Communication-Efficient Learning of Deep Networks from
    Decentralized Data", AISTATS 2017. Reddi et al., "Adaptive Federated
    Optimization", ICLR 2021, for the server's optimizer.
    """
    aggregator = aggregator or Mean()

    def team(training: Training, clients: dict[str, Rows], weights: list[np.ndarray]) -> list[Team]:
        step = optimizer_step(tuple(weight.shape for weight in weights), server_optimizer)
        everybody = list(training.split.hospitals)
        return [Team(clients, everybody, weights, aggregator, training.aggregator_state, step, step.start)]

    method = f"federated + {aggregator.name}" if aggregator.name else "federated"
    how = (seed, rounds, model, epochs, batch_size, learning_rate, leave_out)
    return _train(method, federation, team, *how, aggregator=aggregator)


def train_centralized(
    federation: hospitals.Federation,
    *,
    rounds: int = 50,
    seed: int | Sequence[int] = 0,
    model: Model | None = None,
    epochs: int = 1,
    batch_size: int | None = 32,
    learning_rate: float = 0.3,
    leave_out: Sequence[str] = (),
) -> Run | list[Run]:
    """Train one model on the pooled rows: what is given up when rows stay home.

    Parameters, results and errors are those of `train_federated`; a round is `epochs`
    passes through all rows, so that equal numbers mean an equal budget. The ledger
    counts the rows that each hospital would have to send.
    """

    def team(training: Training, clients: dict[str, Rows], weights: list[np.ndarray]) -> list[Team]:
        for hospital, (features, labels) in clients.items():
            training.ledger.add(hospital, "up", "send", features.nbytes + labels.nbytes)
        pooled = tuple(np.concatenate(part) for part in zip(*clients.values(), strict=True))
        return [Team({"pooled": pooled}, list(training.split.hospitals), weights)]

    return _train("centralized", federation, team, seed, rounds, model, epochs, batch_size, learning_rate, leave_out)


def train_local(
    federation: hospitals.Federation,
    *,
    rounds: int = 50,
    seed: int | Sequence[int] = 0,
    model: Model | None = None,
    epochs: int = 1,
    batch_size: int | None = 32,
    learning_rate: float = 0.3,
) -> Run | list[Run]:
    """Train each hospital alone, on its own rows: what it has without the others.

    Parameters, results and errors are those of `train_federated`; each hospital's model
    is tested at that hospital only. `Run.weights` holds one model a hospital.
    """

    def teams(training: Training, clients: dict[str, Rows], weights: list[np.ndarray]) -> list[Team]:
        return [Team({hospital: rows}, [hospital], weights) for hospital, rows in clients.items()]

    return _train("local", federation, teams, seed, rounds, model, epochs, batch_size, learning_rate, ())


def _train(
    method: str,
    federation: hospitals.Federation,
    make_teams: Callable[[Training, dict[str, Rows], list[np.ndarray]], list[Team]],
    seed: int | Sequence[int],
    rounds: int,
    model: Model | None,
    epochs: int,
    batch_size: int | None,
    learning_rate: float,
    leave_out: Sequence[str],
    aggregator: Aggregator | None = None,
) -> Run | list[Run]:
    """Run the rounds of one method, all seeds side by side."""
    model = model or logistic_regression()
    settings = {"rounds": rounds, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    for name, value in settings.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, and it is {value}.")

    trainings = []
    for one_seed in [seed] if isinstance(seed, int | np.integer) else list(seed):
        training = _prepared(federation, int(one_seed), model, leave_out, aggregator)
        split = training.split
        clients = {
            name: (rows.train_features, rows.train_labels)
            for name, rows in split.hospitals.items()
            if name not in leave_out
        }
        training.teams = make_teams(training, clients, model.initial_weights(len(split.columns), one_seed))
        trainings.append(training)

    largest = max(len(y) for training in trainings for team in training.teams for _, y in team.clients.values())
    work = client_work(model, len(split.columns), batch_size or largest, learning_rate)
    for round in tqdm(range(1, rounds + 1), desc=method, unit="round", delay=1, leave=False, disable=None):
        play_round(trainings, model, work, round, epochs, last=round == rounds)

    settings |= {"model": model.name, "leave_out": list(leave_out)}
    runs = [finish(method, federation, model, training, settings) for training in trainings]
    return runs[0] if isinstance(seed, int | np.integer) else runs


def _prepared(
    federation: hospitals.Federation, seed: int, model: Model, leave_out: Sequence[str], aggregator: Aggregator | None
) -> Training:
    """Split the rows, and prepare them with statistics that the aggregator, if there is one, added up."""
    ledger = Ledger()
    if aggregator is None:
        return Training(seed, preparation.split(federation, seed, leave_out=leave_out), ledger)
    names = [name for name in federation.names if name not in leave_out]
    shapes = [weight.shape for weight in model.initial_weights(len(federation.columns), seed)]
    state = aggregator.start(names, dict(zip(model.layers, shapes, strict=True)), ledger)

    def add(sums: dict[str, np.ndarray]) -> np.ndarray:
        return aggregator.total(state, "statistics", sums, ledger)

    return Training(seed, preparation.split(federation, seed, leave_out=leave_out, add=add), ledger, state)
