"""What a setting may be, and the sentence for one that is something else."""

import difflib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np


def is_whole(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number, numpy's included, and not below `least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least


def is_number(value: object, least: float = -np.finfo(float).max) -> bool:
    """Whether a value is a finite number, numpy's included, and not below `least`."""
    kind = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return kind and least <= value <= np.finfo(float).max


def is_positive(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return is_number(value) and value > 0


def is_list(value: object, right: Callable[[Any], bool] = lambda one: isinstance(one, str)) -> bool:
    """Whether a value is a list, tuple or array in a row, and each of it is right: text, if nothing else is said."""
    several = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and getattr(value, "ndim", 1) == 1
    return several and all(map(right, value))


def optional(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return what tells whether a value is None, or right."""
    return lambda value: value is None or right(value)


def has(*parts: str) -> Callable[[Any], bool]:
    """Return what tells whether a value is an object, and no class, that has these."""
    return lambda value: not isinstance(value, type) and all(hasattr(value, part) for part in parts)


def require(name: str, value: object, right: Callable[[Any], bool], wanted: str) -> None:
    """Raise a ValueError that says what a setting must be, unless the value is right."""
    if not right(value):
        found = f"the class {value.__name__}, without brackets" if isinstance(value, type) else f"{value!r:.100}"
        raise ValueError(f"{name} must be {wanted}, and it is {found}.")


def known(what: str, given: Iterable[str], settings: Collection[str]) -> None:
    """Raise a TypeError for a name that is none of the settings, with the one that is meant."""
    for name in given:
        if name not in settings:
            close = "".join(f" Did you mean {one}?" for one in difflib.get_close_matches(name, settings, 1))
            raise TypeError(f"{what} has no setting {name!r}.{close} It has {', '.join(settings)}.")
