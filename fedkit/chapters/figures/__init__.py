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
from fedkit.chapters.figures.differ import against_chance, heat, partitions, side_by_side
from fedkit.chapters.figures.exhibits import (
    cost_by_method_and_phase,
    encryption_error,
    hospitals_at_a_glance,
    server_view,
)
from fedkit.chapters.figures.outcomes import auroc_forest, calibration, paired_differences, spread, training_gain
from fedkit.chapters.figures.privacy import by_epsilon, two_hills
from fedkit.chapters.figures.records import around_index
from fedkit.chapters.figures.rounds import convergence, local_global_distance
from fedkit.chapters.figures.waiting import score_by_cost, timeline
