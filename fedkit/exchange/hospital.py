"""A hospital that takes part in a study: it does what is due, whenever it is asked to.

It keeps its keys and what it opened on a disk of its own (`home`), before anything leaves, so it may be stopped at any
moment, and started again. Who loses that cannot go on: the keys of sums to come are lost with it.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

import numpy as np

from fedkit.encryption import keyring
from fedkit.encryption.identities import Identity, exchange_key, fingerprint, seal_for, unseal_by
from fedkit.encryption.keyring import KNOWN, Keyring, Listed
from fedkit.encryption.messages import MessageError
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import Where
from fedkit.exchange.party import Player, Status
from fedkit.exchange.replica import OLD, Replica, Scores
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO, Step
from fedkit.exchange.settings import Settings
from fedkit.exchange.study import Closed, Tally
from fedkit.exchange.work import Training
from fedkit.hospitals import Hospital

_SOME = """Its maker set a deadline or a budget: sums may be made without somebody, and be subtracted (SECURITY.md). \
Who agrees joins with waits_for_all=False."""
EVERYBODY = "everybody"  # whom the maker let in is trusted: nobody's fingerprint was compared here


class Participant(Player):
    """A hospital in a study; see `Party`.

    identity : the hospital's own
    rows : its patients, under the name of its identity, else a ValueError
    known : fingerprints that a person here compared with hospitals' of its group, or `EVERYBODY`
    work : makes what trains from the settings: `Training`, or what has its methods
    waits_for_all : whether it refuses a study with a deadline or a budget, in which somebody may be left out of a sum
    public : attribute, see `Keyring.encrypt`
    """

    public: bool = False

    def __init__(
        self,
        folder: Where,
        identity: Identity,
        rows: Hospital,
        *,
        known: Collection[str],
        work: Callable[[Settings], Training] = Training,
        waits_for_all: bool = True,
        **party: Any,
    ) -> None:
        if rows.name != identity.name:
            raise ValueError(f"The rows are {rows.name}'s and the identity is {identity.name}'s: they must agree.")
        super().__init__(folder, identity, **party)
        self.rows, self.known, self.waits_for_all = rows, known, waits_for_all
        self.study.pinned = lambda: (self.keep.read("opening") or b"").decode()
        self._make_work = work
        self._keys: Keyring | None = None
        self._listed: dict[str, float] = {}  # list -> since when it is here

    @cached_property
    def work(self) -> Training:
        """What the study's settings ask for."""
        return self._make_work(self.study.settings)

    @cached_property
    def replica(self) -> Replica:
        """The hospital's own copy of the model."""
        return Replica(self.study, self.rows, self.work, self.keep)

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
        if self.waits_for_all and (study.settings.deadline_seconds is not None or study.settings.budget):
            return Status("refused", note=_SOME)
        if study.roster is None:
            return self._ask()
        if name not in study.roster or study.roster[name] != self.identity.public:
            if study.group_key:
                return Status("refused", note="The study was opened without you, and nobody can join any more.")
            return Status("opening", waits_for=study.maker_is[0], note="So far, it was opened without you.")
        try:
            return (self._join() if self._keys is None else None) or self._go_on()
        except MessageError as problem:  # the study cannot go on here, and a person decides
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
        study.why_not = ""
        if step.purpose == "stopped":
            why = f"The {last.purpose} could not be added up, and are not sent twice"
            why = "Too many sums were given up" if last.purpose == "update" else why
            raise MessageError(f"{why}: begin a new study.")
        if step.ended:
            self._keys.finish()
            same = f"{len(study.roster)} hospitals; those that hold this model say {self.model_fingerprint}."
            return Status("done", rounds_, rounds_, note=same)
        try:
            ones = self._arrivals.look(ONE, step)  # since when others' letters are here
            if self._keys.number < step.number and any(each.sender == name and each.about for each in ones):
                raise MessageError(f"The folder holds a letter one of number {step.number} not remembered here: {OLD}")
            missed = closed is not None and self._keys.number < step.number  # who comes after the list sends nothing
            acted = not missed and (self._first(step) or (closed is not None and self._second(step, closed)))
        except ValueError as problem:  # of rows, of training, or of what others sent: a person must look
            raise MessageError(str(problem)) from problem
        late = closed is not None and not closed.of(name)
        note = f"Sum {step.number} is made without you." if late else study.why_not
        if (late or missed) and study.settings.deadline_seconds is None:
            note = "A list came before your letter, and nobody answers it: somebody else must add up."
        return Status("round", step.round, rounds_, study.in_charge(step.number).name, note, acted)

    @property
    def weights(self) -> list[np.ndarray]:
        """The model so far, float32 arrays; none before the statistics are in."""
        if self._keys is None:
            return []
        with contextlib.suppress(MessageError):
            self._follow()
        return list(self.replica.held.weights)

    @property
    def model_fingerprint(self) -> str:
        """What hospitals can read to each other to see that they hold the same model, and prepare rows alike."""
        sums = [self.replica.held.sums] if self.weights else []
        return fingerprint(b"".join(part.tobytes() for part in (*self.weights, *sums)))

    @property
    def scores(self) -> dict[int, Scores]:
        """Round -> metric -> mean over all hospitals' test patients, and their number; more metrics of the last."""
        return {} if self._keys is None else dict(self.replica.scores)

    def _ask(self) -> Status:
        """Ask to join, unless it is known why not."""
        study = self.study
        if why := joining.strange_rows(study.settings, self.rows):
            return Status("refused", note=" ".join(why))
        if self.keep.read("exchange") is None:
            self.keep.write("exchange", exchange_key().private_bytes_raw() + os.urandom(32))  # and its own secret
        public = exchange_key(self.keep.read("exchange")[:32]).public_key().public_bytes_raw()
        request = joining.request(study.settings, self.rows.table, public)
        if self.put("request", self.letter(request, "request"), "asked", invitation=study.invitation):
            return Status("opening", acted=True)
        if why := joining.misfits(study.settings, study.versions, request):  # as the maker sees it, too
            return Status("refused", note=" ".join(why))
        return Status("opening", waits_for=study.maker_is[0])

    def _join(self) -> Status | None:
        """Make this hospital's keys, or read them; say what is waited for, or nothing once they are there."""
        study, name = self.study, self.identity.name
        said = joining.request(study.settings, self.rows.table, b"")
        why = joining.strange_rows(study.settings, self.rows) or joining.misfits(study.settings, study.versions, said)
        if why:  # the maker may have opened the study with it all the same
            return Status("refused", note=" ".join(why))
        others = [other for other in study.group(name) if other != name]  # who may be listed with it
        rows = self.replica.alone.sha256.encode()
        known = [n for n in others if self.known == EVERYBODY or fingerprint(study.roster[n]) in self.known]
        if (kept := self.keep.read("keys")) is not None:
            if self.keep.read("rows") != rows:
                return Status("refused", note="The rows are others than this hospital began with: put those back.")
            self._keys = keyring.restore(name, study.parameters, study.members, kept)
            self._keys.know(known)
            self._keys.store = lambda data: self.keep.write("keys", data)
            self.keep.remove("exchange")
            return None
        if (kept := self.keep.read("exchange")) is None:
            return Status("refused", note="The keys made to join are lost: join anew, in another study.")
        if study.key_maker == name and self._give_group_key():
            return Status("keys", acted=True)
        if len(known) < KNOWN:
            return Status("known", note=", ".join(f"{n} {fingerprint(study.roster[n])}" for n in others))
        if (letter := study.group_key) is None:
            return Status("keys", waits_for=study.key_maker, note=study.why_not)
        exchange, own = exchange_key(kept[:32]), kept[32:]
        try:
            group = unseal_by(exchange, letters.unpacked(letter.json().get("sealed", {}), name))
            if hashlib.sha256(group).hexdigest() != letter.json().get("sha256"):  # two keys would show what is between
                raise ValueError("It is not the one that all are said to have been given.")
            self._keys = keyring.join(
                name, study.parameters, study.agreed, study.members, exchange, group, own=own, known=known,
                peers=study.group(name), least=study.settings.quorum, budget=study.settings.budget,
            )  # fmt: skip
        except ValueError as problem:
            return Status("refused", note=f"The group's key by {letter.sender} cannot be used. {problem}")
        self.keep.write("rows", rows)
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
            kept = {"opening": self.study.opening, "sealed": sealed, "sha256": hashlib.sha256(group).hexdigest()}
            self.keep.write("group", json.dumps(kept).encode())
        return self.put("group", self.letter(kept, "group"), "made the group's key")

    def _follow(self) -> Step:
        """Open the sums that are there, in order, and go on with what they say; return the last that has ended."""
        study, replica, last, name = self.study, self.replica, rounds.FIRST, self.identity.name
        for tally in study.steps():
            if not tally.end:
                break
            last, numbers, known = tally.step, None, replica.opened(tally.step.number) is not None
            self._remember(last.number, tally)
            if not known:
                self._begun(last)
            if tally.end != "added":
                continue
            if not known and (without := self._without(tally)):
                said = f"Number {last.number} is said to be added up without {', '.join(without)}"
                raise MessageError(f"{said}, and all are waited for: somebody tells each hospital another past.")
            if not known and name in tally.counted and self._keys.listed is None:
                raise MessageError(f"Number {last.number} went on with a letter not remembered here: {OLD}")
            try:
                if not known:
                    study.chosen[SUM, last.number] = tally.added.digest
                    layout = rounds.layout(study.settings, study.parameters, last.purpose, replica.counted)
                    numbers = self._keys.open(study.sums(tally), layout)
                replica.take(tally, numbers)
            except MessageError:
                study.refused(tally.added.digest, "", "A sum was refused.")
                raise
        return last

    def _without(self, tally: Tally) -> list[str]:
        """Return who is missing in a sum, where there is no deadline: anybody, or with a budget anybody of a group."""
        study, counted = self.study, tally.counted
        if study.settings.deadline_seconds is not None:
            return []
        groups = {study.group(name) for name in counted} if study.settings.budget else study.groups
        return sorted({name for group in groups for name in group} - counted)

    def _remember(self, number: int, tally: Tally) -> None:
        """Keep how a number ended, and of whom; MessageError if it was followed, or answered, otherwise."""
        told = [tally.end, tally.added and tally.added.which, *(sorted(group.items()) for group in tally.closed.groups)]
        place, told = rounds.place("told", number), repr(told).encode()
        if (kept := self.keep.read(place)) not in (None, told):
            raise MessageError(f"Number {number} is told otherwise than it was followed here: somebody rewrites it.")
        if kept is None:
            self.keep.write(place, told)

    def _begun(self, step: Step) -> None:
        """See that the keys of a number are made, also where this hospital had no letter in it."""
        if self._keys.number < step.number:
            self._keys.begin(step.purpose, self.study.coefficients(step))

    def _first(self, step: Step) -> bool:
        """Put the first letter of a number in the folder, if it is not there; say whether it was missing."""
        keys, number = self._keys, step.number
        if keys.number < number:
            numbers, weight = self.replica.numbers(step)
            layout = rounds.layout(self.study.settings, self.study.parameters, step.purpose, self.replica.counted)
            keys.encrypt(step.purpose, numbers, weight, layout, scale=1.0, public=self.public)
        if keys.number > number or keys.letter is None:  # the folder shows less than it did, or nothing was sent
            return False
        return self._put(ONE, number, keys.letter, step.purpose, keys.about.hex())

    def _second(self, step: Step, closed: Closed) -> bool:
        """Put the second letter in the folder, if the list may be answered; say whether it was missing."""
        keys, number, listed = self._keys, step.number, closed.of(self.identity.name)
        if not listed or keys.number != number or keys.letter is None:
            return False
        if keys.listed is None:
            if why := self._why_not(step, listed, closed):
                self.study.why_not = why
                return False
            if self._arrivals.look(TWO, step, self.identity.name):
                raise MessageError(f"The folder holds a letter two of number {number} not remembered here: {OLD}")
            self.study.chosen[LIST, number] = closed.digest
        elif keys.listed != listed:
            self.study.why_not = "Another list came for this number, and a number is answered once."
            return False
        return self._put(TWO, number, keys.share(listed), TWO, keys.about.hex())

    def _why_not(self, step: Step, listed: Listed, closed: Closed) -> str:
        """Say why a list is not answered (now), "" if it is."""
        study, keys, me = self.study, self._keys, self.identity.name
        every = self._arrivals.look(ONE, step)
        here = [each for each in every if each.about == keys.about.hex()]
        # Two sums of one number would part a study by what follows: in a small list, letters for either one count.
        every = here if 2 * len(listed) > len(study.group(me)) else every
        if closed.about != self._keys.about:
            return "The letters of this list follow another sum than is held here."
        if len(listed) < keys.least:
            return f"{len(listed)} hospitals are listed, and {keys.least} are the fewest here."
        if missing := sorted(name for name, _ in listed.items() - {(each.sender, each.code) for each in here}):
            return f"The letters of {', '.join(missing)} that are listed are not in the folder yet."
        late = self._listed.setdefault(closed.digest, self._clock()) - (study.settings.deadline_seconds or 0.0) / 2
        could = set(study.group(me)) if keys.within is None else set(study.group(me)) & {*keys.within}
        shown = self.folder.digests(rounds.place(ONE, step.number))
        long_here = {each.sender for each in every if each.since < late and each.file in shown}
        long_here = could if study.settings.deadline_seconds is None else long_here
        if left_out := sorted(could & long_here - listed.keys()):
            why = "whose letter has long been here" if study.settings.deadline_seconds else "and all are waited for"
            return f"The list leaves {', '.join(left_out)} out, {why}: it is not answered."
        # Who answered a list that did not open is in the next one: else the two sums would differ by what they sent.
        answered = self._arrivals.answered(keys.unopened)
        if left_out := sorted(answered & {*(keys.within or ())} - listed.keys()):
            return f"{left_out[0]} answered a list that did not open, and is not in this one."
        return ""

    def _put(self, what: str, number: int, content: bytes | dict, purpose: str, about: str = "") -> bool:
        """Put a letter of a number in the folder, if it is not there; say whether it was missing."""
        data = self.letter(content, purpose, number, about)
        return self.put(rounds.place(what, number), data, "posted", number=number)
