"""Teams: the clients that train one model together, and the rounds they play.

A federation is one team of all hospitals, joined by an aggregator; each hospital alone
is a team of one; the centralised baseline is a team whose only client holds the pooled
rows. So all three do the same local work, on the same rows, with the same budget.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fedkit import environment, hospitals, parameters
from fedkit.aggregators import Aggregator
from fedkit.computations import Step
from fedkit.metrics import METRICS, scores
from fedkit.models import Model
from fedkit.records import Ledger, Run
from fedkit.tff import tf

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
            self.weights = [w + u for w, u in zip(self.weights, parameters.unflatten(step, shapes), strict=True)]
            return
        patients = {client: len(labels) for client, (_, labels) in self.clients.items()}
        self.aggregator_state, mean = self.aggregator.aggregate(self.aggregator_state, updates, patients, ledger)
        began = time.perf_counter()
        self.optimizer_state, weights = self.step.apply(
            self.optimizer_state,
            tuple(tf.constant(weight) for weight in self.weights),
            tuple(tf.constant(gradient) for gradient in parameters.unflatten(-mean, shapes)),
        )
        self.weights = [weight.numpy() for weight in weights]
        seconds = time.perf_counter() - began
        for who in ["server"] if self.aggregator.mean_is_read_by == "server" else self.clients:
            ledger.add(who, "", "apply", seconds=seconds)


@dataclass
class Training:
    """A run in the making."""

    seed: int
    split: hospitals.Split
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

    arrived = (parameters.flatten(update) for update in updates)
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
            start = parameters.flatten(team.weights)
            team.apply(sent, training.ledger)
            moved = parameters.flatten(team.weights) - start
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
