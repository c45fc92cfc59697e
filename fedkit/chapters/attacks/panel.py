"""Do attacks succeed? Three of them against every method, in the attacker's best case (notebook 04's panel)."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd

from fedkit import aggregators, evaluation, learning, preparation
from fedkit.chapters.attacks import distinguishing, inference, inversion, membership
from fedkit.hospitals import Federation
from fedkit.records import Run

ATTACKS = "a row is read", "share of label 1", "member or not"
WITHIN = 0.05  # a share that is read counts as right if it is off by less
_ENCRYPTED = {"federated + BFV": aggregators.EncryptedMean, "federated + CKKS": aggregators.SharedKeyMean}
_ONE_STEP = learning.Plan(batch_size=None)
Rows = Mapping[str, tuple[np.ndarray, np.ndarray]]


def panel(runs: Sequence[Run], federation: Federation) -> pd.DataFrame:
    """Attack every method of the runs: what a server reads from a first step, and what the finished model tells.

    Columns attack, method, mean, low, high (0 to 1, `evaluation.interval` over seeds), chance (what an attacker reaches
    who hears nothing). "a row is read": of the hospitals, from one step with one patient. "share of label 1": within
    0.05, from one step over all rows. "member or not": AUROC of the offline likelihood ratio, the other seeds being
    shadows; NaN with fewer than three. What ciphertexts give away depends on their random keys.

    runs : logistic regressions on the federation, of each method one a seed: the same seeds for all
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    seeds, success = list(dict.fromkeys(run.settings["seed"] for run in runs)), {}
    splits = [preparation.split(federation, seed).hospitals for seed in seeds]
    guess, luck = best_guess([own.train_labels.mean() for split in splits for own in split.values()])
    nothing_sent = {"local": (0, luck), "centralized": (1, 1)}  # alone, the server can guess; pooled, it has the rows
    for method in methods:
        hits = [nothing_sent[method] if method in nothing_sent else _hits(method, split, guess) for split in splits]
        of_it = [run for run in runs if run.method == method]
        members = _member_auroc(of_it, federation) if len(seeds) > 2 else [np.nan]
        success |= {(attack, method): won for attack, won in zip(ATTACKS, [*np.transpose(hits), members], strict=True)}
    table = pd.DataFrame([(*case, *evaluation.interval(success[case])) for case in product(ATTACKS, methods)])
    table.columns = ["attack", "method", "mean", "low", "high"]
    chance = table["attack"].map(dict(zip(ATTACKS, (0, luck, 0.5), strict=True)))
    return table.assign(chance=chance, low=table["low"].clip(0, 1), high=table["high"].clip(0, 1))


def best_guess(shares: Sequence[float]) -> tuple[float, float]:
    """Return the one number that is right of most shares, if it is said of all of them, and of how many it is."""
    tried = np.linspace(0, 1, 101)
    right = (np.abs(np.subtract.outer(shares, tried)) < WITHIN).mean(axis=0)
    return tried[right.argmax()], right.max()


def _read(method: str, rows: Rows) -> dict[str, np.ndarray]:
    """Return what the server takes for each hospital's update, after one step over its features and labels.

    From a letter of BFV it reads integers, packed as they are, as if nothing hid them; of any other message it takes
    the last bytes for float32.
    """
    width, tasks = len(next(iter(rows.values()))[0][0]), []
    for features, labels in rows.values():
        order = np.arange(len(labels), dtype=np.int32)[None]
        tasks.append(learning.Task(_ONE_STEP.model.initial_weights(width, seed=0), [], features, labels, order))
    updates = dict(zip(rows, (local.update for local in learning.local_updates(_ONE_STEP, tasks)), strict=True))
    if method not in _ENCRYPTED:
        messages = {name: update.astype("<f4").tobytes() for name, update in updates.items()}
    else:
        patients = {name: len(labels) for name, (_, labels) in rows.items()}
        seen, _ = distinguishing.overheard(_ENCRYPTED[method], [updates, updates], patients)
        if seen.layout:
            return {name: seen.read(name) / patients[name] for name in rows}
        messages = {name: seen.sums[-1][name][0] for name in rows}
    return {name: inversion.read(message[-4 * (width + 1) :], width + 1) for name, message in messages.items()}


def _hits(method: str, split: Mapping[str, preparation.Prepared], guess: float) -> np.ndarray:
    """Share of hospitals at which a row is read, and the share of label 1, shape [2]; what is no share is guessed."""
    rows = {name: (each.train_features, each.train_labels) for name, each in split.items()}
    of_one, found = _read(method, {name: (x[:1], y[:1]) for name, (x, y) in rows.items()}), []
    for name, update in _read(method, rows).items():
        x, y = rows[name]
        row = inversion.rows(of_one[name][:-1, None], of_one[name][-1:])
        share = inference.prevalence(update[-1], _ONE_STEP.learning_rate)
        is_read = row.size and inversion.errors(x[:1], row.clip(-9, 9)).max() < 0.01
        found.append((is_read, abs((share if 0 < share < 1 else guess) - y.mean()) < WITHIN))
    return np.mean(found, axis=0)


def _member_auroc(runs: Sequence[Run], federation: Federation) -> list[float]:
    """AUROC of each seed's model as the target, over patients whom two models at least never saw."""
    everybody = membership.signals(runs, federation)
    few = (~everybody.member).sum(axis=0) > 1
    kept = membership.Signals(everybody.hospitals[few], everybody.confidence[:, few], everybody.member[:, few])
    scored = [membership.by_likelihood_ratio(kept, target, online=False) for target in range(len(runs))]
    return [membership.detection(*pair)["auroc"] for pair in zip(kept.member, scored, strict=True)]
