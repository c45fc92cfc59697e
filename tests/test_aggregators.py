import json

import numpy as np
import pytest

from fedkit import aggregators
from fedkit.aggregators import EncryptedMean, Mean
from fedkit.encryption import envelopes
from fedkit.encryption.messages import LARGE_SUM, SUM, MessageError, contains_plaintext
from fedkit.records import Ledger

PATIENTS = {"Cleveland": 212, "Hungary": 205, "Switzerland": 86, "VA Long Beach": 140}
SHAPES = {"kernel": (13, 1), "bias": (1,)}
SCHEMES = ["bfv", "ckks"]


def updates(round_=1, size=14, names=PATIENTS):
    rng = np.random.default_rng(round_)
    return {name: rng.normal(size=size) / round_ for name in names}


def plain_mean(vectors, weights=PATIENTS):
    return aggregators.weighted_mean([vectors[name] for name in weights], list(weights.values()))


def train(aggregator, rounds, shapes=SHAPES, weights=PATIENTS, size=1.0):
    """Rounds of random updates (the same for the same number): means, plain means, the last state, the ledger."""
    ledger, means, plain = Ledger(), [], []
    state = aggregator.start(list(weights), shapes, ledger)
    for round_ in rounds:
        ledger.round, numbers = round_, sum(int(np.prod(shape)) for shape in shapes.values())
        vectors = {name: size * vector for name, vector in updates(round_, numbers, weights).items()}
        state, mean = aggregator.aggregate(state, vectors, weights, ledger)
        means.append(mean)
        plain.append(plain_mean(vectors, weights))
    return np.array(means), np.array(plain), state, ledger.frame()


def without(name):
    return {other: patients for other, patients in PATIENTS.items() if other != name}


class Network:
    """Keeps what was sent, and delivers `change` of it: ``change(number of the message, sender, message)``."""

    def __init__(self, change=lambda number, sender, message: message):
        self.sent, self.change = [], change

    def __call__(self, sender, message):
        self.sent.append((sender, message))
        return self.change(len(self.sent) - 1, sender, message)


def flipped(message, at=-1):
    return message[:at] + bytes([message[at] ^ 1]) + message[at:][1:]


def test_mean_is_the_weighted_mean_of_float32():
    means, plain, _, ledger = train(Mean(), [1])
    assert np.abs(means - plain).max() < 1e-7
    assert ledger.groupby("direction")["bytes"].sum().to_dict() == {"": 0, "down": 4 * 14 * 4, "up": 4 * 14 * 4}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shapes", [{"bias": (1,)}, SHAPES, {"1": (70, 60), "2": (60,), "3": (60, 1), "4": (1,)}])
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
    integers = np.sum([layout.encode(PATIENTS[name] * vectors[name]) for name in PATIENTS], axis=0)
    assert np.array_equal(mean, layout.decode(integers) / np.float64(sum(PATIENTS.values())))


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "feedback"])
def test_bfv_is_reproducible_although_keys_and_ciphertexts_are_random(rounding):
    first, _, state, _ = train(EncryptedMean("bfv", bits=12, rounding=rounding), range(1, 6))
    second, _, other, _ = train(EncryptedMean("bfv", bits=12, rounding=rounding), range(1, 6))
    assert state.keys.secret != other.keys.secret
    assert np.array_equal(first, second)


def test_ckks_is_reproducible_to_a_tolerance():
    first, second = (train(EncryptedMean("ckks"), range(1, 4))[0] for _ in range(2))
    assert 0 < np.abs(first - second).max() < 1e-6


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
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    for size, agreements in [(before, 1), (5.0, 2), (5.0, 2), (9.9, 2)]:
        vectors = {name: np.full(14, size) for name in PATIENTS}
        state, mean = aggregator.aggregate(state, vectors, PATIENTS, ledger)
        assert state.agreements == agreements
        assert np.abs(mean - size).max() < 1e-6


