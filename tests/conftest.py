import hypothesis
import pytest

# A limit in time would find the slow machine, not the fault.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def heart():
    """Four real hospitals."""
    from fedkit import hospitals

    return hospitals.load("heart_disease")


@pytest.fixture(scope="session")
def undisturbed():
    """The model of the study that `exchange_parts.Class` plays, when nothing goes wrong."""
    from exchange_parts import Class

    room = Class("memory://undisturbed").open()
    room.play()
    (model,) = room.models()
    return model


@pytest.fixture
def cheap(monkeypatch):
    """Passphrases at an eighth of their cost, where many are typed."""
    from fedkit.encryption import vault

    monkeypatch.setattr(vault, "_COST", 14)
