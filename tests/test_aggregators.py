import json

import numpy as np
import pytest
from playing import PATIENTS, SHAPES, Training
from tampering import Sent, flipped, inside

from fedkit import aggregators
from fedkit.aggregators import ROUNDING, EncryptedMean, Mean, SharedKeyMean, Wrapped
from fedkit.chapters.robust import Median
from fedkit.encryption import together
from fedkit.encryption.messages import MessageError
from fedkit.records import Ledger

THREE = {"Basel": 10, "Bern": 30, "Chur": 1}
both = pytest.mark.parametrize("kind", [EncryptedMean, SharedKeyMean])


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


def agreements(training):  # how often patients were added up: sums that were none of a round
    return next(iter(training.state.parties.keyrings.values())).number + 1 - training.ledger.round


def layout(training):
    return training.aggregator.layout(training.state)


def test_mean_is_the_weighted_mean_of_float32():
    means, plain, _, ledger = train(Mean(), 1)
    assert np.abs(means - plain).max() < 1e-7
    assert ledger.groupby("direction")["bytes"].sum().to_dict() == {"": 0, "down": 4 * 14 * 4, "up": 4 * 14 * 4}


@both
@pytest.mark.parametrize("shapes", [{"bias": (1,)}, SHAPES, {"1": (70, 60), "2": (60,), "3": (60, 1), "4": (1,)}])
def test_encrypted_mean_is_the_plain_mean(kind, shapes):
    means, plain, _, _ = train(kind(), 5, shapes)
    assert np.abs(means - plain).max() < 3e-6


@pytest.mark.parametrize("rounding", ["dithered", "nearest", "stochastic"])
def test_the_integers_are_exact(rounding):
    """Round 2 by hand, without encryption, from what the hospitals agreed on in round 1: equal to the last bit."""
    training = Training(EncryptedMean(rounding=rounding))
    training.play(updates(1))
    layers, vectors = layout(training).layers, {name: 0.5 * vector for name, vector in updates(1).items()}
    mean = training.play(vectors)
    assert agreements(training) == 1
    agreed = together.Layout(layers)
    whole = [agreed.encode(own, name, PATIENTS[name]) for name, own in vectors.items()]
    assert np.array_equal(mean, agreed.decode(np.sum(whole, axis=0)) / np.float64(sum(PATIENTS.values())))


@pytest.mark.parametrize("rounding", ROUNDING)
def test_it_is_reproducible_although_keys_and_letters_are_random(rounding):
    networks = Network(), Network()
    first, second = (train(EncryptedMean(bits=12, rounding=rounding, network=each), 5)[0] for each in networks)
    assert np.array_equal(first, second)
    assert networks[0].sent[-1][1][-200:] != networks[1].sent[-1][1][-200:]


def test_the_order_of_hospitals_does_not_matter():
    means = []
    for names in (PATIENTS, dict(reversed(PATIENTS.items()))):
        means.append(Training(EncryptedMean(), names).play({name: updates()[name] for name in names}, names))
    assert np.array_equal(*means)


def test_an_update_beyond_what_was_agreed_on_is_refused_with_the_name_of_its_hospital():
    for odd in (2.01, -5, np.nan, np.inf):
        vectors = dict.fromkeys(PATIENTS, np.full(14, 2.0)) | {"Hungary": np.append(np.zeros(13), odd)}
        with pytest.raises(ValueError, match=r"Hungary: a number of the update is .*, and 2 was agreed on"):
            Training(EncryptedMean(most_change=2)).play(vectors)
    for wrong in (0, -1, np.inf, np.nan, "10", True):
        with pytest.raises(ValueError, match="most_change must be above 0, the most of any number of an update"):
            EncryptedMean(most_change=wrong)


@pytest.mark.parametrize(
    "rounds",  # who takes part, and how often patients were added up by then
    [
        [(PATIENTS, 1), (PATIENTS, 1), (without("Hungary"), 1), (PATIENTS, 1)],
        [(without("Hungary"), 1), (PATIENTS, 2), (PATIENTS | {"Switzerland": 8600}, 3), (PATIENTS, 4)],
    ],
)
def test_patients_are_added_up_where_somebody_has_others_or_is_new(rounds):
    training = Training(EncryptedMean())
    for weights, times in rounds:
        vectors = dict.fromkeys(weights, np.linspace(-5, 2.5, 14))
        assert np.abs(training.play(vectors, weights) - plain_mean(vectors, weights)).max() < 5e-6
        assert agreements(training) == times


