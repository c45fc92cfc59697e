"""What a round of encrypted aggregation costs, beside NVFlare's default, plain sending and the bound.

Every engine gets the same updates, in turn, in one process on one core, several times; the table shows medians of CPU
time, and goes to figures/measured/benchmark.json. Ours is timed with both letters of a hospital, and everything signed.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before anybody starts threads

import numpy as np  # noqa: E402
from engines import Engine, Updates, fedkit, nvflare, plain, quantised, stream_cipher  # noqa: E402
from reporting import cpu_seconds, target, write  # noqa: E402

REPETITIONS = 5
STEPS = ("encrypt", "share", "add", "decrypt")
OURS = ("fedkit 12 bits, signed", "fedkit 26 bits, signed")
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
    """One row an engine. What a hospital spends on its second letter is counted as encryption."""
    hospitals, numbers = len(updates.vectors), sum(updates.sizes)
    found, times = {}, defaultdict(list)

    def timed(engine: Engine, step: str, argument: object) -> object:
        made = []
        times[engine.name, step].append(cpu_seconds(lambda: made.append(getattr(engine, step)(argument))))
        return made[0]

    with quiet():
        for _ in range(REPETITIONS):
            for engine in engines:
                found[engine.name] = own = {}
                engine.start()
                own["encrypt"] = [timed(engine, "encrypt", number) for number in range(hospitals)]
                if engine.share:
                    shares = [timed(engine, "share", number) for number in range(hospitals)]
                    own["encrypt"] = list(zip(own["encrypt"], shares, strict=True))
                own["add"] = timed(engine, "add", own["encrypt"])
                own["mean"] = timed(engine, "decrypt", own["add"])

    mean, rows = np.average(updates.vectors, axis=0, weights=updates.patients), []
    for name, scheme, bits, *_ in engines:
        median = {step: 1e3 * statistics.median(times[name, step] or [0]) for step in STEPS}
        row = {"name": name, "scheme": scheme, "parameters": numbers, "hospitals": hospitals, "bits": bits}
        row["upload_bytes_per_parameter"] = sum(map(size, found[name]["encrypt"])) / hospitals / numbers
        row["download_bytes_per_parameter"] = size(found[name]["add"]) / numbers
        row |= {"encrypt_ms": median["encrypt"] + median["share"], "share_ms": median["share"]}
        row |= {"add_ms": median["add"] / hospitals, "decrypt_ms": median["decrypt"]}
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


def size(message: bytes | list[bytes] | tuple[bytes, ...]) -> int:
    return len(message) if isinstance(message, bytes) else sum(map(size, message))


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
    """The targets that were set for 1,000,000 numbers and 8 hospitals, everything signed."""
    by_name = {row["name"]: row for row in rows}
    theirs, coarse, fine = (by_name[name] for name in ("NVFlare default, all it sends", *OURS))
    up, down, error = "upload_bytes_per_parameter", "download_bytes_per_parameter", "relative_error"
    print("Targets, everything signed (times as fast as NVFlare's own path in this run, contexts included):")
    target("12 bits: upload, at most 1.65", coarse[up], coarse[up] <= 1.65, " B a number")
    target("12 bits: download, at most 1.7", coarse[down], coarse[down] <= 1.7, " B a number")
    for ours, phase, least in (
        (coarse, "encrypt", 30), (fine, "encrypt", 20), (coarse, "add", 100), (coarse, "decrypt", 10)
    ):  # fmt: skip
        ratio = theirs[f"{phase}_ms"] / ours[f"{phase}_ms"]
        target(f"{ours['bits']} bits: {phase}, at least {least} times as fast", ratio, ratio >= least, " times")
    target("26 bits: upload under 4", fine[up], fine[up] < 4, " B a number")
    target(f"26 bits: no less precise ({theirs[error]:.1e})", fine[error], fine[error] <= theirs[error])


def main() -> None:
    large = [nvflare(LARGE, contexts=True), nvflare(LARGE), nvflare(LARGE, public_key=True)]
    large += [fedkit(LARGE, bits) for bits in (26, 16, 13, 12)] + [
        fedkit(LARGE, bits, signed=True) for bits in (26, 12)
    ]
    large += [plain(LARGE), *(quantised(LARGE, bits) for bits in (13, 12))]
    large += [stream_cipher(LARGE, bits) for bits in (16, 12)]
    small = [nvflare(SMALL, contexts=True), nvflare(SMALL)]
    small += [*(fedkit(SMALL, bits, signed=True) for bits in (26, 12)), plain(SMALL)]
    rows = [measure(engines, updates) for engines, updates in ((large, LARGE), (small, SMALL))]
    for table in rows:
        show(table)
    judge(rows[0])
    write("benchmark", [*rows[0], *rows[1]])


if __name__ == "__main__":
    main()
