"""Tampered messages in the simulation's network, at each of its doors."""

import json

import numpy as np
import pytest
from tampering import HOSTILE, TAMPERINGS, Sent, inside

from fedkit.aggregators import EncryptedMean, weighted_mean
from fedkit.encryption.messages import MessageError
from fedkit.records import Ledger

# One for each thing that a door must say that it expects; all the others, `test_envelopes` shows to an envelope.
AT_A_DOOR = ["cut", "signed by a stranger", "an earlier round", "another study", "another purpose", "another name"]
EVERY = {name: TAMPERINGS[name][0] for name in AT_A_DOOR} | HOSTILE
PATIENTS = {"Basel": 200, "Bern": 100, "Chur": 50, "Davos": 20}
UPDATES = {name: np.random.default_rng(number).normal(size=3) for number, name in enumerate(PATIENTS)}


class Room:
    """Two rounds of four hospitals, in whose network one kind of message of one sum is tampered with."""

    def __init__(self, make, sender, purpose, numbers=(1,)):
        self.make, self.sender, self.purpose, self.numbers = make, sender, purpose, numbers
        self.aggregator, self.ledger, self.hits = EncryptedMean(network=self.network), Ledger(), 0
        self.state = self.aggregator.start(list(PATIENTS), {"kernel": (3,)}, self.ledger)

    def network(self, sender, message):
        head = json.loads(inside(message)[0])
        hit = (sender, head["purpose"]) == (self.sender, self.purpose) and head["round"] in self.numbers
        self.hits += hit
        return self.make(Sent(message, self.state.parties.identities[sender])) if hit else message

    def play(self, *heard):
        self.ledger.round += 1
        self.state, mean = self.aggregator.aggregate(self.state, UPDATES, PATIENTS, self.ledger)
        expected = weighted_mean([UPDATES[name] for name in heard], [PATIENTS[name] for name in heard])
        assert np.abs(mean - expected).max() < 1e-6

    @property
    def refused(self):
        rows = self.ledger.frame().query("phase == 'refused'")
        return rows[["round", "hospital", "direction"]].to_numpy().tolist()

    @property
    def failed(self):
        return {keys._state["failed"] for keys in self.state.parties.keyrings.values()}


@pytest.mark.parametrize("what", EVERY)
def test_the_server_leaves_a_letter_out_and_the_round_goes_on(what):
    room = Room(EVERY[what], "Chur", "update")
    room.play("Basel", "Bern", "Davos")
    room.play(*PATIENTS)
    assert (room.refused, room.hits) == ([[1, "Chur", "up"]], 1)
    assert room.failed == {0}, "whoever drops out between the letters costs nothing"


@pytest.mark.parametrize("what", [*AT_A_DOOR, "nonsense"])
def test_where_a_share_does_not_come_the_round_is_played_again_without_and_counted(what):
    room = Room(EVERY[what], "Chur", "share")
    room.play("Basel", "Bern", "Davos")
    room.play(*PATIENTS)
    assert (room.refused, room.hits) == ([[1, "Chur", "up"]], 1)
    assert room.failed == {1}
    rows = room.ledger.frame().query("round == 1 and direction == 'up'").groupby(["hospital", "phase"]).size()
    assert rows["Basel"].to_dict() == {"send": 3, "share": 3}  # of patients, of the update, and of the update again
    assert rows["Chur"].to_dict() == {"send": 2, "share": 1, "refused": 1}


@pytest.mark.parametrize(
    ("numbers", "rounds", "sentence"), [((1, 3, 5), 2, r"\(update, number 5\)"), ((0,), 0, r"\(patients, number 0\)")]
)
def test_the_third_update_that_does_not_open_ends_it_and_the_first_count_of_patients(numbers, rounds, sentence):
    """Chur, whose share was not heard, is back in the next round."""
    room = Room(EVERY["cut"], "Chur", "share", numbers)
    for _ in range(rounds):
        room.play("Basel", "Bern", "Davos")
    with pytest.raises(MessageError, match=f"did not open {sentence}, and no more of that is allowed: a person must"):
        room.play()


@pytest.mark.parametrize("purpose", ["list", "sum"])
@pytest.mark.parametrize("what", AT_A_DOOR)
def test_what_the_server_answers_is_refused_with_a_sentence(purpose, what):
    sentence = "it was sent for something else" if what == "another purpose" else TAMPERINGS[what][1]
    with pytest.raises(MessageError, match=sentence):
        Room(EVERY[what], "server", purpose).play()


@pytest.mark.parametrize(
    ("purpose", "change", "sentence"),
    [
        ("sum", HOSTILE["the numbers of others"], "added up other hospitals than it listed"),
        ("sum", HOSTILE["nonsense"], "This is no sum of the length"),
        ("list", HOSTILE["nonsense"], "Basel's letter is not the one in this list"),
        ("list", lambda sent: sent.again(hospitals=["Bern", "Basel", "Chur", "Davos"]), "letter is not the one in"),
        ("list", lambda sent: sent.again(hospitals=["Basel", "Bern", "Chur", "Eve"]), "'Eve' is listed, and not on"),
    ],
)
def test_a_server_that_signs_what_is_not_so_is_refused(purpose, change, sentence):
    with pytest.raises(MessageError, match=sentence):
        Room(change, "server", purpose).play()
