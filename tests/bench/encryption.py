"""What a round of encrypted aggregation costs, beside NVFlare's default, plain sending and the bound.

Every engine gets the same updates, in turn, in one process on one core, several times; the
table shows medians, and goes to figures/measured/benchmark.json.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before anybody starts threads

import numpy as np  # noqa: E402
from engines import Engine, Updates, fedkit, nvflare, plain, quantised, stream_cipher  # noqa: E402
from reporting import seconds, target, write  # noqa: E402

REPETITIONS = 5
LARGE = Updates.like_training(8, (600_000, 250_000, 120_000, 29_990, 10), (0.002, 0.004, 0.01, 0.03, 0.1))
SMALL = Updates.like_training(4, (13, 1), (0.1, 0.05))  # a logistic regression
# Columns of the table: heading, unit, and which of a row's values.
COLUMNS = [
    ("up, B", "a number", "upload_bytes_per_parameter"),
    ("down, B", "a number", "download_bytes_per_parameter"),
    ("encrypt", "ms", "encrypt_ms"),
    ("add, ms", "a client", "add_ms"),
    ("decrypt", "ms", "decrypt_ms"),
]


def measure(engines: list[Engine], updates: Updates) -> list[dict]:
    """One row an engine. In the first repetition all hospitals encrypt, in the others two, which are timed."""
    hospitals, numbers = len(updates.vectors), sum(updates.sizes)
    found = {engine.name: {"encrypt": list(range(hospitals))} for engine in engines}
    times = defaultdict(list)

    def timed(engine: Engine, step: str, argument: object) -> object:
        made = []
        times[engine.name, step].append(seconds(lambda: made.append(getattr(engine, step)(argument))))
        return made[0]

    with quiet():
        for repetition in range(REPETITIONS):
            for engine in engines:
                own = found[engine.name]
                for number in range(hospitals if repetition == 0 else 2):
                    own["encrypt"][number] = timed(engine, "encrypt", number)
                own["add"] = timed(engine, "add", own["encrypt"])
                own["mean"] = timed(engine, "decrypt", own["add"])

    mean, rows = np.average(updates.vectors, axis=0, weights=updates.patients), []
    for name, scheme, bits, *_ in engines:
        median = {step: 1e3 * statistics.median(times[name, step]) for step in ("encrypt", "add", "decrypt")}
        row = {"name": name, "scheme": scheme, "parameters": numbers, "hospitals": hospitals, "bits": bits}
        row["upload_bytes_per_parameter"] = sum(map(size, found[name]["encrypt"])) / hospitals / numbers
        row["download_bytes_per_parameter"] = size(found[name]["add"]) / numbers
        row |= {"encrypt_ms": median["encrypt"], "add_ms": median["add"] / hospitals, "decrypt_ms": median["decrypt"]}
        row["relative_error"] = float(np.sqrt(np.mean((found[name]["mean"] - mean) ** 2) / np.mean(mean**2)))
        rows.append(row)
    return rows


@contextmanager
def quiet() -> Iterator[None]:
    """TenSEAL prints a warning for each tensor that is larger than a ciphertext, from C++."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def size(message: bytes | list[bytes]) -> int:
    return len(message) if isinstance(message, bytes) else sum(map(len, message))


def show(rows: list[dict]) -> None:
    print(f"{rows[0]['parameters']:,} numbers, {rows[0]['hospitals']} hospitals; one core, medians; all in one run:")
    for heading, relative in zip((0, 1), ("error,", "relative"), strict=True):
        print(" " * 32 + "".join(f"{column[heading]:>10}" for column in COLUMNS) + f"{relative:>10}")
    for row in rows:
        print(f"  {row['name']:30}" + "".join(f"{_number(row[key]):>10}" for *_, key in COLUMNS), end="")
        print(f"{row['relative_error']:10.1e}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 1 or value >= 10 else f"{value:.3f}"


def judge(rows: list[dict]) -> None:
    """The targets that were set for 1,000,000 numbers and 8 hospitals, everything signed at 12 bits."""
    by_name = {row["name"]: row for row in rows}
    theirs, slower = by_name["NVFlare default"], by_name["NVFlare's, public key"]
    ours, fine = by_name["fedkit BFV 12 bits, signed"], by_name["fedkit BFV 26 bits"]
    up, down, error = "upload_bytes_per_parameter", "download_bytes_per_parameter", "relative_error"
    print("Targets, for 12 bits with signatures (times as fast as NVFlare's default in this run):")
    target("upload, at most 2.0", ours[up], ours[up] <= 2.0, " B a number")
    target("download, at most 2.1", ours[down], ours[down] <= 2.1, " B a number")
    for phase, least in (("encrypt", 20), ("add", 30)):
        ratio, other = (row[f"{phase}_ms"] / ours[f"{phase}_ms"] for row in (theirs, slower))
        target(f"{phase}, at least {least} times as fast", ratio, ratio >= least, " times")
        target("  with a public key, as TenSEAL's default is", other, other >= least, " times")
    target("26 bits: upload under 4", fine[up], fine[up] < 4, " B a number")
    target(f"26 bits: no less precise ({theirs[error]:.1e})", fine[error], fine[error] <= theirs[error])


def main() -> None:
    large = [nvflare(LARGE, contexts=True), nvflare(LARGE), nvflare(LARGE, public_key=True)]
    large += [fedkit(LARGE, "ckks", 26)]  # at 12 to 28 bits CKKS has the same parameters
    large += [fedkit(LARGE, "bfv", bits) for bits in (26, 16, 13, 12)] + [fedkit(LARGE, "bfv", 12, signed=True)]
    large += [plain(LARGE), *(quantised(LARGE, bits) for bits in (13, 12))]
    large += [stream_cipher(LARGE, bits) for bits in (16, 12)]
    small = [nvflare(SMALL, contexts=True), nvflare(SMALL), fedkit(SMALL, "ckks", 26, signed=True)]
    small += [*(fedkit(SMALL, "bfv", bits, signed=True) for bits in (26, 12)), plain(SMALL)]
    rows = [measure(engines, updates) for engines, updates in ((large, LARGE), (small, SMALL))]
    for table in rows:
        show(table)
    judge(rows[0])
    write("benchmark", [*rows[0], *rows[1]])


if __name__ == "__main__":
    main()
