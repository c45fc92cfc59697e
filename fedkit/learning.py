"""Train centrally, alone, or federated: the same work, grouped differently (see `teams`).

A round goes: TFF client work -> aggregator -> TFF optimizer -> evaluation, a hospital
at a time.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm.auto import tqdm

from fedkit import computations, hospitals
from fedkit.aggregators import Aggregator, Mean
from fedkit.models import Model, logistic_regression
from fedkit.preparation import coded_columns
from fedkit.records import Ledger, Run
from fedkit.teams import Rows, Team, Training, finish, play_round
from fedkit.tff import tff


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
        step = computations.optimizer_step(tuple(weight.shape for weight in weights), server_optimizer)
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
    work = computations.client_work(model, len(split.columns), batch_size or largest, learning_rate)
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
        return Training(seed, hospitals.split(federation, seed, leave_out=leave_out), ledger)
    names = [name for name in federation.names if name not in leave_out]
    columns = coded_columns(federation.numeric, federation.categorical)
    shapes = [weight.shape for weight in model.initial_weights(len(columns), seed)]
    state = aggregator.start(names, dict(zip(model.layers, shapes, strict=True)), ledger)

    def add(sums: dict[str, np.ndarray]) -> np.ndarray:
        return aggregator.total(state, "statistics", sums, ledger)

    return Training(seed, hospitals.split(federation, seed, leave_out=leave_out, add=add), ledger, state)
