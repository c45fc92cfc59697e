"""The pictures of single notebooks: they take tidy tables and return a matplotlib Figure for `plots.save`."""

from fedkit.chapters.figures.attacks import (
    auroc_by_attackers,
    backdoor,
    exclusions,
    images,
    privacy_panel,
    remedies,
    rows_read,
)
from fedkit.chapters.figures.cost import accuracy_by_bits, cost_by_size, staircase
from fedkit.chapters.figures.exhibits import (
    cost_by_method_and_phase,
    encryption_error,
    hospitals_at_a_glance,
    server_view,
)
from fedkit.chapters.figures.outcomes import calibration, paired_differences, spread, training_gain

__all__ = ["accuracy_by_bits", "auroc_by_attackers", "backdoor", "calibration", "cost_by_method_and_phase"]
__all__ += ["cost_by_size", "encryption_error", "exclusions", "hospitals_at_a_glance", "images", "paired_differences"]
__all__ += ["privacy_panel", "remedies", "rows_read", "server_view", "spread", "staircase", "training_gain"]
