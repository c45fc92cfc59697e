import json
import pickle
from multiprocessing import active_children

import numpy as np
import pytest
from tampering import flipped, passed_off

from fedkit import aggregators, encryption
from fedkit.encryption import HospitalKeys, Server, Sum, messages, packing, quantization, schemes, vault
from fedkit.encryption.context import each_seed
from fedkit.encryption.messages import Message, MessageError, contains_plaintext
from fedkit.encryption.rings import Ring

PATIENTS = [212, 205, 86, 140]
BFV_STEP = 4 * 2.0**-22 / 2 / sum(PATIENTS)  # largest error of the mean, by rounding
TOLERANCE = {"bfv": BFV_STEP, "ckks": 1e-6}


@pytest.fixture(scope="module", params=["bfv", "ckks", "small bfv"])
def keys(request):
    """The last in a small ring, whose coefficients lose 11 bits on their way."""
    small = {"numbers": 14, "bits": 12} if "small" in request.param else {}
    return encryption.generate_keys(request.param.removeprefix("small "), hospitals=4, **small)


@pytest.fixture(scope="module")
def server(keys):
    return Server(keys.public)


def updates(size=14, hospitals=4):
    return np.random.default_rng(0).normal(size=(hospitals, size))


def encrypt_all(keys, vectors, weights=PATIENTS, layout=None):
    return [keys.encrypt(vector, weight, layout) for vector, weight in zip(vectors, weights, strict=True)]


def packed(keys, size, bound):
    return quantization.Layout((quantization.packed_layer(size, bound, keys.parameters),))


@pytest.mark.parametrize("size", [1, 14, 2047, 4096, 20_000])
def test_the_mean_is_the_plain_mean_in_any_order(keys, server, size):
    vectors = updates(size)
    sent = encrypt_all(keys, vectors)
    means = []
    for order in (sent, iter(sent[::-1])):
        mean, patients = keys.decrypt(server.add(order))
        assert patients == sum(PATIENTS)
        assert np.abs(mean - aggregators.weighted_mean(vectors, PATIENTS)).max() <= TOLERANCE[keys.scheme]
        means.append(mean)
    assert np.abs(means[0] - means[1]).max() <= (0 if keys.scheme == "bfv" else 1e-9)


@pytest.mark.parametrize(
    ("hospitals", "bits", "security"), [(1, 4, 128), (24, 26, 128), (24, 12, 192), (60, 52, 128), (7, 10, 256)]
)
def test_bfv_adds_the_integers_exactly_though_all_are_as_large_as_can_be(hospitals, bits, security):
    keys = encryption.generate_keys("bfv", hospitals=hospitals, numbers=700, bits=bits, security=security)
    weights = np.arange(hospitals) * 40 + 1
    layers = [quantization.packed_layer(size, bound, keys.parameters) for size, bound in ((300, weights.sum()), (2, 9))]
    layout = quantization.Layout((quantization.exact_layer(2, keys.parameters), *layers))
    vectors = np.random.default_rng(0).uniform(-1, 1, (hospitals, layout.size))
    vectors[:, 2:150] = np.sign(vectors[0, 2:150])
    vectors[:, -2:] *= 9 / weights.sum()
    mean, patients = keys.decrypt(Server(keys.public).add(encrypt_all(keys, vectors, weights, layout)), layout)
    integers = sum(layout.encode(vector * weight) for vector, weight in zip(vectors, weights, strict=True))
    assert np.array_equal(mean, layout.decode(integers) / patients)
    assert patients == weights.sum()
    step = layers[0].step * hospitals / patients
    assert np.abs(mean[2:-2] - np.average(vectors, axis=0, weights=weights)[2:-2]).max() <= step


