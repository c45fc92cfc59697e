"""The sums that a study makes, one number each, and what is in them.

Number 0 adds up the statistics that rows are prepared with, number 1 the patients that are trained on; then, for each
round, the updates (and how good the model is that they start from); the last one the scores of the last model.
"""

from dataclasses import replace
from typing import NamedTuple

from fedkit.encryption import quantization, schemes
from fedkit.encryption.quantization import Counted, Layer, Layout
from fedkit.encryption.schemes import Parameters
from fedkit.exchange.settings import Settings
from fedkit.preparation import NUMBERS

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss")
ONE, LIST, TWO, SUM = LETTERS = ("one", "list", "two", "sum")  # of a number, as they follow each other


class Step(NamedTuple):
    """What is added up under a number."""

    number: int
    purpose: str  # "statistics", "patients", "update", "scores"; at the end "done", or "stopped": a person decides
    round: int  # 0 before the first

    def after(self, settings: Settings, how: str) -> "Step":
        """Return what follows once this was "added", or "given up"."""
        purpose, round = self.purpose, self.round
        if how == "given up":
            purpose = "update" if purpose == "update" else "stopped"
        else:
            then = "update" if round < settings.rounds else "scores"
            purpose = {"statistics": "patients", "patients": "update", "update": then, "scores": "done"}[purpose]
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


def layout(settings: Settings, parameters: Parameters, purpose: str, counted: Counted) -> Layout:
    """How the numbers of a sum become integers; how many there are does not depend on the patients."""
    if purpose == "patients":  # are in every letter
        return Layout(())
    if purpose == "statistics":
        numbers = 1 + NUMBERS * len(settings.numeric) + sum(map(len, settings.categorical.values()))
        return Layout((quantization.whole_layer(numbers, parameters),))
    if purpose == "scores":
        return Layout((_scores_layer(2 * len(METRICS), parameters),))
    update = counted.layer(sum(settings.layers), settings.most_change, parameters)
    return Layout((update, _scores_layer(2, parameters)))


def _scores_layer(size: int, parameters: Parameters) -> Layer:
    """Layer of scores x patients, dithered: the last digits of an exact sum tell what fractions it is made of."""
    return replace(quantization.exact_layer(size, parameters, 2.0**-4, 64), draws=quantization.DRAWS)
