"""The same tampered messages at each door: an envelope's, the simulation's network, and the shared folder."""

import numpy as np
import pytest
from exchange_parts import Class
from tampering import HOSTILE, STRANGER, TAMPERINGS, Sent

from fedkit.aggregators import EncryptedMean, weighted_mean
from fedkit.encryption import envelopes
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError
from fedkit.exchange import rounds
from fedkit.exchange.journal import events
from fedkit.records import Ledger

ZURICH = Identity("Universitätsspital Zürich", b"\1" * 32)
EVERY = {name: make for name, (make, _) in TAMPERINGS.items()} | HOSTILE


@pytest.mark.parametrize("size", [100, None])
def test_an_envelope_is_refused_with_a_sentence(size):
    about, content = About("0" * 16, "update", 3, ZURICH.name, (ZURICH.name,)), bytes(range(100))
    sent = Sent(envelopes.sign(content, about, ZURICH), ZURICH)
    expected = {"study": "0" * 16, "purpose": "update", "round": 3, "sender": ZURICH.name, "size": size, "most": 100}
    for name, (make, sentence) in TAMPERINGS.items():
        # where no length is agreed on, the signature tells what was cut
        unsigned = size is None and name in ("cut", "no content")
        with pytest.raises(MessageError, match="is not signed with" if unsigned else sentence):
            envelopes.read(make(sent), ZURICH.public, **expected)
    assert envelopes.read(HOSTILE["nonsense"](sent), ZURICH.public, **expected) == (about, bytes(100))
    assert envelopes.read(sent.data, ZURICH.public, **expected) == (about, content)


@pytest.mark.parametrize("scheme", ["bfv", "ckks"])
@pytest.mark.parametrize("what", EVERY)
def test_the_simulated_server_leaves_it_out_and_the_round_goes_on(scheme, what):
    patients, state = {"Basel": 200, "Bern": 100, "Chur": 50}, None
    updates = {name: np.random.default_rng(number).normal(size=3) for number, name in enumerate(patients)}

    def network(sender, message):
        hit = sender == "Chur" and ledger.round == 1 and b'"purpose":"update"' in message
        return EVERY[what](Sent(message, state.identities[sender])) if hit else message

    aggregator, ledger = EncryptedMean(scheme, network=network), Ledger()
    state = aggregator.start(list(patients), {"kernel": (3,)}, ledger)
    for ledger.round, heard in ((1, ["Basel", "Bern"]), (2, [*patients])):
        state, mean = aggregator.aggregate(state, updates, patients, ledger)
        expected = weighted_mean([updates[name] for name in heard], [patients[name] for name in heard])
        assert np.abs(mean - expected).max() < 1e-6
    refused = ledger.frame().query("phase == 'refused'")
    assert refused[["round", "hospital", "direction"]].to_numpy().tolist() == [[1, "Chur", "up"]]


def test_the_folder_says_why_and_the_study_comes_to_the_same_end(tmp_path, undisturbed):
    """All of them, in one hospital's name and beside its honest letter."""
    room = Class(tmp_path).open().until(2)
    (path,), hospital = room.root.glob(f"{rounds.place(2)}/*.Hospital%202.letter"), room.identities["Hospital 2"]
    sent = Sent(path.read_bytes()[32:], hospital)
    hostile = {name: ("Hospital 2", hospital, make(sent)) for name, make in EVERY.items()}
    hostile["in a name of its own"] = "Intruder", STRANGER, sent.again(identity=STRANGER, sender="Intruder")
    hostile["in its name, with another key"] = "Hospital 2", STRANGER, sent.again(identity=STRANGER)
    wanted = {name: sentence for name, (_, sentence) in TAMPERINGS.items()} | {
        "the numbers of others": "sent the numbers of Bern, Basel",
        "nonsense": "for another coordinator",
        "in a name of its own": "'Intruder' is not on the roster",
        "in its name, with another key": "is signed with another key than theirs",
    }
    place = rounds.place(2)
    found = {name: room.put(place, sender, who.public + data) for name, (sender, who, data) in hostile.items()}
    room.ends_well(undisturbed)
    said = {event["digest"]: event["why"] for event in events(tmp_path) if event["what"] == "refused"}
    for name, letter in found.items():
        assert wanted[name] in said.get(letter.digest, said.get(f"{letter.place}/{letter.name}")), name
