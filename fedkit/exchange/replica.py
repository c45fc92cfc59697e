"""A hospital's copy of the model: how it follows from the sums, and what the hospital adds to them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedkit import evaluation
from fedkit.encryption.keyring import divided
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Counted
from fedkit.exchange import rounds
from fedkit.exchange.keep import Keep
from fedkit.exchange.rounds import METRICS, Step
from fedkit.exchange.study import Study, Tally
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
    sums: np.ndarray = np.empty(0)


class Replica:
    """The model as it follows from a study's sums, and from nothing else.

    study, hospital : what the folder says, and the hospital's rows
    work : what a round does
    keep : what the hospital keeps of its own
    alone : attribute, the hospital as a federation of one
    held : attribute, what it holds after the sums so far
    scores : attribute, round -> what was said of its model: metric -> mean over test patients, and their number
    counted : attribute, the patients that were added up; one before that
    """

    def __init__(self, study: Study, hospital: Hospital, work: Training, keep: Keep) -> None:
        self.study, self.hospital, self.work = study, hospital, work
        settings = study.settings
        self.alone = Federation(settings.title, (hospital,), settings.numeric, settings.categorical, settings.classes)
        self.held, self.scores, self._keep = Held(), {}, keep
        self.counted, self._most = Counted(), 0.0
        self._trained: tuple[Held | None, tuple] = None, ()  # from where, and what `Training.train` returned
        self._done = -1

    def opened(self, number: int) -> np.ndarray | None:
        """Return what a number's sums say, as it is kept here; None if they were not opened."""
        kept = self._keep.read(rounds.place("opened", number))
        return None if kept is None else np.frombuffer(kept, "<f8")

    def take(self, tally: Tally, numbers: Sequence[np.ndarray] | None) -> None:
        """Go on with what the sums of a number say, or with what is kept of it if `numbers` is None.

        MessageError if they are of no use.
        """
        step = tally.step
        if step.number <= self._done:
            return
        if numbers is not None:
            most = max(each[0] for each in numbers)
            if step.purpose == "update" and most > self.counted.most:  # fields may have spilled into the next ones
                raise MessageError(
                    "There are more patients in a sum than were counted on at the start: it is of no use."
                )
            opened = np.sum(numbers, axis=0).astype("<f8").tobytes()
            self._keep.write(rounds.place("opened", step.number), opened)
        total = self.opened(step.number)
        self.held = self._after(self.held, step, total, self.hospital.name in tally.counted)
        if step.purpose == "patients":
            self.counted = Counted(total[0], len(tally.counted), len(self.study.roster))
            self._most = self.counted.most if self.hospital.name in tally.counted else self.counted.late
        self._done = step.number

    def history(self) -> Iterator[tuple[int, Held]]:
        """Go through the study once more: after each round, its number and what was held."""
        held = Held()
        for each in self.study.steps():
            if each.counted:
                held = self._after(held, each.step, self.opened(each.step.number), self.hospital.name in each.counted)
                if each.step.purpose != "patients":
                    yield each.step.round, held

    def numbers(self, step: Step) -> tuple[np.ndarray, int]:
        """Return what this hospital adds to a sum, shape [n], and its weight there; ValueError if it must not."""
        settings = self.study.settings
        if step.purpose == "statistics":
            train = self.hospital.table.iloc[self._split().hospitals[self.hospital.name].train_rows]
            return local_sums(train, settings.numeric, settings.categorical).to_vector(), 1
        if step.purpose == "scores":
            return self._pairs(METRICS), 1
        vector, _, weight = self._train(self.held, step.round)
        if step.purpose == "patients":
            return np.empty(0), weight
        if weight > self._most:  # else the sum might be of no use, to all
            raise ValueError("More patients are here than were counted on: this is too late, or somebody lied.")
        return np.concatenate([vector * weight, self._pairs(METRICS[:1])]), weight

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
            most = self.study.settings.most_change
            if not np.abs(vector).max() <= most:  # cut, it would tell which of its numbers are large
                said = f"The update of round {round} has a number beyond what was agreed on ({most:g}, `most_change`)"
                raise ValueError(f"{said}: did it diverge, or did somebody spoil the model? It stays here.")
            self._trained = held, (vector, *more)
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
        if step.purpose == "patients":
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
        mean = np.clip(mean[:-2], -settings.most_change, settings.most_change)
        state = held.state
        if self.work.keeps and counted:
            _, state, _ = self._train(held, step.round)
        weights, state = self.work.apply(list(held.weights), state, mean)
        return held._replace(weights=weights, state=state)

    def _split(self, add: Callable | None = None) -> Split:
        """Split the hospital's rows; with the sums of all hospitals, also prepare them."""
        settings = self.study.settings
        return split(self.alone, settings.seed, settings.test_fraction, add=add)
