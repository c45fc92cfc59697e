"""A head read from the gradient of a convolutional network."""

import numpy as np
import pandas as pd
import pytest
from honest import sent
from matplotlib import cbook

from fedkit import aggregators, hospitals, learning, models
from fedkit.chapters.attacks import inversion, matching

SIDE = 32
MODEL = matching.Convolutional()


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """A real MR slice that comes with Matplotlib, 32 x 32 pixels from 0 to 1 in one row."""
    with cbook.get_sample_data("s1045.ima.gz") as file:
        slice_ = np.frombuffer(file.read(), "<u2").reshape(256, 256) / 55040
    return slice_.reshape(SIDE, 256 // SIDE, SIDE, -1).mean(axis=(1, 3)).reshape(1, -1).astype(np.float32)


def attack(model, weights, update, labels=(1,), seed=0):
    return matching.reconstruct(model, weights, update, labels, SIDE * SIDE, seed=seed)


@pytest.mark.parametrize(("seed", "epochs"), [(0, 1), (1, 5)])
def test_one_image_is_seen_and_more_local_steps_do_not_hide_it(head, seed, epochs):
    weights = MODEL.initial_weights(SIDE * SIDE, seed)
    update = sent(MODEL, weights, head, [1], epochs, rate=0.1)
    found = attack(MODEL, weights, update, [inversion.label(update[-1])], seed)
    assert inversion.psnr(head, found) > 28
    assert inversion.psnr(head, np.full_like(head, head.mean())) < 13, "a grey square must not pass for the image"


def test_nonsense_shows_nothing(head):
    weights, generator = MODEL.initial_weights(SIDE * SIDE, 0), np.random.default_rng(0)
    nonsense = [generator.normal(size=weight.shape) for weight in weights]
    found = attack(MODEL, weights, nonsense, [1, 0])
    assert len(found) == 2
    assert max(inversion.psnr(head, image) for image in found) < 10


def test_other_shapes_than_squares_are_refused():
    with pytest.raises(ValueError, match="12 pixels"):
        MODEL.initial_weights(12, 0)
    with pytest.raises(ValueError, match="13 pixels"):
        matching.reconstruct(models.logistic_regression(), [], [], [1], 13)


def test_the_network_trains_as_any_other_model():
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 16)), columns=[f"pixel {at}" for at in range(16)])
    rows = rows.assign(
        light=(rows["pixel 5"] > rows["pixel 6"]).astype(int), hospital=np.repeat(["Basel", "Bern", "Chur"], 30)
    )
    images = hospitals.from_frame(rows, site="hospital", label="light")
    how = {"model": matching.Convolutional(4), "rounds": 2, "aggregator": aggregators.EncryptedMean()}
    run = learning.train_federated(images, **how)
    assert run.settings["model"] == "convolutions"
    assert run.predictions["probability"].between(0, 1).all()
