"""The pictures of a study: take tidy tables, return a matplotlib Figure, saved with its numbers by `save`.

Every method has one colour, marker and line everywhere (`LOOKS`). Values are
rounded to 4 decimals before they are drawn, finer than an eye can see, so that the
last bits of a sum do not change the bytes of a picture.
"""

from fedkit.chapters.figures.attacks import images, privacy_panel, remedies, rows_read
from fedkit.chapters.figures.cost import accuracy_by_bits, cost_by_size, staircase
from fedkit.chapters.figures.defences import auroc_by_attackers, backdoor, exclusions
from fedkit.chapters.figures.exhibits import (
    cost_by_method_and_phase,
    encryption_error,
    hospitals_at_a_glance,
    server_view,
)
from fedkit.chapters.figures.outcomes import auroc_forest, calibration, paired_differences, spread, training_gain

__all__ = [
    "accuracy_by_bits",
    "auroc_by_attackers",
    "auroc_forest",
    "backdoor",
    "calibration",
    "cost_by_method_and_phase",
    "cost_by_size",
    "encryption_error",
    "exclusions",
    "hospitals_at_a_glance",
    "images",
    "paired_differences",
    "privacy_panel",
    "remedies",
    "rows_read",
    "server_view",
    "spread",
    "staircase",
    "training_gain",
]
