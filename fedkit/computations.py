"""TensorFlow Federated's parts of a round: the clients' work, and the optimizer's step.

They compute what TFF's own process does (``tests/test_learning.py`` holds them to it),
in a fraction of the time (``make bench``), for two reasons. TFF's client work takes a
`tf.data.Dataset` a client, and sends and builds its graph anew each round; here rows
are plain tensors, and the epochs run inside the graph. And TFF's finalizer is one more
journey to its worker, for a few numbers; here the same TFF optimizer runs in place.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

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

    task_type = tff.to_type([weights_type, data_type])

    @tff.tensorflow.computation(task_type)
    def train(task):
        weights, data = task
        start = tuple(weights)
        return [end - begin for begin, end in zip(start, descend(start, *data), strict=True)]

    @tff.federated_computation(tff.FederatedType(task_type, tff.CLIENTS))
    def work(tasks):
        return tff.federated_map(train, tasks)

    return lambda weights, data: work([list(task) for task in zip(weights, data, strict=True)])


class Step(NamedTuple):
    """How the mean update moves the model.

    Attributes
    ----------
    start : object
        The optimizer's state before the first round.
    apply : callable
        ``apply(state, weights, gradient)`` returns the next state and weights;
        weights and gradient are tuples of float32 tensors.
    """

    start: Any
    apply: Callable


@lru_cache(maxsize=32)
def optimizer_step(
    shapes: tuple[tuple[int, ...], ...], optimizer: tff.learning.optimizers.Optimizer | None = None
) -> Step:
    """Return the last step of a round: an optimizer applies the mean update to the model.

    Parameters
    ----------
    shapes
        Of the model's weights.
    optimizer
        One of ``tff.learning.optimizers``. It takes the mean update for a gradient
        (turned around, since an update says where to go). SGD with rate 1 if None,
        which adds the mean: FedAvg.

    References
    ----------
    Reddi et al., "Adaptive Federated Optimization", ICLR 2021, Algorithm 1.
    """
    optimizer = optimizer or tff.learning.optimizers.build_sgdm(1.0)
    start = optimizer.initialize(tuple(tf.TensorSpec(shape, tf.float32) for shape in shapes))
    return Step(start, tf.function(optimizer.next))
