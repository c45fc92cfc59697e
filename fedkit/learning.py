"""Train alone, centrally, or federated: the same work on the same rows, grouped differently.

A round: every hospital trains (`local_updates`), the aggregator joins what they send, the
server's optimizer moves the model, and each hospital tests it. A method changes a step of
that (`Algorithm`); a shared folder or a network changes who calls `local_updates`, and where.
"""

import difflib
import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from fedkit import preparation, records
from fedkit.aggregators import Aggregator, Mean
from fedkit.compat import environment
from fedkit.compat.tff import tf, tff
from fedkit.evaluation import METRICS, scores
from fedkit.hospitals import Federation
from fedkit.models import Arrays, Model, flatten, is_whole, unflatten
from fedkit.records import Ledger, Run
from fedkit.tables import coded_columns

SHARED = "shared"
Shapes = tuple[tuple[int, ...], ...]


class Algorithm:
    """Federated averaging (McMahan et al., AISTATS 2017); a subclass changes a step of it.

    `own` is what a hospital keeps from round to round: a list of float32 arrays. What a method
    is told (its mu, say) makes it another one: a frozen dataclass has the ``==`` that this needs.
    """

    name = ""

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def own(self, weights: Arrays) -> Arrays:
        """Return what a hospital keeps before the first round."""
        return []

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the weights that a hospital trains and is tested with; `own` is empty where one is left out."""
        return weights

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return the gradient of a batch, in the shapes of the weights: tensors, traced once by TensorFlow."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = model.loss(weights, features, labels)
        return tape.gradient(loss, weights)

    def send(self, plan: "Plan", task: "Task", update: Arrays) -> tuple[Arrays, Arrays]:
        """Return what travels, any number of arrays, and what is kept once it was counted."""
        return update, task.own

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Return by how much the mean of what was sent moves the model, and what is kept."""
        return mean, own

    def weigh(self, task: "Task") -> int:
        """Return the hospital's weight in the mean, a whole number."""
        return len(task.labels)


def _is_rate(value: object) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and 0 < value < np.inf


def _several(value: object, right: Callable) -> bool:
    return isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and all(map(right, value))


# Setting -> whether a value will do, and what to write.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rounds": (is_whole, "a whole number from 1 on, such as rounds=50"),
    "epochs": (is_whole, "a whole number from 1 on, such as epochs=1"),
    "batch_size": (
        lambda rows: rows is None or is_whole(rows),
        "a whole number from 1 on, such as 32, or None for all",
    ),
    "learning_rate": (_is_rate, "a positive number, such as learning_rate=0.3 (in YAML 1.0e-3: there, 1e-3 is text)"),
    "model": (lambda model: isinstance(model, Model), "a model, such as model=models.mlp((16,))"),
    "algorithm": (lambda how: isinstance(how, Algorithm), "an algorithm, such as algorithm=learning.Algorithm()"),
    "server_optimizer": (
        lambda one: one is None or isinstance(one, tff.learning.optimizers.Optimizer),
        "one of tff.learning.optimizers, such as server_optimizer=tff.learning.optimizers.build_adam(0.1), or None",
    ),
    "leave_out": (
        lambda names: _several(names, lambda name: isinstance(name, str)),
        "a list of hospitals, such as leave_out=['Hungary']",
    ),
    "aggregator": (
        lambda one: not isinstance(one, type) and all(hasattr(one, part) for part in ("start", "total", "aggregate")),
        "an aggregator, such as aggregator=aggregators.EncryptedMean()",
    ),
    "seed": (
        lambda seed: is_whole(seed, 0) or (_several(seed, lambda one: is_whole(one, 0)) and len(seed) > 0),
        "a whole number from 0 on, such as seed=0, or several, such as seed=range(20)",
    ),
}


def _check(name: str, value: object) -> None:
    right, wanted = _RULES[name]
    if not right(value):
        found = f"the class {value.__name__}, without brackets" if isinstance(value, type) else f"{value!r:.100}"
        raise ValueError(f"{name} must be {wanted}, and it is {found}.")


