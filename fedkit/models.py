"""What a hospital trains: logistic regression, or a small network with hidden layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, softmax

from fedkit.checks import is_list, is_whole, require

if TYPE_CHECKING:  # who coordinates a study asks for names and shapes alone, and needs no TensorFlow
    from fedkit.compat.tff import tf, tff

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Model:
    """A network that tells classes apart: dense layers, ReLU between them, and logits out.

    Of two classes it is one logit, that of label 1; of K more, one each, [K], of which the softmax is taken.

    hidden : units of each hidden layer; without any it is logistic regression
    classes : how many; training takes as many as its federation has
    """

    hidden: tuple[int, ...] = ()
    classes: int = 2

    def __post_init__(self) -> None:
        require("classes", self.classes, lambda it: is_whole(it, 2), "a whole number, 2 or more")
        require("hidden", self.hidden, lambda it: is_list(it, is_whole), "units of hidden layers, such as (16,)")
        object.__setattr__(self, "hidden", tuple(int(units) for units in self.hidden))

    @property
    def name(self) -> str:
        """How figures and tables call it."""
        return f"MLP {'-'.join(map(str, self.hidden))}" if self.hidden else "logistic regression"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the arrays of `initial_weights`: "kernel", "bias", or "kernel 1", "bias 1", "kernel 2", ..."""
        numbers = [f" {number}" for number in range(1, len(self.hidden) + 2)] if self.hidden else [""]
        return tuple(f"{part}{number}" for number in numbers for part in ("kernel", "bias"))

    def shapes(self, features: int) -> list[tuple[int, ...]]:
        """Shapes of the arrays of `initial_weights`: kernels [inputs, outputs], biases [outputs]."""
        sizes = pairwise([features, *self.hidden, 1 if self.classes == 2 else self.classes])
        return [shape for inputs, outputs in sizes for shape in ((inputs, outputs), (outputs,))]

    def initial_weights(self, features: int, seed: int) -> Arrays:
        """Weights before the first round, float32: kernel, bias, kernel, bias, ...

        Hidden kernels are drawn after He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2. The last layer
        starts at zero, so that every hospital starts from "as likely as not", logistic regression whatever the seed.
        """
        generator, weights = np.random.default_rng(seed), []
        for layer, shape in enumerate(self.shapes(features)[::2]):
            spread = np.sqrt(2 / shape[0]) if layer < len(self.hidden) else 0.0
            weights.append((spread * generator.standard_normal(shape)).astype(np.float32))
            weights.append(np.zeros(shape[1], np.float32))
        return weights

    def logits(self, weights: Sequence[tf.Tensor], features: tf.Tensor) -> tf.Tensor:
        """Log-odds of label 1, shape [n], of features of shape [n, d]; logits, [n, K], of more than two classes."""
        from fedkit.compat.tff import tf

        *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
        for hidden_kernel, hidden_bias in hidden:
            features = tf.nn.relu(features @ hidden_kernel + hidden_bias)
        found = features @ kernel + bias
        return tf.squeeze(found, axis=1) if bias.shape[0] == 1 else found

    def loss(
        self, weights: Sequence[tf.Tensor], features: tf.Tensor, labels: tf.Tensor, counts: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Mean cross-entropy of a batch, a scalar in nats; weighted by `counts`, [n], if given."""
        return cross_entropy(self.logits(weights, features), labels, counts)

    def predict(self, weights: Sequence[np.ndarray], features: np.ndarray) -> np.ndarray:
        """Probability of label 1, float32, shape [n], of features of shape [n, d]; of each class, [n, K], if K > 2."""
        # In float64, and rounded at the end: patients with equal rows are equal, whatever library multiplies.
        *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
        values = np.asarray(features, np.float64)
        for hidden_kernel, hidden_bias in hidden:
            values = np.maximum(values @ hidden_kernel + hidden_bias, 0)
        values = values @ kernel + bias
        # The weights say how many classes there are: they may be a run's, and this model the default.
        return (expit(values[:, 0]) if len(bias) == 1 else softmax(values, axis=1)).astype(np.float32)

    def functional(self, features: int, seed: int) -> tff.learning.models.FunctionalModel:
        """Return the same model for TFF's own algorithms, `tff.learning.algorithms`."""
        from fedkit.compat.tff import tf, tff

        return tff.learning.models.FunctionalModel(
            initial_weights=(tuple(self.initial_weights(features, seed)), ()),
            predict_on_batch_fn=tf.function(lambda weights, batch, training: self.logits(weights[0], batch)),
            loss_fn=lambda output, label, sample_weight=None: cross_entropy(output, label),
            input_spec=(tf.TensorSpec([None, features], tf.float32), tf.TensorSpec([None], tf.float32)),
        )


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, counts: tf.Tensor | None = None) -> tf.Tensor:
    """Mean cross-entropy, in nats, against labels of shape [n]: of logits of label 1, [n], or of K classes, [n, K].

    counts : how much each row counts, [n]; all the same if None
    """
    from fedkit.compat.tff import tf

    if logits.shape.rank == 2:
        labels = tf.cast(labels, tf.int32)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    else:
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(each) if counts is None else tf.reduce_sum(each * counts) / tf.reduce_sum(counts)


def logistic_regression() -> Model:
    """One weight a feature, and a bias."""
    return Model()


def mlp(hidden: Sequence[int] = (16,)) -> Model:
    """Return a multi-layer perceptron with hidden layers of these many units: one or more, ValueError otherwise."""
    return Model(hidden)


def flatten(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Lay arrays one behind the other: float64, shape [p], p the number of parameters."""
    return np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in arrays])


def unflatten(vector: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> Arrays:
    """Undo `flatten`: float32 arrays of these shapes; ValueError if they do not ask for exactly p numbers."""
    *ends, size = np.cumsum([np.prod(shape, dtype=int) for shape in shapes])
    if size != len(vector):
        raise ValueError(f"A vector of {len(vector)} numbers cannot fill arrays of {size}: check the model's shapes.")
    parts = np.split(np.asarray(vector), ends)
    return [part.reshape(shape).astype(np.float32) for part, shape in zip(parts, shapes, strict=True)]