def test_a_step_leaves_room_for_hospitals_that_come_later():
    training, others = Training(EncryptedMean()), without("Hungary")
    training.play({name: updates()[name] for name in others}, others)
    assert training.state.counted == (sum(others.values()), 3, 4)
    assert training.state.counted.most == sum(others.values()) * 8 / 3


@pytest.mark.parametrize("bits", [5, 12, 28, 52])
@pytest.mark.parametrize("rounding", ["dithered", "nearest", "stochastic"])
def test_updates_as_large_as_was_agreed_on_fit(bits, rounding):
    """Everybody is there at once, round after round, all on the same side."""
    bits = max(bits, 7 if rounding == "dithered" else 5)
    for size in (1e-7, 0.1, 1e5):
        training = Training(EncryptedMean(bits=bits, rounding=rounding, most_change=size), THREE)
        means = [training.play(dict.fromkeys(THREE, np.full(14, size)), THREE) for _ in range(3)]
        assert np.abs(np.array(means) / size - 1).max() < (8 if rounding == "dithered" else 3) / 2 ** (bits - 2)


def test_fewer_bits_make_fewer_bytes_and_coarser_steps():
    fine, plain, _, fine_ledger = train(EncryptedMean(bits=26), 2, {"kernel": (300, 200)})
    coarse, _, _, coarse_ledger = train(EncryptedMean(bits=12), 2, {"kernel": (300, 200)})
    for ledger, most in [(fine_ledger, 3.9), (coarse_ledger, 1.75)]:
        assert ledger.query("round == 2 and phase == 'send'")["bytes"].max() < most * 60_000
    assert np.abs(fine - plain).max() < 4e-6 < np.abs(coarse - plain).max() < 0.06


def test_patients_are_never_rounded_at_random():
    """So many that a random number next to 1 would make one more."""
    weights = {"a": 1300, "b": 1301, "c": 1302}
    training = Training(EncryptedMean(bits=6, rounding="stochastic"), weights, {"kernel": (5,)})
    for round_ in range(1, 31):
        training.state, (found,) = training.aggregator.sums(
            training.state, updates(round_, 5, weights), weights, training.ledger
        )
        assert found[0] == 3903


def test_stochastic_rounding_is_right_on_average():
    """About the same update, again and again: the errors of few bits cancel out, and those of nearest stay."""
    rounds, vectors = 16, updates(1, 1000, THREE)
    single, mean_of, bias = {}, {}, {}
    for rounding in ("nearest", "stochastic"):
        training, errors = Training(EncryptedMean(bits=6, rounding=rounding), THREE, {"kernel": (1000,)}), []
        for nudge in np.arange(rounds) * 1e-9:  # what is rounded up follows from the numbers
            nudged = {name: vector + nudge for name, vector in vectors.items()}
            errors.append(training.play(nudged, THREE) - plain_mean(nudged, THREE))
        single[rounding] = np.std(errors)
        mean_of[rounding] = np.std(np.mean(errors[1:], axis=0))  # the first step is not yet as fine
        bias[rounding] = abs(np.mean(errors))
    assert mean_of["nearest"] > 0.9 * single["nearest"]
    assert mean_of["stochastic"] < 1.5 * single["stochastic"] / np.sqrt(rounds)
    assert bias["stochastic"] < 4 * single["stochastic"] / np.sqrt(1000 * rounds)


def test_feedback_wins_back_what_few_bits_cost():
    """Small numbers that are rounded to the nearest never arrive; the largest has no room for what was left."""
    rounds, update, errors = 40, np.array([1.0] + [0.01] * 12 + [0.02]), {}
    for rounding in ("nearest", "feedback"):
        training = Training(EncryptedMean(bits=6, rounding=rounding, most_change=1), THREE)
        total = sum(training.play(dict.fromkeys(THREE, update), THREE) for _ in range(rounds))
        errors[rounding] = np.abs(total / rounds - update)[1:13].max()
    assert errors["nearest"] == pytest.approx(0.01)
    assert errors["feedback"] < 0.004  # a step, over all rounds
    training = Training(
        EncryptedMean(bits=8, rounding="feedback", most_change=1), many := dict.fromkeys("abcdefghijklm", 1)
    )
    for _ in range(6):
        assert np.abs(training.play(dict.fromkeys(many, np.ones(14)), many) - 1).max() < 0.1, "their sum spilled over"


