import numpy as np
import pytest

from fedkit import parameters
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.records import Ledger

PATIENTS = {"Cleveland": 212, "Hungary": 205, "Switzerland": 86, "VA Long Beach": 140}
SHAPES = [(13, 1), (1,)]


def updates(round_=1, size=14, names=PATIENTS):
    rng = np.random.default_rng(round_)
    return {name: rng.normal(size=size) / round_ for name in names}


def plain_mean(vectors, weights=PATIENTS):
    return parameters.weighted_mean(list(vectors.values()), [weights[name] for name in vectors])


def train(aggregator, rounds, shapes=SHAPES, weights=PATIENTS):
    """Rounds of random updates (the same for the same number): means, plain means, the last state, the ledger."""
    ledger, means, plain = Ledger(), [], []
    state = aggregator.start(list(weights), shapes, ledger)
    for round_ in rounds:
        ledger.round, vectors = round_, updates(round_, sum(int(np.prod(shape)) for shape in shapes), names=weights)
        state, mean = aggregator.aggregate(state, vectors, weights, ledger)
        means.append(mean)
        plain.append(plain_mean(vectors, weights))
    return np.array(means), np.array(plain), state, ledger.frame()


def test_mean_is_the_weighted_mean_of_float32():
    means, plain, _, ledger = train(Mean(), [1])
    assert np.abs(means - plain).max() < 1e-7
    assert ledger.groupby("direction")["bytes"].sum().to_dict() == {"": 0, "down": 4 * 14 * 4, "up": 4 * 14 * 4}


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize("shapes", [[(1,)], SHAPES, [(70, 60), (60,), (60, 1), (1,)]])
def test_encrypted_mean_is_the_plain_mean(scheme, shapes):
    means, plain, _, _ = train(EncryptedMean(scheme), range(1, 6), shapes)
    assert np.abs(means - plain).max() < 1e-6


def test_bfv_is_exact_on_the_integers():
    """Round 2 by hand, without encryption, from what the hospitals agreed on in round 1: equal to the last bit."""
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    state, _ = aggregator.aggregate(state, updates(1), PATIENTS, ledger)
    layout, vectors = state.layout, {name: 0.5 * vector for name, vector in updates(1).items()}
    state, mean = aggregator.aggregate(state, vectors, PATIENTS, ledger)
    assert state.agreements == 1
    numbers = [PATIENTS[name] * np.concatenate([state.bounds[name], vectors[name]]) for name in PATIENTS]
    integers = np.sum([layout.encode(number) for number in numbers], axis=0)
    assert np.array_equal(mean, layout.decode(integers)[2:] / np.float64(sum(PATIENTS.values())))


def test_bfv_is_reproducible_although_keys_and_ciphertexts_are_random():
    first, _, state, _ = train(EncryptedMean("bfv"), range(1, 6))
    second, _, other, _ = train(EncryptedMean("bfv"), range(1, 6))
    assert state.keys.secret != other.keys.secret
    assert np.array_equal(first, second)


def test_ckks_is_reproducible_to_a_tolerance():
    first, second = (train(EncryptedMean("ckks"), range(1, 4))[0] for _ in range(2))
    assert 0 < np.abs(first - second).max() < 1e-8


def test_the_order_of_hospitals_does_not_matter():
    backward = dict(reversed(PATIENTS.items()))
    aggregator, ledger, means = EncryptedMean("bfv"), Ledger(), []
    for names in (PATIENTS, backward):
        state = aggregator.start(list(names), SHAPES, ledger)
        vectors = {name: updates(1)[name] for name in names}
        means.append(aggregator.aggregate(state, vectors, names, ledger)[1])
    assert np.array_equal(*means)


def test_a_small_hospital_with_large_updates_is_not_cut():
    weights = {"large": 5000, "small": 12}
    vectors = {"large": np.full(14, 1e-3), "small": np.full(14, 20.0)}
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(weights), SHAPES, ledger)
    for _ in range(2):
        state, mean = aggregator.aggregate(state, vectors, weights, ledger)
        assert np.abs(mean - plain_mean(vectors, weights)).max() < 1e-6
    assert state.agreements == 1


@pytest.mark.parametrize("before", [0.0, 1e-3])
def test_updates_that_outgrow_their_bound_are_agreed_on_again(before):
    aggregator, ledger = EncryptedMean("bfv", growth=2.0), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    for size, agreements in [(before, 1), (5.0, 2), (5.0, 2), (9.9, 2)]:
        vectors = {name: np.full(14, size) for name in PATIENTS}
        state, mean = aggregator.aggregate(state, vectors, PATIENTS, ledger)
        assert state.agreements == agreements
        assert np.abs(mean - size).max() < 1e-6


