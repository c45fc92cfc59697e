"""A study in a shared folder: people on many machines train one model, and no server runs anywhere.

    maker = Maker(folder, identity)                             # one person
    maker.invite(Settings.of(federation, rounds=20))            # returns what is read aloud
    maker.open()                                                # when all have asked to join

    Participant(folder, identity, rows, invitation="K7QM-...", home="~/study", known=[...]).run()   # each hospital
    Coordinator(folder, identity, invitation="K7QM-...", home="~/study").run()   # who adds up: often the maker
    show(folder, invitation="K7QM-...")                                # on the projector

A hospital's rows come from `hospitals.join`, which reads its own table for the columns that the settings agree on.

All that anybody writes is *letters*: signed files that are never changed (`folder`, `letters`). What counts follows
from the letters alone (`study`), so every process can be stopped at any moment and started again; what it must not
forget, it keeps at `home` (`keep`). A sum takes two letters of each hospital (`encryption.keyring`): the first is its
hidden update; the coordinator lists whose arrived; the second opens exactly the sum of that list. One sum tells
one hospital's update only to all others of its list together; what many sums tell stands in SECURITY.md.
"""

from fedkit.exchange.coordinator import Coordinator
from fedkit.exchange.folder import Folder
from fedkit.exchange.hospital import EVERYBODY, Participant
from fedkit.exchange.journal import events
from fedkit.exchange.maker import Maker
from fedkit.exchange.party import Status
from fedkit.exchange.rehearsal import rehearse
from fedkit.exchange.results import prune, run
from fedkit.exchange.settings import Settings
from fedkit.exchange.watch import Watch, show