def test_feedback_makes_up_for_a_letter_that_was_not_heard():
    lost, four, update = [], THREE | {"Davos": 20}, np.append(1.0, np.full(13, 0.25))
    damage = lambda sender, message: b"" if sender in lost else message  # noqa: E731
    training = Training(EncryptedMean(bits=20, rounding="feedback", network=damage), four)
    silent = dict.fromkeys(four, np.zeros(14))
    training.play(silent, four)
    lost.append("Davos")
    training.play(silent | {"Davos": update}, four)
    lost.clear()
    assert training.play(silent, four) == pytest.approx(update * 20 / sum(four.values()), abs=1e-2)
    four, silent = four | {"Davos": 21}, dict.fromkeys(four, np.zeros(14))
    lost.append("Davos")  # already when patients are added up
    training.play(silent | {"Davos": update}, four)
    lost.clear()
    assert training.play(silent, four) == pytest.approx(update * 21 / sum(four.values()), abs=1e-2)


@pytest.mark.parametrize("rounding", ["dithered", "stochastic"])
def test_what_hospitals_draw_does_not_add_up_to_more_than_there_is_room_for(rounding):
    """Though all send the same numbers, the largest that were agreed on."""
    many, update = {f"hospital {number}": 100 for number in range(64)}, np.full(1025, 10.0)
    training = Training(EncryptedMean(bits=12, rounding=rounding), many, {"kernel": (1025,)})
    assert np.abs(training.play(dict.fromkeys(many, update), many) - 10).max() < 1


@pytest.mark.parametrize(("hospitals", "bits", "tolerance"), [(3, 26, 2e-6), (25, 26, 1e-5), (203, 14, 0.05)])
def test_any_number_of_hospitals_in_lists_of_at_most_a_hundred(hospitals, bits, tolerance):
    weights = {f"hospital {number}": 1 + number % 50 for number in range(hospitals)}
    means, plain, training, _ = train(EncryptedMean(bits=bits, network=(network := Network())), 1, weights=weights)
    assert np.abs(means - plain).max() < tolerance
    lists = [about(message)["hospitals"] for sender, message in network.sent if sender == "server"]
    assert {len(names) for names in lists} == ({67, 68} if hospitals == 203 else {hospitals})
    assert sum(map(len, training.state.parties.groups)) == hospitals


def test_groups_of_one_number_are_lists_of_their_own():
    """Each opens for all; one of which fewer than three are heard is left out, and each letter is in one sum."""
    weights = {f"hospital {number}": 10 + number for number in range(9)}
    groups = [list(weights)[at : at + 3] for at in (0, 3, 6)]
    vectors, silent = updates(1, 14, weights), set()
    network = Network()
    aggregator = EncryptedMean(network=lambda name, m: network(name, flipped(m) if name in silent else m))
    training = Training(aggregator, weights)
    for heard in (groups, groups[1:]):
        network.sent.clear()
        training.state, found = aggregator.sums(training.state, vectors, weights, training.ledger, groups)
        for numbers, names in zip(found, heard, strict=True):
            own = {name: weights[name] for name in names}
            assert numbers[0] == sum(own.values())
            assert np.abs(numbers[1:] / numbers[0] - plain_mean(vectors, own)).max() < 3e-6
        letters = [about(m) for name, m in network.sent if name != "server" and about(m)["purpose"] == "update"]
        assert len(letters) == 9
        assert len({(each["study"], each["round"]) for each in letters}) == 1
        silent.add("hospital 1")
    assert {keys._state["failed"] for keys in training.state.parties.keyrings.values()} == {0}


def test_a_shared_key_is_handed_to_all_others_and_counted():
    _, _, training, ledger = train(SharedKeyMean(), 1)
    handed = ledger[ledger["direction"] == "peer"].set_index("hospital")["bytes"]
    assert handed.to_dict() == dict.fromkeys([*PATIENTS][1:], training.state.secret_bytes())


