import pandas as pd
import pytest

from fedkit import hospitals
from fedkit.chapters import partitions

LABEL = "disease"


@pytest.fixture(scope="session")
def heart() -> hospitals.Federation:
    return hospitals.load("heart_disease")


@pytest.fixture(scope="session")
def pooled(heart) -> pd.DataFrame:
    """All patients in one table, with their label."""
    frames = [hospital.table.astype(object).assign(disease=hospital.labels) for hospital in heart]
    frame = pd.concat(frames, ignore_index=True)
    return frame.astype(dict.fromkeys(heart.numeric, float))


@pytest.fixture(scope="session")
def ten(pooled) -> hospitals.Federation:
    """Ten pretend hospitals, all alike."""
    return hospitals.from_frame(partitions.iid(pooled, 10, 0), site="hospital", label=LABEL)