@pytest.mark.parametrize("bits", [4, 12, 26, 52])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "feedback"])
def test_updates_that_stay_at_their_bound_fit(bits, rounding, monkeypatch):
    """Without growth, everybody is at the bound at once, round after round, all on the same side."""
    monkeypatch.setattr(aggregators, "_GROWTH", 1.0)
    aggregator, ledger = EncryptedMean("bfv", bits=bits, rounding=rounding), Ledger()
    weights = {"Basel": 1, "Bern": 77}
    for size in (1e-7, 0.1, 1e5):
        state = aggregator.start(list(weights), SHAPES, ledger)
        for _ in range(3):
            vectors = {"Basel": np.full(14, size), "Bern": np.full(14, size)}
            state, mean = aggregator.aggregate(state, vectors, weights, ledger)
            assert np.abs(mean / size - 1).max() < 3 / 2 ** (bits - 2)


def test_a_hospital_may_stay_away_or_change():
    """Its patients count in what was agreed on, so each change is agreed on first; then nothing is, while all stay."""
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    larger = PATIENTS | {"Switzerland": 8600}
    for agreements, weights in enumerate([PATIENTS, without("Hungary"), larger, PATIENTS], start=1):
        for _ in range(2):
            vectors = {name: updates(1)[name] for name in weights}
            state, mean = aggregator.aggregate(state, vectors, weights, ledger)
            assert np.abs(mean - plain_mean(vectors, weights)).max() < 1e-6
            assert state.agreements == agreements


def test_a_layer_that_did_not_move_may_move():
    aggregator, ledger = EncryptedMean("bfv"), Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    for size in (0.0, 0.9):
        state, mean = aggregator.aggregate(state, {name: np.full(14, size) for name in PATIENTS}, PATIENTS, ledger)
        assert np.abs(mean - size).max() < 1e-6
    assert state.agreements == 1


def test_fewer_bits_make_fewer_bytes_and_coarser_steps():
    shapes, rounds = {"kernel": (300, 200)}, [1, 2]
    fine, plain, _, fine_ledger = train(EncryptedMean("bfv", bits=26), rounds, shapes)
    coarse, _, _, coarse_ledger = train(EncryptedMean("bfv", bits=12), rounds, shapes)
    for direction, fine_most, coarse_most in [("up", 4 * 60_000, 1.75 * 60_000), ("down", 4 * 60_000, 1.8 * 60_000)]:
        query = f"round == 2 and phase == 'send' and direction == '{direction}'"
        assert fine_ledger.query(query)["bytes"].max() < fine_most
        assert coarse_ledger.query(query)["bytes"].max() < coarse_most
    assert np.abs(fine - plain).max() < 1e-6 < np.abs(coarse - plain).max() < 0.02


def test_patients_are_never_rounded_at_random():
    patients = {name: 100 + number for number, name in enumerate(("a", "b", "c"))}
    updates = {name: np.random.default_rng(number).normal(size=5) for number, name in enumerate(patients)}
    mean, ledger = EncryptedMean(bits=6, rounding="stochastic"), Ledger()
    state = mean.start(list(patients), {"kernel": (5,)}, ledger)
    for ledger.round in range(1, 200):  # decrypting refuses a number of patients that is not whole
        state, _ = mean.aggregate(state, updates, patients, ledger)
        updates = {name: -0.99 * update for name, update in updates.items()}