@dataclass(frozen=True)
class Plan:
    """What is trained, and for how long: the same at all who take part. ValueError names a setting of no use.

    Attributes
    ----------
    rounds, epochs : int
        How often updates are joined; passes through a hospital's rows in each.
    batch_size : int or None
        Rows a step (the last of an epoch takes what is left); all rows if None.
    learning_rate : float
        Of the hospitals' gradient descent.
    model : Model
        What is trained.
    algorithm : Algorithm
        How: federated averaging, or what changes a step of it.
    server_optimizer : tff.learning.optimizers.Optimizer or None
        Takes the mean update for a gradient (Reddi et al., ICLR 2021, Algorithm 1); if None, the mean is added.
    leave_out : tuple of str
        Hospitals that do not train and are tested all the same.
    """

    rounds: int = 50
    epochs: int = 1
    batch_size: int | None = 32
    learning_rate: float = 0.3
    model: Model = Model()
    algorithm: Algorithm = Algorithm()
    server_optimizer: tff.learning.optimizers.Optimizer | None = None
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.name in ("model", "algorithm"):
                value = each.default
            _check(each.name, value)
            value = tuple(value) if each.name == "leave_out" else value
            object.__setattr__(self, each.name, value.item() if isinstance(value, np.generic) else value)

    def settings(self) -> dict:
        """What a run remembers of it."""
        kept = {name: getattr(self, name) for name in ("rounds", "epochs", "batch_size", "learning_rate")}
        kept |= {"model": self.model.name, "leave_out": list(self.leave_out)}
        return kept | ({"algorithm": repr(self.algorithm)} if self.algorithm.name else {})

    def distance(self, rows: int) -> float:
        """How far a hospital with so many rows goes down its gradient in a round: steps x learning rate."""
        return self.epochs * -(-rows // (self.batch_size or rows)) * self.learning_rate


class Task(NamedTuple):
    """What a hospital trains in a round: the model, what it keeps, its rows [n, d], labels [n], and `row_order`."""

    weights: Arrays
    own: Arrays
    features: np.ndarray
    labels: np.ndarray
    order: np.ndarray


class Local(NamedTuple):
    """What a hospital has after that.

    Attributes
    ----------
    update : numpy.ndarray
        Trained minus start: float64, shape [p].
    sent : numpy.ndarray
        What travels: float64, flat.
    own : list of numpy.ndarray
        What it keeps once that was counted.
    weight : int
        In the mean.
    seconds : float
        Its training took.
    """

    update: np.ndarray
    sent: np.ndarray
    own: Arrays
    weight: int
    seconds: float


def local_updates(plan: Plan, tasks: Sequence[Task]) -> list[Local]:
    """Let hospitals train, all in one call of TFF: what they do in a round, whoever carries what they send."""
    algorithm, most = plan.algorithm, 2**30  # rows, as the batches are counted in 32 bits
    work = _work(plan.model, algorithm, tasks[0].features.shape[1], tuple(part.shape for part in tasks[0].own))
    how = [np.float32(plan.learning_rate), np.int32(min(plan.batch_size or most, most))]
    given = [[algorithm.local(task.weights, task.own), list(task.own), [*task[2:], *how]] for task in tasks]
    done = []
    for task, (*parts, seconds) in zip(tasks, work(given), strict=True):
        update = [np.asarray(part) for part in parts]
        sent, own = algorithm.send(plan, task, update)
        done.append(Local(flatten(update), flatten(sent), own, algorithm.weigh(task), float(seconds)))
    return done


@lru_cache(maxsize=32)
def _work(model: Model, algorithm: Algorithm, features: int, own: Shapes) -> Callable:
    """TFF's computation of it: rows are tensors and epochs run in the graph, where TFF's own client work sends and
    builds a graph for each client and round anew (a test holds the two to each other)."""
    optimizer = tff.learning.optimizers.build_sgdm(1.0)
    weights_type, own_type = (
        tff.to_type([(np.float32, s) for s in shapes]) for shapes in (model.shapes(features), own)
    )
    how_type = [(np.float32, (None, features)), (np.float32, (None,)), (np.int32, (None, None)), np.float32, np.int32]
    task_type = tff.to_type([weights_type, own_type, tff.to_type(how_type)])

    @tf.function
    def descend(start, own, rows, labels, order, rate, batch_size):
        state = optimizer.initialize(tf.nest.map_structure(lambda w: tf.TensorSpec(w.shape, w.dtype), start))
        state, weights = optimizer.set_hparams(state, {"learning_rate": rate}), start
        for epoch in tf.range(tf.shape(order)[0]):
            for first in tf.range(0, tf.shape(order)[1], batch_size):
                batch = order[epoch, first : first + batch_size]
                found = algorithm.gradient(model, weights, start, own, tf.gather(rows, batch), tf.gather(labels, batch))
                state, weights = optimizer.next(state, weights, found)
        return [end - begin for begin, end in zip(start, weights, strict=True)]

    @tff.tensorflow.computation(task_type)
    def train(task):
        start, own, how = task
        began = tf.timestamp()
        with tf.control_dependencies([began]):  # the clock starts before anything else does,
            update = descend(tuple(map(tf.identity, start)), tuple(own), *map(tf.identity, how))
        with tf.control_dependencies(update):  # and stops when all is done
            return [*map(tf.identity, update), tf.timestamp() - began]

    return tff.federated_computation(
        lambda tasks: tff.federated_map(train, tasks), tff.FederatedType(task_type, tff.CLIENTS)
    )


def row_order(seed: int, round: int, client: str, rows: int, epochs: int = 1) -> np.ndarray:
    """Order in which a client goes through its rows, int32 [epochs, rows]: a function of these values alone."""
    generator = np.random.default_rng([seed, round, *client.encode()])
    return np.stack([generator.permutation(rows) for _ in range(epochs)]).astype(np.int32)


def sent_shapes(plan: Plan, features: int) -> list[tuple[int, ...]]:
    """Shapes of what hospitals send, found by sending an update of zeros of one row."""
    weights = [np.zeros(shape, np.float32) for shape in plan.model.shapes(features)]
    row = np.zeros((1, features), np.float32), np.zeros(1, np.float32), np.zeros((1, 1), np.int32)
    sent, _ = plan.algorithm.send(plan, Task(weights, plan.algorithm.own(weights), *row), weights)
    return [part.shape for part in sent]


def apply(plan: Plan, state: Any, weights: Arrays, step: Arrays) -> tuple[Any, Arrays]:
    """Move the model by a step; `state` is the server's optimizer's, None before the first round."""
    if plan.server_optimizer is None:
        return None, [weight + part for weight, part in zip(weights, step, strict=True)]
    start, move = _optimizer(plan.server_optimizer, tuple(weight.shape for weight in weights))
    both = (tuple(map(tf.constant, parts)) for parts in (weights, [-part for part in step]))
    state, moved = move(start if state is None else state, *both)
    return state, [weight.numpy() for weight in moved]


@lru_cache(maxsize=32)
def _optimizer(optimizer: tff.learning.optimizers.Optimizer, shapes: Shapes) -> tuple[Any, Callable]:
    return optimizer.initialize(tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes)), tf.function(
        optimizer.next
    )


