"""How fast a round is: ours against TFF's stock process, and a whole comparison of methods.

Not a test: machines differ, so nothing is asserted. The two kinds of round are timed in
turn, in one process, so that a slow moment hits both. ``make bench`` prints the table
and writes it to figures/measured/speed.json.
"""

import statistics
import time

import numpy as np
from reporting import write

from fedkit import aggregators, hospitals, learning, models, preparation
from fedkit.compat import environment
from fedkit.compat.tff import tf, tff

REPETITIONS = 20
SIDE_BY_SIDE = 20


def rounds_in_turn(federation: hospitals.Federation) -> dict[str, float]:
    """Median milliseconds of a round of FedAvg, the same rows in the same order each round.

    By TFF's `build_weighted_fed_avg`, by fedkit, and by fedkit with `SIDE_BY_SIDE`
    runs at once, a run.
    """
    model, split = models.logistic_regression(), preparation.split(federation, 0)
    clients = {name: (rows.train_features, rows.train_labels) for name, rows in split.hospitals.items()}
    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn=model.functional(len(split.columns), 0),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.3),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )
    state = process.initialize()

    weights = model.initial_weights(len(split.columns), 0)
    step = learning.optimizer_step(tuple(weight.shape for weight in weights))
    work = learning.client_work(model, len(split.columns), 32, 0.3)

    def training(seed: int) -> learning.Training:
        team = learning.Team(clients, [], weights, aggregators.Mean(), None, step, step.start)
        return learning.Training(seed, split, teams=[team])

    alone, many = [training(0)], [training(seed) for seed in range(SIDE_BY_SIDE)]
    seconds = {"stock": [], "fedkit": [], "fedkit, side by side": []}
    for round in range(1, REPETITIONS + 3):  # the first two warm up
        start = time.perf_counter()
        datasets = []
        for name, (features, labels) in clients.items():
            (order,) = learning.row_order(0, round, name, len(labels))
            datasets.append(tf.data.Dataset.from_tensor_slices((features[order], labels[order])).batch(32))
        state = process.next(state, datasets).state
        seconds["stock"].append(time.perf_counter() - start)
        for name, trainings in (("fedkit", alone), ("fedkit, side by side", many)):
            start = time.perf_counter()
            learning.play_round(trainings, model, work, round, epochs=1, last=False)
            seconds[name].append((time.perf_counter() - start) / len(trainings))
    return {name: 1e3 * statistics.median(values[2:]) for name, values in seconds.items()}


def comparison(federation: hospitals.Federation, seeds: int = 20, rounds: int = 50) -> dict[str, float]:
    """Seconds of every method of notebook 04, all seeds side by side."""
    how = {"seed": range(seeds), "rounds": rounds}
    methods = {
        "local": lambda: learning.train_local(federation, **how),
        "centralized": lambda: learning.train_centralized(federation, **how),
        "federated": lambda: learning.train_federated(federation, **how),
        "federated + CKKS": lambda: learning.train_federated(
            federation, aggregator=aggregators.EncryptedMean(scheme="ckks"), **how
        ),
        "federated + BFV": lambda: learning.train_federated(
            federation, aggregator=aggregators.EncryptedMean(scheme="bfv"), **how
        ),
    }
    seconds = {}
    for name, train in methods.items():
        start = time.perf_counter()
        train()
        seconds[name] = time.perf_counter() - start
    return seconds


def main() -> None:
    federation = hospitals.load("heart_disease")
    milliseconds = rounds_in_turn(federation)
    ratios = {name: milliseconds["stock"] / value for name, value in milliseconds.items()}
    print(f"One FedAvg round of one run, {len(federation)} hospitals, median of {REPETITIONS}:")
    for name, value in milliseconds.items():
        print(f"  {name:20} {value:8.1f} ms {ratios[name]:8.1f} times as fast")
    seconds = comparison(federation)
    print("20 seeds x 50 rounds, side by side:")
    for name, value in seconds.items():
        print(f"  {name:20} {value:8.1f} s")
    print(f"  {'all five':20} {sum(seconds.values()):8.1f} s")
    report = {
        "round_milliseconds": milliseconds,
        "round_ratios": ratios,
        "comparison_seconds": seconds | {"all five": float(np.sum(list(seconds.values())))},
        "versions": environment.versions(),
    }
    write("speed", report)


if __name__ == "__main__":
    main()