def test_stochastic_rounding_is_right_on_average():
    """About the same update, again and again: the errors of few bits cancel out, and those of nearest stay."""
    rounds, weights = 16, {"Basel": 10, "Bern": 30}
    vectors = updates(1, 1000, weights)
    single, together, bias = {}, {}, {}
    for rounding in ("nearest", "stochastic"):
        aggregator, ledger, errors = EncryptedMean("bfv", bits=6, rounding=rounding), Ledger(), []
        state = aggregator.start(list(weights), {"kernel": (1000,)}, ledger)
        for nudge in np.arange(rounds) * 1e-9:  # what is rounded up follows from the numbers
            nudged = {name: vector + nudge for name, vector in vectors.items()}
            state, mean = aggregator.aggregate(state, nudged, weights, ledger)
            errors.append(mean - plain_mean(nudged, weights))
        single[rounding] = np.std(errors)
        together[rounding] = np.std(np.mean(errors[1:], axis=0))  # the first step is not yet as fine
        bias[rounding] = abs(np.mean(errors))
    assert together["nearest"] > 0.9 * single["nearest"]
    assert together["stochastic"] < 1.5 * single["stochastic"] / np.sqrt(rounds)
    assert bias["stochastic"] < 4 * single["stochastic"] / np.sqrt(1000 * rounds)


def test_feedback_wins_back_what_few_bits_cost():
    """Updates with small and large numbers: rounded to the nearest, the small ones never arrive."""
    weights, rounds = {"Basel": 10, "Bern": 30}, 40
    update = np.array([1.0] + [0.01] * 12 + [0.02])
    sums = {}
    for rounding in ("nearest", "feedback"):
        aggregator, ledger = EncryptedMean("bfv", bits=6, rounding=rounding), Ledger()
        state = aggregator.start(list(weights), SHAPES, ledger)
        sums[rounding] = np.zeros(14)
        for _ in range(rounds):
            state, mean = aggregator.aggregate(state, dict.fromkeys(weights, update), weights, ledger)
            sums[rounding] += mean
    errors = {rounding: np.abs(total / rounds - update)[1:13].max() for rounding, total in sums.items()}
    assert errors["nearest"] == pytest.approx(0.01)
    assert errors["feedback"] < 0.004  # a step, over all rounds


@pytest.mark.parametrize(("hospitals", "bits", "tolerance"), [(1, 26, 1e-6), (25, 26, 1e-5), (200, 14, 0.02)])
def test_any_number_of_hospitals(hospitals, bits, tolerance):
    weights = {f"hospital {number}": 1 + number % 50 for number in range(hospitals)}
    network = Network()
    means, plain, _, _ = train(EncryptedMean("bfv", bits=bits, network=network), [1, 2], weights=weights)
    assert np.abs(means - plain).max() < tolerance
    kinds = {message.partition(b"FKM2")[2][0] for sender, message in network.sent if sender == "server"}
    assert kinds == {LARGE_SUM if hospitals == 200 else SUM}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_ledger_counts_every_byte(scheme):
    network = Network()
    _, _, state, ledger = train(EncryptedMean(scheme, network=network), [1, 2])
    keys = ledger[ledger["phase"] == "keys"]
    assert keys["round"].unique().tolist() == [0]
    handed = keys.groupby(["direction", "hospital"])["bytes"].sum()
    maker, *others = PATIENTS
    assert handed["up"].to_dict() == {maker: 32 + len(state.keys.public)} | dict.fromkeys(others, 32)
    assert handed["peer"].to_dict() == {maker: 3 * 32} | dict.fromkeys(others, 3 * 32 + len(state.keys.secret))
    assert handed["down"].to_dict() == dict.fromkeys(PATIENTS, 32)

    sent = ledger[ledger["phase"] == "send"]
    up = [(name, len(message)) for name, message in network.sent if name != "server"]
    down = [len(message) for name, message in network.sent if name == "server"]
    assert list(zip(*(sent[sent["direction"] == "up"][key] for key in ("hospital", "bytes")), strict=True)) == up
    assert sent[sent["direction"] == "down"]["bytes"].tolist() == [size for size in down for _ in PATIENTS]
    assert len(up) == 4 * (2 + state.agreements)
    assert bool(state.agreements) == (scheme == "bfv")
    work = ledger[ledger["seconds"] > 0].groupby("phase")["hospital"].agg(list)
    times = 2 + state.agreements
    assert work["encrypt"] == work["decrypt"] == list(PATIENTS) * times
    assert set(work["add"]) == {"server"}
    if scheme == "bfv":
        assert max(up[-1][1], down[-1]) < 800, "a small model must not cost kilobytes"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_message_holds_an_update_and_the_check_can_tell(scheme):
    network = Network()
    means, *_ = train(EncryptedMean(scheme, network=network), [1])
    assert {sender for sender, _ in network.sent} == {*PATIENTS, "server"}
    seen = b"".join(message for _, message in network.sent)
    mean, patients = means[0], np.array(list(PATIENTS.values()), float)
    for vector in (*updates(1).values(), mean, mean * patients.sum()):
        assert not contains_plaintext(seen, vector)
    for name, vector in updates(1).items():
        assert not contains_plaintext(seen, vector * PATIENTS[name])
    network = Network()
    train(EncryptedMean(scheme, network=network, in_the_clear=["kernel"]), [1])
    seen = b"".join(message for _, message in network.sent)
    assert contains_plaintext(seen, PATIENTS["Hungary"] * updates(1)["Hungary"][:13])
    assert not contains_plaintext(seen, PATIENTS["Hungary"] * updates(1)["Hungary"][13:])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_layers_in_the_clear_are_what_the_server_reads_and_no_more(scheme):
    network = Network()
    means, plain, state, ledger = train(EncryptedMean(scheme, network=network, in_the_clear=["bias"]), [1, 2])
    assert np.abs(means - plain).max() < 1e-6
    assert state.hidden.tolist() == [True] * 13 + [False]
    clear = ledger[ledger["phase"] == "clear"]
    assert clear.groupby("direction").size().to_dict() == {"up": 8, "down": 8}
    readable = [message for _, message in network.sent if b'"purpose":"clear"' in message]
    assert [len(message) for message in readable] == clear.query("direction == 'up'")["bytes"].tolist()
    values = [np.frombuffer(message[-4:], "<f4")[0] for message in readable]
    expected = [PATIENTS[name] * updates(round_)[name][13] for round_ in (1, 2) for name in PATIENTS]
    assert values == pytest.approx(expected)