def train_federated(
    federation: Federation, *, aggregator: Aggregator | None = None, seed: int | Sequence[int] = 0, **plan: Any
) -> Run | list[Run]:
    """Train one model at all hospitals: rows stay home, updates travel.

    Parameters
    ----------
    federation
        The hospitals.
    aggregator
        How updates become one; `aggregators.Mean` if None.
    seed
        Decides the test rows, the order of rows, and an MLP's first weights. Several train one run each, side
        by side in a fraction of the time, and a list is returned.
    **plan
        See `Plan`.

    Raises
    ------
    ValueError, TypeError
        For a setting that makes no sense, or is none; ValueError if training diverges.
    """
    aggregator = Mean() if aggregator is None else aggregator
    _check("aggregator", aggregator)
    return _train("federated", federation, _planned(plan), seed, aggregator)


def train_centralized(federation: Federation, *, seed: int | Sequence[int] = 0, **plan: Any) -> Run | list[Run]:
    """Train one model on the pooled rows: what is given up when rows stay home.

    As `train_federated`, without a server. A round is as many passes through all rows, so that equal numbers
    mean an equal budget. The ledger counts the rows that each hospital would have to send.
    """
    return _train("centralized", federation, _planned(plan, "server_optimizer"), seed)


def train_local(federation: Federation, *, seed: int | Sequence[int] = 0, **plan: Any) -> Run | list[Run]:
    """Train each hospital alone, and test it there: what it has without the others.

    As `train_federated`, without a server and anybody to leave out; `Run.weights` holds one model a hospital.
    """
    return _train("local", federation, _planned(plan, "server_optimizer", "leave_out"), seed)


