import json

import numpy as np
import pytest
from playing import PATIENTS, SHAPES, Training
from tampering import Sent, flipped, inside

from fedkit import aggregators
from fedkit.aggregators import EncryptedMean, Mean, Wrapped
from fedkit.chapters.robust import Median
from fedkit.encryption.messages import LARGE_SUM, SUM, MessageError, contains_plaintext
from fedkit.records import Ledger

TWO = {"Basel": 10, "Bern": 30}
both = pytest.mark.parametrize("scheme", ["bfv", "ckks"])


def updates(round_=1, size=14, names=PATIENTS):
    """Random ones, smaller in each round, and the same for the same number."""
    rng = np.random.default_rng(round_)
    return {name: rng.normal(size=size) / round_ for name in names}


def plain_mean(vectors, weights=PATIENTS):
    return aggregators.weighted_mean([vectors[name] for name in weights], list(weights.values()))


def train(aggregator, rounds, shapes=SHAPES, weights=PATIENTS):
    """Some rounds: means, plain means, the training, its ledger."""
    training, means, plain = Training(aggregator, weights, shapes), [], []
    for round_ in range(1, rounds + 1):
        vectors = updates(round_, sum(int(np.prod(shape)) for shape in shapes.values()), weights)
        means.append(training.play(vectors, weights))
        plain.append(plain_mean(vectors, weights))
    return np.array(means), np.array(plain), training, training.ledger.frame()


def without(name):
    return {other: patients for other, patients in PATIENTS.items() if other != name}


class Network:
    """Keeps what was sent."""

    def __init__(self):
        self.sent = []

    def __call__(self, sender, message):
        self.sent.append((sender, message))
        return message


def about(message):
    return json.loads(inside(message)[0])


def test_mean_is_the_weighted_mean_of_float32():
    means, plain, _, ledger = train(Mean(), 1)
    assert np.abs(means - plain).max() < 1e-7
    assert ledger.groupby("direction")["bytes"].sum().to_dict() == {"": 0, "down": 4 * 14 * 4, "up": 4 * 14 * 4}


@both
@pytest.mark.parametrize("shapes", [{"bias": (1,)}, SHAPES, {"1": (70, 60), "2": (60,), "3": (60, 1), "4": (1,)}])
def test_encrypted_mean_is_the_plain_mean(scheme, shapes):
    means, plain, _, _ = train(EncryptedMean(scheme), 5, shapes)
    assert np.abs(means - plain).max() < 1e-6


class Noisy(EncryptedMean):
    """Where a hospital's noise joins, whole steps of it: on the integers that are encrypted."""

    reach = property(lambda self: 8.5, lambda self, value: None)

    def dither(self, vector):
        return self

    def random(self, size):
        return 0.5 + np.resize([8, -8], size)


@pytest.mark.parametrize(("kind", "noise"), [(EncryptedMean, 0), (Noisy, 8)])
def test_bfv_is_exact_on_the_integers_noise_included(kind, noise):
    """Round 2 by hand, without encryption, from what the hospitals agreed on in round 1: equal to the last bit."""
    training = Training(kind("bfv"))
    training.play(updates(1))
    layout, vectors = training.state.layout, {name: 0.5 * vector for name, vector in updates(1).items()}
    mean = training.play(vectors)
    assert training.state.agreements == 1
    added = np.concatenate([np.resize([noise, -noise], layer.size) * layer.step for layer in layout.layers])
    whole = [layout.encode(PATIENTS[name] * vectors[name]) + layout.encode(added) for name in PATIENTS]
    assert np.array_equal(mean, layout.decode(np.sum(whole, axis=0)) / np.float64(sum(PATIENTS.values())))


@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "feedback"])
def test_bfv_is_reproducible_although_keys_and_ciphertexts_are_random(rounding):
    first, _, one, _ = train(EncryptedMean("bfv", bits=12, rounding=rounding), 5)
    second, _, other, _ = train(EncryptedMean("bfv", bits=12, rounding=rounding), 5)
    assert one.state.keys.secret != other.state.keys.secret
    assert np.array_equal(first, second)


def test_ckks_is_reproducible_to_a_tolerance():
    first, second = (train(EncryptedMean("ckks"), 3)[0] for _ in range(2))
    assert 0 < np.abs(first - second).max() < 1e-6


