"""A study in a shared folder: people on many machines train one model, and no server runs anywhere.

    maker = Maker(folder, identity)                             # one person
    maker.invite(Settings.of(federation, rounds=20))            # returns what is read aloud
    maker.open()                                                # when all have asked to join

    Participant(folder, identity, rows, invitation="K7QM-...").run()   # each hospital
    Coordinator(folder, identity, invitation="K7QM-...").run()         # who adds up: often the maker
    show(folder, invitation="K7QM-...")                                # on the projector

All that anybody writes is *letters*: signed files that are never changed (`folder`,
`letters`). What counts follows from the letters alone (`study`, `chain`), so every
process can be stopped at any moment and started again. Hospitals share the key of the
encryption, sealed to each one's own key, and seal their encrypted updates to the
coordinator, who has no key: to read an update, a hospital and the coordinator would
have to work together.
"""

from fedkit.exchange.coordinator import Coordinator
from fedkit.exchange.folder import Folder
from fedkit.exchange.hospital import Participant
from fedkit.exchange.journal import events
from fedkit.exchange.maker import Maker
from fedkit.exchange.rehearsal import rehearse
from fedkit.exchange.results import prune, run
from fedkit.exchange.settings import Settings
from fedkit.exchange.status import Status
from fedkit.exchange.watch import Watch, show

__all__ = [
    "Coordinator",
    "Folder",
    "Maker",
    "Participant",
    "Settings",
    "Status",
    "Watch",
    "events",
    "prune",
    "rehearse",
    "run",
    "show",
]
