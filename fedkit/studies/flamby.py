"""A published table, rerun: Fed-Heart-Disease of FLamby (Ogier du Terrail et al., NeurIPS 2022), and fedkit beside it.

Their rows, split, normalisation, training and even random numbers are followed, so that what they published comes out
again, to the patient. Then the same models are tested on rows that are normalised like those that they learnt from.
"""

import itertools
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold, train_test_split

from fedkit import hospitals, learning
from fedkit.chapters import heterogeneity
from fedkit.evaluation import MEAN, scores
from fedkit.studies import grids

SPLIT, SEEDS = 43, range(42, 47)  # the random state of their split, and the seeds of their trainings
ROUNDS, UPDATES, EPOCHS, BATCH, RATE = 15, 100, 50, 4, 1e-3  # their settings
POOLED = "pooled"  # the "hospital" of all test rows together
NUMERIC = "age sex trestbps chol fbs thalach exang oldpeak".split()
# SPARSE columns are often empty outside Cleveland: FLamby does without them.
CODED, SPARSE = ["cp", "restecg"], ["slope", "ca", "thal"]
COLUMNS = ("theirs", "0 is missing", "all 13")  # see `federation`
PENALTIES = (1.0, 3.0, 10.0, 30.0)  # of which one is chosen, without a look at a test row
SCORED = ("accuracy", "auroc")
Found = list[tuple[str, str, float]]  # hospital, metric, value


def published() -> pd.DataFrame:
    """Read their own numbers, accuracies: columns seed, method, the four hospitals, pooled; see ``data/flamby``."""
    return pd.read_csv(grids.HOME.parent / "flamby" / "accuracy.csv")


def patients() -> pd.DataFrame:
    """Read all 920 rows as the files have them, with "hospital", "label", and "complete": the 740 of FLamby."""
    folder, parts = grids.HOME.parent / "heart_disease", []
    for name in hospitals.load().names:  # which verifies the files
        parts.append(pd.read_csv(folder / f"{name.lower().replace(' ', '_')}.csv").assign(hospital=name))
    rows = pd.concat(parts, ignore_index=True)
    label, complete = (rows.pop("num") > 0).astype(int), rows.drop(columns=SPARSE).notna().all(axis=1)
    return rows.assign(label=label, complete=complete)


def drawn(rows: pd.DataFrame, state: int = SPLIT) -> np.ndarray:
    """Draw test rows by their rule: bool, shape [n].

    They are 34% of a hospital's complete rows, and of each label there that has more than two: not in Switzerland,
    where one complete row has label 0.
    """
    test = pd.Series(False, rows.index)
    for _, own in rows[rows["complete"]].groupby("hospital", sort=False):
        labels = own["label"] if own["label"].value_counts().min() > 2 else None
        test[train_test_split(own.index, test_size=1 - 0.66, random_state=state, stratify=labels)[1]] = True
    return test.to_numpy()


def normalised(rows: pd.DataFrame, test: np.ndarray) -> dict[str, np.ndarray]:
    """Code rows, and normalise them by the mean and spread of training rows: all ("shared"), or the hospital's ("own").

    Returns inputs, the last of them 1: float64, shape [n, 14].
    """
    coded = pd.get_dummies(rows[NUMERIC + CODED], columns=CODED, drop_first=True).astype(np.float32)
    inputs = {}
    for name, group in {"shared": np.zeros(len(rows)), "own": rows["hospital"].to_numpy()}.items():
        train = coded[~test].groupby(group[~test])
        mean, spread = (found.loc[group].to_numpy() for found in (train.mean(), train.std()))
        inputs[name] = np.c_[(coded.to_numpy() - mean) / (spread + 1e-9), np.ones(len(rows))]
    return inputs


def _words(generator: np.random.RandomState, count: int) -> np.ndarray:
    """Draw 32 bits at a time: PyTorch's generator is numpy's old one."""
    return np.frombuffer(generator.bytes(4 * count), "<u4").astype(np.int64)


def _first_weights(seed: int, size: int) -> np.ndarray:
    """Draw the weights that `torch.nn.Linear` starts from, the bias last."""
    return (_words(np.random.RandomState(seed), size) % 2**24 / 2**23 - 1) / np.sqrt(size - 1)


