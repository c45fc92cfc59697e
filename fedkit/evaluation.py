"""How well a model does: at each hospital, over many splits, one method against another."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special
from sklearn import linear_model
from sklearn import metrics as sk

from fedkit import records
from fedkit.checks import has, is_number, require

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss", "calibration_intercept", "calibration_slope")
_IS_RUN, _IS_TABLE = has("method", "settings"), has("groupby", "assign")
COUNTS = ("train rows", "test rows")  # of a hospital, as a run records them beside metrics, at round 0
CLIP = 1e-7  # keeps the logit of a probability of exactly 0 or 1 finite


def scores(labels: ArrayLike, probabilities: ArrayLike, metrics: Sequence[str] = METRICS) -> dict[str, float]:
    """Score the predictions for one hospital's n patients; NaN where a metric is not defined.

    AUROC, AUPRC and calibration need both labels, the calibration slope also labels that the probabilities do not
    separate perfectly. Accuracy cuts at 0.5. Log loss is in nats; it and calibration keep probabilities 1e-7 away from
    0 and 1. ValueError for what cannot be scored.

    Of K > 2 classes, AUROC and AUPRC are plain means over the classes that occur, each against all others (macro, one
    against the rest). Accuracy takes the most probable class, the first of equals. The Brier score is the mean squared
    distance of the K probabilities to 1 for the label and 0 for the others, from 0 to 2 as in Brier (1950, Mon Weather
    Rev 78:1); of two classes it would be twice the usual one, which is the one here. Calibration is NaN.

    labels : 0 or 1, or 0 to K - 1, shape [n], at least one
    probabilities : of label 1, shape [n] or [n, 1], or of each of K > 2 classes, shape [n, K]
    metrics : which of `METRICS`; each costs only what it needs
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    p = p[:, 0] if p.shape[1:] == (1,) else p
    classes, functions = (p.shape[1], _OF_SEVERAL) if p.ndim == 2 else (2, _FUNCTIONS)
    if y.ndim != 1 or y.shape != p.shape[:1] or not y.size or p.shape[1:] == (2,) or p.ndim > 2:
        wanted = "one row a patient, at least one; of two classes, give the probability of label 1 alone"
        raise ValueError(f"Labels {y.shape} and probabilities {p.shape} must be {wanted}.")
    if not ((y == np.rint(y)) & (y >= 0) & (y < classes)).all():
        wanted = "0 or 1" if classes == 2 else f"whole numbers from 0 to {classes - 1}"
        raise ValueError(f"Labels must be {wanted}: code the outcome before scoring.")
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("Probabilities must lie from 0 to 1 and not be NaN: apply the sigmoid, or check the training.")
    if p.ndim == 2 and np.abs(p.sum(axis=1) - 1).max() > 1e-4:
        raise ValueError("The probabilities of a patient's classes must add up to 1: apply the softmax.")
    if unknown := [metric for metric in metrics if metric not in METRICS]:
        raise ValueError(f"Unknown metric {unknown[0]!r}: choose from {', '.join(METRICS)}.")
    defined = functions.keys() - (set() if y.min() < y.max() else _BOTH_LABELS)
    return {name: float(functions[name](y, p)) if name in defined else np.nan for name in metrics}


def _auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of pairs, one patient of each label, that are in the right order; ties count half.

    Forty times as fast as `sklearn.metrics.roc_auc_score`: training asks for it in every round, at every hospital.
    """
    ill, healthy = probabilities[labels == 1], np.sort(probabilities[labels == 0])
    below, not_above = healthy.searchsorted(ill), healthy.searchsorted(ill, "right")
    return (below.sum() + not_above.sum()) / (2 * ill.size * healthy.size)


def _intercept(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration intercept, 0 at best: below 0 the probabilities are too high on average, above 0 too low.

    The a of logit P(y = 1) = a + logit(p), slope held at 1 (Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC
    Med 17:230): at the most likely a, as many patients are expected to be ill as are.
    """
    logits = _logit(probabilities)
    far = np.abs(logits).max() + np.log(labels.size) + 1  # here nearly nobody, or nearly everybody, is expected ill
    return optimize.brentq(lambda a: special.expit(a + logits).sum() - labels.sum(), -far, far, xtol=1e-10)


