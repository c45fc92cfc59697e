import pytest


@pytest.fixture(scope="session")
def undisturbed():
    """The model of the study that `exchange_parts.Class` plays, when nothing goes wrong."""
    from exchange_parts import Class

    room = Class("memory://undisturbed").open()
    room.play()
    (model,) = room.models()
    return model