def disturbed(scheme="bfv", rounds=(1, 2), weights=PATIENTS, **how):
    """Aggregate with a network that may change what is sent: means, state, and what the ledger says was refused."""
    means, _, state, ledger = train(EncryptedMean(scheme, **how), rounds, weights=weights)
    return means, state, ledger[ledger["phase"] == "refused"]


def forged(state, purpose, round_, sender, content, hospitals=None):
    """A message by somebody who has the key to sign it."""
    about = envelopes.About(state.keys.key_id.hex(), purpose, round_, sender, hospitals or (sender,))
    return envelopes.sign(content, about, state.identities[sender])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "damage",
    [flipped, lambda message: flipped(message, 100), lambda message: message[:-1], lambda m: m + b"x", lambda m: b""],
    ids=["flipped", "head flipped", "cut", "longer", "lost"],
)
def test_a_message_tampered_with_is_left_out_and_the_round_goes_on(scheme, damage):
    def change(number, sender, message):
        return damage(message) if sender == "Hungary" and b'"round":2' in message else message

    means, _, refused = disturbed(scheme, [1, 2, 3], network=Network(change))
    assert set(refused["hospital"]) == {"Hungary"}
    assert refused["round"].tolist() == [2]
    assert refused["direction"].tolist() == ["up"]
    for round_, weights in [(1, PATIENTS), (2, without("Hungary")), (3, PATIENTS)]:
        assert np.abs(means[round_ - 1] - plain_mean(updates(round_), weights)).max() < 1e-6


