"""What a study is about: decided by its maker, signed, and the same for everybody."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any

from fedkit.checks import known, optional, require
from fedkit.encryption.keyring import FEWEST
from fedkit.encryption.messages import MessageError
from fedkit.hospitals import Federation
from fedkit.models import Model
from fedkit.tables import coded_columns

if TYPE_CHECKING:  # a coordinator, and who watches, need no TensorFlow
    from fedkit.learning import Algorithm, Plan

_FOLLOWING = {"numeric", "categorical", "algorithm", "sizes"}  # from hospitals and algorithm


@dataclass(frozen=True)
class Settings:
    """A study's settings; a ValueError names one that makes no sense.

    title, label, classes : what the study is called; what is predicted, for people to read; names of its numbers 0, 1..
    numeric, categorical : names of the numeric columns; the levels of each categorical one, the reference first
    hidden : units of the model's hidden layers; none for logistic regression
    rounds, epochs, steps : how often updates are joined; passes through the rows in a round, or steps, if not None
    batch_size, learning_rate, penalty : rows a step, all if None; of the hospitals' gradient descent; see `Plan`
    seed, test_fraction : decide test rows, order of rows and first weights; share of a hospital's rows to test on
    bits, security : of the sum of one number; of the encryption
    quorum, most_hospitals : the fewest hospitals that a sum may be of; how many may join
    group_size : the fewest hospitals of a group, where groups are added up apart; one list of all if None
    deadline_seconds : when a list is closed without those who are missing; everybody is waited for if None
    share_seconds : when a sum is given up whose key shares are missing; they are waited for if None
    budget : sums of updates that may be given up, at each hospital, before a person decides
    most_change : the most of any number of an update, up or down, and by which a round may move a weight
    algorithm : the `learning.Algorithm` with its settings, as it prints; empty for federated averaging
    sizes : how many numbers each part has that a hospital sends by it; the model's layers if empty
    """

    title: str
    label: str
    numeric: tuple[str, ...] = ()
    categorical: dict[str, tuple[str, ...]] = field(default_factory=dict)
    classes: tuple[str, ...] = ("0", "1")
    hidden: tuple[int, ...] = ()
    rounds: int = 20
    epochs: int = 1
    steps: int | None = None
    batch_size: int | None = 32
    learning_rate: float = 0.3
    penalty: float = 0.0
    seed: int = 0
    test_fraction: float = 0.3
    bits: int = 28
    security: int = 128
    quorum: int = FEWEST
    group_size: int | None = None
    deadline_seconds: float | None = None
    share_seconds: float | None = None
    budget: int = 0
    most_change: float = 10.0
    most_hospitals: int = 100
    algorithm: str = ""
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for names, right, wanted in self._rules():
            for name in names.split():
                if not right(value := getattr(self, name)):
                    raise ValueError(f"A study's {name} must be {wanted}, and it is {value!r:.200}.")

    @classmethod
    def of(cls, federation: Federation, algorithm: "Algorithm | None" = None, **settings: object) -> "Settings":
        """Make settings for the columns of a federation (its hospitals are not looked at), and an algorithm."""
        require("federation", federation, lambda it: isinstance(it, Federation), "hospitals, such as hospitals.load()")
        known("A study", settings, [each.name for each in fields(cls) if each.name not in _FOLLOWING])
        named = {"title": federation.name, "label": "label", "classes": federation.classes} | settings
        made = cls(numeric=federation.numeric, categorical=dict(federation.categorical), **named)
        if algorithm is None:
            return made
        from fedkit.learning import sent_shapes

        plan = made.plan(algorithm)
        sizes = tuple(map(prod, sent_shapes(plan, len(made.columns))))
        return replace(made, algorithm=plan.settings.get("algorithm", ""), sizes=sizes)

    def plan(self, algorithm: "Algorithm | None" = None) -> "Plan":
        """Return what a hospital trains; it needs TensorFlow."""
        from fedkit.learning import Plan

        names = ("rounds", "epochs", "steps", "batch_size", "learning_rate", "penalty", "model")
        how = {name: getattr(self, name) for name in names}
        return Plan(**how, algorithm=algorithm)

    @property
    def model(self) -> Model:
        """What is trained."""
        return Model(self.hidden, len(self.classes))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d columns after coding."""
        return coded_columns(self.numeric, self.categorical)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the model's weights: kernel, bias, kernel, bias, ..."""
        return self.model.shapes(len(self.columns))

    @property
    def layers(self) -> tuple[int, ...]:
        """How many numbers each part of an update has."""
        return self.sizes or tuple(map(prod, self.shapes))

    def to_json(self) -> dict:
        """All of it, as JSON has it."""
        return json.loads(json.dumps(asdict(self)))

    def _rules(self) -> Iterator[tuple[str, Callable[[Any], bool], str]]:
        """Yield names, what tells whether each is right, and what is wanted: later rules rely on earlier ones."""
        yield "title label algorithm", _text, "printable text"
        yield "numeric classes", _names, "names, none twice"
        yield "categorical", _levels, "levels of columns, none twice"
        yield "categorical", lambda levels: not levels.keys() & set(self.numeric), "columns that are not numeric, too"
        yield "numeric", lambda _: len(self.columns) > 0, "columns to learn from"
        yield "hidden", _sizes, "a tuple of units of hidden layers"
        yield "hidden", lambda _: sum(map(prod, self.shapes)) <= 10**8, "of 100,000,000 weights at the most"
        yield "sizes", _sizes, "a tuple of numbers of each part"
        yield "sizes", lambda _: sum(self.layers) <= 10**8, "of 100,000,000 numbers at the most"
        yield "rounds epochs", _whole(1), "a whole number, 1 or more"
        yield "quorum most_hospitals", _whole(FEWEST), f"a whole number, {FEWEST} or more"
        yield "seed budget", _whole(0), "a whole number, 0 or more"
        yield "group_size", optional(_whole(self.quorum)), f"{self.quorum} or more, as the quorum is, or None"
        yield "batch_size steps", optional(_whole(1)), "a whole number, or None"
        yield "bits", _whole(12, 52), "12 to 52"
        yield "learning_rate most_change", _number(1e6), "a positive number"
        yield "penalty", lambda penalty: type(penalty) in (int, float) and 0 <= penalty <= 1e6, "a number from 0 on"
        yield "test_fraction", _number(0.5), "a number above 0, up to 0.5: who trains on few rows tells of each"
        yield "deadline_seconds share_seconds", optional(_number(1e9)), "a positive number, or None"
        yield "security", (128, 192, 256).__contains__, "128, 192 or 256 bits"

    @classmethod
    def from_json(cls, values: object) -> "Settings":
        """Read what `to_json` wrote, whoever sent it; MessageError if it is something else."""
        try:
            if set(values) != {each.name for each in fields(cls)}:
                raise ValueError("They name other settings than this version of the kit has: use the same.")
            values = values | {name: tuple(values[name]) for name in ("numeric", "classes", "hidden", "sizes")}
            return cls(**values | {"categorical": {name: tuple(of) for name, of in values["categorical"].items()}})
        except (AttributeError, OverflowError, TypeError, ValueError) as problem:
            raise MessageError(f"The study's settings cannot be used. {problem}") from None


def _text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _names(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_text, values)) and len(set(values)) == len(values)


def _levels(values: object) -> bool:
    return isinstance(values, dict) and _names(tuple(values)) and all(of and _names(of) for of in values.values())


def _sizes(values: object) -> bool:
    return isinstance(values, tuple) and all(map(_whole(1, 10**9), values))


def _whole(least: int, most: int = 10**6) -> Callable[[object], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(most: float) -> Callable[[object], bool]:
    return lambda value: type(value) in (int, float) and 0 < value <= most
