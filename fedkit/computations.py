"""The two TensorFlow Federated computations of a round: client work, and the finalizer.

TFF's own client work takes a `tf.data.Dataset` a client, and sends and builds its
graph anew each round, which is where nearly all the time goes. Here the rows are
plain tensors and the epochs run inside the graph, which is many times faster
(``make bench``) and computes the same (``tests/test_learning.py``).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from fedkit.models import Model
from fedkit.tff import tf, tff


@lru_cache(maxsize=32)
def client_work(model: Model, features: int, batch_size: int, learning_rate: float) -> Callable:
    """Return the TFF computation in which every client trains on its own rows.

    Parameters
    ----------
    model
        What is trained.
    features
        Number of columns d.
    batch_size
        Rows a step; the last batch of an epoch holds what is left.
    learning_rate
        Of the gradient descent, ``tff.learning.optimizers.build_sgdm``.

    Returns
    -------
    callable
        ``work(weights, data)`` takes two lists, one entry a client: the model it
        starts from, and ``[features [n, d], labels [n], order [epochs, n]]`` with
        the rows' order in each epoch. It returns one update a client: the arrays of
        (trained - start).
    """
    optimizer = tff.learning.optimizers.build_sgdm(learning_rate)
    weights_type = tff.to_type([(np.float32, weight.shape) for weight in model.initial_weights(features, 0)])
    data_type = tff.to_type([(np.float32, (None, features)), (np.float32, (None,)), (np.int32, (None, None))])

    @tf.function
    def descend(weights, rows, labels, order):
        state = optimizer.initialize(tf.nest.map_structure(lambda w: tf.TensorSpec(w.shape, w.dtype), weights))
        for epoch in tf.range(tf.shape(order)[0]):
            for start in tf.range(0, tf.shape(order)[1], batch_size):
                batch = order[epoch, start : start + batch_size]
                with tf.GradientTape() as tape:
                    tape.watch(weights)
                    loss = model.loss(weights, tf.gather(rows, batch), tf.gather(labels, batch))
                state, weights = optimizer.next(state, weights, tape.gradient(loss, weights))
        return weights

    @tff.tensorflow.computation(weights_type, data_type)
    def train(weights, data):
        start = tuple(weights)
        return [end - begin for begin, end in zip(start, descend(start, *data), strict=True)]

    @tff.federated_computation(tff.FederatedType(weights_type, tff.CLIENTS), tff.FederatedType(data_type, tff.CLIENTS))
    def work(weights, data):
        return tff.federated_map(train, (weights, data))

    return work


@lru_cache(maxsize=32)
def finalizer(
    shapes: tuple[tuple[int, ...], ...], optimizer: tff.learning.optimizers.Optimizer | None = None
) -> tff.learning.templates.FinalizerProcess:
    """Return TFF's own last step of a round: an optimizer applies the mean update to the model.

    Parameters
    ----------
    shapes
        Of the model's weights.
    optimizer
        It takes the mean update for a gradient (turned around, since an update says
        where to go). SGD with rate 1 if None, which adds the mean: FedAvg.

    Returns
    -------
    tff.learning.templates.FinalizerProcess
        ``initialize()`` and ``next(state, weights, gradient)``, with
        ``tff.learning.models.ModelWeights`` as weights.

    References
    ----------
    Reddi et al., "Adaptive Federated Optimization", ICLR 2021, Algorithm 1.
    """
    optimizer = optimizer or tff.learning.optimizers.build_sgdm(1.0)
    trainable = tuple((np.float32, shape) for shape in shapes)
    weights_type = tff.to_type(tff.learning.models.ModelWeights(trainable, ()))
    return tff.learning.templates.build_apply_optimizer_finalizer(optimizer, weights_type)
