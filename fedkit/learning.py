"""Train alone, centrally, or federated: the same work on the same rows, grouped differently.

A round: every hospital trains (`local_updates`), the aggregator joins what they send, the
server's optimizer moves the model, and each hospital tests it. A method changes a step of
that (`Algorithm`); a shared folder or a network changes who calls `local_updates`, and where.
"""

import contextlib
import hashlib
import inspect
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from fedkit import preparation, records
from fedkit.aggregators import AN_AGGREGATOR, Aggregator, Mean
from fedkit.checks import has, is_list, is_number, is_positive, is_whole, known, optional, require
from fedkit.compat import environment
from fedkit.compat.tff import tf, tff
from fedkit.evaluation import COUNTS, METRICS, scores
from fedkit.hospitals import Federation
from fedkit.models import Arrays, Model, flatten, unflatten
from fedkit.records import Ledger, Run

SHARED = "shared"
Shapes = Sequence[tuple[int, ...]]
Optimizer = tff.learning.optimizers.Optimizer
Seeds = int | Sequence[int]


class Algorithm:
    """Federated averaging (McMahan et al., AISTATS 2017); a subclass changes a step of it.

    `own` is what a hospital keeps: float32 arrays. A subclass with settings (a mu, say) is best a frozen dataclass.
    TensorFlow's computation is kept for it: what it reads beside its settings, a global say, is read once.
    """

    name = ""  # how tables call it; a subclass that gives itself none is called as its class

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        cls.name = vars(cls).get("name") or cls.__name__

    def __eq__(self, other: object) -> bool:  # the same settings are the same one
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).items()))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def own(self, weights: Arrays) -> Arrays:
        """Return what a hospital keeps before the first round."""
        return []

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return what a hospital trains: the model, and whatever it trains beside it."""
        return weights

    def serve(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the model that a hospital is tested with; `own` is empty where one is left out."""
        return self.local(weights, own)

    def steps(self, plan: "Plan", hospital: str) -> int | None:
        """Return how many steps a hospital takes in a round; those of its epochs if None."""
        return plan.steps

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return the gradient of a batch, in the shapes of the weights: tensors, traced once by TensorFlow."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = model.loss(weights, features, labels)
        return tape.gradient(loss, weights)

    def send(self, plan: "Plan", task: "Task", update: Arrays) -> tuple[Arrays, Arrays]:
        """Return what travels, any number of arrays, and what is kept once that was counted."""
        return update, task.own

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Return by how much the mean of what was sent moves the model, and what is kept."""
        return mean, own

    def weigh(self, task: "Task") -> int:
        """Return the hospital's weight in the mean, a whole number."""
        return len(task.labels)


def _has_hash(value: object) -> bool:
    with contextlib.suppress(TypeError):
        return hash(value) is not None
    return False


_is_model = has(*"name layers initial_weights loss predict".split())


# Setting -> whether a value is right, and what to write.
RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "rounds": (is_whole, "a whole number from 1 on, such as rounds=50"),
    "epochs": (is_whole, "a whole number from 1 on, such as epochs=1"),
    "steps": (optional(is_whole), "None, or a whole number from 1 on, such as 10"),
    "batch_size": (optional(is_whole), "None, or a whole number from 1 on, such as 32"),
    "learning_rate": (is_positive, "a positive number, such as 0.3 (in YAML 1.0e-3: there, 1e-3 is text)"),
    "penalty": (lambda penalty: is_number(penalty, 0), "a number from 0 on, such as penalty=1.0"),
    "prepared": (lambda it: it in ("together", "alone"), "'together' or 'alone'"),
    "model": (
        lambda it: _is_model(it) and _has_hash(it),
        "a model, of a frozen dataclass or another class with a hash, such as models.mlp((16,))",
    ),
    "algorithm": (
        lambda it: isinstance(it, Algorithm) and _has_hash(it),
        "an algorithm, of a frozen dataclass or another class with a hash, such as FedProx(0.1)",
    ),
    "server_optimizer": (lambda it: isinstance(it, Optimizer | None), "None, or one of tff.learning.optimizers"),
    "leave_out": (is_list, "a list, such as leave_out=['Hungary']"),
    "aggregator": AN_AGGREGATOR,
    "federation": (lambda it: isinstance(it, Federation), "hospitals, such as hospitals.load('heart_disease')"),
    "seed": (
        lambda seed: is_whole(seed, 0) or (is_list(seed, lambda one: is_whole(one, 0)) and len(seed) > 0),
        "a whole number from 0 on, such as 0, or several, such as range(20)",
    ),
}