def test_a_hospital_may_stay_away_or_change():
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    without = {name: patients for name, patients in PATIENTS.items() if name != "Hungary"}
    larger = PATIENTS | {"Switzerland": 8600}
    for weights in (PATIENTS, without, larger):
        vectors = updates(1, names=weights)
        state, mean = aggregator.aggregate(state, vectors, weights, ledger)
        assert np.abs(mean - plain_mean(vectors, weights)).max() < 1e-6
    assert state.agreements == 3


def test_more_fields_make_fewer_bytes_and_coarser_steps():
    shapes, rounds = [(300, 200)], [1, 2]
    fine, plain, _, fine_ledger = train(EncryptedMean("bfv", fields=2), rounds, shapes)
    coarse, _, _, coarse_ledger = train(EncryptedMean("bfv", fields=4), rounds, shapes)
    sizes = [
        ledger[ledger["round"] == 2].query("phase == 'send'")["bytes"].sum() for ledger in (fine_ledger, coarse_ledger)
    ]
    assert 0.4 < sizes[1] / sizes[0] < 0.6
    assert np.abs(fine - plain).max() < 1e-6 < np.abs(coarse - plain).max() < 1e-2


@pytest.mark.parametrize("hospitals", [1, 25, 400])
def test_any_number_of_hospitals(hospitals):
    weights = {f"hospital {number}": 1 + number % 50 for number in range(hospitals)}
    means, plain, _, _ = train(EncryptedMean("bfv"), [1], weights=weights)
    assert np.abs(means - plain).max() < (1e-4 if hospitals > 24 else 1e-6)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
def test_the_ledger_counts_every_byte(scheme):
    _, _, state, ledger = train(EncryptedMean(scheme), [1, 1])
    keys = ledger[ledger["phase"] == "keys"]
    assert keys["round"].unique().tolist() == [0]
    assert keys[keys["direction"] == "up"][["hospital", "bytes"]].to_numpy().tolist() == [
        ["Cleveland", len(state.keys.public)]
    ]
    peers = keys[keys["direction"] == "peer"]
    assert peers["hospital"].tolist() == list(PATIENTS)[1:]
    assert set(peers["bytes"]) == {len(state.keys.secret)}

    last = ledger[ledger.index > ledger[ledger["phase"] == "decrypt"].index[-5]]  # the second of the rounds
    message = len(state.keys.encrypt(np.ones(10), 1))  # one ciphertext, like 14 numbers and their bounds
    assert last[last["phase"] == "send"].groupby(["direction", "hospital"]).size().tolist() == [1] * 8
    assert last[last["phase"] == "send"]["bytes"].between(message - 50, message + 50).all()
    for phase, who in [("encrypt", list(PATIENTS)), ("add", ["server"]), ("decrypt", list(PATIENTS))]:
        rows = last[last["phase"] == phase]
        assert rows["hospital"].tolist() == who
        assert (rows["seconds"] > 0).all()
    messages = ledger[(ledger["round"] == 1) & (ledger["direction"] == "up")]
    assert len(messages) == 4 * (3 if scheme == "bfv" else 2)  # with BFV, one message of bounds before the first round


def test_names_say_the_scheme():
    assert [EncryptedMean().name, EncryptedMean("ckks").name] == ["BFV", "CKKS"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"scheme": "rsa"}, "choose one of bfv, ckks"),
        ({"fields": 5}, "change `fields`"),
        ({"growth": 0.5}, "change `growth`"),
        ({"growth": float("nan")}, "change `growth`"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        EncryptedMean(**settings)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize(
    ("change", "weight", "sentence"),
    [
        (np.ones(13), 140, "VA Long Beach: 14 numbers"),
        (np.full(14, np.nan), 140, "VA Long Beach: .* nan"),
        (np.full(14, np.inf), 140, "VA Long Beach: .* inf"),
        (np.full(14, 1e12), 140, "VA Long Beach: .*diverge"),
        (np.ones(14), 0.5, "VA Long Beach: .*whole number"),
        (np.ones(14), None, "VA Long Beach: .*weight is None"),
    ],
)
def test_the_hospital_at_fault_is_named(scheme, change, weight, sentence):
    aggregator, ledger = EncryptedMean(scheme), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    weights = {**PATIENTS, "VA Long Beach": weight}
    if weight is None:
        del weights["VA Long Beach"]
    with pytest.raises(ValueError, match=sentence):
        aggregator.aggregate(state, {**updates(1), "VA Long Beach": change}, weights, ledger)


def test_no_room_is_said_at_the_start():
    with pytest.raises(ValueError, match="no room"):
        EncryptedMean("bfv", fields=4).start([f"hospital {n}" for n in range(6000)], SHAPES, Ledger())
    with pytest.raises(ValueError, match="at least one"):
        EncryptedMean().start([], SHAPES, Ledger())
