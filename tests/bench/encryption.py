"""What a round of encrypted aggregation costs, beside NVFlare's default, plain sending and the bound.

Every engine gets the same updates, in turn, in one process on one core, several times; the
table shows medians, and goes to figures/measured/benchmark.json.
"""

import os
import statistics
import time

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before anybody starts threads

import numpy as np  # noqa: E402
from bounds import plain, quantised, stream_cipher  # noqa: E402
from engines import Engine, Updates, fedkit, nvflare  # noqa: E402
from reporting import target, write  # noqa: E402

REPETITIONS = 5
LARGE = Updates.like_training(8, (600_000, 250_000, 120_000, 29_990, 10), (0.002, 0.004, 0.01, 0.03, 0.1))
SMALL = Updates.like_training(4, (13, 1), (0.1, 0.05))  # a logistic regression


def measure(engines: list[Engine], updates: Updates) -> list[dict]:
    """One row an engine. In the first repetition all hospitals encrypt, in the others two, which are timed."""
    hospitals, numbers = len(updates.vectors), sum(updates.sizes)
    seconds = {engine.name: {"encrypt": [], "add": [], "decrypt": []} for engine in engines}
    messages, answers, means = ({engine.name: [None] * hospitals for engine in engines} for _ in range(3))

    def timed(engine: Engine, step: str, *arguments):
        began = time.perf_counter()
        result = getattr(engine, step)(*arguments)
        seconds[engine.name][step].append(time.perf_counter() - began)
        return result

    for repetition in range(REPETITIONS):
        for engine in engines:
            for number in range(hospitals if repetition == 0 else 2):
                messages[engine.name][number] = timed(engine, "encrypt", number)
            answers[engine.name] = timed(engine, "add", messages[engine.name])
            means[engine.name] = timed(engine, "decrypt", answers[engine.name])

    rows = []
    for engine in engines:
        median = {step: 1e3 * statistics.median(found) for step, found in seconds[engine.name].items()}
        error = np.sqrt(np.mean((means[engine.name] - updates.mean) ** 2) / np.mean(updates.mean**2))
        rows.append(
            {
                "name": engine.name,
                "scheme": engine.scheme,
                "parameters": numbers,
                "hospitals": hospitals,
                "bits": engine.bits,
                "upload_bytes_per_parameter": sum(map(size, messages[engine.name])) / hospitals / numbers,
                "download_bytes_per_parameter": size(answers[engine.name]) / numbers,
                "encrypt_ms": median["encrypt"],
                "add_ms": median["add"] / hospitals,
                "decrypt_ms": median["decrypt"],
                "relative_error": float(error),
            }
        )
    return rows


def size(message: bytes | list[bytes]) -> int:
    return len(message) if isinstance(message, bytes) else sum(map(len, message))


def show(rows: list[dict]) -> None:
    print(f"{rows[0]['parameters']:,} numbers, {rows[0]['hospitals']} hospitals; one core, medians; all in one run:")
    print(f"  {'':30}{'up, B':>10}{'down, B':>10}{'encrypt':>10}{'add, ms':>10}{'decrypt':>10}{'error,':>10}")
    print(f"  {'':30}{'a number':>10}{'a number':>10}{'ms':>10}{'a client':>10}{'ms':>10}{'relative':>10}")
    for row in rows:
        print(
            f"  {row['name']:30}{_number(row['upload_bytes_per_parameter']):>10}"
            f"{_number(row['download_bytes_per_parameter']):>10}{_number(row['encrypt_ms']):>10}"
            f"{_number(row['add_ms']):>10}{_number(row['decrypt_ms']):>10}{row['relative_error']:10.1e}"
        )


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
    large = measure(
        [
            nvflare(LARGE, contexts=True),
            nvflare(LARGE),
            nvflare(LARGE, public_key=True),
            fedkit(LARGE, "ckks", 26),  # at 12 to 28 bits CKKS has the same parameters
            *(fedkit(LARGE, "bfv", bits) for bits in (26, 16, 13, 12)),
            fedkit(LARGE, "bfv", 12, signed=True),
            plain(LARGE),
            *(quantised(LARGE, bits) for bits in (13, 12)),
            *(stream_cipher(LARGE, bits) for bits in (16, 12)),
        ],
        LARGE,
    )
    show(large)
    small = measure(
        [
            nvflare(SMALL, contexts=True),
            nvflare(SMALL),
            fedkit(SMALL, "ckks", 26, signed=True),
            *(fedkit(SMALL, "bfv", bits, signed=True) for bits in (26, 12)),
            plain(SMALL),
        ],
        SMALL,
    )
    show(small)
    judge(large)
    write("benchmark", large + small)


if __name__ == "__main__":
    main()
