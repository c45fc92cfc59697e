"""A hospital's copy of the model: how it follows from the sums, and what the hospital adds to them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedkit import evaluation
from fedkit.encryption.keyring import divided
from fedkit.encryption.messages import MessageError
from fedkit.encryption.promises import Promises
from fedkit.exchange import rounds
from fedkit.exchange.keep import Keep
from fedkit.exchange.rounds import METRICS, Step
from fedkit.exchange.study import Study
from fedkit.exchange.work import Training
from fedkit.hospitals import Federation, Hospital
from fedkit.preparation import Prepared, Split, local_sums, split

OLD = "an old copy of this disk was put back? Nothing is sent twice under one number."
Scores = dict[str, tuple[float, float]]


class Held(NamedTuple):
    """What a hospital holds after a sum.

    rows : its patients, prepared, once the statistics are there
    weights : the model; empty before that
    state : the optimizer's, and what the hospital keeps for itself: see `Training`
    sums : the statistics that rows are prepared with, as `Sums.to_vector` has them
    """

    rows: Prepared | None = None
    weights: Sequence[np.ndarray] = ()
    state: Any = None
    sums: np.ndarray | None = None


class Replica:
    """The model as it follows from a study's sums, and from nothing else.

    study, hospital : what the folder says, and the hospital's rows
    work : what a round does
    keep : what the hospital keeps of its own
    alone : attribute, the hospital as a federation of one
    held : attribute, what it holds after the sums so far
    scores : attribute, round -> what was said of its model: metric -> mean over test patients, and their number
    promises : attribute, what it promised about the size of its updates
    """

    def __init__(self, study: Study, hospital: Hospital, work: Training, keep: Keep) -> None:
        self.study, self.hospital, self.work = study, hospital, work
        settings = study.settings
        self.alone = Federation(settings.title, (hospital,), settings.numeric, settings.categorical, settings.classes)
        self.held, self.scores, self._keep = Held(), {}, keep
        self.promises = Promises(settings.layers, study.parameters)
        self._trained: tuple[Held | None, tuple] = None, ()  # from where, and what `Training.train` returned
        self._done = -1

    def opened(self, number: int) -> np.ndarray | None:
        """Return what a number's sums say, as it is kept here; None if they were not opened."""
        kept = self._keep.read(rounds.place("opened", number))
        return None if kept is None else np.frombuffer(kept, "<f8")

    def take(self, step: Step, numbers: Sequence[np.ndarray] | None, counted: bool) -> None:
        """Go on with what the sums of a number say, or with what is kept of it if `numbers` is None."""
        if step.number <= self._done:
            return
        if numbers is not None:
            opened = np.sum(numbers, axis=0).astype("<f8").tobytes()
            self._keep.write(rounds.place("opened", step.number), opened)
        total = self.opened(step.number)
        self.held = self._after(self.held, step, total, counted)
        if step.purpose in ("bounds", "update"):
            layers, weight = len(self.study.settings.layers), 0.0
            if counted:
                if (kept := self._keep.read(rounds.place("promise", step.number))) is None:
                    raise MessageError(f"What was promised for number {step.number} is not here: {OLD}")
                *own, weight = np.frombuffer(kept, "<f8")
                self.promises.own = np.array(own)
            # What somebody promises beyond what was agreed on is cut: a step would be worth too much for all others.
            most = self.study.settings.most_change * max(total[0], 1.0)
            self.promises.heard(np.clip(total[1 : 1 + layers], 2.0**-60, most), weight, step.purpose == "bounds")
        self._done = step.number

    def history(self) -> Iterator[tuple[int, Held]]:
        """Go through the study once more: after each round, its number and what was held."""
        held = Held()
        for each in self.study.steps():
            if each.counted:
                held = self._after(held, each.step, self.opened(each.step.number), self.hospital.name in each.counted)
                if each.step.purpose != "bounds":
                    yield each.step.round, held

    def numbers(self, step: Step) -> tuple[np.ndarray, int] | None:
        """Return what this hospital adds to a sum, shape [n], and its weight there, after keeping what it promises.

        None if its update is larger than what it promised to all; ValueError if it has too few patients to test on any.
        """
        settings = self.study.settings
        if step.purpose == "statistics":
            train = self.hospital.table.iloc[self._split().hospitals[self.hospital.name].train_rows]
            return local_sums(train, settings.numeric, settings.categorical).to_vector(), 1
        if step.purpose == "scores":
            return self._pairs(METRICS), 1
        vector, _, weight = self._train(self.held, step.round)
        keeps = self.promises.keeps(vector, weight)
        if step.purpose == "update" and self.promises.counts and not keeps:
            return None
        numbers = bounds = self.promises.bounds(vector, step.purpose == "bounds") * weight
        if step.purpose == "update":
            # Who was not in the last sum promises first: its update would not fit, and so it counts no patients.
            numbers = np.concatenate([bounds, vector * weight * keeps, self._pairs(METRICS[:1])])
        kept = np.append(self.promises.own, weight).astype("<f8").tobytes()
        self._keep.write(rounds.place("promise", step.number), kept)
        return numbers, weight if step.purpose == "bounds" else weight * keeps

    def _pairs(self, wanted: Sequence[str]) -> np.ndarray:
        """Scores of the model at the test patients x their number, and their number, a pair each."""
        tests = len(self.held.rows.test_labels)
        probabilities = self.work.predict(list(self.held.weights), self.held.state, self.held.rows.test_features)
        found = evaluation.scores(self.held.rows.test_labels, probabilities, wanted)
        # A half where a metric is not defined here: else the patients that count for others alone were told.
        values = np.nan_to_num([found[metric] for metric in wanted], nan=0.5)
        return np.stack([values * tests, np.full(len(values), tests)], axis=1).ravel()

    def _train(self, held: Held, round: int) -> tuple[np.ndarray, Any, int]:
        """Train from what is held, once: a sum that counts it is followed with what was kept then."""
        if self._trained[0] is not held:
            vector, *more = self.work.train(list(held.weights), held.state, held.rows, round, self.hospital.name)
            # From a model that somebody spoiled, an honest update may be larger than anybody can promise.
            most = self.study.settings.most_change / 2
            if np.abs(vector).max() > most:
                why = f"The update of round {round} is cut to half of what was agreed on, {most:g}: did it diverge?"
                self.study.refused(f"update-{round}", self.hospital.name, why)
            self._trained = held, (np.clip(vector, -most, most), *more)
        return self._trained[1]

    def _after(self, held: Held, step: Step, total: np.ndarray, counted: bool) -> Held:
        """Return what is held after a sum; MessageError if the statistics are of no use."""
        settings = self.study.settings
        if step.purpose == "statistics":
            try:
                rows = self._split(lambda own: total[1:]).hospitals[self.hospital.name]
            except ValueError:
                raise MessageError("The rows cannot be prepared with the sums of all hospitals' statistics.") from None
            return held._replace(rows=rows, weights=self.work.start(), sums=total[1:])
        if step.purpose == "bounds":
            return held
        pairs = total[1:] if step.purpose == "scores" else total[-2:]
        self.scores[step.round - 1] = {
            metric: (float(part / round(tests)) if tests > 0.5 else np.nan, round(tests))
            for metric, (part, tests) in zip(METRICS, np.nan_to_num(pairs).reshape(-1, 2), strict=False)
        }
        if step.purpose == "scores":
            return held
        try:
            mean, _ = divided(total)
        except MessageError:  # nonsense under a good signature: all find the same, and go on alike
            self.study.refused(f"sum-{step.number}", "", f"Round {step.round} changes nothing: its sum is of no use.")
            return held._replace()
        mean = np.clip(mean[len(settings.layers) : -2], -settings.most_change, settings.most_change)
        state = held.state
        if self.work.keeps and counted:
            _, state, _ = self._train(held, step.round)
        weights, state = self.work.apply(list(held.weights), state, mean)
        return held._replace(weights=weights, state=state)

    def _split(self, add: Callable | None = None) -> Split:
        """Split the hospital's rows; with the sums of all hospitals, also prepare them."""
        settings = self.study.settings
        return split(self.alone, settings.seed, settings.test_fraction, add=add)
