"""A run is written and read back as it was, or refused with one sentence; two runs are compared number by number."""

import dataclasses
import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fedkit import learning, preparation, records
from fedkit.chapters import heterogeneity
from fedkit.preparation import Statistics

NAMES = ["A", "NA", "0", "007", "1e3", "../x", "a/b", "NUL", "$", "医院", "ø" * 3000, "shared", "a..", " ", 'a,"b\n']
NAMES += ["c\rd"]


@pytest.fixture
def run() -> records.Run:
    ledger = records.Ledger()
    for name in NAMES:
        ledger.add(name, "up", "send", 56)
    ledger.round = 1
    with ledger.timed("server", "add"):
        pass
    moments = pd.DataFrame({"mean": [0.1 + 0.2, 0.0], "std": [1e-9, np.inf]}, ["age", "chol"])
    values = [np.nan, 0.1 + 0.2, *np.linspace(0, 1, len(NAMES) - 2)]
    return records.Run(
        method="federated",
        settings={"rounds": 1, "seed": np.int64(3), "leave_out": []},
        metrics=pd.DataFrame({"round": 1, "hospital": NAMES, "metric": "auroc", "value": values}),
        ledger=ledger.frame(),
        predictions=pd.DataFrame({"hospital": NAMES, "label": 1, "probability": 0.7}),
        weights={name: [np.ones((3, 1), np.float32), np.ones(1)] for name in NAMES},
        preparation={"shared": Statistics(3, moments, {"cp": ("a", "b")}, {"cp": "b"})},
        provenance={"data": "made up", "versions": {"numpy": "2"}},
    )


@pytest.fixture
def folder(run, tmp_path) -> Path:
    run.save(tmp_path / "run")
    return tmp_path / "run"


def test_the_ledger_notes_round_bytes_and_seconds(run):
    assert run.ledger["round"].unique().tolist() == [0, 1]
    assert run.ledger["bytes"].iloc[[0, -1]].tolist() == [56, 0]
    assert run.ledger["seconds"].iloc[-1] > 0
    assert run.final("auroc")["NA"] == 0.1 + 0.2
    with pytest.raises(ValueError, match="no metric 'auc': it has auroc"):
        run.final("auc")


def test_a_saved_run_reads_back_the_same_whatever_the_hospitals_are_called(run, folder):
    again = records.load(folder)
    assert records.compare(run, again).empty
    for table in ("metrics", "ledger", "predictions"):
        assert_frame_equal(getattr(run, table), getattr(again, table))
    assert list(again.weights) == NAMES
    assert again.weights["$"][0].dtype == np.float32
    assert sorted(path.name for path in folder.parent.rglob("*")) == sorted([*records._FILES, "run"])
    assert folder.stat().st_mode & 0o777 == 0o700, "other accounts read no patient's label"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}, "nor where they see the folder"


def test_names_of_digits_alone_stay_text(run, tmp_path):
    dataclasses.replace(run, metrics=run.metrics.iloc[2:4]).save(tmp_path)
    assert records.load(tmp_path).metrics["hospital"].tolist() == ["0", "007"]


def test_a_home_is_found_and_a_file_in_the_way_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run.save("~/deep/run")
    assert (tmp_path / "deep" / "run" / "run.json").exists()
    assert records.compare(run, records.load("~/deep/run")).empty
    for wrong in ("~/deep/run/run.json", "~/deep/run/run.json/deeper"):
        with pytest.raises(ValueError, match="a file is in its way"):
            run.save(wrong)
        with pytest.raises(FileNotFoundError, match="holds no run"):
            records.load(wrong)