def _planned(given: dict[str, Any], *without: str) -> Plan:
    known = [each.name for each in fields(Plan) if each.name not in without]
    for name in given.keys() - set(known):
        close = "".join(f" Did you mean {one}?" for one in difflib.get_close_matches(name, [*known, "seed"], 1))
        raise TypeError(f"There is no setting {name!r} here.{close} There are seed, {', '.join(known)}.")
    return Plan(**given)


@dataclass
class _Team:
    """Clients that train one model, and the hospitals that it serves."""

    clients: dict[str, tuple[np.ndarray, np.ndarray]]
    serves: list[str]
    weights: Arrays
    own: dict[str, Arrays]
    optimizer: Any = None


@dataclass
class _Training:
    """A run in the making."""

    seed: int
    split: preparation.Split
    ledger: Ledger
    state: Any
    shapes: list[tuple[int, ...]]
    teams: list[_Team] = field(default_factory=list)
    metrics: list[tuple[int, str, str, float]] = field(default_factory=list)

    def predictions(self, plan: Plan, team: _Team) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield hospital, labels and probabilities of its test rows."""
        for name in team.serves:
            rows, weights = self.split.hospitals[name], plan.algorithm.local(team.weights, team.own.get(name, []))
            yield name, rows.test_labels, plan.model.predict(weights, rows.test_features)


def _train(
    kind: str, federation: Federation, plan: Plan, seed: int | Sequence[int], aggregator: Aggregator | None = None
) -> Run | list[Run]:
    """Run the rounds of one method, all seeds side by side."""
    _check("seed", seed)
    seeds = [int(one) for one in np.atleast_1d(seed)]
    method = " + ".join(filter(None, [kind, plan.algorithm.name, aggregator.name if aggregator else ""]))
    places = {one: _kept(method, federation, plan, one, aggregator) for one in seeds}
    runs = {one: run for one, place in places.items() if place and (run := records.recall(place))}
    if trainings := [_begin(kind, federation, plan, one, aggregator) for one in seeds if one not in runs]:
        for round in tqdm(range(1, plan.rounds + 1), desc=method, unit="round", delay=1, leave=False, disable=None):
            _play(trainings, plan, round, aggregator)
    for each in trainings:
        runs[each.seed] = _end(method, federation, plan, each)
        if places[each.seed]:
            records.keep(places[each.seed], runs[each.seed])
    return runs[seeds[0]] if isinstance(seed, int | np.integer) else [runs[one] for one in seeds]


def _begin(kind: str, federation: Federation, plan: Plan, seed: int, aggregator: Aggregator | None) -> _Training:
    """Split and prepare the rows (an aggregator, if there is one, adds up their statistics), and make the teams."""
    ledger, state, add = Ledger(), None, None
    columns = len(coded_columns(federation.numeric, federation.categorical))
    weights, shapes = plan.model.initial_weights(columns, seed), sent_shapes(plan, columns)
    if aggregator:
        names = [name for name in federation.names if name not in plan.leave_out]
        layers = [*plan.model.layers, *(f"more {number}" for number in range(1, len(shapes) + 1))]
        state = aggregator.start(names, dict(zip(layers, shapes, strict=False)), ledger)
        add = lambda sums: aggregator.total(state, "statistics", sums, ledger)  # noqa: E731
    split = preparation.split(federation, seed, leave_out=plan.leave_out, add=add)
    rows = {
        name: (rows.train_features, rows.train_labels)
        for name, rows in split.hospitals.items()
        if name not in plan.leave_out
    }
    groups = [(rows, list(split.hospitals))]
    if kind == "local":
        groups = [({name: own}, [name]) for name, own in rows.items()]
    elif kind == "centralized":
        for name, (features, labels) in rows.items():
            ledger.add(name, "up", "send", features.nbytes + labels.nbytes)
        groups = [({"pooled": tuple(map(np.concatenate, zip(*rows.values(), strict=True)))}, list(split.hospitals))]
    keep = lambda clients: {name: plan.algorithm.own(weights) for name in clients}  # noqa: E731
    teams = [_Team(clients, serves, weights, keep(clients)) for clients, serves in groups]
    return _Training(seed, split, ledger, state, shapes, teams)


def _play(trainings: list[_Training], plan: Plan, round: int, aggregator: Aggregator | None) -> None:
    """Train every client of every team in one call; then join, apply and test, a team at a time."""
    tasks = [
        Task(team.weights, team.own[name], *rows, row_order(each.seed, round, name, len(rows[1]), plan.epochs))
        for each in trainings
        for team in each.teams
        for name, rows in team.clients.items()
    ]
    arrived = iter(local_updates(plan, tasks))
    for each in trainings:
        each.ledger.round = round
        for team in each.teams:
            trained = {name: next(arrived) for name in team.clients}
            for name, local in trained.items():
                if not np.isfinite(local.update).all():
                    raise ValueError(
                        f"The update of {name} in round {round} is not finite: training diverged. "
                        "Choose a smaller learning_rate."
                    )
                each.ledger.add(name, "", "train", seconds=local.seconds)
            start = flatten(team.weights)
            _join(each, team, trained, plan, aggregator)
            moved = flatten(team.weights) - start
            for name, local in trained.items():
                each.metrics.append((round, name, "distance", float(np.linalg.norm(local.update - moved))))
            wanted = METRICS if round == plan.rounds else METRICS[:1]
            for name, *predicted in each.predictions(plan, team):
                each.metrics += [(round, name, *found) for found in scores(*predicted, wanted).items()]


def _join(
    training: _Training, team: _Team, trained: dict[str, Local], plan: Plan, aggregator: Aggregator | None
) -> None:
    """Let what was sent become one, and the model move."""
    sent = {name: local.sent for name, local in trained.items()}
    if aggregator is None:
        (mean,) = sent.values()
    else:
        weights = {name: local.weight for name, local in trained.items()}
        training.state, mean = aggregator.aggregate(training.state, sent, weights, training.ledger)
    began, mean = time.perf_counter(), unflatten(mean, training.shapes)
    for name, local in trained.items():
        step, team.own[name] = plan.algorithm.take(mean, local.own)
    team.optimizer, team.weights = apply(plan, team.optimizer, team.weights, step)
    if aggregator:
        seconds = time.perf_counter() - began
        for who in ["server"] if aggregator.mean_is_read_by == "server" else team.clients:
            training.ledger.add(who, "", "apply", seconds=seconds)


def _end(method: str, federation: Federation, plan: Plan, training: _Training) -> Run:
    alone = len(training.teams) > 1
    return Run.of(
        method,
        federation,
        plan.settings() | {"seed": training.seed},
        training.metrics,
        training.ledger.frame(),
        [each for team in training.teams for each in training.predictions(plan, team)],
        {next(iter(team.clients)) if alone else SHARED: team.weights for team in training.teams},
    )


def _kept(method: str, federation: Federation, plan: Plan, seed: int, aggregator: Aggregator | None) -> Path | None:
    """Where FEDKIT_RUNS keeps this run: named by all that it follows from. Encrypted runs must be fresh."""
    folder, core, kinds = os.environ.get("FEDKIT_RUNS"), Path(__file__).parent, type(plan.algorithm).__mro__[:-1]
    if (
        not folder
        or plan.server_optimizer
        or type(aggregator) not in (Mean, type(None))
        or type(plan.model) is not Model
    ):
        return None
    try:
        code = sorted({*core.glob("*.py"), *core.glob("compat/*.py"), *(Path(inspect.getfile(kind)) for kind in kinds)})
    except TypeError:  # an algorithm that was written in a notebook
        return None
    about = [method, federation.name, federation.sha256, repr(plan), seed, environment.versions()]
    digest = hashlib.sha256(json.dumps(about).encode() + b"".join(file.read_bytes() for file in code))
    return Path(folder) / f"{digest.hexdigest()}.zip"
