"""What a hospital trains: logistic regression, or a small network with hidden layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fedkit.compat.tff import tf, tff


@dataclass(frozen=True)
class Model:
    """A network for a yes-or-no label: dense layers, ReLU between them, one logit out.

    Without hidden layers it is logistic regression.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    """

    hidden: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """How figures and tables call it."""
        return f"MLP {'-'.join(map(str, self.hidden))}" if self.hidden else "logistic regression"

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the arrays of `initial_weights`: "kernel", "bias", or "kernel 1", "bias 1", "kernel 2", ..."""
        numbers = [f" {number}" for number in range(1, len(self.hidden) + 2)] if self.hidden else [""]
        return tuple(f"{part}{number}" for number in numbers for part in ("kernel", "bias"))

    def initial_weights(self, features: int, seed: int) -> list[np.ndarray]:
        """Weights before the first round: kernel, bias, kernel, bias, ...

        Parameters
        ----------
        features
            Number of columns d.
        seed
            Decides the hidden kernels, drawn after He et al. (2015). The last layer
            starts at zero, so that every hospital starts from "as likely as not";
            logistic regression therefore starts the same whatever the seed.

        Returns
        -------
        list of numpy.ndarray
            float32; kernels [inputs, outputs], biases [outputs].

        References
        ----------
        He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2.
        """
        generator = np.random.default_rng(seed)
        sizes = [features, *self.hidden, 1]
        weights = []
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            spread = np.sqrt(2 / inputs) if layer < len(self.hidden) else 0.0
            weights.append((spread * generator.standard_normal((inputs, outputs))).astype(np.float32))
            weights.append(np.zeros(outputs, np.float32))
        return weights

    def logits(self, weights: Sequence[tf.Tensor], features: tf.Tensor) -> tf.Tensor:
        """Log-odds of the label, shape [n], of features of shape [n, d]."""
        *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
        for hidden_kernel, hidden_bias in hidden:
            features = tf.nn.relu(features @ hidden_kernel + hidden_bias)
        return tf.squeeze(features @ kernel + bias, axis=1)

    def loss(self, weights: Sequence[tf.Tensor], features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Mean cross-entropy of a batch, a scalar in nats."""
        return cross_entropy(self.logits(weights, features), labels)

    def predict(self, weights: Sequence[np.ndarray], features: np.ndarray) -> np.ndarray:
        """Probability of the label for each patient.

        Parameters
        ----------
        weights
            As of `initial_weights`.
        features
            Shape [n, d].

        Returns
        -------
        numpy.ndarray
            float32, shape [n].
        """
        return tf.sigmoid(self.logits([tf.constant(weight) for weight in weights], tf.constant(features))).numpy()

    def functional(self, features: int, seed: int) -> tff.learning.models.FunctionalModel:
        """Return the same model for TFF's own algorithms, `tff.learning.algorithms`.

        Parameters
        ----------
        features
            Number of columns d.
        seed
            As of `initial_weights`.
        """
        return tff.learning.models.FunctionalModel(
            initial_weights=(tuple(self.initial_weights(features, seed)), ()),
            predict_on_batch_fn=tf.function(lambda weights, batch, training: self.logits(weights[0], batch)),
            loss_fn=lambda output, label, sample_weight=None: cross_entropy(output, label),
            input_spec=(tf.TensorSpec([None, features], tf.float32), tf.TensorSpec([None], tf.float32)),
        )


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy, in nats, of logits against labels 0 or 1, both of shape [n]."""
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


def logistic_regression() -> Model:
    """One weight a feature, and a bias."""
    return Model()


def mlp(hidden: Sequence[int] = (16,)) -> Model:
    """Return a multi-layer perceptron with hidden layers of these many units."""
    return Model(tuple(hidden))


def flatten(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Lay arrays one behind the other in one vector.

    Parameters
    ----------
    arrays
        A model's weights, or an update of them, of any shapes.

    Returns
    -------
    numpy.ndarray
        float64, shape [p], p the number of parameters.
    """
    return np.concatenate([np.asarray(array, dtype=np.float64).ravel() for array in arrays])


def unflatten(vector: np.ndarray, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Cut a flat vector into float32 arrays of the given shapes: the inverse of `flatten`.

    Parameters
    ----------
    vector
        Shape [p].
    shapes
        One shape an array, in the order in which they were flattened.

    Returns
    -------
    list of numpy.ndarray
        float32, in the given shapes.

    Raises
    ------
    ValueError
        If the shapes do not ask for exactly p numbers.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) != len(vector):
        raise ValueError(
            f"A vector of {len(vector)} numbers cannot fill arrays of {sum(sizes)}: check the model's shapes."
        )
    parts = np.split(np.asarray(vector), np.cumsum(sizes)[:-1])
    return [part.reshape(shape).astype(np.float32) for part, shape in zip(parts, shapes, strict=True)]