@pytest.mark.parametrize("step", range(7))
def test_saving_over_another_run_leaves_no_mixture(run, folder, monkeypatch, step):
    other = dataclasses.replace(run, method="local", metrics=run.metrics.head(1), weights={"Z": [np.zeros(3)]})
    (folder / "notes.txt").write_text("mine")
    replace, steps = Path.replace, iter(range(7))

    def stop(self, target):
        if next(steps) == step:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    if step < len(records._FILES):
        with pytest.raises(KeyboardInterrupt):
            other.save(folder)
        with pytest.raises(FileNotFoundError, match="holds no run"):
            records.load(folder)
    else:
        other.save(folder)
        assert records.compare(other, records.load(folder)).empty
    assert (folder / "notes.txt").read_text() == "mine"
    assert not list(folder.glob(".saving-*"))


def test_what_cannot_be_written_leaves_the_older_run(run, folder):
    with pytest.raises(TypeError):
        dataclasses.replace(run, settings={"model": object()}).save(folder)
    assert records.compare(run, records.load(folder)).empty


OPENED = []


def opened(why):
    OPENED.append(why)


class Burglar:
    def __reduce__(self):
        return opened, ("by whoever unpickles it",)


def arrays(*made, save=np.savez) -> bytes:
    """Weights, one array or two for each hospital."""
    file = io.BytesIO()
    save(file, *(made * 2 * len(NAMES)))
    return file.getvalue()


