"""Where the measurements go, and how a target is judged: nothing is asserted, since machines differ."""

import json
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[2] / "figures" / "measured"


def write(name: str, measured: Any) -> None:
    MEASURED.mkdir(parents=True, exist_ok=True)
    (MEASURED / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")


def target(what: str, found: float, met: bool, unit: str = "") -> None:
    print(f"  {'met' if met else 'NOT met':8} {what}: {found:,.3g}{unit}")
