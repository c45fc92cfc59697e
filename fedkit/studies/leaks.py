"""The table of notebook 11: what attackers read from a finished model, by epsilon.

All splits are trained together, as each other's shadows: what a grid calls a seed is here a place in `EPSILONS`.
"""

import numpy as np
import pandas as pd
from scipy.special import expit

from fedkit import preparation
from fedkit.chapters import privacy
from fedkit.chapters.attacks import membership
from fedkit.chapters.privacy import Guarantee
from fedkit.models import Model, mlp
from fedkit.studies import budgets
from fedkit.studies.budgets import EPSILONS, PLACES
from fedkit.studies.grids import Grid

SPLITS = 33  # each is attacked once, with the others as shadows
# Name -> model, rounds, and how many times as fast as in `budgets`: one that hardly remembers, and one that does.
MODELS = {"logistic regression": (Model(), 20, 1), "MLP 32, 200 rounds": (mlp((32,)), 200, 4)}
SECRET = "sex"  # the attribute that is guessed: 0 or 1


def rows(at: int, splits: int = SPLITS, models: tuple[str, ...] = tuple(MODELS)) -> pd.DataFrame:
    """Train on all splits under one epsilon, and attack each model.

    membership, by_loss : AUROC of the attack that compares with shadows, and of the one that does not
    attribute : share of members whose sex is guessed right from all the rest, minus that of other patients
    prevalence : by how much the attacker is wrong who takes a model's mean prediction for the share of label 1
    """
    whole, found = budgets.federation(4), []
    told = budgets.public(whole).to_vector()
    column, labels = whole.columns.index(SECRET), np.concatenate([hospital.labels for hospital in whole])
    for name in models:
        model, rounds, faster = MODELS[name]
        how = privacy.ClippedPatients(rate=faster * budgets.algorithm("patient", 4).rate)
        guarantee = Guarantee(EPSILONS[at], rounds=rounds)
        size = sum(map(np.size, model.initial_weights(len(whole.columns), 0)))
        confidence, member, attribute, prevalence = [], [], [], []
        for seed in range(splits):
            split = preparation.split(whole, seed, add=lambda sums: told)
            noise = budgets.noise(guarantee, 4, PLACES[0], size, np.random.default_rng([seed, at, rounds]))
            weights = budgets.train(split.hospitals, model, how, noise, seed)
            features = np.concatenate([preparation.prepare(hospital.table, split.statistics) for hospital in whole])
            other = features.copy()
            other[:, column] *= -1  # 0 and 1 are prepared as -1 and 1
            sure, unsure = (np.where(labels == 1, 1, -1) * budgets.logits(weights, x)[0] for x in (features, other))
            parts = zip(whole, split.hospitals.values(), strict=True)
            trained = np.concatenate([np.isin(np.arange(len(own)), rows.train_rows) for own, rows in parts])
            right = (sure > unsure) + (sure == unsure) / 2
            attribute.append(right[trained].mean() - right[~trained].mean())
            prevalence.append(abs(expit(budgets.logits(weights, features)[0]).mean() - labels[trained].mean()))
            confidence.append(sure)
            member.append(trained)
        names = np.repeat(whole.names, [len(hospital) for hospital in whole])
        signals = membership.Signals(names, np.array(confidence), np.array(member))
        for split, about in enumerate(zip(attribute, prevalence, strict=True)):
            ways = membership.by_likelihood_ratio(signals, split), membership.by_loss(signals, split)
            attacks = [membership.detection(signals.member[split], one)["auroc"] for one in ways]
            found.append([at, EPSILONS[at], name, split, *attacks, *about])
    columns = ["seed", "epsilon", "model", "split", "membership", "by_loss", "attribute", "prevalence"]
    return pd.DataFrame(found, columns=columns)


GRID = Grid("leaks", rows, range(2, len(EPSILONS)), (budgets, privacy, membership))
