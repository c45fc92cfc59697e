"""How long a step takes, where the measurements go, and how a target is judged.

Nothing is asserted, since machines differ.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[2] / "figures" / "measured"


def seconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def cpu_seconds(step: Callable[[], Any]) -> float:
    """Of this process, which others on the machine disturb less."""
    began = time.process_time()
    step()
    return time.process_time() - began


def write(name: str, measured: Any) -> None:
    MEASURED.mkdir(parents=True, exist_ok=True)
    (MEASURED / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")


def target(what: str, found: float, met: bool, unit: str = "") -> None:
    print(f"  {'met' if met else 'NOT met':8} {what}: {found:,.3g}{unit}")