def test_the_ledger_counts_every_byte():
    network = Network()
    _, _, training, ledger = train(EncryptedMean(network=network), 2)
    keys = ledger[ledger["phase"] == "keys"]
    handed = keys.groupby(["direction", "hospital"])["bytes"].sum()
    first, *_ = PATIENTS
    assert handed["up"].to_dict() == dict.fromkeys(PATIENTS, 128)
    assert handed["down"].to_dict() == dict.fromkeys(PATIENTS, 5 * 128)
    assert handed["peer"].to_dict() == {first: 3 * 80}
    sent = {kind: [m for _, m in network.sent if about(m)["purpose"] in kind] for kind in ("patients update", "share")}
    sent |= {what: [m for _, m in network.sent if about(m)["purpose"] == what] for what in ("list", "sum")}
    sizes = {kind: [len(message) for message in found] for kind, found in sent.items()}
    rows = ledger[ledger["bytes"] > 0].groupby(["phase", "direction"])["bytes"].agg(list)
    assert rows["send", "up"] == sizes["patients update"]
    assert rows["share", "up"] == sizes["share"]
    assert rows["send", "down"] == [size for size in sizes["sum"] for _ in PATIENTS]
    numbers = range(0, 4 * (2 + agreements(training)), 4)
    heads = [sum(len(m) - len(inside(m)[1]) + 32 for m in sent["patients update"][at : at + 4]) for at in numbers]
    listed = [size + head for size, head in zip(sizes["list"], heads, strict=True) for _ in PATIENTS]
    assert rows["list", "down"] == listed
    work = ledger[ledger["seconds"] > 0].groupby("phase")["hospital"].agg(list)
    assert work["encrypt"] == work["share"] == work["decrypt"] == list(PATIENTS) * len(numbers)
    assert set(work["add"]) == {"server"}
    training.play({name: 0.01 * vector for name, vector in updates().items()})
    each = training.ledger.frame().query("round == 3 and hospital != 'server'").groupby("hospital")["bytes"].sum()
    assert each.max() < 6000, "a small model must not cost kilobytes"


@pytest.mark.parametrize("kept", ["kernel", "bias"])
def test_layers_in_the_clear_are_what_the_server_reads_and_no_more(kept):
    network, part = Network(), slice(13) if kept == "kernel" else slice(13, None)
    means, plain, training, ledger = train(EncryptedMean(network=network, in_the_clear=[kept]), 2)
    assert np.abs(means - plain).max() < 1e-6
    assert np.flatnonzero(~training.state.hidden).tolist() == list(range(14))[part]
    clear = ledger[ledger["phase"] == "clear"]
    assert clear.groupby("direction").size().to_dict() == {"up": 8, "down": 8}
    readable = [message for _, message in network.sent if about(message)["purpose"] == "clear"]
    assert [len(message) for message in readable] == clear.query("direction == 'up'")["bytes"].tolist()
    expected = [PATIENTS[name] * updates(round_)[name][part] for round_ in (1, 2) for name in PATIENTS]
    assert np.allclose([np.frombuffer(inside(message)[1], "<f4") for message in readable], expected)
    assert sum(layer.size for layer in layout(training).layers) == training.state.hidden.sum()


def test_a_hospital_that_is_refused_leaves_no_trace_and_may_return():
    """To the bit: the same as if it had stayed away, and come back in round 3."""

    def network(sender, message):
        return flipped(message) if sender == "Hungary" and training.ledger.round < 3 else message

    training = Training(EncryptedMean(network=network))
    means = [training.play(updates(round_)) for round_ in (1, 2, 3)]
    assert training.refused == [(1, "Hungary"), (2, "Hungary")]
    absent, others = Training(EncryptedMean()), without("Hungary")
    for round_ in (1, 2):
        mean = absent.play({name: updates(round_)[name] for name in others}, others)
        assert np.array_equal(mean, means[round_ - 1])
    assert np.array_equal(absent.play(updates(3)), means[2])
    assert np.abs(means[2] - plain_mean(updates(3))).max() < 1e-6


@pytest.mark.parametrize(
    ("purpose", "forge"),
    [
        ("clear", lambda sent: sent.again(content=np.float32(np.nan).tobytes())),
        ("clear", lambda sent: sent.again(content=np.float32(np.inf).tobytes())),
        ("update", lambda sent: sent.again(hospitals=["Hungary", "Cleveland"])),
    ],
)
def test_what_its_own_hospital_signed_and_cannot_be_is_refused(purpose, forge):
    def network(sender, message):
        hit = sender == "Hungary" and about(message)["purpose"] == purpose
        return forge(Sent(message, training.state.parties.identities[sender])) if hit else message

    training = Training(EncryptedMean(network=network, in_the_clear=["bias"]))
    mean = training.play(updates())
    assert training.refused == [(1, "Hungary")] * 2
    assert np.abs(mean - plain_mean(updates(), without("Hungary"))).max() < 1e-6


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (["server"], "not signed with server's key"),
        (PATIENTS, r"No list of 3 hospitals could be heard \(patients\)"),
        (list(PATIENTS)[2:], r"No list of 3 hospitals could be heard \(patients\)"),
    ],
)
def test_where_nothing_can_be_told_the_round_ends(who, sentence):
    with pytest.raises(MessageError, match=sentence):
        Training(EncryptedMean(network=lambda sender, m: flipped(m) if sender in who else m)).play(updates())