def test_a_round_without_a_hospital_is_the_round_in_which_it_was_refused():
    """Refused in the first message of each round, Hungary leaves no trace: the same bits as if it had stayed away."""
    damaged = Network(lambda number, sender, message: flipped(message) if sender == "Hungary" else message)
    means, state, refused = disturbed(network=damaged)
    assert refused["hospital"].tolist() == ["Hungary"] * 2
    aggregator, ledger, others = EncryptedMean("bfv"), Ledger(), without("Hungary")
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    for round_ in (1, 2):
        vectors = {name: updates(round_)[name] for name in others}
        state, mean = aggregator.aggregate(state, vectors, others, ledger)
        assert np.array_equal(mean, means[round_ - 1])


@pytest.mark.parametrize(
    ("scheme", "source"),
    [
        ("bfv", ("Hungary", "update", 1)),
        ("ckks", ("Hungary", "update", 1)),
        ("bfv", ("Cleveland", "update", 2)),
        ("bfv", ("Hungary", "bounds", 2)),
    ],
)
def test_a_message_sent_again_is_refused(scheme, source):
    kept = {}

    def change(number, sender, message):
        about = json.loads(message[70 : 70 + int.from_bytes(message[68:70], "little")])
        kept[sender, about["purpose"], about["round"]] = message
        return kept[source] if (sender, about["purpose"], about["round"]) == ("Hungary", "update", 2) else message

    means, _, refused = disturbed(scheme, network=Network(change))
    assert list(zip(refused["round"], refused["hospital"], strict=True)) == [(2, "Hungary")]
    assert np.abs(means[1] - plain_mean(updates(2), without("Hungary"))).max() < 1e-6


def test_nobody_sends_for_others():
    """Signed by Hungary's own key, but under another name, for others, or as a sum."""
    state = None

    def change(number, sender, message):
        if sender != "Hungary":
            return message
        content = message[70 + int.from_bytes(message[68:70], "little") :]
        return forged(state, "update", 1, sender, content, ("Hungary", "Cleveland"))

    aggregator, ledger = EncryptedMean("ckks", network=Network(change)), Ledger()
    state, ledger.round = aggregator.start(list(PATIENTS), SHAPES, ledger), 1
    _, mean = aggregator.aggregate(state, updates(1), PATIENTS, ledger)
    assert np.abs(mean - plain_mean(updates(1), without("Hungary"))).max() < 1e-6
    assert ledger.frame().query("phase == 'refused'")["hospital"].tolist() == ["Hungary"]


def test_the_first_message_does_not_decide_how_long_the_others_are():
    """A CKKS message fills its ciphertext: one coefficient more or less is as long. Only Cleveland is refused."""
    state = None

    def change(number, sender, message):
        if sender != "Cleveland":
            return message
        content = bytearray(message[70 + int.from_bytes(message[68:70], "little") :])
        content[23] += 1
        return forged(state, "update", 1, sender, bytes(content))

    aggregator, ledger = EncryptedMean("ckks", network=Network(change)), Ledger()
    state, ledger.round = aggregator.start(list(PATIENTS), SHAPES, ledger), 1
    _, mean = aggregator.aggregate(state, updates(1), PATIENTS, ledger)
    assert np.abs(mean - plain_mean(updates(1), without("Cleveland"))).max() < 1e-6
    assert ledger.frame().query("phase == 'refused'")["hospital"].tolist() == ["Cleveland"]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_in_the_clear_that_are_not_finite_are_refused(number):
    state = None

    def change(count, sender, message):
        hostile = sender == "Hungary" and b'"purpose":"clear"' in message
        return forged(state, "clear", 1, sender, np.float32(number).tobytes()) if hostile else message

    aggregator, ledger = EncryptedMean("ckks", network=Network(change), in_the_clear=["bias"]), Ledger()
    state, ledger.round = aggregator.start(list(PATIENTS), SHAPES, ledger), 1
    _, mean = aggregator.aggregate(state, updates(1), PATIENTS, ledger)
    assert np.abs(mean - plain_mean(updates(1), without("Hungary"))).max() < 1e-6
    assert ledger.frame().query("phase == 'refused'")["hospital"].tolist() == ["Hungary"] * 2