@pytest.mark.parametrize("hospitals", [56, 57, 70])
def test_a_sum_of_many_hospitals_has_the_sum_of_their_c1_and_opens_all_the_same(hospitals):
    keys = encryption.generate_keys("bfv", hospitals=200, numbers=14, bits=14)
    assert keys.parameters.ring_dimension == 1024  # 56 seeds are as long as one c1, packed
    layout, vectors = packed(keys, 14, 3.0 * hospitals), updates(14, hospitals).clip(-3, 3)
    total, sent = Sum(Server(keys.public)), encrypt_all(keys, vectors, [1] * hospitals, layout)
    for message in sent:
        total.add(message)
    for again in (sent[0], sent[55], sent[-1]):  # from the 57th on, only the sum of their c1 is kept
        with pytest.raises(MessageError, match="was added before"):
            total.add(again)
    answer, size = total.to_bytes(), keys.message_bytes(layout)
    assert len(answer) == (size + 55 * 64 if hospitals == 56 else size - 64 + 1024 * 7 // 2)
    mean, patients = keys.decrypt(answer, layout)
    assert (patients, total.hospitals) == (hospitals, hospitals)
    assert np.array_equal(mean, layout.decode(sum(layout.encode(vector) for vector in vectors)) / hospitals)


def test_a_message_with_a_part_of_another_is_refused():
    """Its own ciphertexts, but for one seed that it copied."""
    keys = encryption.generate_keys("bfv", hospitals=3, numbers=3000, bits=14)
    first, second = (keys.encrypt(np.ones(3000), 1) for _ in range(2))
    seeds = each_seed(Server(keys.public).read(first).seeds[0])
    assert len(seeds) == 3
    total = Sum(Server(keys.public))
    total.add(first)
    for seed in seeds:
        with pytest.raises(MessageError, match="or a part of it, was added before"):
            total.add(second[:-64] + seed)
    total.add(second)
    assert total.hospitals == 2


def test_one_message_is_not_passed_off_as_a_sum(keys, server):
    """By a server that has no key, and hospitals that open whatever it returns."""
    for sentence, forged in passed_off(keys.encrypt(updates()[0], 5), server).items():
        with pytest.raises(MessageError, match=sentence):
            keys.decrypt(forged)


def test_the_bytes_are_encrypted_and_the_check_can_tell(keys):
    vector = updates()[0]
    message = keys.encrypt(vector, 212)
    assert not contains_plaintext(message, vector)
    assert not contains_plaintext(message, 212 * vector)
    assert contains_plaintext((212 * vector).tobytes(), 212 * vector)
    assert contains_plaintext(b"head" + vector.astype(">f4").tobytes(), vector)


def test_the_integers_are_encrypted_and_the_check_can_tell(monkeypatch):
    """As above for what is really encrypted: packed integers, as they would stand in the message."""
    keys = encryption.generate_keys("bfv", hospitals=4, bits=52)
    layout, vector, mask = packed(keys, 14, 4 * 700.0), updates()[0], (1 << keys.parameters.room_bits) - 1
    plain = packing.to_bytes((layout.encode(vector * 212) & mask).astype(np.uint64), keys.parameters.sent_bits)
    assert not contains_plaintext(keys.encrypt(vector, 212, layout), plain)
    shift = keys.parameters.dropped_bits
    monkeypatch.setattr(Ring, "encrypt", lambda self, values: ((values & mask).astype(np.uint64) << shift, bytes(64)))
    assert contains_plaintext(keys.encrypt(vector, 212, layout), plain)


def test_the_server_gets_no_key(keys, server):
    secret = keys.secret.removeprefix(b"FKS2").partition(keys.public)[2][4:]
    assert len(secret) > 100
    assert (server.is_private, keys.is_private) == (False, True)
    seen = b"".join([keys.public, *encrypt_all(keys, updates()), repr(keys).encode(), keys.key_id])
    assert not contains_plaintext(seen, secret[32:])
    assert contains_plaintext(keys.secret, secret[32:])
    assert len(keys.public) < 200  # parameters, and no room for a key
    assert not hasattr(server, "decrypt")
    for party, data, sentence in [
        (Server, keys.secret, "must not have: give it"),
        (Server, b"FKP2" + keys.secret[4:], r"no keys|must not have"),
        (HospitalKeys, keys.public, "no secret key: a hospital needs"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            party(data)


def test_hostile_bytes_are_no_keys(keys):
    about = {"scheme": "bfv", "hospitals": 4, "numbers": 14, "bits": 12, "security": 128, "key": "00" * 10}
    assert Server(b"FKP2" + json.dumps(about).encode()).parameters.hospitals == 4
    changes = [{"numbers": float("inf")}, {"numbers": 10**400}, {"bits": 12.5}, {"hospitals": True}, {"key": "00"}]
    changes += [{"hospitals": 10**6}, {"security": []}, {"security": 64}, {"scheme": None}, {"key": 3}, {"more": 1}]
    hostile = [b"FKP2" + json.dumps(about | change).encode() for change in changes]
    hostile += [json.dumps(about).encode(), b"", bytes(100), None, "text", b"FKP2[]", b"FKP2" + b"[" * 10**5]
    for party in (Server, HospitalKeys):
        for data in hostile:
            with pytest.raises(ValueError, match=r"no keys|no secret key"):
                party(data)
    for damaged in (*(flipped(keys.secret, at) for at in (-1, -40, 5, 30)), keys.secret[:-1], keys.secret + b"x"):
        with pytest.raises(ValueError, match=r"no keys|damaged"):
            HospitalKeys(damaged)


def test_another_key_reads_nothing(keys, server):
    answer = server.add(encrypt_all(keys, updates()))
    other = keys.renewed()
    assert other.parameters == keys.parameters
    assert other.fingerprint != keys.fingerprint
    for read, message in [(other.decrypt, answer), (Server(other.public).read, keys.encrypt(np.ones(14), 1))]:
        with pytest.raises(MessageError, match="under another key"):
            read(message)


def test_keys_are_made_again_from_their_bytes(keys, server, tmp_path, cheap):
    again = HospitalKeys(keys.secret)
    assert (again.secret, again.public, again.parameters) == (keys.secret, keys.public, keys.parameters)
    assert again.fingerprint == keys.fingerprint == server.fingerprint
    vector = updates()[0]
    mean, patients = again.decrypt(server.add([keys.encrypt(vector, 3), again.encrypt(vector, 4)]))
    assert patients == 7
    assert np.abs(mean - vector).max() < 1e-6
    with pytest.raises(TypeError, match="with a passphrase"):
        pickle.dumps(keys)
    assert repr(keys) == f"HospitalKeys({keys.scheme}, 4 hospitals, key {keys.fingerprint})"
    passphrase = "correct horse battery staple"
    keys.save(tmp_path / "hospitals.key", passphrase)
    assert HospitalKeys.load(tmp_path / "hospitals.key", passphrase).secret == keys.secret
    vault.save(tmp_path / "identity.key", "identity", keys.secret, passphrase)
    with pytest.raises(ValueError, match="holds 'identity'"):
        HospitalKeys.load(tmp_path / "identity.key", passphrase)


def test_a_single_hospital_is_never_opened(keys, server):
    own = keys.encrypt(updates()[0], 5)
    few, some = server.add([own]), server.add([own, keys.encrypt(updates()[1], 5)])
    for message, least, sentence in [
        (own, None, r"message of 1 hospital\(s\) and no sum of 2"),
        (few, None, r"message of 1 hospital\(s\) and no sum of 2"),
        (own, 1, "no sum of 1"),
        (some, 3, "no sum of 3"),
    ]:
        with pytest.raises(MessageError, match=sentence):
            keys.decrypt(message, at_least=least)
    assert keys.decrypt(some, at_least=2)[1] == 10
    alone = encryption.generate_keys(keys.scheme, hospitals=1)
    assert alone.decrypt(Server(alone.public).add([alone.encrypt(np.ones(3), 5)]))[1] == 5


def test_a_hospital_without_patients_counts_nothing_and_nonsense_shows_in_their_number(keys, server):
    first, second = updates(hospitals=2)
    mean, patients = keys.decrypt(server.add(encrypt_all(keys, [first, second], [10, 0])))
    assert patients == 10
    assert np.abs(mean - first).max() < 1e-6
    with pytest.raises(MessageError, match="sum to zero"):
        keys.decrypt(server.add(encrypt_all(keys, [first, first], [0, 0])))
    honest = server.read(keys.encrypt(first, 10))
    c0 = np.random.default_rng(1).integers(0, server.ring.modulus, honest.c0.shape, dtype=np.uint64)
    nonsense = honest._replace(c0=c0).to_bytes(keys.parameters)
    with pytest.raises(MessageError, match="whole numbers"):
        keys.decrypt(server.add([keys.encrypt(first, 10), nonsense]))


@pytest.mark.parametrize(
    ("vector", "weight", "sentence"),
    [
        ([1.0, np.nan], 5, "Number 1 of the update is nan"),
        ([-np.inf, 1.0], 5, "Number 0 of the update is -inf"),
        ([[1.0]], 5, "shape"),
        ([], 5, "shape"),
        *[([1.0], bad, f"whole number of patients, and {bad}") for bad in (-1, 2.5, np.nan, np.inf)],
        ([1e30], 5, "beyond"),
        ([0.0], 1e200, "beyond"),
    ],
)
def test_what_cannot_be_added_is_refused(keys, vector, weight, sentence):
    with pytest.raises(ValueError, match=sentence):
        keys.encrypt(np.array(vector), weight)


def test_room_is_shared_so_that_no_sum_can_overflow(keys, server):
    (layer,) = keys.plain_layout(1).layers
    most = layer.limit * (layer.step or 1)
    for sign in (1, -1):
        mean, _ = keys.decrypt(server.add(encrypt_all(keys, np.full((4, 1), sign * most), [1] * 4)))
        assert mean[0] == pytest.approx(sign * most, abs=1e-6)
    with pytest.raises(ValueError, match="beyond"):
        keys.encrypt(np.array([most * 1.001]), 1)


def test_a_message_that_does_not_fit_is_refused_and_leaves_the_sum_as_it_was(keys, server):
    total, vectors = Sum(server), updates()
    first, *others = encrypt_all(keys, vectors)
    total.add(first)
    other_scheme = "ckks" if keys.scheme == "bfv" else "bfv"
    for bad, sentence in [
        (keys.encrypt(np.ones(15), 1), "cannot be added"),
        (encryption.generate_keys(other_scheme).encrypt(np.ones(3), 1), f"{other_scheme} arrived where {keys.scheme}"),
        (others[0][:-1], "damaged"),
        (others[0] + b"x", "damaged"),
        (first, "was added before: it would count twice"),
        (server.add(others), "A sum arrived where one hospital's message was expected"),
    ]:
        with pytest.raises(MessageError, match=sentence):
            total.add(bad)
    for message in others:
        total.add(message)
    with pytest.raises(MessageError, match="room for 4 hospitals, and one more message came"):
        total.add(keys.encrypt(np.ones(14), 1))
    assert total.hospitals == 4
    assert np.abs(keys.decrypt(total.to_bytes())[0] - aggregators.weighted_mean(vectors, PATIENTS)).max() < 1e-6
    with pytest.raises(ValueError, match="no message to add"):
        server.add([])


@pytest.mark.parametrize("scheme", schemes.SCHEMES)
def test_a_sum_that_is_too_short_for_any_layout_is_refused(scheme):
    """Validly made, but for less than a weight and a number: what a hostile server may send."""
    keys = encryption.generate_keys(scheme, hospitals=4)
    least = keys.coefficients(keys.plain_layout(1))
    answer = Server(keys.public).add(encrypt_all(keys, np.ones((4, 14))))
    with pytest.raises(MessageError, match="coefficients were agreed on, and"):
        keys.decrypt(answer, quantization.Layout((quantization.exact_layer(3, keys.parameters),)))
    for coefficients in range(1, least):
        c0 = np.zeros(messages.carried(keys.parameters, coefficients), np.uint64)
        short = Message(messages.SUM, keys.key_id, 2, coefficients, c0, [bytes(64), b"\1" * 64])
        with pytest.raises(MessageError, match=f"{least} coefficients were agreed on, and {coefficients} came back"):
            keys.decrypt(short.to_bytes(keys.parameters))


def test_two_cores_make_the_same_message_as_one():
    with pytest.raises(TypeError, match="integer"):
        encryption.generate_keys(bits=12.5)
    whole = {"hospitals": np.int64(2), "numbers": np.int32(14)}  # of numpy, and whole numbers all the same
    keys = encryption.generate_keys("bfv", **whole, bits=12, cores=2)
    layout, vectors = packed(keys, 20_000, 20.0), updates(20_000, 2).clip(-5, 5)
    sent = encrypt_all(keys, vectors, [1, 1], layout)
    assert len(active_children()) >= 2, "one core did all of it"
    mean, _ = keys.decrypt(Server(keys.public).add(sent), layout)
    assert np.array_equal(mean, layout.decode(sum(layout.encode(vector) for vector in vectors)) / 2)
    with pytest.raises(ValueError, match="at least one core, and was given 0"):
        HospitalKeys(keys.secret, cores=0)