def _slope(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Calibration slope, 1 at best: below 1 the probabilities are too extreme, above 1 too timid.

    The b of logit P(y = 1) = a + b logit(p) (references as for the intercept). NaN where no finite b is the most likely
    one: all patients of one label lie above all of the other (Albert and Anderson 1984, Biometrika 71:1).
    """
    logits = _logit(probabilities)
    ill, healthy = logits[labels == 1], logits[labels == 0]
    if healthy.max() <= ill.min() or ill.max() <= healthy.min():
        return np.nan
    spread = logits.std()
    # without a penalty, in the words of every version: ``penalty`` is gone in 1.10
    model = linear_model.LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    return model.fit((logits / spread)[:, None], labels).coef_[0, 0] / spread


def _logit(probabilities: np.ndarray) -> np.ndarray:
    return special.logit(np.clip(probabilities, CLIP, 1 - CLIP))


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = 5) -> float:
    """Return the expected calibration error (ECE), 0 at best: how far mean probabilities are from shares of label 1.

    Mean over bins of equally many patients, as `calibration_curve` draws them (Nguyen and O'Connor 2015, EMNLP 1587).
    Also a perfect model has some, by chance, and the more the fewer patients there are: compare on the same ones.

    labels, probabilities : as for `scores`, of two classes
    """
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    parts = np.array_split(p.argsort(kind="stable"), min(bins, len(p)))
    return float(sum(abs(p[part].sum() - y[part].sum()) for part in parts) / len(p))


_BOTH_LABELS = {"auroc", "auprc", "calibration_intercept", "calibration_slope"}
_FUNCTIONS = {
    "auroc": _auroc,
    "auprc": sk.average_precision_score,
    "brier": sk.brier_score_loss,
    "accuracy": lambda y, p: sk.accuracy_score(y, p > 0.5),
    "log_loss": lambda y, p: sk.log_loss(y, np.clip(p, CLIP, 1 - CLIP), labels=[0, 1]),
    "calibration_intercept": _intercept,
    "calibration_slope": _slope,
}


def _against_the_rest(function: Callable) -> Callable:
    """Score each class that occurs against all others: the mean of what `function` says."""
    return lambda y, p: np.mean([function(y == at, p[:, int(at)]) for at in np.unique(y)])


_OF_SEVERAL = {
    "auroc": _against_the_rest(_auroc),
    "auprc": _against_the_rest(sk.average_precision_score),
    "brier": lambda y, p: np.square(p - (y[:, None] == np.arange(p.shape[1]))).sum(axis=1).mean(),
    "accuracy": lambda y, p: np.mean(p.argmax(axis=1) == y),
    "log_loss": lambda y, p: -np.log(np.clip(p[np.arange(len(y)), y.astype(int)], CLIP, 1 - CLIP)).mean(),
}
HIGHER_IS_BETTER = {"auroc": True, "auprc": True, "accuracy": True, "brier": False, "log_loss": False}
MEAN = "mean"  # the "hospital" of a mean over hospitals


def stack(runs: Sequence, part: str = "metrics") -> pd.DataFrame:
    """One table of many runs: the columns method and seed, and a part of them: "metrics", "predictions" or "ledger".

    ValueError if there are no runs, or two of one method and seed: each would count twice.
    """
    require("runs", runs, lambda it: _is_some(it) and all(map(_IS_RUN, it)), "a list of runs")
    require("part", part, ["metrics", "predictions", "ledger"].__contains__, "'metrics', 'predictions' or 'ledger'")
    keys = [(run.method, run.settings["seed"]) for run in runs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"Two runs of {twice[0][0]!r} have seed {twice[0][1]}: name the methods apart, or drop one.")
    parts = [getattr(run, part).assign(method=key[0], seed=key[1]) for run, key in zip(runs, keys, strict=True)]
    return pd.concat(parts).set_index(["method", "seed"]).reset_index()


def _is_some(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str) and len(value) > 0


def table(runs: Sequence, metrics: Sequence[str] = METRICS[:5], round: int | None = None) -> pd.DataFrame:
    """Every value of every run: columns method, seed, hospital, metric, value, test_to_train, classes.

    The hospital "mean" is the plain mean over those hospitals at which the metric is defined in every run, so that all
    methods and seeds are averaged over the same hospitals. The last columns are for `summary`: how many test rows there
    are for each training row (of the mean, those of all its hospitals together), and how many classes.

    metrics : those that were recorded; at the last round also any of `METRICS`, from its predictions; else ValueError
    round : the last of each run when None
    """
    require("metrics", metrics, _is_some, "a list of names, such as ['auroc']")
    recorded = stack(runs)
    counts = recorded[recorded["metric"].isin(COUNTS)]
    at = recorded.groupby(["method", "seed"])["round"].transform("max") if round is None else round
    recorded = recorded[(recorded["round"] == at) & (recorded["hospital"] != MEAN)]
    parts = [recorded[recorded["metric"].isin(metrics)].drop(columns="round")]
    keys = ["method", "seed", "hospital"]
    for metric in [metric for metric in metrics if metric not in set(recorded["metric"])]:
        if round is not None or metric not in METRICS:
            raise ValueError(f"{metric!r} was not recorded at {'the last round' if round is None else f'{round=}'}.")
        for key, rows in stack(runs, "predictions").groupby(keys, sort=False):
            value = scores(rows["label"], records.probabilities(rows), [metric])[metric]
            parts.append(pd.DataFrame([[*key, metric, value]], columns=[*keys, "metric", "value"]))
    counts = counts.pivot_table("value", keys, "metric").reindex(columns=[*COUNTS])
    values = pd.concat(parts, ignore_index=True).join(counts, on=keys)
    defined = values.groupby(["metric", "hospital"])["value"].transform("count") == len(runs)
    joined = {"value": "mean"} | dict.fromkeys(COUNTS, "sum")
    means = values[defined].groupby(["method", "seed", "metric"], sort=False).agg(joined).reset_index()
    found = pd.concat([values, means.assign(hospital=MEAN)], ignore_index=True)
    classes = max(2, *(records.probabilities(run.predictions).shape[1] for run in runs))
    return found.assign(test_to_train=found.pop("test rows") / found.pop("train rows"), classes=classes)


def interval(values: ArrayLike, test_to_train: float = 3 / 7, level: float = 0.95) -> tuple[float, float, float]:
    """Mean, low, high over random splits: a corrected resampled t interval (Nadeau and Bengio 2003, Mach Learn 52:239).

    J splits of the same patients overlap, so more of them bring no new patients, and the usual s^2 / J is too small a
    variance for their mean: it is taken as (1/J + test/train) s^2. The interval tells how much the value moves from
    split to split of *these* patients. It is an approximation, and says nothing about a hospital that was not there.

    values : one a split, shape [J]; NaN is left out; low and high are NaN with fewer than two
    test_to_train : test rows for each training row; 3/7 for a test fraction of 0.3
    level : of confidence
    """
    require("level", level, lambda it: is_number(it, 0) and it < 1, "below 1, such as 0.95")
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[~np.isnan(kept)]
    if kept.size < 2:
        return (float(kept[0]) if kept.size else np.nan), np.nan, np.nan
    mean = kept.mean()
    half = special.stdtrit(kept.size - 1, (1 + level) / 2) * np.sqrt((1 / kept.size + test_to_train) * kept.var(ddof=1))
    return float(mean), float(mean - half), float(mean + half)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95% `interval` over seeds: columns method, hospital, metric, mean, low, high, n (values, not NaN).

    A t interval knows no bounds; it is cut where the metric itself ends, as at an AUROC of 1, and at 2 for the Brier
    score of more than two classes. Two classes and three rows in ten tested on are taken for granted where a table does
    not say it.
    """
    result = _summarize(table)
    bounded = result["metric"].isin(["auroc", "auprc", "brier", "accuracy"])
    several = np.any(np.asarray(table.get("classes", 2)) > 2)
    most = np.where((result["metric"] == "brier") & several, 2, 1)[bounded]
    result.loc[bounded, ["low", "high"]] = result.loc[bounded, ["low", "high"]].clip(0, most, axis=0)
    return result


def _summarize(table: pd.DataFrame) -> pd.DataFrame:
    require("table", table, _IS_TABLE, "what evaluation.table makes of runs")
    table, rows = table.assign(test_to_train=table.get("test_to_train", np.nan)), []
    for key, group in table.groupby(["method", "hospital", "metric"], sort=False):
        ratio = group["test_to_train"].fillna(3 / 7).mean()
        rows.append((*key, *interval(group["value"], ratio), int(group["value"].notna().sum())))
    return pd.DataFrame(rows, columns=["method", "hospital", "metric", "mean", "low", "high", "n"])


def paired_differences(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Each method minus the reference on the same splits, as in `summary`.

    A split that is hard for one method is hard for the others too; pairing takes that common part away, and leaves a
    narrower interval than two separate means. ValueError if the reference, or one of its seeds, is missing, or there
    is nothing to pair.
    """
    if reference not in set(table["method"]):
        raise ValueError(f"No method {reference!r} in the table to compare with: add its runs, or check the name.")
    seeds = {method: set(rows) for method, rows in table.groupby("method")["seed"]}
    if unpaired := [method for method in seeds if seeds[method] != seeds[reference]]:
        raise ValueError(f"{unpaired[0]!r} and {reference!r} were not run with the same seeds: run both with the same.")
    keys = ["seed", "hospital", "metric"]
    base = table.loc[table["method"] == reference, [*keys, "value"]]
    paired = table[table["method"] != reference].merge(base, on=keys, suffixes=("", "_of_reference"))
    if paired.empty:
        raise ValueError(f"No method has a value of {reference!r}'s hospitals and metrics: do the names agree?")
    return _summarize(paired.assign(value=paired["value"] - paired["value_of_reference"]))


def verdict(low: float, high: float, margin: float) -> str:
    """Say "non-inferior" if low > -margin, "inferior" if high < -margin, else "inconclusive"."""
    return "non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive"


def non_inferiority(
    table: pd.DataFrame, method: str, reference: str, margin: float, metric: str = "auroc"
) -> pd.DataFrame:
    """Test whether a method is worse than the reference by less than a margin chosen beforehand.

    The two-sided 95% `interval` of the paired difference is held against the margin: a one-sided test at 2.5% (Piaggio
    et al. 2012, JAMA 308:2594) at each hospital, not corrected for their number. "Inconclusive" is no proof of
    equality. Columns hospital, difference, low, high, margin, verdict; differences are turned so that positive is
    better. ValueError if the margin is not positive, or the metric has no better and worse.
    """
    if not margin > 0:
        raise ValueError(f"The margin must be positive, not {margin}: it is the largest loss that would be accepted.")
    if metric not in HIGHER_IS_BETTER:
        raise ValueError(f"{metric!r} has no better and worse: choose from {', '.join(HIGHER_IS_BETTER)}.")
    sign = 1 if HIGHER_IS_BETTER[metric] else -1
    rows = table[(table["metric"] == metric) & table["method"].isin([method, reference])]
    result = paired_differences(rows.assign(value=sign * rows["value"]), reference)[["hospital", "mean", "low", "high"]]
    words = [verdict(low, high, margin) for low, high in zip(result["low"], result["high"], strict=True)]
    return result.rename(columns={"mean": "difference"}).assign(margin=margin, verdict=words)


def costs(runs: Sequence) -> pd.DataFrame:
    """Add up all hospitals and rounds, mean over seeds: columns method, direction, phase, bytes, seconds."""
    spent = stack(runs, "ledger").groupby(["method", "seed", "direction", "phase"], sort=False)[["bytes", "seconds"]]
    return spent.sum().groupby(["method", "direction", "phase"], sort=False).mean().reset_index()


def _keys(predictions: pd.DataFrame) -> list[str]:
    """Name the columns by which predictions are grouped; ValueError if they lack one that they must have."""
    lacking = [column for column in ("hospital", "label") if column not in predictions]
    if lacking := lacking + ["probability"] * records.probabilities(predictions).columns.empty:
        raise ValueError(f"Predictions lack the column {lacking[0]!r}: give those of a run, or of `stack`.")
    return [column for column in ("method", "hospital") if column in predictions]


def confusion(predictions: pd.DataFrame) -> pd.DataFrame:
    """Count the test rows of each class by what was predicted: the most probable class, as accuracy takes it.

    Columns (method,) hospital, label (the class; a row each, also where it has no test rows), "predicted=class" of each
    class. Two classes are called 0 and 1.

    predictions : those of a run, or of `stack`; the rows of all seeds are counted
    """
    keys, columns, table = _keys(predictions), records.probabilities(predictions).columns, []
    names = [column.partition("=")[2] for column in columns] if len(columns) > 1 else ["0", "1"]
    for key, rows in predictions.groupby(keys, sort=False):
        p = rows[columns].to_numpy()
        chosen = p.argmax(axis=1) if len(columns) > 1 else p[:, 0] > 0.5
        counts = sk.confusion_matrix(rows["label"], chosen, labels=range(len(names))).tolist()
        table += [(*key, name, *row) for name, row in zip(names, counts, strict=True)]
    return pd.DataFrame(table, columns=[*keys, "label", *(f"predicted={name}" for name in names)])


def calibration_curve(predictions: pd.DataFrame, bins: int = 5) -> pd.DataFrame:
    """Predicted against observed, in bins of equally many rows.

    Columns (method,) hospital, bin, predicted (mean probability), observed (share with label 1), low, high, rows. The
    95% interval is Wilson's (1927) for the rows of *one* seed: the splits share patients, so that more seeds steady
    the curve, but bring no new patients.

    predictions : columns hospital, label, probability, and perhaps method and seed; a curve holds all seeds.
        ValueError if they are of more than two classes
    bins : of each curve, at most one a row; ValueError if not positive
    """
    if bins < 1:
        raise ValueError(f"A calibration curve needs at least one bin, not {bins}.")
    keys = _keys(predictions)
    if "probability" not in predictions:
        one = "predictions.assign(label=predictions['label'] == 2, probability=predictions['probability=...'])"
        raise ValueError(f"A calibration curve is of two classes, and these are of more: choose one, with {one}.")
    seeds = predictions["seed"].nunique() if "seed" in predictions else 1
    rows = []
    for key, group in predictions.groupby(keys, sort=False):
        ranked = group.sort_values("probability", kind="stable")
        for number, index in enumerate(np.array_split(np.arange(len(ranked)), min(bins, len(ranked)))):
            part = ranked.iloc[index]
            share, n, z = part["label"].mean(), len(part) / seeds, 1.959964
            center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
            half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
            rows.append((*key, number, part["probability"].mean(), share, center - half, center + half, len(part)))
    return pd.DataFrame(rows, columns=[*keys, "bin", "predicted", "observed", "low", "high", "rows"])