@pytest.mark.parametrize("aggregator", [Mean(), EncryptedMean(), SharedKeyMean()], ids=lambda one: one.name)
@pytest.mark.parametrize("size", [1e-10, 1.0, 1e12])
def test_a_total_is_the_sum_whatever_the_size_of_the_column(aggregator, size):
    """Eights, because four hospitals' lowest digit is as small as a sum of digits gets."""
    training, rng = Training(aggregator), np.random.default_rng(0)
    numbers = {name: np.array([patients, 8.0, *rng.normal(1, 0.1, 9) * size]) for name, patients in PATIENTS.items()}
    total = aggregator.total(training.state, "statistics", numbers, training.ledger)
    assert total[:2].tolist() == [sum(PATIENTS.values()), 32]
    assert total == pytest.approx(np.sum(list(numbers.values()), axis=0), rel=1e-9, abs=0)
    sent = training.ledger.frame().query("phase == 'send'")
    assert sent.groupby("direction").size().to_dict() == {"up": 4, "down": 4}


def test_a_sum_of_the_lowest_digits_opens_each_time():
    """Half a million coefficients, of which one in a hundred would not, if the middle of the modulus were the end."""
    training = Training(EncryptedMean(bits=12))
    assert training.state.parties.parameters.ring_dimension == 1024
    numbers = dict.fromkeys(PATIENTS, np.full(500, 8.0))
    found = training.aggregator.total(training.state, "statistics", numbers, training.ledger)
    assert found.tolist() == [32.0] * 500


@pytest.mark.parametrize(
    ("settings", "hospitals", "sentence"),
    [
        ({"bits": 53}, THREE, "4 to 52 bits"),
        ({"bits": 5}, THREE, "5 bits have no room for the sum of 3 hospitals"),
        ({"rounding": "up"}, THREE, "one of dithered, nearest, stochastic, feedback, and it is 'up'"),
        ({"least": 2}, THREE, "least must be a number of hospitals, 3 at the least"),
        ({"least": "3"}, THREE, "least must be .*'3'"),
        ({"network": "x"}, THREE, "network must be None, or a function of sender and message"),
        ({"in_the_clear": "kernel"}, THREE, r"in_the_clear must be a list of layers, such as \['kernel'\]"),
        ({"in_the_clear": 5}, THREE, "in_the_clear must be a list of layers"),
        ({"bits": 12}, [f"hospital {number}" for number in range(600)], "no room for the sum of 600 hospitals"),
        ({}, ["Basel", "Bern"], "needs 3 hospitals or more"),
        ({}, [*THREE, "server"], "none may be called 'server'"),
        ({"in_the_clear": ["head"]}, THREE, "no layer 'head' to leave in the clear; it has kernel, bias"),
        ({"in_the_clear": ["kernel", "bias"]}, THREE, "Every layer would travel in the clear"),
    ],
)
def test_what_cannot_start_says_so(settings, hospitals, sentence):
    with pytest.raises(ValueError, match=sentence):
        Training(EncryptedMean(**settings), hospitals)


def test_what_is_no_aggregator_cannot_be_wrapped():
    nameless = type("Own", (), dict.fromkeys(["start", "total", "aggregate"]))()
    for wrong in (EncryptedMean, "BFV", None, nameless):
        with pytest.raises(ValueError, match="inner must be an aggregator, such as"):
            Wrapped(wrong)
    with pytest.raises(ValueError, match="network must be"):
        SharedKeyMean(network="x")


@pytest.mark.parametrize(
    ("change", "weight", "sentence"),
    [
        (np.ones(13), 140, "VA Long Beach: 14 numbers"),
        (np.full(14, np.nan), 140, "VA Long Beach: .* nan"),
        (np.full(14, 1e38), 140, "VA Long Beach: .*diverge"),
        (np.ones(14), None, "VA Long Beach: .*weight is None"),
        (np.ones(14), 2.5, "VA Long Beach: .*whole number"),
    ],
)
def test_the_hospital_at_fault_is_named(change, weight, sentence):
    weights = without("VA Long Beach") | ({} if weight is None else {"VA Long Beach": weight})
    with pytest.raises(ValueError, match=sentence):
        Training(EncryptedMean()).play({**updates(), "VA Long Beach": change}, weights)


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
        if len(hospitals) < 3:
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