def test_the_order_of_hospitals_does_not_matter():
    orders = [PATIENTS, dict(reversed(PATIENTS.items()))]
    means = [
        Training(EncryptedMean(), names).play({name: updates()[name] for name in names}, names) for names in orders
    ]
    assert np.array_equal(*means)


def test_a_small_hospital_with_large_updates_is_not_cut():
    weights, vectors = {"large": 5000, "small": 12}, {"large": np.full(14, 1e-3), "small": np.full(14, 20.0)}
    training = Training(EncryptedMean("bfv"), weights)
    means = [training.play(vectors, weights) for _ in range(2)]
    assert np.abs(means - plain_mean(vectors, weights)).max() < 1e-6
    assert training.state.agreements == 1


CHANGING = [PATIENTS, without("Hungary"), PATIENTS | {"Switzerland": 8600}, PATIENTS]


@pytest.mark.parametrize(
    "rounds",  # who takes part, the size of the updates, and how often bounds were agreed on by then
    [
        [(PATIENTS, 0.0, 1), (PATIENTS, 5.0, 2), (PATIENTS, 5.0, 2), (PATIENTS, 9.9, 2)],
        [(PATIENTS, 1e-3, 1), (PATIENTS, 5.0, 2), (PATIENTS, 9.9, 2), (PATIENTS, 10.0, 2), (PATIENTS, 21.0, 3)],
        [(PATIENTS, 0.0, 1), (PATIENTS, 0.9, 1)],  # what did not move may move
        [(PATIENTS, 1.0, 1), (PATIENTS, 0.1, 1), (PATIENTS, 0.9, 1)],  # an old bound is given up slowly
        [(weights, 1.0, count) for count, weights in enumerate(CHANGING, start=1) for _ in range(2)],
    ],
)
def test_bounds_are_agreed_on_when_updates_outgrow_them_or_hospitals_change(rounds):
    training = Training(EncryptedMean("bfv"))
    for weights, size, agreements in rounds:
        vectors = dict.fromkeys(weights, np.linspace(-size, size / 2, 14))
        assert np.abs(training.play(vectors, weights) - plain_mean(vectors, weights)).max() < 1e-6 * max(size, 1)
        assert training.state.agreements == agreements


@pytest.mark.parametrize("bits", [4, 12, 26, 52])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "feedback"])
def test_updates_that_stay_at_their_bound_fit(bits, rounding, monkeypatch):
    """Without growth, everybody is at the bound at once, round after round, all on the same side."""
    monkeypatch.setattr(aggregators, "_GROWTH", 1.0)
    weights = {"Basel": 1, "Bern": 77}
    for size in (1e-7, 0.1, 1e5):
        training = Training(EncryptedMean("bfv", bits=bits, rounding=rounding), weights)
        means = [training.play(dict.fromkeys(weights, np.full(14, size)), weights) for _ in range(3)]
        assert np.abs(np.array(means) / size - 1).max() < 3 / 2 ** (bits - 2)


def test_fewer_bits_make_fewer_bytes_and_coarser_steps():
    fine, plain, _, fine_ledger = train(EncryptedMean("bfv", bits=26), 2, {"kernel": (300, 200)})
    coarse, _, _, coarse_ledger = train(EncryptedMean("bfv", bits=12), 2, {"kernel": (300, 200)})
    for direction, fine_most, coarse_most in [("up", 4 * 60_000, 1.75 * 60_000), ("down", 4 * 60_000, 1.8 * 60_000)]:
        query = f"round == 2 and phase == 'send' and direction == '{direction}'"
        assert fine_ledger.query(query)["bytes"].max() < fine_most
        assert coarse_ledger.query(query)["bytes"].max() < coarse_most
    assert np.abs(fine - plain).max() < 1e-6 < np.abs(coarse - plain).max() < 0.02


def test_patients_are_never_rounded_at_random():
    """So many that a random number next to 1 would make one more: decrypting refuses what is not whole."""
    weights = {"a": 1300, "b": 1301, "c": 1302}
    training = Training(EncryptedMean(bits=6, rounding="stochastic"), weights, {"kernel": (5,)})
    for round_ in range(1, 31):
        training.play(updates(round_, 5, weights), weights)


