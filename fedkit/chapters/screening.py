"""Hospitals whose updates seem to harm are flagged, and in the end excluded; each decision is noted."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fedkit.aggregators import Aggregator
from fedkit.chapters import contributions
from fedkit.records import Ledger

_COLUMNS = ["training", "round", "hospital", "cosine", "influence", "flagged", "excluded"]


@dataclass(frozen=True)
class Rule:
    """When a hospital is flagged, and when excluded.

    Attributes
    ----------
    cosine : float or None
        Flagged below it; None looks at it and flags nobody.
    influence : float or None
        Likewise, in nats; counts where there are held-out patients.
    strikes : int
        Excluded when flagged in so many rounds.
    rounds : int
        After this round nobody is flagged: updates get small, and what they differ by
        is chance.
    """

    cosine: float | None = None
    influence: float | None = -0.01
    strikes: int = 2
    rounds: int = 10


class ScreenedState(NamedTuple):
    """The inner state, strikes a hospital, who is excluded, the held-out patients, and the training's number."""

    inner: Any
    strikes: dict[str, int]
    excluded: frozenset[str]
    held_out: contributions.HeldOut | None
    training: int


class Screened:
    """An aggregator that scores updates before it joins them, and leaves out whom the rule excludes.

    Fewer than half of the hospitals are ever excluded, the worst first: beyond that
    it would be the rule that is wrong.

    Parameters
    ----------
    aggregator
        Joins what is left; it must be one whose server reads the updates.
    rule
        When to flag and exclude.
    held_out
        Patients to measure influence on, with the weights that the training starts
        from. The model is followed by adding the means: FedAvg, and no other server
        optimizer.
    note
        Called with one dict a hospital and round, `audit.Log(path).append`, say. Each
        names the training (0, 1, ... in the order in which they started), the SHA-256
        of the update's float32 bytes, both scores, and what was decided.

    Raises
    ------
    ValueError
        If the aggregator lets only hospitals read the mean, or the rule asks for
        influence and there are no held-out patients.
    """

    mean_is_read_by = "server"

    def __init__(
        self,
        aggregator: Aggregator,
        rule: Rule | None = None,
        held_out: contributions.HeldOut | None = None,
        note: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.aggregator, self.rule, self.held_out, self.note = aggregator, rule or Rule(), held_out, note
        self._trainings = itertools.count()
        if aggregator.mean_is_read_by != "server":
            raise ValueError(f"The server cannot score updates that it cannot read: {aggregator.name} encrypts them.")
        if self.rule.influence is not None and held_out is None:
            raise ValueError("A rule about influence needs held-out patients: give them, or Rule(influence=None).")

    @property
    def name(self) -> str:
        """The aggregator's name, "screened"."""
        return f"{self.aggregator.name or 'mean'}, screened"

    def start(self, hospitals: Sequence[str], shapes: Mapping[str, tuple[int, ...]], ledger: Ledger) -> ScreenedState:
        """See `Aggregator.start`."""
        inner = self.aggregator.start(hospitals, shapes, ledger)
        return ScreenedState(inner, dict.fromkeys(hospitals, 0), frozenset(), self.held_out, next(self._trainings))

    def total(
        self, state: ScreenedState, purpose: str, numbers: Mapping[str, np.ndarray], ledger: Ledger
    ) -> np.ndarray:
        """See `Aggregator.total`."""
        return self.aggregator.total(state.inner, purpose, numbers, ledger)

    def aggregate(
        self, state: ScreenedState, updates: Mapping[str, np.ndarray], weights: Mapping[str, float], ledger: Ledger
    ) -> tuple[ScreenedState, np.ndarray]:
        """See `Aggregator.aggregate`."""
        with np.errstate(over="ignore"):  # as they travel
            arrived = {name: np.asarray(update, dtype="<f4") for name, update in updates.items()}
        present = {name: update for name, update in arrived.items() if name not in state.excluded}
        heard = {name: update for name, update in present.items() if np.isfinite(update).all()}
        with ledger.timed("server", "score"):
            cosine = contributions.cosines(heard, weights)
            measured = state.held_out and len(heard) > 1
            influence = contributions.influences(heard, weights, state.held_out) if measured else {}
        flagged = [name for name in heard if self._flags(cosine[name], influence.get(name), ledger.round)]
        flagged += [name for name in present if name not in heard]  # no numbers: nothing to join
        strikes = {name: state.strikes[name] + (name in flagged) for name in updates}
        worst = sorted(flagged, key=lambda name: (name in heard, influence.get(name, 0.0), cosine.get(name, 0.0)))
        excluded = set(state.excluded)
        for name in worst:
            if strikes[name] >= self.rule.strikes and len(excluded) < (len(updates) - 1) // 2:
                excluded.add(name)
        for name, update in present.items():
            scores = cosine.get(name), influence.get(name)
            self._note(state.training, ledger.round, name, update, scores, flagged, excluded)
        left = {name: update for name, update in heard.items() if name not in excluded}
        inner, mean = self.aggregator.aggregate(state.inner, left, {name: weights[name] for name in left}, ledger)
        held_out = state.held_out and state.held_out.moved(mean)
        return ScreenedState(inner, strikes, frozenset(excluded), held_out, state.training), mean

    def _flags(self, cosine: float, influence: float | None, round: int) -> bool:
        rule = self.rule
        points_away = rule.cosine is not None and cosine < rule.cosine
        harms = rule.influence is not None and influence is not None and influence < rule.influence
        return round <= rule.rounds and (points_away or harms)

    def _note(
        self,
        training: int,
        round: int,
        hospital: str,
        update: np.ndarray,
        scores: tuple[float | None, float | None],
        flagged: Iterable[str],
        excluded: Iterable[str],
    ) -> None:
        if self.note:
            self.note(
                {
                    "training": training,
                    "round": round,
                    "hospital": hospital,
                    "update": hashlib.sha256(update.tobytes()).hexdigest(),
                    "cosine": scores[0],
                    "influence": scores[1],
                    "flagged": hospital in flagged,
                    "excluded": hospital in excluded,
                }
            )


def table(events: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what `Screened` noted, a row a hospital and round.

    Parameters
    ----------
    events
        From `audit.verify`, or a list that was appended to. Other events are left out.

    Returns
    -------
    pandas.DataFrame
        Columns training, round, hospital, cosine, influence (both NaN if not measured),
        flagged, excluded. A hospital's last row is that of the round that excluded it.
    """
    rows = [[event[column] for column in _COLUMNS] for event in events if set(_COLUMNS) <= set(event)]
    return pd.DataFrame(rows, columns=_COLUMNS).astype(
        {"cosine": float, "influence": float, "flagged": bool, "excluded": bool}
    )
