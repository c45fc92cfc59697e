"""Differential privacy: what is promised, noise before encryption that keeps it, and an audit.

An *algorithm* clips; an *aggregator* around another one adds whole shares of noise at each hospital: the encrypted sum
is exact. Its layout follows from columns and levels: agree on these, and on who is tested, before you look at rows.

Every epsilon comes from Google's `dp_accounting`. A discrete Gaussian's Renyi divergences are at most those of the
Gaussian (Canonne, Kamath and Steinke, NeurIPS 2020): the Renyi accountant holds for it. Nobody has proven as much for
its privacy loss distribution. A sum of shares, each of 8 steps or more, is one but for less than 1e-200 (Kairouz, Liu
and Steinke, ICML 2021, Theorem 1).
"""

import itertools
import math
import operator
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import Any

import dp_accounting
import numpy as np
from dp_accounting.rdp import RdpAccountant
from scipy.stats import binom

from fedkit import learning
from fedkit.aggregators import Aggregator, Joined, Vectors, Weights, Wrapped, WrappedState
from fedkit.checks import is_number, is_positive, is_whole, optional, require
from fedkit.compat.tff import tf
from fedkit.hospitals import Federation
from fedkit.learning import Algorithm, Plan, Task
from fedkit.models import Arrays, Model, flatten, unflatten
from fedkit.preparation import Sums
from fedkit.records import Ledger, Run

STEPS = 2**12  # in the length of the longest vector that one patient, or one hospital, may add to a sum
BELOW = 1 - 2.0**-20  # keeps a clipped vector within its length where float32 rounds


@cache
def multiplier(epsilon: float, delta: float, rounds: int, sampling: float = 1.0) -> float:
    """Return the least noise for a budget: its standard deviation, divided by what one can change.

    sampling : how probable it is that a patient is drawn for a round, each for itself. Below 1 it holds for others'
        Gaussian noise: the noise here is for all patients in each round
    """
    if not (epsilon > 0 and 0 < delta < 1 and rounds >= 1 and 0 < sampling <= 1):
        told = f"epsilon {epsilon}, delta {delta}, {rounds} rounds, sampling {sampling}"
        raise ValueError(f"A budget has epsilon above 0, delta and sampling between 0 and 1, and rounds: not {told}.")
    if math.isinf(epsilon):
        return 0.0
    search = dp_accounting.LowerEndpointAndGuess(0.0, 1.0)
    event = lambda noise: _event(noise, rounds, sampling)  # noqa: E731
    return dp_accounting.calibrate_dp_mechanism(RdpAccountant, event, epsilon, delta, search)


@cache
def spent(multiplier: float, delta: float, rounds: int, sampling: float = 1.0) -> float:
    """Return the epsilon of so much noise in so many rounds; see `multiplier`."""
    right = is_number(multiplier, 0) and is_positive(delta) and delta < 1 and is_whole(rounds) and 0 < sampling <= 1
    if not right:
        told = f"noise {multiplier!r}, delta {delta!r}, {rounds!r} rounds, sampling {sampling!r}"
        raise ValueError(f"Noise is 0 or more, delta and sampling are between 0 and 1, and rounds whole: not {told}.")
    return RdpAccountant().compose(_event(multiplier, rounds, sampling)).get_epsilon(delta)


def _event(multiplier: float, rounds: int, sampling: float) -> dp_accounting.DpEvent:
    event = dp_accounting.GaussianDpEvent(multiplier)
    event = event if sampling == 1 else dp_accounting.PoissonSampledDpEvent(sampling, event)
    return dp_accounting.SelfComposedDpEvent(event, rounds)