def test_stochastic_rounding_is_right_on_average():
    """About the same update, again and again: the errors of few bits cancel out, and those of nearest stay."""
    rounds, vectors = 16, updates(1, 1000, TWO)
    single, together, bias = {}, {}, {}
    for rounding in ("nearest", "stochastic"):
        training, errors = Training(EncryptedMean("bfv", bits=6, rounding=rounding), TWO, {"kernel": (1000,)}), []
        for nudge in np.arange(rounds) * 1e-9:  # what is rounded up follows from the numbers
            nudged = {name: vector + nudge for name, vector in vectors.items()}
            errors.append(training.play(nudged, TWO) - plain_mean(nudged, TWO))
        single[rounding] = np.std(errors)
        together[rounding] = np.std(np.mean(errors[1:], axis=0))  # the first step is not yet as fine
        bias[rounding] = abs(np.mean(errors))
    assert together["nearest"] > 0.9 * single["nearest"]
    assert together["stochastic"] < 1.5 * single["stochastic"] / np.sqrt(rounds)
    assert bias["stochastic"] < 4 * single["stochastic"] / np.sqrt(1000 * rounds)


def test_feedback_wins_back_what_few_bits_cost():
    """Updates with small and large numbers: rounded to the nearest, the small ones never arrive."""
    rounds, update, errors = 40, np.array([1.0] + [0.01] * 12 + [0.02]), {}
    for rounding in ("nearest", "feedback"):
        training = Training(EncryptedMean("bfv", bits=6, rounding=rounding), TWO)
        total = sum(training.play(dict.fromkeys(TWO, update), TWO) for _ in range(rounds))
        errors[rounding] = np.abs(total / rounds - update)[1:13].max()
    assert errors["nearest"] == pytest.approx(0.01)
    assert errors["feedback"] < 0.004  # a step, over all rounds


@pytest.mark.parametrize(("hospitals", "bits", "tolerance"), [(1, 26, 1e-6), (25, 26, 1e-5), (200, 14, 0.02)])
def test_any_number_of_hospitals(hospitals, bits, tolerance):
    weights = {f"hospital {number}": 1 + number % 50 for number in range(hospitals)}
    means, plain, _, _ = train(EncryptedMean("bfv", bits=bits, network=(network := Network())), 1, weights=weights)
    assert np.abs(means - plain).max() < tolerance
    kinds = {message.partition(b"FKM2")[2][0] for sender, message in network.sent if sender == "server"}
    assert kinds == {LARGE_SUM if hospitals == 200 else SUM}


@both
def test_the_ledger_counts_every_byte(scheme):
    network = Network()
    _, _, training, ledger = train(EncryptedMean(scheme, network=network), 2)
    keys, state = ledger[ledger["phase"] == "keys"], training.state
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
    assert work["encrypt"] == work["decrypt"] == list(PATIENTS) * (2 + state.agreements)
    assert set(work["add"]) == {"server"}
    if scheme == "bfv":
        assert max(up[-1][1], down[-1]) < 800, "a small model must not cost kilobytes"


@both
def test_no_message_holds_an_update_and_the_check_can_tell(scheme):
    means, _, training, _ = train(EncryptedMean(scheme, network=(network := Network())), 1)
    assert not hasattr(training.state.server, "secret"), "the server adds, and can open nothing"
    assert {sender for sender, _ in network.sent} == {*PATIENTS, "server"}
    seen = b"".join(message for _, message in network.sent)
    secret = [*updates(1).values(), *(vector * PATIENTS[name] for name, vector in updates(1).items())]
    for vector in (*secret, means[0], means[0] * sum(PATIENTS.values())):
        assert not contains_plaintext(seen, vector)


@both
def test_layers_in_the_clear_are_what_the_server_reads_and_no_more(scheme):
    network = Network()
    means, plain, training, ledger = train(EncryptedMean(scheme, network=network, in_the_clear=["kernel"]), 2)
    assert np.abs(means - plain).max() < 1e-6
    assert training.state.hidden.tolist() == [False] * 13 + [True]
    clear = ledger[ledger["phase"] == "clear"]
    assert clear.groupby("direction").size().to_dict() == {"up": 8, "down": 8}
    assert set(clear.query("direction == 'down'")["bytes"]) == {4 * 13}
    readable = [message for _, message in network.sent if b'"purpose":"clear"' in message]
    assert [len(message) for message in readable] == clear.query("direction == 'up'")["bytes"].tolist()
    expected = [PATIENTS[name] * updates(round_)[name] for round_ in (1, 2) for name in PATIENTS]
    assert np.allclose([np.frombuffer(message[-52:], "<f4") for message in readable], np.array(expected)[:, :13])
    seen = b"".join(message for _, message in network.sent)
    assert [contains_plaintext(seen, expected[1][part]) for part in (slice(13), slice(13, None))] == [True, False]


