"""CKKS with one key for all: what notebook 03 takes apart, and what it shows of keys that are shared."""

import numpy as np
import pytest
from tampering import flipped

from fedkit.aggregators import weighted_mean
from fedkit.compat.tenseal import ts
from fedkit.encryption import SharedKeys, shared
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout, exact_layer
from fedkit.encryption.shared import SLOTS

PATIENTS = [212, 205, 86, 140]


@pytest.fixture(scope="module")
def keys():
    return SharedKeys(4)


def vectors(size=14):
    return np.random.default_rng(0).normal(size=(4, size))


def sent(keys, own, layout=None, weights=PATIENTS):
    return [keys.encrypt(vector, weight, layout) for vector, weight in zip(own, weights, strict=True)]


@pytest.mark.parametrize("size", [1, 14, SLOTS - 1, 5000])
def test_the_mean_is_the_plain_mean_but_for_noise(keys, size):
    mean, patients = keys.decrypt(keys.server.add(sent(keys, vectors(size))))
    error = np.abs(mean - weighted_mean(vectors(size), PATIENTS)).max()
    assert patients == sum(PATIENTS)
    assert 0 < error < 1e-6


def test_any_hospital_reads_any_other_if_the_server_helps_and_the_server_alone_does_not(keys):
    """Which is why nobody should share a key, see `test_keyring`."""
    (message, *_) = sent(keys, vectors())
    update, patients = keys.decrypt(message)
    assert (patients, np.abs(update - vectors()[0]).max() < 1e-6) == (212, True)
    for held in (keys.server._context, ts.context_from(keys.server.public)):
        assert not held.is_private()
        with pytest.raises(ValueError, match="secret_key"):
            shared._read(held, message)[0].decrypt()
    handed = keys._context.serialize(save_secret_key=True)
    assert ts.context_from(handed).is_private()
    assert keys.secret_bytes() == pytest.approx(len(handed), rel=0.1)  # compressed, it varies a little


def test_what_must_be_exact_is(keys):
    layout = Layout((exact_layer(3, keys.parameters),))
    own = np.array([[8.0, 1e-10 / 3, -1e12 / 7]] * 4) * np.arange(1, 5)[:, None]
    mean, count = keys.decrypt(keys.server.add(sent(keys, own, layout, [1] * 4)), layout)
    assert mean * count == pytest.approx(own.sum(axis=0), rel=1e-12)


def test_what_is_no_message_is_refused(keys):
    good = sent(keys, vectors())[0]
    assert keys.server.add([good])
    for bad in (b"", good[:-1], good + b"x", b"\xff" * 8, flipped(good, 5)):
        with pytest.raises(MessageError, match="damaged, or of another key's context"):
            keys.server.add([bad])
    for messages, sentence in [([good, keys.encrypt(np.ones(15), 1)], "different lengths"), ([], "no message to add")]:
        with pytest.raises(MessageError, match=sentence):
            keys.server.add(messages)
    with pytest.raises(MessageError, match="sum to zero"):
        keys.decrypt(keys.server.add(sent(keys, vectors(), None, [0] * 4)))


@pytest.mark.parametrize(("vector", "weight"), [([np.nan], 5), ([np.inf], 5), ([1e30], 5), ([0.0], 1e8)])
def test_what_does_not_fit_is_refused(keys, vector, weight):
    with pytest.raises(ValueError, match="beyond what one hospital has room for: did the training diverge"):
        keys.encrypt(np.array(vector), weight)
