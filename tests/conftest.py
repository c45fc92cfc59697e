import os

import hypothesis
import pytest

# A limit in time would find the slow machine, not the fault. The same cases each time, so that green stays green;
# `pytest --hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def quick_disk():
    """Nobody pulls the plug here: nothing waits until it is on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def heart():
    """Four real hospitals."""
    from fedkit import hospitals

    return hospitals.load("heart_disease")


@pytest.fixture(scope="session")
def iris():
    """Three hospitals, and labels of three classes."""
    from playing import KINDS, flowers

    from fedkit import hospitals

    return hospitals.from_frame(flowers(), site="hospital", label="kind", classes=KINDS, name="iris")


@pytest.fixture
def federation(request):
    """One of the two, by its name: for a test that is about both."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def undisturbed():
    """The model of the study that `exchange_parts.Class` plays, when nothing goes wrong."""
    from exchange_parts import model_of

    return model_of()


@pytest.fixture
def cheap(monkeypatch):
    """Passphrases at an eighth of their cost, where many are typed."""
    from fedkit.encryption import vault

    monkeypatch.setattr(vault, "_COST", 14)