@both
def test_a_hospital_that_is_refused_leaves_no_trace_and_may_return(scheme):
    """With BFV to the bit, and to what was agreed on: the same as if it had stayed away, and come back in round 3."""

    def network(sender, message):
        return flipped(message) if sender == "Hungary" and about(message)["round"] < 3 else message

    means, plain, training, _ = train(EncryptedMean(scheme, network=network), 3)
    assert training.refused == [(1, "Hungary"), (2, "Hungary")]
    assert training.state.agreements == (3 if scheme == "bfv" else 0)
    absent, others = Training(EncryptedMean(scheme)), without("Hungary")
    for round_ in (1, 2):
        mean = absent.play({name: updates(round_)[name] for name in others}, others)
        assert np.abs(mean - means[round_ - 1]).max() <= (0 if scheme == "bfv" else 1e-6)
    assert np.abs(means[2] - plain[2]).max() < 1e-6


def forged(scheme, who, purpose, forge, **how):
    """A training in whose network somebody with the key to sign it sends something else."""

    def network(sender, message):
        hit = sender == who and about(message)["purpose"] == purpose
        return forge(Sent(message, training.state.identities[sender])) if hit else message

    training = Training(EncryptedMean(scheme, network=network, **how))
    return training


def longer(sent):
    """A CKKS message fills its ciphertext: one coefficient more or less is as long."""
    content = inside(sent.data)[1]
    return sent.again(content=content[:23] + bytes([content[23] + 1]) + content[24:])


@pytest.mark.parametrize(
    ("who", "purpose", "forge"),
    [
        ("Cleveland", "update", longer),  # the first message does not decide how long the others are
        ("Hungary", "clear", lambda sent: sent.again(content=np.float32(np.nan).tobytes())),
        ("Hungary", "clear", lambda sent: sent.again(content=np.float32(np.inf).tobytes())),
        ("Hungary", "clear", lambda sent: sent.again(hospitals=["Hungary", "Cleveland"])),
    ],
)
def test_what_its_own_hospital_signed_and_cannot_be_is_refused(who, purpose, forge):
    training = forged("ckks", who, purpose, forge, in_the_clear=["bias"] if purpose == "clear" else [])
    mean = training.play(updates())
    assert training.refused == [(1, who)] * (2 if purpose == "clear" else 1)
    assert np.abs(mean - plain_mean(updates(), without(who))).max() < 1e-6


@pytest.mark.parametrize("named", [["Cleveland", "Bern", "Hungary", "VA Long Beach"], ["Cleveland", "Hungary"]])
def test_an_answer_about_other_hospitals_than_it_sums_is_refused(named):
    """By a hostile server, which signs what it likes."""
    with pytest.raises(MessageError, match="The server says that it added up Cleveland"):
        forged("bfv", "server", "bounds", lambda sent: sent.again(hospitals=named)).play(updates())


@both
@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (["server"], "not signed with server's key"),
        (PATIENTS, "No hospital's message could be taken in round 1"),
        (list(PATIENTS)[1:], "no sum of 2: opening it would show a single hospital's update"),
    ],
)
def test_where_nothing_can_be_told_the_round_ends(scheme, who, sentence):
    aggregator = EncryptedMean(scheme, network=lambda sender, m: flipped(m) if sender in who else m)
    with pytest.raises(MessageError, match=sentence):
        Training(aggregator).play(updates())


@pytest.mark.parametrize("aggregator", [Mean(), EncryptedMean(), EncryptedMean("ckks")])
def test_a_total_is_the_sum(aggregator):
    training = Training(aggregator)
    numbers = {name: np.array([patients, 0.1, -1e9 / 3, 2.0**40]) for name, patients in PATIENTS.items()}
    total = aggregator.total(training.state, "statistics", numbers, training.ledger)
    assert np.rint(total[[0, 3]]).tolist() == [sum(PATIENTS.values()), 2.0**42]
    assert total == pytest.approx(np.sum(list(numbers.values()), axis=0), rel=1e-15, abs=4 * 2.0**-41)
    sent = training.ledger.frame().query("phase == 'send'")
    assert sent.groupby("direction").size().to_dict() == {"up": 4, "down": 4}


