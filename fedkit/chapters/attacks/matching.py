"""Gradient inversion by search: an image whose gradient looks like the one that was sent.

Where no dense layer sees the image itself (a convolution does), or several patients are in one step, nothing can be
divided. But whoever knows the model can try images until their gradient points the way the update did.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedkit.compat.tff import tf, tff
from fedkit.models import Arrays, cross_entropy

_SMOOTHNESS = 1e-3  # what a unit of total variation costs, in cosines
_RATE, _STEPS = 0.05, 500  # the first step of the search, in units of a row's numbers, and their number


@dataclass(frozen=True)
class Convolutional:
    """A small convolutional network, after LeNet, for square images (one row a patient) and a yes-or-no label.

    Three convolutions (5 x 5, the first two with stride 2) and one dense layer, smooth in between as in Zhu et al.
    """

    channels: int = 12  # of each convolution
    name = "convolutions"
    layers = tuple(f"{part} {number}" for number in range(1, 5) for part in ("kernel", "bias"))

    def initial_weights(self, features: int, seed: int) -> list[np.ndarray]:
        """Weights before the first round, uniform in -0.5 to 0.5 (Zhu et al.); ValueError unless they are a square."""
        quarter, generator, bias = -(-_side(features) // 4), np.random.default_rng(seed), (self.channels,)
        first, further = (5, 5, 1, self.channels), (5, 5, self.channels, self.channels)
        shapes = [first, bias, further, bias, further, bias, (quarter * quarter * self.channels, 1), (1,)]
        return [generator.uniform(-0.5, 0.5, shape).astype(np.float32) for shape in shapes]

    def loss(self, weights: Sequence[tf.Tensor], features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Mean cross-entropy of a batch, in nats."""
        return cross_entropy(self.logits(weights, features), labels)

    def predict(self, weights: Arrays, features: np.ndarray) -> np.ndarray:
        """Return the probability of label 1 of each image, float32."""
        return tf.sigmoid(self.logits(tuple(map(tf.constant, weights)), tf.constant(features))).numpy()

    def logits(self, weights: Sequence[tf.Tensor], features: tf.Tensor) -> tf.Tensor:
        """Log-odds of label 1, of each image."""
        side = _side(features.shape[1])
        layer = tf.reshape(features, [-1, side, side, 1])
        for kernel, bias, stride in zip(weights[:-2:2], weights[1:-2:2], (2, 2, 1), strict=True):
            layer = tf.sigmoid(tf.nn.conv2d(layer, kernel, stride, "SAME") + bias)
        flat = tf.reshape(layer, [-1, weights[-2].shape[0]])
        return tf.squeeze(flat @ weights[-2] + weights[-1], axis=1)


def reconstruct(
    model: Convolutional, weights: Arrays, update: Arrays, labels: Sequence[int], features: int, *, seed: int = 0
) -> np.ndarray:
    """Search for the images whose gradient points where an update points: float32, shape [n, d], in no order.

    Minimises 1 - cosine(gradient, -update), plus a little total variation (mean absolute difference of neighbouring
    pixels), with Adam on the gradient's sign, the rate falling to nothing. The length of the update is not looked at,
    so neither learning rate nor number of steps need be known; but the further local steps move the model, the less an
    update points like a gradient.

    Zhu, Liu and Han, "Deep Leakage from Gradients", NeurIPS 2019 (the search). Geiping et al., "Inverting Gradients",
    NeurIPS 2020, equation 4 and section 5 (cosine, total variation, signed Adam, falling rate).

    model : what the update is of; any that has such a `loss` will do, as `models.Model` has
    labels : of the n images. Of a single one, `inversion.label` reads it from the update
    features : pixels, d, from 0 to 1; ValueError if the image is not square
    """
    search = _search(model, len(labels), _side(features))
    start = np.random.default_rng(seed).uniform(0, 1, (len(labels), features)).astype(np.float32)
    target = tuple(-tf.constant(part, tf.float32) for part in update)
    given = tuple(tf.constant(weight) for weight in weights)
    return search(given, target, tf.constant(labels, tf.float32), tf.constant(start)).numpy()


@lru_cache(maxsize=16)
def _search(model: Convolutional, rows: int, side: int) -> Callable:
    """Return the whole search as one graph, so that a second image costs no second compilation."""
    adam = tff.learning.optimizers.build_adam(_RATE)

    def distance(weights: Sequence[tf.Tensor], target: Sequence[tf.Tensor], guess: tf.Tensor, labels: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = model.loss(weights, guess, labels)
        gradient = tape.gradient(loss, weights)
        product = tf.add_n([tf.reduce_sum(a * b) for a, b in zip(gradient, target, strict=True)])
        found = 1 - product / (tf.linalg.global_norm(gradient) * tf.linalg.global_norm(target) + 1e-20)
        pixels = tf.reshape(guess, [rows, side, side])
        found += _SMOOTHNESS * tf.reduce_mean(tf.abs(pixels[:, 1:] - pixels[:, :-1]))
        found += _SMOOTHNESS * tf.reduce_mean(tf.abs(pixels[:, :, 1:] - pixels[:, :, :-1]))
        return found

    @tf.function
    def search(weights, target, labels, start):
        state = adam.initialize(tf.TensorSpec(start.shape, start.dtype))
        guess = best = start
        nearest = tf.constant(np.inf, tf.float32)
        for step in tf.range(_STEPS):
            with tf.GradientTape() as tape:
                tape.watch(guess)
                now = distance(weights, target, guess, labels)
            if now < nearest:
                nearest, best = now, guess
            state["learning_rate"] = _RATE * (1 - tf.cast(step, tf.float32) / _STEPS)
            state, guess = adam.next(state, guess, tf.sign(tape.gradient(now, guess)))
            guess = tf.clip_by_value(guess, 0, 1)
        return best

    return search


def _side(pixels: int) -> int:
    side = math.isqrt(pixels)
    if side * side != pixels:
        raise ValueError(f"{pixels} pixels are no square image: cut or resize it.")
    return side
