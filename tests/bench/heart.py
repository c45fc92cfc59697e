"""What encryption adds to a round on the heart data, all hospitals in one process, and how many bytes it moves.

Whole trainings are timed, plain and encrypted in turn: everything is counted, keys and scores too.
Written to figures/measured/heart.json.
"""

import statistics
from collections.abc import Sequence
from functools import partial

from reporting import seconds, target, write

from fedkit import aggregators, hospitals, learning
from fedkit.compat import environment

ROUNDS, SIDE_BY_SIDE = 50, 20  # as in notebook 04
WAYS = {"plain": aggregators.Mean(), "BFV": aggregators.EncryptedMean(), "CKKS, one key": aggregators.SharedKeyMean()}


def milliseconds(federation: hospitals.Federation, seeds: Sequence[int], repetitions: int) -> dict[str, float]:
    """Median time of a round of one run."""
    found = {way: [] for way in WAYS}
    for _ in range(repetitions):
        for way, aggregator in WAYS.items():
            train = partial(learning.train_federated, federation, rounds=ROUNDS, seed=seeds, aggregator=aggregator)
            found[way].append(1e3 * seconds(train) / ROUNDS / len(seeds))
    return {way: statistics.median(values) for way, values in found.items()}


def kilobytes(federation: hospitals.Federation) -> dict[str, dict[str, float]]:
    """Of the hospital that sends and receives most, a round: in a late round, and all of a training over its rounds."""
    found = {}
    for way, aggregator in WAYS.items():
        ledger = learning.train_federated(federation, rounds=ROUNDS, aggregator=aggregator).ledger
        ledger = ledger[ledger["hospital"] != "server"]
        late = ledger[(ledger["round"] == ROUNDS - 1) & ledger["direction"].isin(["up", "down"])]
        found[way] = {
            "a late round": float(late.groupby("hospital")["bytes"].sum().max()) / 1e3,
            "everything": float(ledger.groupby("hospital")["bytes"].sum().max()) / ROUNDS / 1e3,
        }
    return found


def main() -> None:
    federation = hospitals.load("heart_disease")
    milliseconds(federation, [0], 1)  # warms up
    times = {"alone": milliseconds(federation, [0], 9)}
    times[f"{SIDE_BY_SIDE} side by side"] = milliseconds(federation, range(SIDE_BY_SIDE), 3)
    ratios = {how: {way: value / each["plain"] for way, value in each.items()} for how, each in times.items()}
    traffic = kilobytes(federation)
    print(f"Heart data, {len(federation)} hospitals, {ROUNDS} rounds, a round of one run (ms, and times plain):")
    print(f"  {'':18}" + "".join(f"{how:>24}" for how in times) + f"{'kB a hospital and round':>28}")
    for way in WAYS:
        cells = "".join(f"{times[how][way]:16.2f}{ratios[how][way]:8.2f}" for how in times)
        print(f"  {way:18}{cells}{traffic[way]['a late round']:14.2f}; {traffic[way]['everything']:.2f} all told")
    print("Targets, for BFV:")
    for how, most in zip(times, (1.3, 2.0), strict=True):
        ratio = ratios[how]["BFV"]
        target(f"{how}: at most {most} of a plain round's time", ratio, ratio <= most, " times")
    most = traffic["BFV"]["everything"]
    target("at most 6 kB a hospital and round, up and down, everything counted", most, most <= 6, " kB")
    report = {"round_milliseconds": times, "round_ratios": ratios, "kilobytes_a_hospital_and_round": traffic}
    write("heart", report | {"versions": environment.versions()})


if __name__ == "__main__":
    main()
