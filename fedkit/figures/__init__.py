"""The pictures of a study: take tidy tables, return a matplotlib Figure, saved with its numbers by `save`.

Every method has one colour, marker and line everywhere (`LOOKS`). Values are
rounded to 4 decimals before they are drawn, finer than an eye can see, so that the
last bits of a sum do not change the bytes of a picture.
"""

from fedkit.figures.attacks import images, privacy_panel, remedies, rows_read
from fedkit.figures.cost import accuracy_by_bits, cost_by_size, staircase
from fedkit.figures.defences import auroc_by_attackers, backdoor, exclusions
from fedkit.figures.exhibits import (
    cost_by_method_and_phase,
    encryption_error,
    hospitals_at_a_glance,
    server_view,
)
from fedkit.figures.outcomes import (
    auroc_forest,
    calibration,
    paired_differences,
    spread,
    training_gain,
)
from fedkit.figures.rounds import convergence, local_global_distance
from fedkit.style import COLORS, LOOKS, STYLE, save

__all__ = [
    "COLORS",
    "LOOKS",
    "STYLE",
    "accuracy_by_bits",
    "auroc_by_attackers",
    "auroc_forest",
    "backdoor",
    "calibration",
    "convergence",
    "cost_by_method_and_phase",
    "cost_by_size",
    "encryption_error",
    "exclusions",
    "hospitals_at_a_glance",
    "images",
    "local_global_distance",
    "paired_differences",
    "privacy_panel",
    "remedies",
    "rows_read",
    "save",
    "server_view",
    "spread",
    "staircase",
    "training_gain",
]