def _batches(rows: np.ndarray, generator: np.random.RandomState) -> Iterator[np.ndarray]:
    """Yield rows, four at a time and for ever, shuffled for each epoch as `torch.utils.data.DataLoader` does."""
    while True:
        order, draws = rows.copy(), np.random.RandomState(_words(generator, 2)[1])
        for at, step in enumerate(_words(draws, len(rows) - 1) % np.arange(len(rows), 1, -1)):
            order[[at, at + step]] = order[[at + step, at]]
        yield from np.split(order, range(BATCH, len(order), BATCH))
        _words(generator, 2)  # the iterator of the next epoch has a seed of its own


def _slope(w: np.ndarray, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return inputs.T @ (expit(inputs @ w) - labels) / len(labels)


def centralized(inputs: np.ndarray, labels: np.ndarray, train: np.ndarray, seed: int) -> np.ndarray:
    """Train their "Pooled Training", Adam on all training rows: weights, shape [14]."""
    w, first, second, generator = _first_weights(seed, inputs.shape[1]), 0.0, 0.0, np.random.RandomState(seed)
    _words(generator, 2)  # as in `_batches`; in a federated training the first iterators are older than the seed
    batches = itertools.islice(_batches(train, generator), EPOCHS * -(-len(train) // BATCH))
    for step, batch in enumerate(batches, 1):
        slope = _slope(w, inputs[batch], labels[batch])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        w = w - RATE * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return w


def federated(inputs: np.ndarray, labels: np.ndarray, trains: list[np.ndarray], seed: int) -> np.ndarray:
    """Train their "FedAvg100", 100 steps of gradient descent at each hospital in a round: weights, shape [14]."""
    w, generator = _first_weights(seed, inputs.shape[1]), np.random.RandomState(seed)
    batches, sizes = [_batches(train, generator) for train in trains], [len(train) for train in trains]
    for _ in range(ROUNDS):
        trained = [w] * len(trains)
        for at, own in enumerate(batches):
            for batch in itertools.islice(own, UPDATES):
                trained[at] = trained[at] - RATE * _slope(trained[at], inputs[batch], labels[batch])
        w = np.average(trained, axis=0, weights=sizes)
    return w


def scored(rows: pd.DataFrame, pooled: np.ndarray, each: np.ndarray | None = None) -> Found:
    """Score test rows of each hospital, their plain mean, and all rows together: tuples hospital, metric, value.

    Switzerland has no part in the mean AUROC: there, one row has label 0, or none.

    rows : the n test rows
    pooled : probability of label 1, shape [n], for the score of all rows together
    each : the same, for the scores of the hospitals; `pooled` if None
    """
    parts = rows.assign(p=pooled if each is None else each).groupby("hospital", sort=False)
    table = pd.DataFrame({name: scores(own["label"], own["p"], SCORED) for name, own in parts}).T
    table.loc["Switzerland", "auroc"] = np.nan
    table.loc[MEAN], table.loc[POOLED] = table.mean(), pd.Series(scores(rows["label"], pooled, SCORED))
    return [(name, *one) for name, own in table.iterrows() for one in own.dropna().items()]


def theirs(rows: pd.DataFrame, test: np.ndarray, seed: int = SEEDS[0]) -> dict[str, Found]:
    """Train their two models and test each twice: as their table does, and as each was trained.

    Their table tests all rows together in the shared normalisation, and a hospital's rows in its own, whatever the
    model has learnt from.

    rows : the complete ones of `patients`
    """
    inputs, labels, train = normalised(rows, test), rows["label"].to_numpy(), np.flatnonzero(~test)
    trains = [train[rows["hospital"].to_numpy()[train] == name] for name in rows["hospital"].unique()]
    models = {
        "FLamby, centralised": ("shared", centralized(inputs["shared"], labels, train, seed)),
        "FLamby, FedAvg": ("own", federated(inputs["own"], labels, trains, seed)),
    }
    found = {}
    for name, (how, w) in models.items():
        p = {each: expit(part[test] @ w) for each, part in inputs.items()}
        found[f"{name}, as tested there"] = scored(rows[test], p["shared"], p["own"])
        found[f"{name}, as trained"] = scored(rows[test], p[how])
    return found


def federation(rows: pd.DataFrame, test: np.ndarray, columns: str) -> hospitals.Federation:
    """Make a federation with a split of one's own.

    columns : "theirs"; "0 is missing", where a cholesterol or a pressure of 0 is none, and a column for each says where
        a number is missing; "all 13", the same with three more, often empty ones
    """
    frame = rows[NUMERIC + CODED + SPARSE * (columns == "all 13")].astype(float)
    if columns != "theirs":
        frame = frame.assign(**frame[["chol", "trestbps"]].replace(0, np.nan))
        frame = frame.join(frame.loc[:, frame.isna().any()].isna().astype(float).add_prefix("no "))
    frame = frame.astype({name: "category" for name in frame if name in [*CODED, "slope", "thal"]})
    frame = frame.assign(hospital=rows["hospital"], label=rows["label"], test=test)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns that are the same all over a hospital: here they are meant
        return hospitals.from_frame(frame, site="hospital", label="label", test="test")


def chosen(rows: pd.DataFrame, test: np.ndarray, seed: int, folds: int = 5) -> tuple[str, bool, float]:
    """Choose columns, whether intercepts are the hospitals' own, and a penalty, in an inner cross-validation.

    By the log loss of Newton's method; no test row is looked at. Tested are the complete training rows, as the test has
    them; the others always train.
    """
    train = rows[~test].reset_index(drop=True)
    complete, losses = train.index[train["complete"]], {}
    strata = (train["hospital"] + train["label"].astype(str))[complete]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one stratum, Switzerland without disease, has fewer rows than folds
        parts = [at for _, at in StratifiedKFold(folds, shuffle=True, random_state=seed).split(complete, strata)]
    for columns in COLUMNS:
        made = [federation(train, train.index.isin(complete[at]), columns) for at in parts]
        for own, penalty in itertools.product((False, True), PENALTIES):
            runs = [heterogeneity.newton(each, penalty=penalty, own_intercepts=own) for each in made]
            found = pd.concat([run.predictions for run in runs])
            losses[columns, own, penalty] = scores(found["label"], found["probability"], ["log_loss"])["log_loss"]
    return min(losses, key=losses.get)


def redrawn(state: int) -> pd.DataFrame:
    """Draw other test rows by their rule, and score what they train and what fedkit trains.

    Returns "pooled" and "mean", in the columns of `evaluation.table`.

    state : of the split, 43 being theirs; fedkit's order of rows and the inner folds follow from it too
    """
    every = patients()
    rows, test = every[every["complete"]].reset_index(drop=True), drawn(every, state)
    own = test[every["complete"]]
    columns, home, penalty = chosen(every, test, state)
    same, more, at_home = federation(rows, own, "theirs"), federation(every, test, columns), heterogeneity.AtHome()
    how = {"seed": state, "penalty": penalty, "algorithm": at_home if home else None}
    runs = {
        "fedkit, FedAvg": learning.train_federated(same, seed=state),
        "fedkit, own intercept": learning.train_federated(same, seed=state, algorithm=at_home),
        "fedkit, nested, FedAvg": learning.train_federated(more, **how),
        "fedkit, nested, Newton": heterogeneity.newton(more, penalty=penalty, own_intercepts=home),
    }
    share = rows[~own].groupby("hospital")["label"].mean().loc[rows["hospital"][own]].to_numpy()
    found = {"larger class": scored(rows[own], share), **theirs(rows, own)}
    found |= {name: scored(rows[own], run.predictions["probability"].to_numpy()) for name, run in runs.items()}
    kept = [(name, state, *row) for name, part in found.items() for row in part if row[0] in (POOLED, MEAN)]
    table = pd.DataFrame(kept, columns=["method", "seed", "hospital", "metric", "value"])
    return table.assign(test_to_train=own.sum() / (~own).sum())


GRID = grids.Grid("flamby", redrawn, range(SPLIT, SPLIT + 20), (heterogeneity,))
