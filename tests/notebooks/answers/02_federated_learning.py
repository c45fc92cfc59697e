# %% Exercise 1: right
guess = "smaller"
# %% Exercise 1: right
guess = "Smaller."
# %% Exercise 1: right
guess = ["zero", "smaller", "larger"][1]
# %% Exercise 1: wrong
guess = "zero"
# %% Exercise 1: wrong
guess = "larger"
# %% Exercise 1: wrong
guess = 0
# %% Exercise 2: given
from fedkit.compat.tff import tff


# %% Exercise 2: right
my_server = tff.learning.optimizers.build_sgdm(3)
# %% Exercise 2: right
my_server = tff.learning.optimizers.build_sgdm(2.0, 0.5)
# %% Exercise 2: right
my_server = tff.learning.optimizers.build_sgdm(learning_rate=5.0)
# %% Exercise 2: wrong
my_server = tff.learning.optimizers.build_sgdm(1.0)
# %% Exercise 2: wrong
my_server = tff.learning.optimizers.build_adam(0.001)
# %% Exercise 2: wrong
my_server = tff.learning.optimizers.build_sgdm
# %% Exercise 3: given
from fedkit import learning
from fedkit.compat.tff import tf


# %% Exercise 3: right
class Prox(learning.Algorithm):
    name = "FedProx"

    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        plain = super().gradient(model, weights, start, own, features, labels)
        return tuple(plain[n] + self.mu * (weights[n] - start[n]) for n in range(len(plain)))


# %% Exercise 3: right
from dataclasses import dataclass


@dataclass(frozen=True)
class Prox(learning.Algorithm):
    mu: float = 1.0
    name = "FedProx"

    def gradient(self, model, weights, start, own, features, labels):
        plain = super().gradient(model, weights, start, own, features, labels)
        return tf.nest.map_structure(lambda g, w, s: g + self.mu * (w - s), plain, weights, start)


# %% Exercise 3: right
class Prox(learning.Algorithm):
    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = model.loss(weights, features, labels)
            for now, then in zip(weights, start, strict=True):
                loss = loss + self.mu / 2 * tf.reduce_sum((now - then) ** 2)
        return list(tape.gradient(loss, weights))


# %% Exercise 3: wrong
class Prox(learning.Algorithm):
    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        plain = super().gradient(model, weights, start, own, features, labels)
        return tuple(g + self.mu * (s - w) for g, w, s in zip(plain, weights, start, strict=True))


# %% Exercise 3: wrong
class Prox(learning.Algorithm):
    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        plain = super().gradient(model, weights, start, own, features, labels)
        return tuple(g + self.mu * w for g, w in zip(plain, weights, strict=True))


# %% Exercise 3: wrong
class Prox(learning.Algorithm):
    def __init__(self, mu):
        self.mu = mu

    def gradient(self, model, weights, start, own, features, labels):
        return super().gradient(model, weights, start, own, features, labels)
