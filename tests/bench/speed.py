"""How fast a round is: ours against TFF's stock process.

Not a test: machines differ, so nothing is asserted. The kinds of round are timed in turn,
in one process, so that a slow moment hits all. Ours are whole trainings, with their
preparation and a test of every hospital in every round; TFF's process trains alone.
``make bench`` prints the table and writes it to figures/measured/speed.json.
"""

import statistics
import time
from functools import partial

from reporting import target, write

from fedkit import hospitals, learning, models, preparation
from fedkit.compat import environment
from fedkit.compat.tff import tf, tff

REPETITIONS = 7
ROUNDS = 20
SIDE_BY_SIDE = 20


def rounds_in_turn(federation: hospitals.Federation) -> dict[str, float]:
    """Median milliseconds of a round of FedAvg of one run, the same rows in the same order each round.

    By TFF's `build_weighted_fed_avg`, by fedkit, and by fedkit with `SIDE_BY_SIDE` runs at once.
    """
    model, split = models.logistic_regression(), preparation.split(federation, 0)
    clients = {name: (rows.train_features, rows.train_labels) for name, rows in split.hospitals.items()}
    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn=model.functional(len(split.columns), 0),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.3),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )

    def stock() -> None:
        state = process.initialize()
        for round in range(1, ROUNDS + 1):
            datasets = []
            for name, (features, labels) in clients.items():
                (order,) = learning.row_order(0, round, name, len(labels))
                rows = tf.data.Dataset.from_tensor_slices((features[order], labels[order]))
                datasets.append(rows.batch(32))
            state = process.next(state, datasets).state

    ours = partial(learning.train_federated, federation, rounds=ROUNDS)
    beside = partial(ours, seed=range(SIDE_BY_SIDE)), SIDE_BY_SIDE
    kinds = {"stock": (stock, 1), "fedkit": (ours, 1), "fedkit, side by side": beside}
    seconds = {name: [] for name in kinds}
    for _ in range(REPETITIONS + 1):  # the first warms up
        for name, (train, runs) in kinds.items():
            start = time.perf_counter()
            train()
            seconds[name].append((time.perf_counter() - start) / ROUNDS / runs)
    return {name: 1e3 * statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> None:
    federation = hospitals.load("heart_disease")
    milliseconds = rounds_in_turn(federation)
    ratios = {name: milliseconds["stock"] / value for name, value in milliseconds.items()}
    print(f"One FedAvg round of one run, {len(federation)} hospitals, median of {REPETITIONS} x {ROUNDS}:")
    for name, value in milliseconds.items():
        print(f"  {name:20} {value:8.1f} ms {ratios[name]:8.1f} times as fast")
    for name, least in (("fedkit", 6), ("fedkit, side by side", 15)):
        target(f"{name}: at least {least} times as fast as TFF's own", ratios[name], ratios[name] >= least, " times")
    write("speed", {"round_milliseconds": milliseconds, "round_ratios": ratios, "versions": environment.versions()})


if __name__ == "__main__":
    main()
