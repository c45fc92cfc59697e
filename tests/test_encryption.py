import numpy as np
import pytest

from fedkit import encryption, parameters, quantization
from fedkit.encryption import HospitalKeys, Server
from fedkit.messages import Message, contains_plaintext

PATIENTS = [212, 205, 86, 140]
BFV_STEP = len(PATIENTS) * quantization.WIDE_STEP / 2 / sum(PATIENTS)  # largest error of the mean, by rounding
TOLERANCE = {"bfv": BFV_STEP, "ckks": 1e-6}


@pytest.fixture(scope="module", params=["bfv", "ckks"])
def keys(request):
    return encryption.generate_keys(request.param, hospitals=4)


@pytest.fixture(scope="module")
def server(keys):
    return Server(keys.public)


def updates(size, hospitals=4, seed=0):
    return np.random.default_rng(seed).normal(size=(hospitals, size))


def encrypt_all(keys, vectors, weights=PATIENTS):
    return [keys.encrypt(vector, weight) for vector, weight in zip(vectors, weights, strict=True)]


def check_that_it_is_encrypted(encrypt, vector, weight):
    message = encrypt(vector, weight)
    for plain in (vector, weight * vector):
        assert not contains_plaintext(message, plain), "The update can be read in the message."


@pytest.mark.parametrize("size", [1, 14, 2047, 2048, 4095, 4096, 5000, 100_000])
def test_the_mean_is_the_plain_mean(keys, server, size):
    vectors = updates(size)
    mean, patients = keys.decrypt(server.add(encrypt_all(keys, vectors)))
    assert patients == sum(PATIENTS)
    assert np.abs(mean - parameters.weighted_mean(vectors, PATIENTS)).max() <= TOLERANCE[keys.scheme]


def test_bfv_adds_the_integers_exactly():
    keys = encryption.generate_keys("bfv", hospitals=24)  # as many as 52 bits allow
    layers = [quantization.packed_layer(size, 24 * 1000.0, 26, 2, 24) for size in (3000, 4000)]
    layout = quantization.Layout((quantization.wide_layer(2, 52, 24), *layers))
    weights = np.arange(24) * 40
    vectors = np.random.default_rng(0).uniform(-1, 1, (24, layout.size))
    messages = [keys.encrypt(vector, weight, layout) for vector, weight in zip(vectors, weights, strict=True)]
    mean, patients = keys.decrypt(Server(keys.public).add(messages), layout)
    integers = sum(layout.encode(vector * weight) for vector, weight in zip(vectors, weights, strict=True))
    assert np.array_equal(mean, layout.decode(integers) / patients)


def test_the_order_of_hospitals_does_not_matter(keys, server):
    messages = encrypt_all(keys, updates(14))
    forward, _ = keys.decrypt(server.add(messages))
    backward, _ = keys.decrypt(server.add(messages[::-1]))
    if keys.scheme == "bfv":
        assert np.array_equal(forward, backward)
    else:
        assert np.abs(forward - backward).max() <= 1e-9


def test_sums_can_be_added_to_messages_one_at_a_time(keys, server):
    messages = encrypt_all(keys, updates(14))
    together, _ = keys.decrypt(server.add(iter(messages)))
    halves, patients = keys.decrypt(server.add([server.add(messages[:2]), server.add(messages[2:])]))
    assert patients == sum(PATIENTS)
    assert np.abs(together - halves).max() <= (0 if keys.scheme == "bfv" else 1e-9)


def test_the_bytes_are_encrypted_and_the_check_can_tell(keys):
    vector = updates(14)[0]
    check_that_it_is_encrypted(keys.encrypt, vector, 212)
    switched_off = {
        "float64": lambda vector, weight: (vector * weight).tobytes(),
        "float32, big-endian": lambda vector, weight: b"head" + vector.astype(">f4").tobytes(),
        "in a message": lambda vector, weight: Message("bfv", 1, keys.key_id, 15, [vector.tobytes()]).to_bytes(),
    }
    for encrypt in switched_off.values():
        with pytest.raises(AssertionError, match="can be read"):
            check_that_it_is_encrypted(encrypt, vector, 212)


def test_the_server_holds_no_key(keys, server):
    assert not server.context.is_private()
    assert not server.context.has_secret_key()
    assert len(keys.public) < 200  # parameters, and no room for a key
    with pytest.raises(ValueError, match=r"(?i)secret"):
        server.context.secret_key()
    total = server._open(server.add(encrypt_all(keys, updates(14))))[1][0]
    with pytest.raises(ValueError, match=r"(?i)secret"):
        total.decrypt()


def test_a_server_refuses_a_secret_key(keys):
    relabelled = keys.public[:19] + keys.secret[19:]  # says that it is public
    for data in (keys.secret, relabelled):
        with pytest.raises(ValueError, match="must not have"):
            Server(data)
    with pytest.raises(ValueError, match="no secret key"):
        HospitalKeys(keys.public)


