"""README.md is true: its code runs, its rooms are the house's, and `make` knows its targets."""

import re
from pathlib import Path

import numpy as np
from test_house import CORE, ROOMS

from fedkit import aggregators, hospitals, learning

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_code_runs(tmp_path, monkeypatch):
    """In one session, with the file that the first block reads."""
    frame, session = hospitals.load().frame(), {}
    frame["disease"] = np.where(frame.pop("label") == 1, "yes", "no")
    frame.to_csv(tmp_path / "patients.csv", index=False)
    monkeypatch.chdir(tmp_path)
    for block in CODE:
        exec(block, session)
    run, federation = session["run"], session["federation"]
    assert run.method in CODE[-1]
    plain = learning.train_federated(federation, aggregator=aggregators.Mean(), rounds=5)
    clipped = learning.train_federated(federation, aggregator=session["Clipped"](aggregators.Mean()), rounds=5)
    weights = [one.weights["shared"][0] for one in (run, clipped, plain)]
    assert not np.allclose(weights[0], weights[1], atol=1e-4), "FedProx should change the model."
    assert not np.allclose(weights[1], weights[2], atol=1e-4), "Clipping should change the model."


def test_the_rooms_and_the_reading_order_are_those_of_the_house():
    rows = re.findall(r"^\| `?(\w+)`? \|.*at most ([\d,]+) \|$", README, flags=re.MULTILINE)
    assert {room: int(most.replace(",", "")) for room, most in rows} == {
        room: most for room, (most, _) in ROOMS.items()
    }
    assert ", ".join(f"`{name}`" for name in CORE) in " ".join(README.split())


def test_make_knows_its_targets():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) - {"help"}
    assert len(named) >= 10
    assert [name for name in sorted(named) if not re.search(rf"^{name}:", makefile, flags=re.MULTILINE)] == []