def with_header(text: str) -> bytes:
    """Weights whose array says something else of itself than it holds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("arr_0.npy", b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode())
    return file.getvalue()


def about(**changed) -> bytes:
    whole = {"method": "local", "settings": {"rounds": 1, "seed": 0}, "provenance": {}, "weights": ["Z"], "sha256": {}}
    told = {name: value for name, value in (whole | changed).items() if value is not None}
    return records._sealed(told).encode()


def told(level: str = "a", **moments: float) -> bytes:
    """How rows were prepared."""
    both = {"mean": 1.0, "std": 1.0} | moments
    how = {"rows": 3, "moments": {"age": [*both.values()]}, "levels": {"cp": ["a"]}, "most_frequent": {"cp": level}}
    return json.dumps({"shared": how}).encode()


def rows(head: str, *each: str) -> list[bytes]:
    return [f"{head}\n{row}\n".encode() for row in each]


SCORED, TOLD = "round,hospital,metric,value", "round,hospital,direction,phase,bytes,seconds"
ROUNDS = ["1.5,A,auroc,1", f"{10**30},A,auroc,1", ",A,auroc,1", "first,A,auroc,1"]
HUGE = [f"{{'descr':'<f8','fortran_order':False,'shape':({size},)}}" for size in ("10**15", f"{9**15}")]
DAMAGE = [
    ("run.json", "run.json is damaged", [b"{", b"[]", b'{"method": "\xff"}', b"[" * 10**6]),
    ("run.json", "in its settings rounds and seed", [about(settings=None), about(settings={"rounds": [1], "seed": 1})]),
    ("run.json", "it must hold method", [about(method=3), about(more=3), about(method="\x1b[2J")]),
    (
        "run.json",
        "its own sha256 is another",
        [about().replace(b"local", b"mocal"), about().replace(b"run.json", b"x")],
    ),
    ("run.json", "metrics.csv is damaged .it is not the file that was saved", [about()]),
    ("metrics.csv", "metrics.csv is damaged", [b"", bytes(100), *rows(SCORED, "1,A,auroc,high", *ROUNDS)]),
    ("metrics.csv", "its columns are round, hospital, metric, and must", rows(SCORED[:-6], "1,A,auroc")),
    ("metrics.csv", "its columns are", rows(f"{SCORED},x", "1,A,auroc,1,1")),
    ("metrics.csv", "round must lie from 0 to", rows(SCORED, "-1,A,auroc,1", "99999999999,A,auroc,1")),
    ("ledger.csv", "ledger.csv is damaged", rows(TOLD, "1,A,up,send,1,nan", '0,"A')),
    ("ledger.csv", "bytes must lie", rows(TOLD, "1,A,up,send,-1,0")),
    ("predictions.csv", "label must lie from 0 to 1", rows("hospital,label,probability", "A,2,0.5")),
    ("predictions.csv", "probability must lie from 0 to 1", rows("hospital,label,probability", "A,1,1.5")),
    ("predictions.csv", "predictions.csv is damaged", rows("hospital,label,probability", "A,1,")),
    ("weights.npz", "weights.npz is damaged", [b"PK\3\4 no", arrays(np.array([Burglar()])), pickle.dumps(Burglar())]),
    ("weights.npz", "weights.npz is damaged", [arrays(np.zeros(1), np.zeros(1)), *map(with_header, HUGE)]),
    ("weights.npz", "a weight is no finite number", [*map(arrays, ([0], ["a"], [np.nan]))]),
    (
        "preparation.json",
        "preparation.json is damaged",
        [b"no", b"[1]", b'{"shared": {}}', told(std=5e-324), told(std=np.nan), told(std=1e300), told(mean=np.nan)],
    ),
    ("preparation.json", "a level is not known", [told("c")]),
    ("weights.npz", "would unfold to any size", [arrays(np.zeros(10**5), save=np.savez_compressed)]),
]
DAMAGE = [(file, sentence, content) for file, sentence, contents in DAMAGE for content in contents]


# Named by their number: an archive's bytes tell the time, and workers must collect the same names.
@pytest.mark.parametrize(("file", "sentence", "content"), DAMAGE, ids=range(len(DAMAGE)))
def test_a_damaged_run_is_refused_with_a_sentence(folder, file, sentence, content):
    (folder / file).write_bytes(content)
    if file != "run.json":  # under a hash that is right, as whoever wants to deceive would have it
        said = json.loads((folder / "run.json").read_text())
        said["sha256"][file] = hashlib.sha256(content).hexdigest()
        (folder / "run.json").write_text(records._sealed(said))
    with pytest.raises(ValueError, match=f"^{re.escape(str(folder))}.*{sentence}.*train it again.$") as caught:
        records.load(folder)
    assert type(caught.value) is ValueError
    assert caught.value.__suppress_context__
    assert OPENED == []


@pytest.mark.parametrize("file", records._FILES)
def test_a_missing_or_cut_file_is_named(folder, file):
    content = (folder / file).read_bytes()
    for part in (content[: len(content) // 2], content[:-2], content[: content.rstrip().rfind(b"\n") + 1]):
        (folder / file).write_bytes(part)
        with pytest.raises(ValueError, match=f"{file} is damaged"):
            records.load(folder)
    for instead in (lambda path: None, os.mkdir, os.mkfifo):
        (folder / file).unlink(missing_ok=True)
        instead(folder / file)
        with pytest.raises(FileNotFoundError, match=rf"{file} (is missing|in it)"):
            records.load(folder)
        if (folder / file).is_dir():
            (folder / file).rmdir()


CHANGES = [
    ("method", lambda run: {"method": "local"}),
    ("settings: seed", lambda run: {"settings": run.settings | {"seed": 4}}),
    ("provenance: versions", lambda run: {"provenance": {"data": "made up"}}),
    ("metrics", lambda run: {"metrics": run.metrics.assign(value=run.metrics["value"] + 1e-9)}),
    ("metrics", lambda run: {"metrics": run.metrics.fillna(0.5)}),
    ("predictions", lambda run: {"predictions": run.predictions.head(2)}),
    ("ledger", lambda run: {"ledger": run.ledger.assign(bytes=[*run.ledger["bytes"][:-1], 1])}),
    ("weights: $", lambda run: {"weights": run.weights | {"$": [np.ones((3, 1)), np.array([1 + 1e-9])]}}),
    ("weights: $", lambda run: {"weights": run.weights | {"$": [np.ones((3, 1)), np.array([np.nan])]}}),
    ("weights: $", lambda run: {"weights": run.weights | {"$": [np.ones((3, 1)), np.ones(2)]}}),
    ("weights: B", lambda run: {"weights": run.weights | {"B": [np.ones(1)]}}),
    (
        "preparation: shared",
        lambda run: {"preparation": {"shared": dataclasses.replace(*run.preparation.values(), rows=4)}},
    ),
]


@pytest.mark.parametrize(("what", "change"), CHANGES)
def test_compare_names_what_differs(run, what, change):
    assert records.compare(run, dataclasses.replace(run, **change(run)))["what"].tolist() == [what]


def test_compare_overlooks_seconds_and_what_is_within_the_tolerance(run):
    weights = {name: [array + 1e-9 for array in arrays] for name, arrays in run.weights.items()}
    moved = run.metrics.assign(value=run.metrics["value"] + 1e-9)
    other = dataclasses.replace(run, metrics=moved, weights=weights, ledger=run.ledger.assign(seconds=9.0, bytes=9))
    assert records.compare(run, other, tolerance=1e-6).empty
    assert len(records.compare(run, other, tolerance=1e-12)) == 1 + len(NAMES)
    for wrong, what in (((run, None), "second must be a run"), ((run, run, "1e-5"), "tolerance must be")):
        with pytest.raises(ValueError, match=what):
            records.compare(*wrong)


def as_served(federation, run, hospital):
    """The probabilities that a run gives the test rows of a hospital, scored from its table."""
    tested = preparation.split(federation, run.settings["seed"]).hospitals[hospital].test_rows
    return run.predict(federation[hospital].table.iloc[tested], hospital)


def test_a_saved_run_scores_a_patient_as_its_training_did(heart, tmp_path):
    how = {"rounds": 3, "seed": 4}
    personal = (learning.Algorithm(), heterogeneity.AtHome(), heterogeneity.Ditto(1.0))
    runs = [learning.train_federated(heart, algorithm=each, **how) for each in personal]
    runs += [learning.train_local(heart, prepared="alone", **how), learning.train_centralized(heart, **how)]
    runs += [heterogeneity.recalibrated(runs[0], heart), heterogeneity.fine_tuned(runs[0], heart, learning.Plan())]
    for number, run in enumerate(runs):
        run.save(tmp_path / str(number))
        again = records.load(tmp_path / str(number))
        assert records.compare(run, again).empty
        for name, rows in run.predictions.groupby("hospital"):
            assert np.array_equal(as_served(heart, again, name), rows["probability"].astype(np.float32)), run.method
    one = heart["Hungary"].table.head(1)
    assert runs[0].predict(one, "a new one") == runs[0].predict(one, "Hungary")
    assert runs[1].predict(one, "a new one") != runs[1].predict(one, "Hungary"), "it has a bias of its own"
    with pytest.raises(ValueError, match="no model for 'a new one': it has those of Cleveland, Hungary"):
        runs[3].predict(one, "a new one")
    with pytest.raises(ValueError, match="no column 'age', 'cp': the model was trained with it"):
        runs[0].predict(one.drop(columns=["age", "cp"]), "Hungary")
    kernel, bias = runs[0].weights["shared"]
    for wrong in ([kernel, np.zeros((3, 1))], [kernel[:-1], bias]):  # which numpy would stretch
        with pytest.raises(ValueError, match="are none of `models` for its columns"):
            dataclasses.replace(runs[0], weights={"shared": wrong}).predict(one, "Hungary")


def test_only_finite_numbers_can_be_glued():
    with pytest.raises(ValueError, match="only a finite number"):
        records.glue("auroc", float("nan"))


def test_a_run_that_version_1_0_saved_is_read_and_scores_patients():
    """CONTRIBUTING.md promises it: if this must change, so must the first number of the version."""
    run = records.load(Path(__file__).parent / "kept" / "run_1.0")
    assert run.final().round(5).to_dict() == {"Harbour": 0.88125, "Hill": 0.76875, "Park": 0.90625}
    patient = pd.DataFrame({"age": [61.0], "smoker": ["False"], "ward": ["lung"]})
    assert run.predict(patient, "Harbour") == pytest.approx(0.497741, abs=1e-5)