@dataclass(frozen=True)
class Guarantee:
    """What is promised to whom."""

    epsilon: float  # infinite without noise
    delta: float = 1e-5
    rounds: int = 20  # sums that may be asked for: an answered one is spent, opened or not
    unit: str = "patient"  # or "hospital"

    def __post_init__(self) -> None:
        numbers = all(isinstance(one, Real) and not isinstance(one, bool) for one in (self.epsilon, self.delta))
        if not numbers or not is_whole(self.rounds) or self.unit not in [*UNITS]:
            raise ValueError(f"{self}: write a number, whole rounds, and unit='patient' or 'hospital'.")
        _ = self.multiplier  # a budget that is none is refused here, and not in the first round

    @property
    def multiplier(self) -> float:
        """Noise of a sum, divided by the most that one can change."""
        return multiplier(float(self.epsilon), self.delta, self.rounds)

    def variance(self, size: int, honest: int) -> int:
        """Return the variance of one share of noise, in steps squared, for a sum of `size` numbers.

        honest : shares that no attacker knows. Rounding makes a vector longer by half the root of its size at most
        """
        needed = (self.multiplier * (STEPS + math.sqrt(size) / 2)) ** 2 / honest
        return max(math.ceil(needed), 64) if needed else 0

    def sentences(self, least: int, colluders: int = 1) -> str:
        """Say what is promised, what it rests on, and what it does not cover; see `Private`."""
        if not self.multiplier:
            return "Nothing is promised: there is no noise."
        whole = "a hospital that trains on its patients, or sends noise alone"
        one = "one training patient more or less, at any hospital" if self.unit == "patient" else whole
        rests = "each hospital's own noise"
        if least > 1:
            outside = spent(self.multiplier * math.sqrt(least / (least - colluders)), self.delta, self.rounds)
            rests = f"""noise of {least} hospitals or more in every sum that is opened, and that {colluders} of them \
at most put together what they know, their own noise included. Who knows nobody's noise faces epsilon {outside:.2g}"""
        return f"""\
Unit and neighbours: {one}.
Promise: all that leaves the hospitals in {self.rounds} rounds is as probable either way, up to a factor of \
{math.exp(self.epsilon):.3g} (epsilon {self.epsilon:g}), but for a probability of {self.delta:g} (delta).
It rests on {rests}. The noise follows the recipe, and nobody else can compute it.
Not covered: a second training; who takes part, when, and how long it takes; test patients, their draw, and scores on \
them; somebody with rows twice; settings that were chosen by a look at rows; what is true of patients in general."""


def discrete_gaussian(variance: int, size: int, source: random.Random) -> np.ndarray:
    """Draw whole numbers x in proportion to exp(-x^2 / (2 variance)), from whole numbers alone: int64, shape [size].

    Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020, Algorithms 1 to 3.
    """
    variance = operator.index(variance)  # numpy's whole numbers overflow
    below, scale, drawn = source.randrange, math.isqrt(variance) + 1, []

    def happens(above: int, under: int) -> bool:  # with probability exp(-above / under)
        while above > under:
            if not happens(1, 1):
                return False
            above -= under
        tries = 1
        while below(under * tries) < above:
            tries += 1
        return tries % 2 == 1

    while variance and len(drawn) < size:
        rest = below(scale)  # a discrete Laplace number: its rest, how often the scale goes into it, and its sign
        if not happens(rest, scale):
            continue
        while happens(1, 1):
            rest += scale
        sign = 1 - 2 * below(2)
        if (rest or sign > 0) and happens((rest * scale - variance) ** 2, 2 * variance * scale**2):
            drawn.append(sign * rest)
    return np.array(drawn or [0] * size, np.int64)


class _Clipped(Algorithm):
    def __post_init__(self) -> None:
        for name in ("clip", "rate"):
            require(name, getattr(self, name), is_positive, "a number above 0")

    def take(self, mean: Arrays, own: Arrays) -> tuple[Arrays, Arrays]:
        return [part * np.float32(self.rate * self.clip / STEPS) for part in mean], own

    def weigh(self, task: Task) -> int:
        """One, whatever the patients: their number is not told."""
        return 1