@pytest.mark.parametrize(
    ("settings", "hospitals", "sentence"),
    [
        ({"scheme": "rsa"}, ["Basel"], "choose one of bfv, ckks"),
        ({"bits": 53}, ["Basel"], "4 to 52 bits"),
        ({"rounding": "up"}, ["Basel"], "'up' is not one of nearest, stochastic, feedback"),
        ({"rounding": "feedback", "scheme": "ckks"}, ["Basel"], "only BFV rounds"),
        ({"bits": 12}, [f"hospital {number}" for number in range(600)], "no room for the sum of 600 hospitals"),
        ({}, [], "at least one hospital"),
        ({}, ["Basel", "server"], "none may be called 'server'"),
        ({"in_the_clear": ["head"]}, ["Basel"], "no layer 'head' to leave in the clear; it has kernel, bias"),
        ({"in_the_clear": ["kernel", "bias"]}, ["Basel"], "Every layer would travel in the clear"),
    ],
)
def test_what_cannot_start_says_so(settings, hospitals, sentence):
    with pytest.raises(ValueError, match=sentence):
        Training(EncryptedMean(**settings), hospitals)


@both
@pytest.mark.parametrize(
    ("change", "weight", "sentence"),
    [
        (np.ones(13), 140, "VA Long Beach: 14 numbers"),
        (np.full(14, np.nan), 140, "VA Long Beach: .* nan"),
        (np.full(14, 1e30), 140, "VA Long Beach: .*diverge"),
        (np.ones(14), None, "VA Long Beach: .*weight is None"),
    ],
)
def test_the_hospital_at_fault_is_named(scheme, change, weight, sentence):
    weights = without("VA Long Beach") | ({} if weight is None else {"VA Long Beach": weight})
    with pytest.raises(ValueError, match=sentence):
        Training(EncryptedMean(scheme)).play({**updates(), "VA Long Beach": change}, weights)


INNER = {"mean": Mean, "encrypted": EncryptedMean, "median": Median}


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_wrapper_that_overrides_nothing_is_what_it_wraps(inner, layers):
    """The same sums, ledger and bytes on the network, but for the keys, which are random."""
    found = []
    for depth in (0, layers):
        network = Network()
        aggregator = EncryptedMean(network=network) if inner == "encrypted" else INNER[inner]()
        for _ in range(depth):
            aggregator = Wrapped(aggregator)
        training = Training(aggregator)
        total = aggregator.total(training.state, "scores", updates(3), training.ledger).tolist()
        means = [training.play(updates(round_)).tolist() for round_ in (1, 2)]
        rows = training.ledger.frame().query("direction != 'peer'").drop(columns="seconds").to_numpy().tolist()
        sent = [(sender, len(message)) for sender, message in network.sent]
        found.append((total, means, rows, sent, aggregator.name, aggregator.mean_is_read_by))
    assert found[0] == found[1]


class Halved(Wrapped):
    """Updates and weights halve on their way in; the mean grows by how often it was called, which is remembered."""

    def begin(self, hospitals):
        if len(hospitals) < 2:
            raise ValueError("too few")
        return 0

    def before(self, own, updates, weights, ledger):
        halves = {name: update / 2 for name, update in updates.items()}
        return own + 1, halves, {name: patients // 2 for name, patients in weights.items()}

    def after(self, own, mean, ledger):
        return own + 1, mean + own


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_wrapper_changes_what_goes_in_and_what_comes_out_and_remembers(inner, layers):
    inside, around = INNER[inner](), Halved(INNER[inner]())
    training = Training(Halved(around) if layers == 2 else around)
    for round_ in (1, 2):
        vectors = {name: update / 2**layers for name, update in updates(round_).items()}
        weights = {name: patients // 2**layers for name, patients in PATIENTS.items()}
        expected = Training(inside).play(vectors, weights) + (2 * round_ - 1) * layers
        assert np.abs(training.play(updates(round_)) - expected).max() < 1e-6
    assert (training.state if layers == 1 else training.state.inner).own == training.state.own == 4


def test_who_may_not_start_is_refused_before_any_key_is_made():
    ledger = Ledger()
    with pytest.raises(ValueError, match="too few"):
        Halved(EncryptedMean()).start(["Basel"], SHAPES, ledger)
    assert not len(ledger.frame())