@pytest.mark.parametrize(
    "hospitals", [("Cleveland", "Bern", "Hungary", "VA Long Beach"), ("Cleveland", "Hungary"), ("Cleveland",)]
)
def test_an_answer_about_other_hospitals_than_it_sums_is_refused(hospitals):
    """By a hostile server, which signs what it likes."""
    state = None

    def change(number, sender, message):
        if sender != "server":
            return message
        content = message[70 + int.from_bytes(message[68:70], "little") :]
        return forged(state, "bounds", 1, sender, content, hospitals)

    aggregator, ledger = EncryptedMean(network=Network(change)), Ledger()
    state, ledger.round = aggregator.start(list(PATIENTS), SHAPES, ledger), 1
    with pytest.raises(MessageError, match="The server says that it added up Cleveland"):
        aggregator.aggregate(state, updates(1), PATIENTS, ledger)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (["server"], "not signed with server's key"),
        (PATIENTS, "No hospital's message could be taken in round 1"),
        (list(PATIENTS)[1:], "no sum of 2: opening it would show a single hospital's update"),
    ],
)
def test_where_nothing_can_be_told_the_round_ends(scheme, who, sentence):
    network = Network(lambda number, sender, message: flipped(message) if sender in who else message)
    with pytest.raises(MessageError, match=sentence):
        disturbed(scheme, network=network)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("aggregator", [Mean, EncryptedMean])
def test_a_total_is_the_sum(scheme, aggregator):
    aggregator = aggregator(scheme) if aggregator is EncryptedMean else aggregator()
    ledger = Ledger()
    state = aggregator.start(list(PATIENTS), SHAPES, ledger)
    numbers = {name: np.array([patients, 0.1, -1e9 / 3, 2.0**40]) for name, patients in PATIENTS.items()}
    total = aggregator.total(state, "statistics", numbers, ledger)
    assert np.rint(total[[0, 3]]).tolist() == [sum(PATIENTS.values()), 2.0**42]
    assert total == pytest.approx(np.sum(list(numbers.values()), axis=0), rel=1e-15, abs=4 * 2.0**-41)
    sent = ledger.frame().query("phase == 'send'")
    assert sent.groupby("direction").size().to_dict() == {"up": 4, "down": 4}


def test_names_say_the_scheme():
    assert [EncryptedMean().name, EncryptedMean("ckks").name] == ["BFV", "CKKS"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"scheme": "rsa"}, "choose one of bfv, ckks"),
        ({"bits": 53}, "4 to 52 bits"),
        ({"rounding": "up"}, "'up' is not one of nearest, stochastic, feedback"),
        ({"rounding": "feedback", "scheme": "ckks"}, "only BFV rounds"),
    ],
)
def test_bad_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        EncryptedMean(**settings)


@pytest.mark.parametrize(
    ("hospitals", "settings", "sentence"),
    [
        ([f"hospital {number}" for number in range(600)], {"bits": 12}, "no room for the sum of 600 hospitals"),
        ([], {}, "at least one hospital"),
        (["Basel", "server"], {}, "none may be called 'server'"),
        (["Basel"], {"in_the_clear": ["head"]}, "no layer 'head' to leave in the clear; it has kernel, bias"),
        (["Basel"], {"in_the_clear": ["kernel", "bias"]}, "Every layer would travel in the clear"),
    ],
)
def test_what_cannot_start_says_so(hospitals, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        EncryptedMean(**settings).start(hospitals, SHAPES, Ledger())


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("change", "weight", "sentence"),
    [
        (np.ones(13), 140, "VA Long Beach: 14 numbers"),
        (np.full(14, np.nan), 140, "VA Long Beach: .* nan"),
        (np.full(14, np.inf), 140, "VA Long Beach: .* inf"),
        (np.full(14, 1e30), 140, "VA Long Beach: .*diverge"),
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
