"""What to do where hospitals differ: each method changes one step of federated averaging (`learning.Algorithm`).

The server's own optimizers (momentum, Adam, Yogi; Reddi et al., ICLR 2021) are TFF's: `train_federated` takes them as
`server_optimizer`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from fedkit import learning, preparation
from fedkit.aggregators import Aggregator, Mean
from fedkit.checks import is_list, is_number, is_whole, known, require
from fedkit.compat.tff import tf
from fedkit.evaluation import CLIP, COUNTS, METRICS, scores
from fedkit.hospitals import Federation
from fedkit.learning import RULES, SHARED, Algorithm, Plan, Task
from fedkit.models import Arrays, Model, unflatten
from fedkit.preparation import Split
from fedkit.records import Ledger, Run

Served = dict[str, np.ndarray]  # the probabilities of each hospital's test rows


class _Weighed(Algorithm):
    """A method whose settings are numbers."""

    def __post_init__(self) -> None:
        for each in fields(self):
            for right in (is_number, _are_numbers):
                if right(each.default):
                    what = f"{type(self).__name__}'s {each.name}"
                    require(what, getattr(self, each.name), right, f"like {each.default}")


def _are_numbers(value: object) -> bool:
    return is_list(value, is_number) and len(value) > 0


@dataclass(frozen=True)
class FedProx(_Weighed):
    """Pull the local model back to the shared one: mu / 2 x squared distance joins the loss (Li et al., MLSys 2020)."""

    mu: float = 0.1
    name = "FedProx"

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return the gradient, and the pull."""
        found = super().gradient(model, weights, start, own, features, labels)
        return tuple(slope + self.mu * (w - s) for slope, w, s in zip(found, weights, start, strict=True))


