"""How many are ill, read from updates."""

import numpy as np
import pytest

from fedkit import learning, models, preparation
from fedkit.chapters.attacks import inference


@pytest.mark.parametrize("model", [models.logistic_regression(), models.mlp((8,))])
def test_the_bias_of_one_full_step_says_exactly_how_many_are_ill(heart, model):
    split = preparation.split(heart, 0)
    rows = [(one.train_features, one.train_labels) for one in split.hospitals.values()]
    plan, start = learning.Plan(model=model, batch_size=None), model.initial_weights(13, 0)
    tasks = [learning.Task(start, [], x, y, np.arange(len(y), dtype=np.int32)[None]) for x, y in rows]
    for (_, labels), local in zip(rows, learning.local_updates(plan, tasks), strict=True):
        assert inference.prevalence(local.update[-1], 0.3) == pytest.approx(labels.mean(), abs=1e-5)