@pytest.mark.parametrize("data", [b"", b"nonsense", bytes(100), None, "text"])
def test_foreign_bytes_are_no_keys(data):
    for party in (Server, HospitalKeys):
        with pytest.raises(ValueError, match="no keys"):
            party(data)


def test_another_key_reads_nothing(keys, server):
    message = server.add(encrypt_all(keys, updates(14)))
    other = encryption.generate_keys(keys.scheme, hospitals=4)
    with pytest.raises(ValueError, match="under key"):
        other.decrypt(message)
    forged = HospitalKeys(other.secret.replace(other.key_id, keys.key_id, 1))  # past the check: only mathematics left
    right, wrong = (np.array(holder._open(message)[1][0].decrypt()) for holder in (keys, forged))
    assert right[0] == pytest.approx(sum(PATIENTS))
    assert not np.isclose(right, wrong, rtol=1e-3).any()


def test_the_same_update_never_looks_the_same(keys):
    vector = updates(14)[0]
    assert keys.encrypt(vector, 212) != keys.encrypt(vector, 212)


def test_keys_are_made_again_from_their_bytes(keys, server):
    again = HospitalKeys(keys.secret)
    assert (again.secret, again.public, again.scheme) == (keys.secret, keys.public, keys.scheme)
    vector = updates(14)[0]
    mean, patients = again.decrypt(server.add([keys.encrypt(vector, 3), again.encrypt(vector, 4)]))
    assert patients == 7
    assert np.abs(mean - vector).max() < 1e-6


def test_a_hospital_without_patients_counts_nothing(keys, server):
    vectors = updates(14, hospitals=2)
    mean, patients = keys.decrypt(server.add([keys.encrypt(vectors[0], 10), keys.encrypt(vectors[1], 0)]))
    assert patients == 10
    assert np.abs(mean - vectors[0]).max() < 1e-6
    with pytest.raises(ValueError, match="sum to zero"):
        keys.decrypt(server.add([keys.encrypt(vectors[0], 0)]))


@pytest.mark.parametrize(
    ("vector", "weight", "sentence"),
    [
        ([1.0, np.nan], 5, "Number 1 of the update is nan"),
        ([-np.inf, 1.0], 5, "Number 0 of the update is -inf"),
        ([[1.0]], 5, "shape"),
        ([], 5, "shape"),
        ([1.0], -1, "whole number of patients, and -1"),
        ([1.0], 2.5, "whole number of patients, and 2.5"),
        ([1.0], np.nan, "whole number of patients, and nan"),
        ([1.0], np.inf, "whole number of patients, and inf"),
        ([1e30], 5, "beyond"),
        ([0.0], 1e300, "beyond"),
    ],
)
def test_what_cannot_be_added_is_refused(keys, vector, weight, sentence):
    with pytest.raises(ValueError, match=sentence):
        keys.encrypt(np.array(vector), weight)


def test_room_is_shared_so_that_no_sum_can_overflow(keys, server):
    step = quantization.WIDE_STEP if keys.scheme == "bfv" else 1.0
    most = keys.parameters.share * step
    for sign in (1, -1):
        mean, _ = keys.decrypt(server.add(encrypt_all(keys, np.full((4, 1), sign * most), [1] * 4)))
        assert mean[0] == pytest.approx(sign * most, abs=1e-6)
    with pytest.raises(ValueError, match="beyond"):
        keys.encrypt(np.array([most * 1.001]), 1)


def test_messages_that_do_not_fit_are_refused(keys, server):
    message = keys.encrypt(np.ones(3), 1)
    other_scheme = "ckks" if keys.scheme == "bfv" else "bfv"
    foreign = encryption.generate_keys(other_scheme, hospitals=4).encrypt(np.ones(3), 1)
    for messages, sentence in [
        ([], "no message"),
        ([message, keys.encrypt(np.ones(4), 1)], "cannot be added"),
        ([message] * 5, "5 hospitals were added up, and the keys have room for 1 to 4"),
        ([message, foreign], f"{other_scheme} arrived where {keys.scheme}"),
        ([message, message[:-1]], "damaged"),
        ([message + b"x"], "damaged"),
        ([Message.from_bytes(message)._replace(chunks=[b""]).to_bytes()], "damaged"),
        ([Message.from_bytes(message)._replace(chunks=[b"nonsense"]).to_bytes()], "damaged"),
        ([Message.from_bytes(message)._replace(slots=5).to_bytes()], "damaged"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            server.add(messages)


def test_a_sum_of_another_layout_is_refused():
    keys = encryption.generate_keys("bfv", hospitals=4)
    layout = quantization.Layout((quantization.packed_layer(14, 100.0, 26, 2, 4),))
    with pytest.raises(ValueError, match="7 slots were agreed on, and 14 came back"):
        keys.decrypt(keys.encrypt(np.ones(14), 1), layout)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="choose one of bfv, ckks"):
        encryption.generate_keys("rsa")


def test_keys_say_what_they_are_and_keep_the_secret(keys):
    assert keys.scheme in repr(keys)
    assert keys.key_id.hex() in repr(keys)
    assert len(repr(keys)) < 100