@dataclass(frozen=True)
class Scaffold(Algorithm):
    """Correct each step by how this hospital's gradients differ from all hospitals' (Karimireddy et al., ICML 2020).

    Option II of Algorithm 1. A hospital keeps two control variates, its own and that of all, and sends the change of
    its own: twice the numbers. All hospitals take part in each round, and count by their patients.
    """

    name = "SCAFFOLD"

    def own(self, weights: Arrays) -> Arrays:
        """Return both, zero."""
        return [np.zeros_like(part) for part in [*weights, *weights]]

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return the gradient, corrected."""
        found = super().gradient(model, weights, start, own, features, labels)
        mine, shared = own[: len(weights)], own[len(weights) :]
        return tuple(slope - m + s for slope, m, s in zip(found, mine, shared, strict=True))

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return update and change, and the new variates."""
        n, (epochs, rows) = len(update), task.order.shape
        distance = epochs * -(-rows // (plan.batch_size or rows)) * plan.learning_rate  # steps x rate
        change = [-shared - part / distance for shared, part in zip(task.own[n:], update, strict=True)]
        return [*update, *change], [*(mine + c for mine, c in zip(task.own, change, strict=False)), *task.own[n:]]

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Return the move, and the variates after the mean change."""
        n = len(mean) // 2
        return mean[:n], [*own[:n], *(shared + c for shared, c in zip(own[n:], mean[n:], strict=True))]


@dataclass(frozen=True)
class AtHome(_Weighed):
    """Let the last arrays of the model stay at their hospital and be trained there alone; nobody else learns them."""

    arrays: int = 1  # the last bias, a personal intercept; 2: a personal last layer (FedPer, Arivazhagan et al. 2019)

    @property
    def name(self) -> str:
        """How tables call it."""
        return {1: "own intercept", 2: "own last layer"}.get(self.arrays, f"own last {self.arrays} arrays")

    def own(self, weights: Arrays) -> Arrays:
        """Return the arrays that stay; ValueError if none would travel."""
        if not is_whole(self.arrays) or self.arrays >= len(weights):
            raise ValueError(f"Of {len(weights)} arrays of the model, {self.arrays} cannot stay at home: name fewer.")
        return list(weights[-self.arrays :])

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the shared arrays, and its own."""
        return [*weights[: -self.arrays], *own] if own else weights

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return what is shared, and keep the rest."""
        mine = [own + part for own, part in zip(task.own, update[-self.arrays :], strict=True)]
        return update[: -self.arrays], mine

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Move what is shared."""
        return [*mean, *(np.zeros_like(part) for part in own)], own


@dataclass(frozen=True)
class QFedAvg(_Weighed):
    """Count hospitals by their loss ** q, so that those that the model serves badly pull more (Li et al., ICLR 2020).

    The direction of the paper; its length is that of a weighted mean. The numbers of patients do not count.
    """

    q: float = 1.0
    name = "q-FedAvg"

    def importance(self, loss: float, own: Arrays) -> tuple[float, Arrays]:
        """Return how much a hospital counts, and what it keeps."""
        return loss**self.q, own

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return the update times its importance, and the importance."""
        rows = tf.constant(task.features), tf.constant(task.labels, tf.float32)
        counts, own = self.importance(float(plan.model.loss(task.weights, *rows)), task.own)
        return [*(np.float32(counts) * part for part in update), np.array([counts], np.float32)], own

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Divide by the mean importance."""
        return [part / mean[-1] for part in mean[:-1]], own

    def weigh(self, task: Task) -> int:
        """Count each hospital once."""
        return 1


@dataclass(frozen=True)
class AFL(QFedAvg):
    """Count hospitals so that the worst mixture of them does best (agnostic, Mohri et al., ICML 2019).

    By exponentiated ascent: a hospital's importance grows by the factor exp(rate x loss) in each round. It keeps the
    logarithms of its own, and of the mean, which all know.
    """

    rate: float = 0.5
    name = "AFL"

    def own(self, weights: Arrays) -> Arrays:
        """Return both logarithms, zero."""
        return [np.zeros(1, np.float32), np.zeros(1, np.float32)]

    def importance(self, loss: float, own: Arrays) -> tuple[float, Arrays]:
        """Let it grow; what travels is relative to the mean."""
        mine, mean = own
        mine = mine + np.float32(self.rate * loss)
        return float(np.exp(mine - mean)[0]), [mine, mean]

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        """Divide by the mean importance, and remember it."""
        return [part / mean[-1] for part in mean[:-1]], [own[0], own[1] + np.log(mean[-1])]


@dataclass(frozen=True)
class Ditto(_Weighed):
    """Train a model of one's own beside the shared one, pulled to it by mu (Li et al., ICML 2021), to be served by."""

    mu: float = 0.1
    name = "Ditto"

    def own(self, weights: Arrays) -> Arrays:
        """Begin as the shared one."""
        return list(weights)

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Train both."""
        return [*weights, *own]

    def serve(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the hospital's own; who has none is served by the shared one."""
        return own or weights

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return both gradients, the second with the pull to where the shared model stood."""
        n = len(weights) // 2
        shared = super().gradient(model, weights[:n], start, own, features, labels)
        mine = super().gradient(model, weights[n:], start, own, features, labels)
        pulled = (slope + self.mu * (w - s) for slope, w, s in zip(mine, weights[n:], start[:n], strict=True))
        return (*shared, *pulled)

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return the shared one's update, and the hospital's own model."""
        n = len(task.weights)
        return update[:n], [mine + part for mine, part in zip(task.own, update[n:], strict=False)]


@dataclass(frozen=True)
class ClassWeights(_Weighed):
    """Count a row's loss by its label, against imbalance; a batch's weights are scaled to the mean 1."""

    weights: tuple[float, ...] = (1.0, 1.0)  # of label 0, of label 1, and so on
    name = "class weights"

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the model; ValueError if there is not one weight for each class."""
        if len(self.weights) != (classes := max(weights[-1].size, 2)):
            raise ValueError(f"{classes} classes need a weight each, and the weights are {self.weights}.")
        return weights

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return the gradient of the weighted mean."""
        with tf.GradientTape() as tape:
            tape.watch(weights)
            counts = tf.gather(tf.constant(self.weights, tf.float32), tf.cast(labels, tf.int32))
            loss = model.loss(weights, features, labels, counts)
        return tape.gradient(loss, weights)


def fine_tuned(run: Run, federation: Federation, plan: Plan, mu: float = 0.0) -> Run:
    """Let each hospital train the finished shared model further, alone, before it uses it.

    plan : for one round at home: its epochs, batches and learning rate
    mu : pulls back to the shared model, as in `FedProx`
    """
    require("plan", plan, lambda it: isinstance(it, Plan), "a plan, such as learning.Plan(epochs=5)")
    split, seed = _split(run, federation), run.settings["seed"]
    require("run", run, lambda it: SHARED in it.weights, "one with a shared model, as train_federated makes it")
    how, shared = replace(plan, algorithm=FedProx(mu)), run.weights[SHARED]
    names = [name for name in split.hospitals if name not in run.settings["leave_out"]]
    tasks = []
    for name in names:
        rows = split.hospitals[name]
        order = plan.order(seed, run.settings["rounds"] + 1, name, len(rows.train_labels))
        tasks.append(Task(shared, [], rows.train_features, rows.train_labels, order))
    found = zip(names, learning.local_updates(how, tasks), strict=True)
    shapes = [part.shape for part in shared]
    moved = {name: [a + b for a, b in zip(shared, unflatten(own.update, shapes), strict=True)] for name, own in found}
    predict = lambda name, rows: plan.model.predict(moved.get(name, shared), rows)  # noqa: E731
    served = {name: predict(name, rows.test_features) for name, rows in split.hospitals.items()}
    return _tested(run, federation, "fine-tuned", split, served, {SHARED: shared} | moved)


def recalibrated(run: Run, federation: Federation) -> Run:
    """Let each hospital add one number to the log-odds, so that the mean probability of its training rows is right.

    That is logistic recalibration "in the large" (Steyerberg, "Clinical Prediction Models", 2019, chapter 15), and for
    label 0 or 1 only. The order of the patients, and so AUROC, stays. A hospital of one class moves by 10 at the most.
    """
    split, moved = _split(run, federation), {}
    for name, rows in split.hospitals.items():
        *layers, bias = run.weights.get(name, run.weights.get(SHARED))
        known = Model().predict([*layers, bias], rows.train_features).astype(float)
        known = logit(np.clip(known, CLIP, 1 - CLIP))
        off = lambda shift, known=known, rows=rows: np.mean(expit(known + shift) - rows.train_labels)  # noqa: E731
        shift = brentq(off, -10, 10) if off(-10) < 0 < off(10) else 10 * np.sign(off(0.0)) * -1
        moved[name] = [*layers, bias + np.float32(shift)]
    served = {name: Model().predict(moved[name], rows.test_features) for name, rows in split.hospitals.items()}
    return _tested(run, federation, "recalibrated", split, served, run.weights | moved)


def newton(
    federation: Federation,
    *,
    aggregator: Aggregator | None = None,
    seed: int = 0,
    penalty: float = 3.0,
    rounds: int = 6,
    own_intercepts: bool = False,
) -> Run:
    """Fit logistic regression by Newton's method: gradient and Hessian are sums over patients, so totals suffice.

    What comes out is the pooled fit itself, rows at home (GLORE, Wu et al., J Am Med Inform Assoc 2012;19:758).

    penalty : 1 / C of scikit-learn; biases have none. ValueError if a round's matrix cannot be inverted
    own_intercepts : a bias a hospital, that stays there: it is solved for at home, and what is sent has it taken out
    """
    Plan(rounds=rounds, penalty=penalty)  # a ValueError, if they make no sense
    aggregator, ledger, metrics = aggregator or Mean(), Ledger(), []
    split, add = _prepared(federation, seed, aggregator, Model(), ledger)
    d = len(federation.columns)
    n = d if own_intercepts else d + 1
    upper, ridge = np.triu_indices(n), penalty * np.diag([1.0] * d + [0.0])[:n, :n]
    w = {name: np.zeros(d + 1) for name in federation.names}
    for ledger.round in range(1, rounds + 1):
        sums, mine = {}, {}
        for name, rows in split.hospitals.items():
            a = np.c_[rows.train_features, np.ones(len(rows.train_labels))]
            p = expit(a @ w[name])
            slope, curve = a.T @ (p - rows.train_labels), (a.T * (p * (1 - p))) @ a
            mine[name] = slope[d], curve[d]
            if own_intercepts:
                slope, curve = (full - np.multiply.outer(curve[d], full[d]) / curve[d, d] for full in (slope, curve))
            sums[name] = np.concatenate([slope[:n], curve[:n, :n][upper]])
        total = add(sums)
        hessian = np.zeros((n, n))
        hessian[upper] = total[n:]
        hessian = hessian + np.triu(hessian, 1).T + ridge
        step = np.linalg.solve(hessian, total[:n] + ridge @ w[federation.names[0]][:n])
        for name, (slope, curve) in mine.items():
            w[name][:n] -= step
            w[name][n:] -= (slope - curve[:n] @ step) / curve[d]
        weights = {name: unflatten(own, [(d, 1), (1,)]) for name, own in w.items()}
        served = {name: Model().predict(weights[name], rows.test_features) for name, rows in split.hospitals.items()}
        metrics += _ranked(ledger.round, split, served)
    weights = weights if own_intercepts else {SHARED: weights[federation.names[0]]}
    settings = {"rounds": rounds, "seed": seed, "penalty": penalty, "model": Model().name, "leave_out": []}
    method = ["federated", "Newton", "own intercepts" * own_intercepts, aggregator.name]
    return _finished(
        " + ".join(filter(None, method)), federation, settings, metrics, ledger.frame(), split, served, weights
    )


def cyclic(federation: Federation, *, aggregator: Aggregator | None = None, seed: int = 0, **plan: Any) -> Run:
    """Hand one model from hospital to hospital, each trains it on (Chang et al., J Am Med Inform Assoc 2018;25:945).

    The aggregator adds up statistics, before the first round, and no more: each hospital reads what the one before it
    sends, and the last one has the last word. In a round of the `learning.Plan` the model goes around once; who is left
    out, other methods and server optimizers make no sense there, and are a TypeError.
    """
    known("cyclic", plan, ["seed", "aggregator", *"rounds epochs batch_size learning_rate model penalty steps".split()])
    plan, ledger, metrics = Plan(**plan), Ledger(), []
    split, _ = _prepared(federation, seed, aggregator or Mean(), plan.model, ledger)
    weights = plan.model.initial_weights(len(federation.columns), seed)
    for ledger.round in range(1, plan.rounds + 1):
        for name, rows in split.hospitals.items():
            order = plan.order(seed, ledger.round, name, len(rows.train_labels))
            task = Task(weights, [], rows.train_features, rows.train_labels, order, rows.together)
            (local,) = learning.local_updates(plan, [task])
            moves = unflatten(local.update, [part.shape for part in weights])
            weights = [part + move for part, move in zip(weights, moves, strict=True)]
            ledger.add(name, "", "train", seconds=local.seconds)
            ledger.add(name, "peer", "send", sum(part.nbytes for part in weights))
        served = {name: plan.model.predict(weights, rows.test_features) for name, rows in split.hospitals.items()}
        metrics += _ranked(ledger.round, split, served)
    how = plan.settings | {"seed": seed}
    return _finished("cyclic", federation, how, metrics, ledger.frame(), split, served, {SHARED: weights})


def _prepared(
    federation: Federation, seed: int, aggregator: Aggregator, model: Model, ledger: Ledger
) -> tuple[Split, Callable[[Served], np.ndarray]]:
    """Return a split, whose statistics the aggregator adds up, and how it adds up more."""
    require("federation", federation, *RULES["federation"])
    require("aggregator", aggregator, *RULES["aggregator"])
    shapes = dict(zip(model.layers, model.shapes(len(federation.columns)), strict=True))
    state = aggregator.start(list(federation.names), shapes, ledger)
    add = lambda sums: aggregator.total(state, "statistics", sums, ledger)  # noqa: E731
    return preparation.split(federation, seed, add=add), add


def _split(run: Run, federation: Federation) -> Split:
    """Return the split that a run was trained on; ValueError if it was another federation's."""
    require("federation", federation, *RULES["federation"])
    same = lambda it: isinstance(it, Run) and it.provenance["sha256"] == federation.sha256  # noqa: E731
    require("run", run, same, f"one that was trained on {federation!r}")
    return preparation.split(federation, run.settings["seed"], leave_out=run.settings["leave_out"])


def _ranked(round: int, split: Split, served: Served) -> list[tuple]:
    """Return the AUROC of a round, as metrics have it."""
    found = {name: scores(rows.test_labels, served[name], METRICS[:1]) for name, rows in split.hospitals.items()}
    return [(round, name, *value) for name, values in found.items() for value in values.items()]


def _tested(run: Run, federation: Federation, what: str, split: Split, served: Served, weights: dict) -> Run:
    """Return a run with what serves now instead of its last round."""
    metrics = run.metrics[run.metrics["metric"].isin([METRICS[0], "distance"])].itertuples(index=False, name=None)
    method = f"{run.method}, {what}"
    return _finished(method, federation, run.settings, metrics, run.ledger, split, served, weights)


def _finished(
    method: str,
    federation: Federation,
    settings: dict,
    metrics: Iterable,
    ledger: Any,
    split: Split,
    served: Served,
    weights: dict,
) -> Run:
    """Make a run of a training that is done: to the metrics of its rounds come those of its last, and the counts."""
    last, rows = settings["rounds"], split.hospitals
    metrics = [row for row in metrics if row[0] < last or row[2] == "distance"]
    for name, each in rows.items():
        metrics += zip([0, 0], [name, name], COUNTS, [len(each.train_labels), len(each.test_labels)], strict=True)
        metrics += [(last, name, *value) for value in scores(each.test_labels, served[name]).items()]
    predictions = ((name, each.test_labels, served[name]) for name, each in rows.items())
    return Run.of(method, federation, settings, metrics, ledger, predictions, weights, {SHARED: split.statistics})
