"""The pictures of single notebooks: they take tidy tables and return a matplotlib Figure for `plots.save`."""

from fedkit.chapters.figures.attacks import auroc_by_attackers, backdoor, exclusions, privacy_panel, remedies, rows_read
from fedkit.chapters.figures.cost import accuracy_by_bits, cost_by_method_and_phase, cost_by_size, staircase
from fedkit.chapters.figures.differ import against_chance, heat, local_global_distance, partitions, side_by_side
from fedkit.chapters.figures.exhibits import around_index, encryption_error, hospitals_at_a_glance, images, server_view
from fedkit.chapters.figures.outcomes import auroc_forest, calibration, convergence, paired_differences, spread
from fedkit.chapters.figures.studies import by_epsilon, score_by_cost, study_grid, timeline, training_gain, two_hills
