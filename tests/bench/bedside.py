"""The service at the bedside, a process of its own: how long an answer takes, and does its memory stay flat?

    python tests/bench/bedside.py [QUESTIONS]

Prints milliseconds of an answer, alone and with eight at once, and megabytes of the service while it answers as many
questions as an hour has seconds.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import jwt
import numpy as np
import psutil
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from test_cds import HERE, ISSUER, pressure, question, token

from fedkit import hospitals, learning
from fedkit.chapters.heterogeneity import AtHome
from fedkit.sources import cds, mapping

MAPPING, URL = mapping.HOME / "heart_disease.csv", "http://127.0.0.1:8765"


async def answers(there, count: int, at_once: int) -> list[float]:
    """Ask so often; seconds of each answer."""
    seconds, left = [], iter(range(count))
    async with httpx.AsyncClient(base_url=URL, timeout=60) as client:

        async def ask() -> None:
            for _ in left:
                asked, shown = question(there, trestbps=pressure()), token(there)
                start = time.perf_counter()
                (await client.post(HERE, json=asked, headers=shown)).raise_for_status()
                seconds.append(time.perf_counter() - start)

        await asyncio.gather(*(ask() for _ in range(at_once)))
    return seconds


def _answers() -> bool:
    try:
        return httpx.get(f"{URL}/cds-services").status_code == 401
    except httpx.ConnectError:
        return False


def main(count: int) -> None:
    """Start the service, ask, and stop it."""
    key = ec.generate_private_key(ec.SECP384R1())
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        learning.train_federated(hospitals.load(), rounds=5, algorithm=AtHome()).save(home / "run")
        public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        (home / "keys.json").write_text(json.dumps({ISSUER: {"k1": public}}))
        service = cds.Service(*cds.load(home / "run"), "Hungary", mapping.read(MAPPING), URL)
        command = [sys.executable, "-m", "fedkit.sources.cds", str(home / "run"), "--hospital", "Hungary"]
        command += ["--mapping", str(MAPPING), "--url", URL, "--keys", str(home / "keys.json")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        try:
            process.stdout.readline()
            there = SimpleNamespace(service=service, key=key)
            token.__defaults__ = (HERE, None, "k1", "ES384")
            while not _answers():
                time.sleep(0.1)
            for at_once in (1, 8):
                found = np.percentile(asyncio.run(answers(there, 400, at_once)), [50, 95, 99]) * 1000
                print(f"{at_once} at once: p50, p95, p99 of {found.round(1)} ms")
            memory = []
            for _ in range(6):
                asyncio.run(answers(there, count // 6, 8))
                memory.append(round(psutil.Process(process.pid).memory_info().rss / 1e6, 1))
            print(f"MB after each sixth of {count:,} questions: {memory}")
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 3600)
