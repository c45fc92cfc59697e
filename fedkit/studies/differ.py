"""Methods side by side, on the same splits and with the same budget: the table of notebook 09."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import pandas as pd

from fedkit import evaluation, hospitals, learning, preparation
from fedkit.chapters import heterogeneity
from fedkit.chapters.heterogeneity import AFL, AtHome, ClassWeights, Ditto, FedProx, QFedAvg, Scaffold
from fedkit.compat.tff import tff
from fedkit.evaluation import MEAN
from fedkit.hospitals import Federation
from fedkit.learning import train_centralized, train_federated, train_local
from fedkit.models import mlp
from fedkit.records import Run
from fedkit.studies import choice
from fedkit.studies.grids import Grid

Train = Callable[..., list[Run]]  # of a federation and its seeds
ROUNDS, FOLDS = 50, 3
SERVER = tff.learning.optimizers
NEAR = 0.01  # of AUROC, mean of hospitals: who comes so near to the centralised model of a split has its score
SCORES = ["auroc", "accuracy", "log_loss", "calibration_intercept"]


def _each(train: Callable[..., Run], federation: Federation, seed: range | list[int]) -> list[Run]:
    """Train what takes one seed at a time."""
    return [train(federation, seed=one) for one in seed]


def _then(after: Callable[[Run, Federation], Run], train: Train, federation: Federation, seed: object) -> list[Run]:
    """Let the hospitals do something after a training."""
    return [after(run, federation) for run in train(federation, seed=seed)]


def _balanced(federation: Federation, seed: int) -> Run:
    """Count both labels the same: by 1 / twice the share that each has of the training rows."""
    split = preparation.split(federation, seed).hospitals.values()
    share = np.concatenate([own.train_labels for own in split]).mean()
    weights = ClassWeights((float(0.5 / (1 - share)), float(0.5 / share)))
    return train_federated(federation, seed=seed, rounds=ROUNDS, algorithm=weights)


def _remembered(train: Train) -> Train:
    """Train once what several methods begin with."""
    kept = lru_cache(2)(lambda federation, seed: train(federation, seed=list(seed)))
    return lambda federation, seed: kept(federation, tuple(seed))


def methods() -> dict[str, dict[str, Train]]:
    """Return what is compared: method -> how it is trained, or several ways under the setting that is to be chosen."""
    shared = partial(train_federated, rounds=ROUNDS)
    averaged, pooled = _remembered(shared), _remembered(partial(train_centralized, rounds=ROUNDS))
    adjusted, layers = partial(_then, heterogeneity.recalibrated), mlp((16,))

    def moved(build: Callable, *rates: float) -> dict[str, Train]:
        return {f"rate {rate}": partial(shared, server_optimizer=build(rate)) for rate in rates}

    def tuned(epochs: int, mu: float) -> Train:
        return partial(_then, partial(heterogeneity.fine_tuned, plan=learning.Plan(epochs=epochs), mu=mu), averaged)

    def alone(epochs: int, penalty: float) -> Train:
        return partial(train_local, rounds=ROUNDS, prepared="alone", penalty=penalty, epochs=epochs)

    def newton(**how: object) -> dict[str, Train]:
        fits = {f"penalty {it:g}": partial(heterogeneity.newton, penalty=it, **how) for it in (0.3, 1.0, 3.0, 10.0)}
        return {name: partial(_each, fit) for name, fit in fits.items()}

    return {
        "central": {"": pooled},
        "central, recalibrated": {"": partial(adjusted, pooled)},
        "local": {f"epochs {e}, penalty {it:g}": alone(e, it) for e in (1, 5) for it in (1.0, 3.0, 10.0, 30.0)},
        "FedAvg": {"": averaged},
        "FedProx": {f"mu {mu}": partial(shared, algorithm=FedProx(mu)) for mu in (0.01, 0.1, 1.0)},
        "SCAFFOLD": {"": partial(shared, algorithm=Scaffold())},
        "server momentum": moved(partial(SERVER.build_sgdm, momentum=0.9), 0.1, 0.3, 1.0),
        "server Adam": moved(SERVER.build_adam, 0.03, 0.1, 0.3),
        "server Yogi": moved(SERVER.build_yogi, 0.03, 0.1, 0.3),
        "q-FedAvg": {f"q {q}": partial(shared, algorithm=QFedAvg(q)) for q in (0.5, 2.0, 5.0)},
        "AFL": {f"rate {rate}": partial(shared, algorithm=AFL(rate=rate)) for rate in (0.02, 0.1, 0.5)},
        "cyclic": {"": partial(_each, partial(heterogeneity.cyclic, rounds=ROUNDS))},
        "class weights": {"": partial(_each, _balanced)},
        "fine-tuned": {f"epochs {e}, mu {mu:g}": tuned(e, mu) for e in (1, 5, 20) for mu in (0.0, 1.0)},
        "Ditto": {f"mu {mu}": partial(shared, algorithm=Ditto(mu)) for mu in (0.01, 0.1, 1.0)},
        "own intercept": {"": partial(shared, algorithm=AtHome())},
        "recalibrated": {"": partial(adjusted, averaged)},
        "Newton": newton(),
        "Newton, recalibrated": {name: partial(adjusted, fit) for name, fit in newton().items()},
        "Newton, own intercepts": newton(own_intercepts=True),
        "MLP": {"": partial(shared, model=layers)},
        "MLP, own last layer": {"": partial(shared, model=layers, algorithm=AtHome(2))},
    }


def described(run: Run, federation: Federation, near: float) -> pd.DataFrame:
    """Score a run, a row a hospital; `rounds` and `bytes` (sent by it) until the mean AUROC was first `near`.

    `majority` is the accuracy of saying a hospital's most frequent label to everybody; `bytes_in_all` is of all rounds.
    """
    found = pd.DataFrame({score: run.final(score) for score in SCORES}).rename_axis("hospital")
    auroc = run.metrics.query("metric == 'auroc'").groupby("round")["value"].mean()
    last = auroc.index[auroc >= near].min()
    sent = run.ledger.query("direction in ('up', 'peer') and hospital in @federation.names")
    for name, rows in run.predictions.groupby("hospital"):
        label, probability = rows["label"].to_numpy(), rows["probability"].to_numpy()
        found.loc[name, "majority"] = np.mean(label == (federation[name].labels.mean() > 0.5))
        found.loc[name, "ece"] = evaluation.calibration_error(label, probability)
    bytes = [each.groupby("hospital")["bytes"].sum() for each in (sent, sent[sent["round"] <= last])]
    found = found.assign(rounds=last, bytes=bytes[1] if last == last else np.nan, bytes_in_all=bytes[0])
    return found.reset_index()


def rows(seed: int, only: Sequence[str] = ()) -> pd.DataFrame:
    """Train methods on a split, with what each has chosen on its training rows; a row a method and hospital.

    only : some of them, "central" first; all if empty
    """
    federation, table, near = hospitals.load(), [], None
    inner = choice.training_part(federation, seed)
    every = methods()
    for method in only or every:
        ways = every[method]
        how = choice.choose(ways, inner, FOLDS)
        (run,) = ways[how](federation, seed=[seed])
        near = near or run.final().mean() - NEAR  # the first is the centralised one
        found = described(run, federation, near)
        found.insert(0, "seed", seed)
        found.insert(1, "method", method)
        table.append(found.assign(chosen=how or "-"))
    return pd.concat(table, ignore_index=True)


def long(table: pd.DataFrame) -> pd.DataFrame:
    """Return `rows` as `evaluation.summary` and `paired_differences` take them: with the mean of hospitals.

    And with `off`, how far the calibration intercept is from 0.
    """
    scores = [*SCORES[:3], "ece", "off"]
    table = table.assign(off=table["calibration_intercept"].abs())
    found = table.melt(["seed", "method", "hospital"], scores, "metric")
    joined = found.groupby(["seed", "method", "metric"], sort=False)["value"].mean().reset_index()
    return pd.concat([found, joined.assign(hospital=MEAN)], ignore_index=True)


GRID = Grid("differ", rows, range(40), (choice, heterogeneity))
