"""A hospital that takes part in a study: it does what is due, whenever it is asked to.

It keeps its keys and what it opened on a disk of its own (`home`), before anything leaves, so it may be stopped at any
moment, and started again. Who loses that cannot go on: the keys of sums to come are lost with it.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Collection

import numpy as np

from fedkit.encryption import keyring, messages
from fedkit.encryption.identities import Identity, exchange_key, fingerprint, seal_for, unseal_by
from fedkit.encryption.keyring import KNOWN, Keyring
from fedkit.encryption.messages import MessageError
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import Found, Where, digest, parts
from fedkit.exchange.letters import SMALL
from fedkit.exchange.party import Player
from fedkit.exchange.replica import OLD, Replica, Scores
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO, Step
from fedkit.exchange.settings import Settings
from fedkit.exchange.status import Status
from fedkit.exchange.study import Closed
from fedkit.exchange.work import Training, Work
from fedkit.hospitals import Hospital

EVERYBODY = "everybody"  # whom the maker let in is trusted: nobody's fingerprint was compared here
_MOST, _READ_EACH = 8, 8  # first letters of one hospital that are looked at; of so many looks, one reads what is listed
OUTGROWN = "outgrown"  # what a hospital says in place of its letter whose update is larger than it promised


class Stopped(Exception):  # noqa: N818 - a person decides
    """The study cannot go on here."""


class Participant(Player):
    """A hospital in a study; see `Party`.

    identity : the hospital's own
    rows : its patients, under the name of its identity, else a ValueError
    known : fingerprints that a person here compared with hospitals' of its group, or `EVERYBODY`
    work : makes the `Work` from the settings
    clock : tells seconds
    """

    def __init__(
        self,
        folder: Where,
        identity: Identity,
        rows: Hospital,
        *,
        invitation: str,
        home: str | os.PathLike | None = None,
        known: Collection[str],
        work: Callable[[Settings], Work] = Training,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if rows.name != identity.name:
            raise ValueError(f"The rows are {rows.name}'s and the identity is {identity.name}'s: they must agree.")
        super().__init__(folder, identity, invitation=invitation, home=home)
        self.rows, self.known = rows, known
        self.study.pinned = lambda: (self.keep.read("opening") or b"").decode()
        self._make_work, self._clock = work, clock
        self._work: Work | None = None
        self._replica: Replica | None = None
        self._keys: Keyring | None = None
        self._asked = ""  # digest of the request
        self._seen: dict[int, dict[str, dict[bytes, float]]] = {}  # number -> who -> their letters -> since when
        self._listed: dict[str, float] = {}  # list -> since when it is here
        self._looks = 0

    @property
    def work(self) -> Work:
        """What the study's settings ask for."""
        if self._work is None:
            self._work = self._make_work(self.study.settings)
        return self._work

    @property
    def replica(self) -> Replica:
        """The hospital's own copy of the model."""
        if self._replica is None:
            self._replica = Replica(self.study, self.rows, self.work, self.keep.read, self.keep.write)
        return self._replica

    def step(self) -> Status:
        """Do the next thing that is due, if there is one, and say how things are.

        ValueError if what it keeps is damaged, or another process uses it.
        """
        study, name = self.study, self.identity.name
        study.refresh()
        if not study.id:
            return Status("invitation", note=study.why_not)
        try:
            self.work  # noqa: B018  (it looks at the settings)
        except ValueError as problem:
            return Status("refused", note=str(problem))
        if study.roster is None:
            return self._ask()
        if name not in study.roster or study.roster[name] != self.identity.public:
            if study.group_keys:
                return Status("refused", note="The study was opened without you, and nobody can join any more.")
            return Status("opening", waits_for=study.maker_is[0], note="So far, it was opened without you.")
        try:
            return (self._join() if self._keys is None else None) or self._go_on()
        except Stopped as problem:
            return Status("stopped", study.step.round, study.settings.rounds, note=str(problem))
        except OSError as problem:
            self._keys = None  # what is not on the disk did not happen
            return Status("round", study.step.round, study.settings.rounds, note=str(problem))
        except BaseException:
            self._keys = None
            raise

    def _go_on(self) -> Status:
        """Follow the sums, and do what is due for the number that is open."""
        study, rounds_, name = self.study, self.study.settings.rounds, self.identity.name
        if study.key_maker == name and self._give_group_key():
            return Status("keys", acted=True)
        last = self._follow()
        step, closed, _ = study.steps()[-1]
        if step.purpose == "stopped":
            once = f"The {last.purpose} could not be added up, and are not sent twice"
            raise Stopped(f"{'Too many sums were given up' if last.purpose == 'update' else once}: begin a new study.")
        if step.ended:
            self._keys.finish()
            same = f"{len(study.roster)} hospitals; those that hold this model say {self.model_fingerprint}."
            return Status("done", rounds_, rounds_, note=same)
        try:
            if closed is not None:  # who comes after the list was closed sends nothing, and opens the sum all the same
                self._remembered(step)
                self._begun(step)
            acted = self._first(step) or (closed is not None and self._second(step, closed))
        except ValueError as problem:  # of rows, of training, or of what others sent: a person must look
            raise Stopped(str(problem)) from problem
        late = closed is not None and all(name not in group for group in closed.groups)
        note = f"Sum {step.number} is made without you." if late else study.why_not
        return Status("round", step.round, rounds_, study.in_charge(step.number).name, note, acted)

    @property
    def weights(self) -> list[np.ndarray]:
        """The model so far, float32 arrays; none before the statistics are in."""
        if self.study.settings is None or self._keys is None:
            return []
        with contextlib.suppress(Stopped):
            self._follow()
        return list(self.replica.held.weights)

    @property
    def model_fingerprint(self) -> str:
        """What hospitals can read to each other to see that they hold the same model."""
        return fingerprint(b"".join(weight.tobytes() for weight in self.weights))

    @property
    def scores(self) -> dict[int, Scores]:
        """Round -> metric -> mean over all hospitals' test patients, and their number; more metrics of the last."""
        return {} if self._keys is None else dict(self.replica.scores)

    def _ask(self) -> Status:
        """Ask to join, unless it is known why not."""
        study = self.study
        if why := joining.strange_levels(study.settings, self.rows.table):
            return Status("refused", note=" ".join(why))
        if self._asked not in self._digests("request"):
            if self.keep.read("exchange") is None:
                self.keep.write("exchange", exchange_key().private_bytes_raw() + os.urandom(32))  # and its own secret
            public = exchange_key(self.keep.read("exchange")[:32]).public_key().public_bytes_raw()
            said = joining.request(study.settings, self.rows.table, public)
            self._asked = self.post("request", said, "request").digest
            self.journal.write("asked", invitation=study.invitation, digest=self._asked)
            return Status("opening", acted=True)
        for found in self.folder.new("refusal", SMALL):
            try:
                letter = joining.signed_by(letters.read(found, study.id, "refusal", 0), *study.maker_is)
                said = letter.json()
                if said.get("request") == self._asked and isinstance(said.get("why"), list):
                    return Status("refused", note=" ".join(map(str, said["why"])))
            except MessageError as problem:
                study.refused(found.digest, found.sender, str(problem))
        return Status("opening", waits_for=study.maker_is[0])

    def _join(self) -> Status | None:
        """Make this hospital's keys, or read them; say what is waited for, or nothing once they are there."""
        study, name = self.study, self.identity.name
        if (kept := self.keep.read("keys")) is not None:
            self._keys = keyring.restore(name, study.parameters, study.members, kept)
            self._keys.store = lambda data: self.keep.write("keys", data)
            self.keep.remove("exchange")
            return None
        if self.keep.read("exchange") is None:
            return Status("refused", note="The keys made to join are lost: join anew, in another study.")
        if study.key_maker == name and self._give_group_key():
            return Status("keys", acted=True)
        groups = study.groups
        others = [other for group in groups if name in group for other in group if other != name]  # who may be listed
        known = [n for n in others if self.known == EVERYBODY or fingerprint(study.roster[n]) in self.known]
        if len(known) < KNOWN:
            return Status("known", note=", ".join(f"{n} {fingerprint(study.roster[n])}" for n in others))
        if (letter := study.group_key) is None:
            return Status("keys", waits_for=study.key_maker, note=study.why_not)
        kept = self.keep.read("exchange")
        exchange, own = exchange_key(kept[:32]), kept[32:]
        try:
            group = unseal_by(exchange, letters.unpacked(letter.json().get("sealed", {}), name))
            self._keys = keyring.join(
                name, study.parameters, study.agreed, study.members, exchange,
                group, own=own, known=known, peers=next(group for group in groups if name in group),
                least=study.settings.quorum if len(groups) == 1 else keyring.FEWEST, budget=study.settings.budget,
            )  # fmt: skip
        except ValueError as problem:
            return Status("refused", note=f"The group's key by {letter.sender} cannot be used. {problem}")
        self.keep.write("opening", study.opening.encode())
        self._keys.store = lambda data: self.keep.write("keys", data)
        self._keys.save()
        self.keep.remove("exchange")
        self.journal.write("joined", hospitals=study.roster.fingerprints())
        return None

    def _give_group_key(self) -> bool:
        """Put the group's key, made once and sealed for each, in the folder; say whether it was missing there."""
        kept = json.loads(self.keep.read("group") or "{}")
        if kept.get("opening") != self.study.opening:
            group, members = os.urandom(32), self.study.members
            sealed = {name: letters.packed(seal_for(who.exchange, group)) for name, who in members.items()}
            kept = {"opening": self.study.opening, "sealed": sealed}
            self.keep.write("group", json.dumps(kept).encode())
            self.journal.write("made the group's key")
        if digest(letters.signed(kept, self._about("group", 0), self.identity)) in self._digests("group"):
            return False
        self.study.refresh(self.post("group", kept, "group"))
        return True

    def _follow(self) -> Step:
        """Open the sums that are there, in order, and go on with what they say; return the last that has ended."""
        study, replica, last = self.study, self.replica, rounds.FIRST
        for step, closed, added in study.steps():
            if added is None and (closed is None or closed.groups):
                break
            last = step
            if added is None or not added.which:  # void, or given up
                self._begun(step)
                continue
            names = {name for at in added.which for name in closed.groups[at]}
            if replica.known(step.number):
                try:
                    replica.take(step, None, self.identity.name in names)
                except MessageError as problem:
                    raise Stopped(str(problem)) from problem
                continue
            self._begun(step)
            if self.identity.name in names and self._keys.listed is None:
                raise Stopped(f"Number {step.number} went on with a letter that is not remembered here: {OLD}")
            study.chosen[SUM, step.number] = added.digest
            try:
                _, data = study.about_sum(added, step.number)
                sums, at = [], 0
                for group in added.which:
                    size = rounds.sum_bytes(study.settings, study.parameters, step.purpose, len(closed.groups[group]))
                    sums.append((data[at : at + size], closed.groups[group]))
                    at += size
                layout = rounds.layout(study.settings, study.parameters, step.purpose, replica.promises)
                replica.take(step, self._keys.open(sums, layout), self.identity.name in names)
            except MessageError as problem:
                study.refused(added.digest, "", "A sum was refused.")
                raise Stopped(str(problem)) from problem
        return last

    def _begun(self, step: Step) -> None:
        """See that the keys of a number are made, also where this hospital had no letter in it."""
        while self._keys.number < step.number:
            missed = self.study.steps()[self._keys.number + 1][0]
            try:
                self._keys.begin(missed.purpose, self.study.coefficients(missed))
            except MessageError as problem:
                raise Stopped(str(problem)) from problem

    def _first(self, step: Step) -> bool:
        """Put the first letter of a number in the folder, if it is not there; say whether it was missing."""
        keys, place, number = self._keys, rounds.place(ONE, step.number), step.number
        if number - 1 > keys.number:
            self._begun(self.study.steps()[number - 1][0])
        if keys.number < number:
            self._remembered(step)
            if self.replica.outgrown(step):
                said = {"number": number}
                return self._put(place, letters.signed(said, self._about(OUTGROWN, number), self.identity), number)
            vector, weight, scale = self.replica.promise(step)
            layout = rounds.layout(self.study.settings, self.study.parameters, step.purpose, self.replica.promises)
            keys.encrypt(step.purpose, vector, weight, layout, scale=scale)
        if keys.number > number or keys.letter is None:  # the folder shows less than it did, or nothing was sent
            return False
        return self._posted(place, keys.letter, step.purpose, number)

    def _remembered(self, step: Step) -> None:
        """See that the folder holds no first letter of this hospital's for a number that it has not begun."""
        number = step.number
        if self._keys.number < number and self._is_there(ONE, step.purpose, number, self.identity.name):
            raise Stopped(f"The folder holds a letter one of number {number} that is not remembered here: {OLD}")

    def _second(self, step: Step, closed: Closed) -> bool:
        """Put the second letter in the folder, if the list may be answered; say whether it was missing."""
        name, keys, number = self.identity.name, self._keys, step.number
        listed = next((group for group in closed.groups if name in group), None)
        if listed is None or keys.number != number or keys.letter is None:
            return False
        if keys.listed is None:
            self._look(step)
            if why := self._why_not(listed, closed):
                self.study.why_not = why
                return False
            if self._is_there(TWO, TWO, number, self.identity.name):
                raise Stopped(f"The folder holds a letter two of number {number} that is not remembered here: {OLD}")
            self.study.chosen[LIST, number] = closed.digest
        elif keys.listed != listed:
            self.study.why_not = "Another list came for this number, and a number is answered once."
            return False
        return self._posted(rounds.place(TWO, number), keys.share(listed), TWO, number)

    def _is_there(self, what: str, purpose: str, number: int, who: str) -> bool:
        """Whether the folder holds a hospital's letter of a number."""
        place, public = rounds.place(what, number), self.study.roster[who]
        sizes = [messages.letter_bytes(self.study.parameters, self.study.coefficients(self.study.step))] * (what == ONE)
        most = max(sizes, default=messages.share_bytes(self.study.parameters, len(self.study.members)))
        for name in self.folder.names(place):
            if parts(name)[1] == who and (data := self.folder.read(place, name, most + letters.OVERHEAD)):
                with contextlib.suppress(MessageError):
                    letter = letters.read(Found(place, name, *parts(name), data), None, purpose, number, most=most)
                    if letter.public == public and letter.study.startswith(self.study.id):
                        return True
        return False

    def _why_not(self, listed: dict[str, bytes], closed: Closed) -> str:
        """Say why a list is not answered (now), "" if it is."""
        seen, now = self._seen.get(self._keys.number, {}), self._clock()
        patience = (self.study.settings.deadline_seconds or 0.0) / 2
        if closed.about != self._keys.about:
            return "The letters of this list follow another sum than is held here."
        counts = listed.keys() & self.study.promised[0] if self.study.step.purpose == "update" else listed
        if len(counts) < self._keys.least:
            return f"Of those listed {len(counts)} promised how large their update is: no more would count in this sum."
        if missing := [name for name, code in listed.items() if code not in seen.get(name, {})]:
            return f"The letters of {', '.join(missing)} that are listed are not in the folder yet."
        group = next(group for group in self.study.groups if self.identity.name in group)
        group = [name for name in group if self._keys.within is None or name in self._keys.within]
        since = self._listed.setdefault(closed.digest, now)
        left_out = [
            name for name in group if name in seen.keys() - listed and since - min(seen[name].values()) > patience
        ]
        if left_out:
            return f"The list leaves {', '.join(left_out)} out, whose letter has long been here: it is not answered."
        # Who answered a list that did not open is in the next one: else the two sums would differ by what they sent.
        for step, failed, added in reversed(self.study.steps()[:-1]):
            if added is None or added.which:
                break
            for name in {name for of in failed.groups if self.identity.name in of for name in of} - listed.keys():
                if self._is_there(TWO, TWO, step.number, name):
                    return f"{name} answered the last list, which did not open, and is not in this one."
        return ""

    def _look(self, step: Step) -> None:
        """Read the first letters of the others for this number: who sent which, and since when it is here."""
        study, number, seen = self.study, step.number, self._seen.setdefault(step.number, {})
        for old in [old for old in self._seen if old < number]:
            del self._seen[old]
        size = messages.letter_bytes(study.parameters, study.coefficients(step))
        for found in self.folder.new(rounds.place(ONE, number), size + letters.OVERHEAD):
            with contextlib.suppress(MessageError):  # the coordinator refuses it, and says why
                about = study.id + self._keys.about.hex()
                letter = letters.read(found, about, step.purpose, number, size)
                known = seen.setdefault(letter.sender, {})
                if letter.public == study.roster[letter.sender] and len(known) < _MOST:
                    known[messages.digest(letter.content)] = self._clock()

    def _about(self, purpose: str, number: int) -> letters.About:
        name = self.identity.name
        return letters.About(self.study.id, purpose, number, name, (name,))

    def _posted(self, place: str, content: bytes, purpose: str, number: int) -> bool:
        """Put a letter in the folder, the same bytes each time, if it is not there; say whether it was missing."""
        about = self._about(purpose, number)._replace(study=self.study.id + self._keys.about.hex())
        return self._put(place, letters.signed(content, about, self.identity), number)

    def _digests(self, place: str) -> set[str]:
        return {name[:32] for name in self.folder.names(place)}

    def _put(self, place: str, data: bytes, number: int) -> bool:
        code, self._looks = digest(data), self._looks + 1
        listed = any(parts(name)[0] == code for name, size in self.folder.names(place).items() if size == len(data))
        # Now and then what is listed is also read: somebody may have written something else under its name.
        if listed and (self._looks % _READ_EACH or self.folder.find(place, code, len(data)) is not None):
            return False
        found = self.folder.post(place, self.identity.name, data)
        self.journal.write("posted", number=number, digest=found.digest)
        return True
