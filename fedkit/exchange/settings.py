"""What a study is about: decided by its maker, signed, and the same for everybody."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from math import prod
from typing import TYPE_CHECKING

from fedkit.encryption.messages import MessageError
from fedkit.hospitals import Federation
from fedkit.models import Model
from fedkit.tables import coded_columns

if TYPE_CHECKING:  # a coordinator, and who watches, need no TensorFlow
    from fedkit.learning import Algorithm, Plan


@dataclass(frozen=True)
class Settings:
    """A study's settings.

    Attributes
    ----------
    title : str
        What it is called.
    label : str
        What is predicted, for people to read.
    numeric : tuple of str
        Names of the numeric columns.
    categorical : dict of str to tuple of str
        The levels of each categorical column, the reference first.
    hidden : tuple of int
        Units of the model's hidden layers; none for logistic regression.
    rounds, epochs : int
        How often updates are joined; passes through the rows in a round.
    batch_size : int or None
        Rows a step; all if None.
    learning_rate : float
        Of the hospitals' gradient descent.
    seed : int
        Decides test rows, order of rows, and first weights.
    test_fraction : float
        Share of each hospital's rows that are tested on.
    security : int
        Bits, of the encryption.
    quorum : int
        The fewest hospitals that a sum may be of: in a sum of two, each sees the other's part.
    deadline_seconds : float or None
        When a round is closed without those who are missing, counted from when the
        coordinator saw it begin. Everybody is waited for if None.
    most_hospitals : int
        How many may join.
    algorithm : str
        The `learning.Algorithm` with its settings, as it prints; empty for federated averaging.
    extra_numbers : int
        How many more numbers than the model has a hospital sends by it.

    Raises
    ------
    ValueError
        If a setting makes no sense; the sentence names it.
    """

    title: str
    label: str
    numeric: tuple[str, ...] = ()
    categorical: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hidden: tuple[int, ...] = ()
    rounds: int = 20
    epochs: int = 1
    batch_size: int | None = 32
    learning_rate: float = 0.3
    seed: int = 0
    test_fraction: float = 0.3
    security: int = 128
    quorum: int = 3
    deadline_seconds: float | None = None
    most_hospitals: int = 100
    algorithm: str = ""
    extra_numbers: int = 0

    def __post_init__(self) -> None:
        for name, right, wanted in self._rules():
            if not right:
                raise ValueError(f"A study's {name} must be {wanted}, and it is {getattr(self, name)!r:.200}.")

    @classmethod
    def of(cls, federation: Federation, algorithm: "Algorithm | None" = None, **settings: object) -> "Settings":
        """Make settings for the columns of a federation (its hospitals are not looked at), and an algorithm."""
        named = {"title": federation.name, "label": "label"} | settings
        made = cls(numeric=federation.numeric, categorical=dict(federation.categorical), **named)
        if algorithm is None:
            return made
        from fedkit.learning import sent_shapes

        plan = made.plan(algorithm)
        extra = sum(map(prod, sent_shapes(plan, len(made.columns)))) - made.numbers
        return replace(made, algorithm=plan.settings.get("algorithm", ""), extra_numbers=extra)

    def plan(self, algorithm: "Algorithm | None" = None) -> "Plan":
        """Return what a hospital trains; it needs TensorFlow."""
        from fedkit.learning import Plan

        how = {name: getattr(self, name) for name in ("rounds", "epochs", "batch_size", "learning_rate", "model")}
        return Plan(**how, algorithm=algorithm)

    @property
    def model(self) -> Model:
        """What is trained."""
        return Model(self.hidden)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d columns after coding."""
        return coded_columns(self.numeric, self.categorical)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the model's weights: kernel, bias, kernel, bias, ..."""
        return self.model.shapes(len(self.columns))

    @property
    def numbers(self) -> int:
        """How many numbers a hospital sends in a round: those of the model, and what the algorithm adds."""
        return sum(map(prod, self.shapes)) + self.extra_numbers

    def to_json(self) -> dict:
        """All of it, as JSON has it."""
        return json.loads(json.dumps(asdict(self)))

    def _rules(self) -> Iterator[tuple[str, bool, str]]:
        """Yield name, whether it is right, and what is wanted: later rules rely on earlier ones."""
        yield from ((name, _text(getattr(self, name)), "printable text") for name in ("title", "label", "algorithm"))
        yield "numeric", _names(self.numeric), "names of columns, none twice"
        yield "categorical", _levels(self.categorical), "levels of columns, none twice"
        yield "categorical", not set(self.categorical) & set(self.numeric), "columns that are not numeric, too"
        yield "numeric", len(self.columns) > 0, "columns to learn from"
        units = isinstance(self.hidden, tuple) and all(_whole(units, 1) for units in self.hidden)
        yield "hidden", units, "a tuple of units of hidden layers"
        extra = type(self.extra_numbers) is int and abs(self.extra_numbers) <= 10**9 and self.numbers > 0
        yield "extra_numbers", extra, "a whole number that leaves some to send"
        for name, least in {"rounds": 1, "epochs": 1, "seed": 0, "quorum": 2, "most_hospitals": 2}.items():
            yield name, _whole(getattr(self, name), least), f"a whole number, {least} or more"
        yield "batch_size", self.batch_size is None or _whole(self.batch_size, 1), "a whole number, or None"
        yield "learning_rate", _number(self.learning_rate, 1e6), "a positive number"
        yield "test_fraction", _number(self.test_fraction, 1 - 1e-9), "a number between 0 and 1"
        deadline = self.deadline_seconds is None or _number(self.deadline_seconds, 1e9)
        yield "deadline_seconds", deadline, "a positive number, or None"
        yield "security", self.security in (128, 192, 256), "128, 192 or 256 bits"

    @classmethod
    def from_json(cls, values: object) -> "Settings":
        """Read what `to_json` wrote, whoever sent it; MessageError if it is something else."""
        try:
            if set(values) != {each.name for each in fields(cls)}:
                raise ValueError("They name other settings than this version of the kit has: use the same.")
            values = dict(values, numeric=tuple(values["numeric"]), hidden=tuple(values["hidden"]))
            return cls(**values | {"categorical": {name: tuple(of) for name, of in values["categorical"].items()}})
        except (AttributeError, OverflowError, TypeError, ValueError) as problem:
            raise MessageError(f"The study's settings cannot be used. {problem}") from None


def _text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _names(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_text, values)) and len(set(values)) == len(values)


def _levels(values: object) -> bool:
    return isinstance(values, dict) and _names(tuple(values)) and all(of and _names(of) for of in values.values())


def _whole(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= 10**6


def _number(value: object, most: float) -> bool:
    return type(value) in (int, float) and 0 < value <= most