@dataclass(frozen=True)
class Plan:
    """What is trained, and for how long: the same at all who take part. ValueError names a setting of no use."""

    rounds: int = 50  # how often updates are joined
    epochs: int = 1  # passes through a hospital's rows in each round
    batch_size: int | None = 32  # rows a step (the last of an epoch takes what is left); all rows if None
    learning_rate: float = 0.3  # of the hospitals' gradient descent
    model: Model | None = None  # logistic regression if None
    algorithm: Algorithm | None = None  # federated averaging if None
    server_optimizer: Optimizer | None = None  # Reddi et al., ICLR 2021, Algorithm 1; if None, the mean is added
    leave_out: tuple[str, ...] = ()  # hospitals that do not train and are tested all the same
    # On large kernels, biases left out: penalty / 2 x their squares is added to the sum of the cross-entropies of all
    # rows that train together. So it is 1 / C of scikit-learn's LogisticRegression.
    penalty: float = 0.0
    steps: int | None = None  # down the gradient in each round, whatever the rows and `epochs`; an epoch's if None

    def __post_init__(self) -> None:
        for name, value in {"model": Model(), "algorithm": Algorithm()}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name, value in vars(self).items():
            require(name, value, *RULES[name])
            object.__setattr__(self, name, value.item() if isinstance(value, np.generic) else value)
        object.__setattr__(self, "leave_out", tuple(self.leave_out))

    @property
    def settings(self) -> dict[str, Any]:
        """What a run remembers of it."""
        kept = {name: getattr(self, name) for name in ("rounds", "epochs", "batch_size", "learning_rate")}
        kept |= {"model": self.model.name, "leave_out": list(self.leave_out)}
        kept |= {name: getattr(self, name) for name in ("penalty", "steps") if getattr(self, name)}
        return kept | ({"algorithm": repr(self.algorithm)} if self.algorithm.name else {})

    def order(self, seed: int, round: int, client: str, rows: int) -> np.ndarray:
        """Return in which order a hospital takes its rows, int32: [epochs, rows], or [steps, rows of a step]."""
        steps, each = self.algorithm.steps(self, client), min(self.batch_size or rows, rows)
        if steps is None:
            return row_order(seed, round, client, rows, self.epochs)
        return row_order(seed, round, client, rows, -(-steps * each // rows)).ravel()[: steps * each].reshape(-1, each)


class Task(NamedTuple):
    """What a hospital trains in a round: the model, what it keeps, its rows [n, d], labels [n], and `row_order`.

    together : number of rows that all train on, for the penalty; only the hospital's own if 0
    """

    weights: Arrays
    own: Arrays
    features: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    together: int = 0


class Local(NamedTuple):
    """What it has then: trained minus start [p] and what travels [n], both flat and float64; what `Algorithm` says."""

    update: np.ndarray
    sent: np.ndarray
    own: Arrays
    weight: int
    seconds: float


def local_updates(plan: Plan, tasks: Sequence[Task]) -> list[Local]:
    """Let hospitals train, all in one call of TFF: what they do in a round, whoever carries what they send."""
    how, first, alike, done = plan.algorithm, tasks[0], {}, {}
    trained, kept = (tuple(part.shape for part in parts) for parts in (how.local(first.weights, first.own), first.own))
    work = _work(plan.model, how, first.features.shape[1], trained, kept, plan.penalty > 0)
    for number, task in enumerate(tasks):  # what has one shape travels as one, and in four parts, for as many cores
        alike.setdefault((task.features.shape, task.order.shape), []).append(number)
    each = -(-len(tasks) // 4)
    clients = [numbers[at : at + each] for numbers in alike.values() for at in range(0, len(numbers), each)]
    parts = ([_given(plan, tasks[number]) for number in numbers] for numbers in clients)
    given = [[np.stack(part) for part in zip(*own, strict=True)] for own in parts]
    for numbers, (updates, seconds) in zip(clients, work(given), strict=True):
        for number, vector, spent in zip(numbers, np.asarray(updates), np.asarray(seconds), strict=True):
            task, update = tasks[number], unflatten(vector, trained)
            sent, own = how.send(plan, task, update)
            moved = flatten(update[: len(task.weights)])
            done[number] = Local(moved, flatten(sent), own, how.weigh(task), float(spent))
    return [done[number] for number in range(len(tasks))]


def _given(plan: Plan, task: Task) -> tuple[np.ndarray, ...]:
    """Return what TFF is given of a task, in few arrays, since it takes its time for each."""
    start = flatten([*plan.algorithm.local(task.weights, task.own), *task.own])
    rows = np.concatenate([task.features, task.labels[:, None]], axis=1)
    batch, decay = min(plan.batch_size or 2**24, 2**24), plan.penalty / (task.together or len(task.labels))
    return start.astype(np.float32), rows, task.order, np.array([plan.learning_rate, decay, batch], np.float32)


@lru_cache(maxsize=32)
def _work(model: Model, algorithm: Algorithm, features: int, trained: Shapes, own: Shapes, penalised: bool) -> Callable:
    """Write it as TFF's computation over tensors, with the epochs in the graph.

    TFF's own client work sends, and builds, a graph for each client and round anew; a test holds the two to each other.
    """
    optimizer, shapes, started = tff.learning.optimizers.build_sgdm(1.0), (*trained, *own), []
    sizes = [math.prod(shape) for shape in shapes]
    each = (np.float32, (sum(sizes),)), (np.float32, (None, features + 1)), (np.int32, (None, None)), (np.float32, (3,))
    given = [(kind, (None, *shape)) for kind, shape in each]

    @tf.function
    def descend(start, own, rows, labels, order, rate, decay, batch_size):
        state = optimizer.initialize(tf.nest.map_structure(lambda w: tf.TensorSpec(w.shape, w.dtype), start))
        state, weights = optimizer.set_hparams(state, {"learning_rate": rate}), start
        each = tf.cast(batch_size, tf.int32)
        steps = -(-tf.shape(order)[1] // each)  # of an epoch, whose last takes what is left
        for step in tf.range(steps * tf.shape(order)[0]):
            first = step % steps * each
            batch = order[step // steps, first : first + each]
            found = algorithm.gradient(model, weights, start, own, tf.gather(rows, batch), tf.gather(labels, batch))
            if penalised:  # what is a matrix is a kernel
                pairs = zip(found, weights, strict=True)
                found = tuple(slope + decay * w if w.shape.rank > 1 else slope for slope, w in pairs)
            state, weights = optimizer.next(state, weights, found)
        return tf.concat([tf.reshape(end - begin, [-1]) for begin, end in zip(start, weights, strict=True)], 0)

    def one(task):
        began = tf.timestamp()
        with tf.control_dependencies([began]):  # the clock starts before all else
            numbers, rows, order, settings = map(tf.identity, task)
        parts = [tf.reshape(part, shape) for part, shape in zip(tf.split(numbers, sizes), shapes, strict=True)]
        start, kept = tuple(parts[: len(trained)]), tuple(parts[len(trained) :])
        update = descend(start, kept, rows[:, :-1], rows[:, -1], order, *tf.unstack(settings))
        with tf.control_dependencies([update]):  # and stops after it
            return tf.identity(update), tf.timestamp() - began

    @tff.tensorflow.computation(given)
    def train(tasks):
        return tf.map_fn(one, tuple(tasks), parallel_iterations=1, fn_output_signature=(tf.float32, tf.float64))

    clients = tff.FederatedType(tff.to_type(given), tff.CLIENTS)
    work = tff.federated_computation(lambda tasks: tff.federated_map(train, tasks), clients)

    def begun(tasks):  # so that nobody is charged TensorFlow's start: all take their first step, for nobody
        if not started:
            work([[*parts, order[:, :1, : int(how[0, 2])], how] for *parts, order, how in tasks])
            started.append(True)
        return work(tasks)

    return begun


def row_order(seed: int, round: int, client: str, rows: int, epochs: int = 1) -> np.ndarray:
    """Order in which a client goes through its rows, int32 [epochs, rows]: a function of these values alone."""
    generator = np.random.default_rng([seed, round, *client.encode()])
    return np.stack([generator.permutation(rows) for _ in range(epochs)]).astype(np.int32)


def sent_shapes(plan: Plan, features: int) -> list[tuple[int, ...]]:
    """Shapes of what a hospital sends, found by letting one of a single row send an update of zeros."""
    weights = list(map(np.zeros_like, plan.model.initial_weights(features, 0)))
    row = np.zeros((1, features), np.float32), np.zeros(1, np.float32), np.zeros((1, 1), np.int32)
    sent, _ = plan.algorithm.send(plan, Task(weights, plan.algorithm.own(weights), *row), weights)
    return [part.shape for part in sent]


def apply(plan: Plan, state: Any, weights: Arrays, step: Arrays) -> tuple[Any, Arrays]:
    """Move the model by a step; `state` is that of the server's optimizer, None before the first round."""
    if plan.server_optimizer is None:
        return None, [weight + part for weight, part in zip(weights, step, strict=True)]
    start, following = _optimizer(plan.server_optimizer, tuple(weight.shape for weight in weights))
    both = (tuple(map(tf.constant, parts)) for parts in (weights, [-part for part in step]))
    state, moved = following(start if state is None else state, *both)
    return state, [weight.numpy() for weight in moved]


@lru_cache(maxsize=32)
def _optimizer(optimizer: Optimizer, shapes: Shapes) -> tuple[Any, Callable]:
    weights = tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes)
    return optimizer.initialize(weights), tf.function(optimizer.next)


def train_federated(
    federation: Federation, *, aggregator: Aggregator | None = None, seed: Seeds = 0, **plan: Any
) -> Run | list[Run]:
    """Train one model at all hospitals: rows stay home, updates travel.

    aggregator : how updates become one; `aggregators.Mean` if None
    seed : decides the test rows, the order of rows, and an MLP's first weights; several train one run each, side by
        side in a fraction of the time, and a list is returned
    plan : see `Plan`; ValueError or TypeError for what makes no sense there, ValueError if training diverges
    """
    aggregator = Mean() if aggregator is None else aggregator
    require("aggregator", aggregator, *RULES["aggregator"])
    return _train("federated", federation, seed, plan, (), aggregator)


def train_centralized(federation: Federation, *, seed: Seeds = 0, **plan: Any) -> Run | list[Run]:
    """Train one model on the pooled rows: what is given up when rows stay home.

    As `train_federated`, without a server. A round is as many passes through all rows, so that
    equal numbers mean an equal budget. The ledger counts the rows that hospitals would have to send.
    """
    return _train("centralized", federation, seed, plan, ("server_optimizer",))


def train_local(federation: Federation, *, seed: Seeds = 0, prepared: str = "together", **plan: Any) -> Run | list[Run]:
    """Train each hospital alone, and test it there.

    As `train_federated`, with no server and nobody left out; `Run.weights` holds one model a hospital.

    prepared : with the statistics of all hospitals ("together": the same columns as with the other methods, though a
        lone hospital would not have them), or each with its own ("alone": what it has without the others)
    """
    require("prepared", prepared, *RULES["prepared"])
    return _train("local", federation, seed, plan, ("server_optimizer", "leave_out"), prepared=prepared)


@dataclass
class _Training:
    """A run in the making: one model under `SHARED`, or one a hospital under its name."""

    seed: int
    rows: dict[str, preparation.Prepared]
    together: int
    ledger: Ledger
    shapes: Shapes
    clients: dict[str, tuple[np.ndarray, np.ndarray]]
    weights: dict[str, Arrays]
    own: dict[str, Arrays]
    preparation: dict[str, preparation.Statistics]
    state: Any = None
    optimizer: Any = None
    metrics: list[tuple[int, str, str, float]] = field(default_factory=list)

    def key(self, name: str) -> str:
        """Return under which key the model of a hospital is."""
        return name if len(self.weights) > 1 else SHARED

    def served(self, plan: Plan) -> dict[str, Arrays]:
        """Return the models that are there, and of each hospital the one that it is served by, if that is another."""
        models = {name: self.weights[self.key(name)] for name in self.rows}
        served = {name: plan.algorithm.serve(model, self.own.get(name, [])) for name, model in models.items()}
        return self.weights | {name: own for name, own in served.items() if own is not models[name]}

    def predictions(self, plan: Plan, of: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield hospital, labels and probabilities of the test rows that a model serves."""
        served = self.served(plan)
        for name, rows in self.rows.items():
            if of == self.key(name):
                yield name, rows.test_labels, plan.model.predict(served.get(name, served.get(of)), rows.test_features)


def _train(
    kind: str,
    federation: Federation,
    seed: Seeds,
    given: dict,
    without: Sequence[str],
    aggregator: Any = None,
    prepared: str = "together",
) -> Run | list[Run]:
    """Run the rounds of one method, all seeds side by side."""
    own = {"federated": ["aggregator"], "local": ["prepared"]}.get(kind, [])
    known(f"train_{kind}", given, ["seed", *own, *(each.name for each in fields(Plan) if each.name not in without)])
    require("federation", federation, *RULES["federation"])
    require("seed", seed, *RULES["seed"])
    plan, seeds = Plan(**given), [int(one) for one in np.atleast_1d(seed)]
    if isinstance(plan.model, Model):
        plan = replace(plan, model=replace(plan.model, classes=len(federation.classes)))
    method = " + ".join(filter(None, [kind, plan.algorithm.name, aggregator.name if aggregator else ""]))
    folders = {one: _kept(f"{method}, prepared {prepared}", federation, plan, one, aggregator) for one in seeds}
    runs = {}
    for one, folder in folders.items():
        with contextlib.suppress(FileNotFoundError, ValueError):  # not there, or damaged: it is trained again
            runs |= {one: records.load(folder)} if folder else {}
    trainings = [_begin(kind, federation, plan, one, aggregator, prepared) for one in folders if one not in runs]
    numbers = range(1, plan.rounds + 1) if trainings else ()
    for round in tqdm(numbers, desc=method, unit="round", delay=1, leave=False, disable=None):
        _play(trainings, plan, round, aggregator)
    for each in trainings:
        settings, predictions = plan.settings | {"seed": each.seed}, map(partial(each.predictions, plan), each.weights)
        settings |= {} if prepared == "together" else {"prepared": prepared}
        found = each.metrics, each.ledger.frame(), chain.from_iterable(predictions), each.served(plan)
        runs[each.seed] = Run.of(method, federation, settings, *found, each.preparation)
        if folders[each.seed]:
            runs[each.seed].save(folders[each.seed])
    return runs[seeds[0]] if np.ndim(seed) == 0 else [runs[one] for one in seeds]


def _begin(
    kind: str, federation: Federation, plan: Plan, seed: int, aggregator: Aggregator | None, prepared: str
) -> _Training:
    """Split and prepare the rows; an aggregator, if there is one, adds up their statistics."""
    ledger, state, add = Ledger(), None, None
    columns = len(federation.columns)
    weights, shapes = plan.model.initial_weights(columns, seed), sent_shapes(plan, columns)
    if aggregator:
        names = [name for name in federation.names if name not in plan.leave_out]
        layers = [*plan.model.layers, *(f"more {number}" for number in range(1, len(shapes) + 1))]
        state = aggregator.start(names, dict(zip(layers, shapes, strict=False)), ledger)
        add = lambda sums: aggregator.total(state, "statistics", sums, ledger)  # noqa: E731
    rows, statistics = {}, {}
    for part in preparation.sharing(federation, prepared):
        split = preparation.split(part, seed, leave_out=plan.leave_out, add=add)
        rows |= split.hospitals
        statistics[SHARED if prepared == "together" else part.names[0]] = split.statistics
    train = {name: own for name, own in rows.items() if name not in plan.leave_out}
    clients = {name: (own.train_features, own.train_labels) for name, own in train.items()}
    together = 0 if kind == "local" else max(own.together for own in rows.values())
    if kind == "centralized":
        for name, own in clients.items():
            ledger.add(name, "up", "send", sum(part.nbytes for part in own))
        clients = {"pooled": tuple(map(np.concatenate, zip(*clients.values(), strict=True)))}
    models = dict.fromkeys(clients if kind == "local" and len(clients) > 1 else [SHARED], weights)
    own = {name: plan.algorithm.own(weights) for name in clients}
    begun = _Training(seed, rows, together, ledger, shapes, clients, models, own, statistics, state)
    for name, each in rows.items():
        begun.metrics += zip([0, 0], [name, name], COUNTS, [len(each.train_rows), len(each.test_rows)], strict=True)
    return begun


def _play(trainings: list[_Training], plan: Plan, round: int, aggregator: Aggregator | None) -> None:
    """Train every client of every seed in one call; then join, apply and test, a model at a time."""
    tasks = []
    for each in trainings:
        for name, (features, labels) in each.clients.items():
            order = plan.order(each.seed, round, name, len(labels))
            tasks.append(Task(each.weights[each.key(name)], each.own[name], features, labels, order, each.together))
    arrived, wanted = iter(local_updates(plan, tasks)), METRICS if round == plan.rounds else METRICS[:1]
    for each in trainings:
        each.ledger.round = round
        for of, weights in each.weights.items():
            done = {name: next(arrived) for name in each.clients if of == each.key(name)}
            for name, local in done.items():
                if not np.isfinite(local.update).all():
                    what = f"The update of {name} in round {round} is not finite"
                    raise ValueError(f"{what}: training diverged. Choose a smaller learning_rate.")
                each.ledger.add(name, "", "train", seconds=local.seconds)
            each.weights[of] = _joined(each, plan, weights, done, aggregator)
            moved = flatten(each.weights[of]) - flatten(weights)
            for name, local in done.items():
                each.metrics.append((round, name, "distance", float(np.linalg.norm(local.update - moved))))
            for name, *predicted in each.predictions(plan, of):
                each.metrics += [(round, name, *found) for found in scores(*predicted, wanted).items()]


def _joined(
    training: _Training, plan: Plan, weights: Arrays, done: dict[str, Local], aggregator: Aggregator | None
) -> Arrays:
    """Let what was sent become one, and return the model that it leads to."""
    sent, ledger = {name: local.sent for name, local in done.items()}, training.ledger
    if aggregator is None:
        (mean,) = sent.values()
    else:
        counts = {name: local.weight for name, local in done.items()}
        training.state, mean = aggregator.aggregate(training.state, sent, counts, ledger)
    began, mean = time.perf_counter(), unflatten(mean, training.shapes)
    for name, local in done.items():
        step, training.own[name] = plan.algorithm.take(mean, local.own)
    training.optimizer, weights = apply(plan, training.optimizer, weights, step)
    if aggregator:
        seconds = time.perf_counter() - began
        for who in ["server"] if aggregator.mean_is_read_by == "server" else done:
            ledger.add(who, "", "apply", seconds=seconds)
    return weights


def _kept(method: str, federation: Federation, plan: Plan, seed: int, aggregator: Aggregator | None) -> Path | None:
    """Return where FEDKIT_RUNS keeps a run, named after all that it follows from; None for an encrypted one."""
    plain = type(aggregator) in (Mean, type(None)) and type(plan.model) is Model and not plan.server_optimizer
    if not plain or not os.environ.get("FEDKIT_RUNS"):
        return None
    home, kinds = Path(__file__).parent, type(plan.algorithm).__mro__[:-1]
    try:
        code = {*home.glob("*.py"), *home.glob("compat/*.py"), *(Path(inspect.getfile(kind)) for kind in kinds)}
    except (OSError, TypeError):  # an algorithm that was written in a notebook
        return None
    about = [method, federation.name, federation.sha256, repr(plan), seed, environment.versions()]
    digest = hashlib.sha256(json.dumps(about).encode() + b"".join(file.read_bytes() for file in sorted(code)))
    return Path(os.environ["FEDKIT_RUNS"], digest.hexdigest())
