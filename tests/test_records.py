import dataclasses

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fedkit import records


@pytest.fixture
def run() -> records.Run:
    ledger = records.Ledger()
    ledger.add("A", "up", "send", 56)
    ledger.round = 1
    with ledger.timed("server", "add"):
        pass
    return records.Run(
        method="federated",
        settings={"rounds": 1, "seed": 3, "leave_out": []},
        metrics=pd.DataFrame(
            {"round": [1, 1], "hospital": ["A", "NA"], "metric": ["auroc"] * 2, "value": [0.1 + 0.2, np.nan]}
        ),
        ledger=ledger.frame(),
        predictions=pd.DataFrame({"hospital": ["A"], "label": [1.0], "probability": [0.7]}),
        weights={"shared": [np.eye(2, dtype=np.float32), np.ones(1, np.float32)]},
        provenance={"data": "made up", "versions": {"numpy": "2"}},
    )


def test_the_ledger_notes_round_bytes_and_seconds(run):
    assert run.ledger["round"].tolist() == [0, 1]
    assert run.ledger["bytes"].tolist() == [56, 0]
    assert run.ledger["seconds"].iloc[1] > 0


def test_a_saved_run_reads_back_the_same(run, tmp_path):
    run.save(tmp_path / "run")
    again = records.load(tmp_path / "run")
    assert records.compare(run, again).empty
    assert_frame_equal(run.metrics, again.metrics)
    assert_frame_equal(run.ledger, again.ledger)
    assert again.metrics["hospital"].tolist() == ["A", "NA"]  # a hospital may be called NA


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        records.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"method": "local"}, "method"),
        ({"settings": {"rounds": 1, "seed": 4, "leave_out": []}}, "settings: seed"),
        ({"provenance": {"data": "made up", "versions": {"numpy": "3"}}}, "provenance: versions"),
        ({"weights": {"shared": [np.zeros((2, 2), np.float32), np.ones(1, np.float32)]}}, "weights: shared"),
        ({"weights": {"A": [np.ones(1, np.float32)]}}, "weights: A"),
    ],
)
def test_compare_names_what_differs(run, change, what):
    assert what in records.compare(run, dataclasses.replace(run, **change))["what"].tolist()


def test_compare_sees_one_changed_number_and_overlooks_seconds(run):
    metrics = run.metrics.assign(value=[0.3, np.nan])
    assert records.compare(run, dataclasses.replace(run, metrics=metrics))["what"].tolist() == ["metrics"]
    ledger = run.ledger.assign(seconds=9.0)
    assert records.compare(run, dataclasses.replace(run, ledger=ledger)).empty


def test_final_is_the_last_round_by_hospital(run):
    assert run.final("auroc")["A"] == 0.1 + 0.2


def test_only_finite_numbers_can_be_glued():
    with pytest.raises(ValueError, match="only a finite number"):
        records.glue("auroc", float("nan"))