@dataclass(frozen=True, eq=False, repr=False)
class ClippedPatients(_Clipped):
    """A hospital sends the sum of its patients' gradients, each one clipped (Abadi et al., CCS 2016), in whole steps.

    Each is cut and rounded *before* it is added, so that the sum is exact. All patients are in each round, in one step.
    """

    clip: float = 1.0  # the longest gradient of a patient
    rate: float = 1 / 160  # of gradient descent, by about how many patients train at a hospital: guessed, not counted
    name = "clipped patients"

    def local(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the model, which stays, and zeros from which the sum is gathered."""
        return [*weights, *(np.zeros_like(part) for part in weights)]

    def serve(self, weights: Arrays, own: Arrays) -> Arrays:
        """Return the model itself."""
        return weights

    def gradient(self, model: Model, weights: tuple, start: tuple, own: tuple, features: tf.Tensor, labels: tf.Tensor):
        """Return zeros for the model, and the patients' clipped gradients, added up in steps."""
        here = weights[: len(weights) // 2]

        def steps(row: tuple) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(here)
                loss = model.loss(here, row[0][None], row[1][None])
            vector = tf.concat([tf.reshape(part, [-1]) for part in tape.gradient(loss, here)], 0)
            vector *= BELOW * STEPS / self.clip * tf.minimum(1.0, self.clip / tf.norm(vector))
            return tf.round(tf.where(tf.math.is_finite(vector), vector, 0.0))

        rows = tuple(tf.concat([part, part[:1]], 0) for part in (features, labels))  # a single one would not do here
        total = tf.reduce_sum(tf.vectorized_map(steps, rows)[:-1], axis=0)
        parts = zip(tf.split(total, [part.shape.num_elements() for part in here]), here, strict=True)
        return (*map(tf.zeros_like, here), *(tf.reshape(part, to.shape) for part, to in parts))

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return what was gathered, in whole steps; ValueError where the plan is another one."""
        if (plan.steps, plan.batch_size, plan.learning_rate, plan.penalty) != (1, None, 1.0, 0.0):
            raise ValueError("Clipped patients are added up in steps=1, batch_size=None, learning_rate=1.0, penalty=0.")
        if len(task.labels) * STEPS > 2**24:
            raise ValueError(f"{len(task.labels)} patients are too many: float32 adds {2**24 // STEPS} exactly.")
        return update[-len(task.weights) :], task.own


@dataclass(frozen=True, eq=False, repr=False)
class ClippedHospitals(_Clipped):
    """A hospital sends its whole update, clipped (McMahan et al., ICLR 2018), in whole steps."""

    clip: float = 0.3  # the longest update of a hospital
    rate: float = 1.0  # what the mean is multiplied with
    name = "clipped hospitals"

    def send(self, plan: Plan, task: Task, update: Arrays) -> tuple[Arrays, Arrays]:
        """Return the clipped update, in whole steps."""
        vector = flatten(update)
        vector *= BELOW * STEPS / max(self.clip, np.linalg.norm(vector))
        return unflatten(np.rint(vector), [part.shape for part in update]), task.own


UNITS = {"patient": ClippedPatients, "hospital": ClippedHospitals}


class Private(Wrapped):
    """An aggregator in which each hospital adds its share of noise before anything leaves it.

    Where the one inside opens sums of `least` hospitals or more, these make up the noise without the colluders' shares.
    Around any other one, each share is all of it: somebody reads single letters. Use `train`, which also clips.

    guarantee : what is promised; a ValueError refuses rounds beyond it
    public : statistics that rows are prepared with, from no row of a hospital
    colluders : hospitals that put together what they know, the one who reads among them
    seed : for a lesson whose numbers come again; noise that somebody can compute hides nothing. None: from the system
    """

    def __init__(
        self, inner: Aggregator, guarantee: Guarantee, public: Sums, colluders: int = 1, seed: int | None = None
    ) -> None:
        super().__init__(inner)
        require("guarantee", guarantee, lambda it: isinstance(it, Guarantee), "a promise, such as Guarantee(3.0)")
        require("public", public, lambda it: isinstance(it, Sums), "sums, such as preparation.local_sums makes")
        require("colluders", colluders, lambda it: is_whole(it, 0), "a whole number of hospitals")
        require("seed", seed, optional(lambda it: is_whole(it, 0)), "None, or a whole number from 0 on")
        self.guarantee, self.public, self.colluders, self.seed = guarantee, public, colluders, seed
        self.least = getattr(inner, "least", 1)
        self.honest = self.least - colluders if self.least > 1 else 1
        if self.honest < 1 or colluders < 0:
            raise ValueError(f"Of {self.least} hospitals in a sum, {colluders} collude: nobody's noise is left.")
        self.name, self._trainings = f"{inner.name or 'mean'}, private", itertools.count()
        self.name += "" if seed is None else " but for its seed"  # each run says so

    def begin(self, hospitals: Sequence[str]) -> tuple[int, Iterator[int]]:
        """Begin a training, which has noise of its own, and count its rounds."""
        return next(self._trainings), itertools.count()

    def total(self, state: WrappedState, purpose: str, numbers: Vectors, ledger: Ledger) -> np.ndarray:
        """Return public statistics in place of any sum over rows; a ValueError keeps other sums back."""
        if purpose != "statistics":
            raise ValueError(f"A sum of {purpose} is kept back: no noise was paid for.")
        return self.public.to_vector().astype(np.float64)

    def share(self, training: int, number: int, hospital: str, size: int) -> np.ndarray:
        """Draw a hospital's noise for a round: int64, shape [size]."""
        seeded = random.Random(f"{self.seed} {training} {number} {hospital}")
        source = random.SystemRandom() if self.seed is None else seeded
        return discrete_gaussian(self.guarantee.variance(size, self.honest), size, source)

    def aggregate(self, state: WrappedState, updates: Vectors, weights: Weights, ledger: Ledger) -> Joined:
        """Return the mean of the noisy sum, in steps, over all hospitals, whoever was heard; the weights are unused."""
        (training, rounds), sent = state.own, {}
        if (number := next(rounds)) >= self.guarantee.rounds:
            raise ValueError(f"The budget is spent: {self.guarantee.rounds} rounds were promised, and answered.")
        for hospital, steps in updates.items():
            if not np.array_equal(steps, np.rint(steps)):
                raise ValueError(f"{hospital} sends no whole steps: train with ClippedPatients or ClippedHospitals.")
            with ledger.timed(hospital, "encrypt"):
                sent[hospital] = np.int64(steps) + self.share(training, number, hospital, len(steps))
        return state, self.inner.total(state.inner, "noised", sent, ledger) / len(updates)


def train(federation: Federation, private: Private, **plan: Any) -> Run | list[Run]:
    """Train under an aggregator's guarantee, as `learning.train_federated` does, with the algorithm that clips."""
    require("private", private, lambda it: isinstance(it, Private), "an aggregator with noise: Private(...)")
    unit = private.guarantee.unit
    wanted = UNITS[unit]
    if np.ndim(plan.get("seed", 0)) or plan.get("rounds", private.guarantee.rounds) != private.guarantee.rounds:
        raise ValueError("A promise is for one training, of as many rounds as it says: train one seed at a time.")
    if unit == "patient" and any(one.patients is not None and len({*one.patients}) < len(one) for one in federation):
        raise ValueError("Some patients have several rows, and each row is clipped alone: give one row a patient.")
    if type(plan.setdefault("algorithm", wanted())) is not wanted:
        raise ValueError(f"A promise to each {unit} needs {wanted.__name__}, and not {plan['algorithm']!r}.")
    plan |= {"steps": 1, "batch_size": None, "learning_rate": 1.0} if unit == "patient" else {}
    return learning.train_federated(federation, aggregator=private, **plan | {"rounds": private.guarantee.rounds})


def p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return how probable so many right guesses are at the most, were the promise kept.

    Steinke, Nasr and Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023, Theorem 5.2.
    """
    rate, fewer = 1 / (1 + np.exp(-epsilon)), np.arange(1, right + 1)
    more = np.cumsum(binom.pmf(right - fewer, guesses, rate)) / fewer
    return float(min(1.0, binom.sf(right - 1, guesses, rate) + 2 * canaries * delta * more.max(initial=0.0)))


def lower_bound(took_part: np.ndarray, scores: np.ndarray, delta: float, guesses: int, level: float = 0.95) -> float:
    """Return an epsilon that a mechanism has at the least, with this confidence; 0 if nothing is shown.

    took_part : which canaries did, by a fair coin each: bool, shape [n]
    scores : the attacker's, shape [n]: above 0 for "took part"; so many farthest from 0 are its `guesses`
    """
    surest = np.argsort(-np.abs(scores), kind="stable")[:guesses]
    right, low, high = int(np.sum((scores[surest] > 0) == took_part[surest])), 0.0, 30.0
    while high - low > 1e-4:
        broken = p_value(len(scores), len(surest), right, (low + high) / 2, delta) < 1 - level
        low, high = ((low + high) / 2, high) if broken else (low, (low + high) / 2)
    return low
