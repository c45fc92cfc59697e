"""The sums that a study makes, one number each, and what is in them.

Number 0 adds up the statistics that rows are prepared with; then, for each round, the updates with the bounds of the
next ones (and how good the model is that they start from); the last one the scores of the last model. Before the first
update, and when an update outgrew what its hospital promised, bounds are added up alone.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fedkit.encryption import quantization, schemes
from fedkit.encryption.promises import Promises
from fedkit.encryption.quantization import Layer, Layout
from fedkit.encryption.schemes import Parameters
from fedkit.exchange.settings import Settings
from fedkit.preparation import NUMBERS

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss")
ONE, LIST, TWO, SUM = LETTERS = ("one", "list", "two", "sum")  # of a number, as they follow each other


class Step(NamedTuple):
    """What is added up under a number."""

    number: int
    purpose: str  # "statistics", "bounds", "update", "scores"; "done" after the last, "stopped" where a person decides
    round: int  # 0 before the first

    def after(self, settings: Settings, how: str) -> "Step":
        """Return what follows once this was "added", was "void" (an update outgrew its bound), or was "given up"."""
        purpose, round = self.purpose, self.round
        if how == "void":
            purpose = "bounds"
        elif how == "given up":
            purpose = "update" if purpose == "update" else "stopped"
        else:
            then = "update" if round < settings.rounds else "scores"
            purpose = {"statistics": "bounds", "bounds": "update", "update": then, "scores": "done"}[purpose]
            round += self.purpose in ("statistics", "update")
        if self.number >= 4 * (settings.rounds + 3):  # given up again and again
            purpose = "stopped"
        return Step(self.number + 1, purpose, round)

    @property
    def ended(self) -> bool:
        """Whether nothing more is added up."""
        return self.purpose in ("done", "stopped")


FIRST = Step(0, "statistics", 0)


def place(what: str, number: int) -> str:
    """Return the place of some letters of a number."""
    return f"{what}-{number:05d}"


def parameters(settings: Settings, hospitals: int) -> Parameters:
    """Return those of the encryption: the same as `aggregators.EncryptedMean` takes."""
    return schemes.choose(hospitals, numbers=sum(settings.layers), bits=settings.bits, security=settings.security)


def layout(settings: Settings, parameters: Parameters, purpose: str, promises: Promises | None = None) -> Layout:
    """How the numbers of a sum become integers; how many there are does not depend on the promises, if any."""
    numeric, levels = len(settings.numeric), sum(map(len, settings.categorical.values()))
    sizes = {"statistics": 1 + NUMBERS * numeric + levels, "bounds": len(settings.layers)}
    if purpose == "scores":
        return Layout((_scores_layer(2 * len(METRICS), parameters),))
    if purpose != "update":
        layer = quantization.whole_layer if purpose == "statistics" else quantization.exact_layer
        return Layout((layer(sizes[purpose], parameters),))
    if promises is None or promises.layout is None:
        promises = Promises(settings.layers, parameters)
        promises.heard(np.ones(len(settings.layers)), 0.0)
    return Layout((*promises.layout.layers, _scores_layer(2, parameters)))


def _scores_layer(size: int, parameters: Parameters) -> Layer:
    """Layer of scores x patients, dithered: the last digits of an exact sum tell what fractions it is made of."""
    return replace(quantization.exact_layer(size, parameters, 2.0**-10, 64), draws=quantization.DRAWS)
