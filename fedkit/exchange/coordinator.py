"""The coordinator: closes lists and adds up what it cannot read. It holds no key, and needs no server.

It may be stopped and started again, or replaced by somebody else (`Maker.hand_over`), at any moment: what it decided
is kept on a disk of its own before it is said, so that it never says two things.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from fedkit.encryption import messages
from fedkit.encryption.identities import Identity
from fedkit.encryption.keyring import FEWEST
from fedkit.encryption.messages import MessageError
from fedkit.encryption.server import Server
from fedkit.exchange import letters, rounds
from fedkit.exchange.folder import Where, digest
from fedkit.exchange.hospital import OUTGROWN
from fedkit.exchange.letters import Signed
from fedkit.exchange.party import Player
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO, Step
from fedkit.exchange.status import Status
from fedkit.exchange.study import Added, Closed


class Arrived(NamedTuple):
    """A hospital's letter that could be counted."""

    file: str  # digest of the letter
    about: str
    code: bytes  # what stands for it in a list, or in a sum: the share itself


class Coordinator(Player):
    """Adds up; see `Party`.

    identity : the one that the invitation, or a handover, names
    clock : tells seconds, for deadlines
    """

    def __init__(
        self,
        folder: Where,
        identity: Identity,
        *,
        invitation: str,
        home: str | os.PathLike | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(folder, identity, invitation=invitation, home=home)
        self._clock = clock
        self._letters: dict[tuple[str, int], dict[str, dict[str, Arrived]]] = {}  # by who sent them, and about
        self._outgrown: dict[int, set[str]] = {}
        self._answered: dict[int, set[str]] = {}  # of the last number that was given up: whose shares came
        self._since: dict[tuple[str, int], float] = {}
        self._posted: dict[str, str] = {}  # place -> digest of the letter

    def step(self) -> Status:
        """Look at what arrived, say what is to be said, and how things are."""
        study = self.study
        study.refresh()
        if not study.id:
            return Status("invitation", note=study.why_not)
        if study.roster is None:
            return Status("opening", waits_for=study.maker_is[0])
        step, closed, _ = study.steps()[-1]
        round, rounds_ = step.round, study.settings.rounds
        if step.ended:
            return Status("done" if step.purpose == "done" else "stopped", rounds_, rounds_)
        in_charge = study.in_charge(step.number)
        if in_charge[:2] != (self.identity.name, self.identity.public):
            return Status("round", round, rounds_, in_charge.name, "Somebody else is in charge of this round.")
        if study.group_key is None:
            return Status("keys", waits_for=study.key_maker)
        for number in range(max(step.number - 1, 0), step.number + 1):
            for what in (LIST, SUM):
                if self._lost(what, number):
                    return self._said(step, what, number)
        missing, content = self._list(step) if closed is None else self._sum(step, closed)
        if content is None:
            return Status("round", round, rounds_, ", ".join(missing))
        what = LIST if closed is None else SUM
        self.keep.write(rounds.place(what, step.number), content)
        return self._said(step, what, step.number)

    def _lost(self, what: str, number: int) -> bool:
        """Whether a list or a sum was decided, and is not there: lost on the way, or this is another process."""
        place, (name, study) = rounds.place(what, number), (self.identity.name, self.study.id)
        if place not in self._posted and (kept := self.keep.read(place)) is not None:
            signed = letters.signed(kept, letters.About(study, what, number, name, (name,)), self.identity)
            self._posted[place] = digest(signed)
        return place in self._posted and self._posted[place] not in {file[:32] for file in self.folder.names(place)}

    def _said(self, step: Step, what: str, number: int) -> Status:
        """Post a list, or a sum, as it is kept."""
        found = self.post(rounds.place(what, number), self.keep.read(rounds.place(what, number)), what, number)
        self.journal.write({LIST: "listed", SUM: "added"}[what], number=number, digest=found.digest)
        self.study.refresh(found)
        return Status("round", step.round, self.study.settings.rounds, ", ".join(self.study.roster), acted=True)

    def _late(self, what: str, number: int, seconds: float | None) -> bool:
        since = self._since.setdefault((what, number), self._clock())
        return seconds is not None and self._clock() - since >= seconds

    def _list(self, step: Step) -> tuple[list[str], bytes | None]:
        """Close the list of a number: who is waited for, or what is to be said."""
        study, settings, number = self.study, self.study.settings, step.number
        self._look(step, ONE, messages.letter_bytes(study.parameters, study.coefficients(step)))
        promised, fresh = study.promised
        if (outgrown := self._outgrown.get(number)) and not fresh:
            return [], json.dumps({"about": "", "groups": [], OUTGROWN: sorted(outgrown)}).encode()
        arrived = self._letters.get((ONE, number), {})
        votes = Counter(about for of in arrived.values() for about in of)
        about = min(votes, key=lambda about: (-votes[about], about), default="")
        within = self._within()
        chosen = {name: of[about] for name, of in sorted(arrived.items()) if about in of and name in within}
        least = settings.quorum if len(study.groups) == 1 else FEWEST
        groups = [{name: chosen[name].code.hex() for name in group if name in chosen} for group in study.groups]
        groups = [group for group in groups if len(group) >= least]
        missing = [name for name in study.roster if name in within - chosen.keys() - self._away(number)]
        late = self._late(ONE, number, settings.deadline_seconds)
        if step.purpose == "update" and (late or not missing):  # others promise now, and count from the next sum on
            enough = [group for group in groups if len(group.keys() & promised) >= least]
            if len(enough) < len(groups) and not fresh:
                return [], json.dumps({"about": "", "groups": []}).encode()
            groups = enough
        answered = self._answered.get(number - 1, set()) - chosen.keys()  # a list without them would not be answered
        if not groups or (missing and not late) or answered:
            return missing or [name for name in study.roster if name not in chosen], None
        for name, of in arrived.items():
            if about not in of:
                study.refused(next(iter(of.values())).file, name, f"{name} follows another sum than most.")
        return [], json.dumps({"about": about, "groups": groups}).encode()

    def _within(self) -> set[str]:
        """Who may be listed: after lists that did not open, those who were in them alone (see `Keyring.within`)."""
        within = set(self.study.roster)
        for _, closed, added in reversed(self.study.steps()[:-1]):
            if added is None or added.which:  # void, or added
                break
            within &= {name for group in closed.groups for name in group}
        return within

    def _away(self, number: int) -> set[str]:
        """Whom nobody waits for, where there is a deadline: who was not in the last list, nor has come back since."""
        if self.study.settings.deadline_seconds is None or number == 0:
            return set()
        closed = next((c for _, c, _ in reversed(self.study.steps()[:-1]) if c is not None and c.groups), None)
        return set(self.study.roster) - {name for group in closed.groups for name in group} if closed else set()

    def _sum(self, step: Step, closed: Closed) -> tuple[list[str], bytes | None]:
        """Add up a list: who is waited for, or what is to be said."""
        study, settings, number = self.study, self.study.settings, step.number
        most = messages.share_bytes(study.parameters, max(map(len, closed.groups)))
        self._look(step, ONE, messages.letter_bytes(study.parameters, study.coefficients(step)))
        self._look(step, TWO, most)
        shares, about = self._letters.get((TWO, number), {}), closed.about.hex()
        missing = [name for group in closed.groups for name in group if about not in shares.get(name, {})]
        if missing and not self._late(TWO, number, settings.share_seconds):
            return missing, None
        sums, self._answered = {}, {number: {name for name, of in shares.items() if about in of}}
        for at, group in enumerate(closed.groups):
            if not any(name in missing for name in group):
                try:
                    sums[at] = self._added(step, closed, group, {name: shares[name][about].code for name in group})
                except OSError as problem:  # a letter is not shown just now, or is gone for good
                    if not self._late(TWO, number, settings.share_seconds):
                        return [str(problem)], None
                except MessageError as problem:
                    study.refused(f"{SUM}-{number} {at}", "", f"A group could not be added up. {problem}")
        self._answered = {} if sums else self._answered
        return [], Added.content(closed.digest, sums)

    def _added(self, step: Step, closed: Closed, group: dict[str, bytes], shares: dict[str, bytes]) -> bytes:
        """Add up a group's letters, read once more one by one, and their shares; OSError if one cannot be read now."""
        study, number = self.study, step.number
        server = Server(study.parameters, closed.about, study.coefficients(step))
        size = messages.letter_bytes(study.parameters, study.coefficients(step))
        for name, code in group.items():
            known = self._letters.get((ONE, number), {}).get(name, {}).get(closed.about.hex())
            data = known and self.folder.find(rounds.place(ONE, number), known.file, size + letters.OVERHEAD)
            if data is None or messages.digest(data[-size:]) != code:
                raise OSError(f"The letter of {name} is listed, and cannot be read now.")
            server.take(data[-size:])
        for share in shares.values():
            server.take_share(share)
        return server.total()

    def _look(self, step: Step, what: str, size: int) -> None:
        """Read the letters of a number that are new."""
        study, number = self.study, step.number
        kept = self._letters.setdefault((what, number), {})
        for old in [old for old in self._letters if old[1] < number]:
            del self._letters[old]
        for found in self.folder.new(rounds.place(what, number), size + letters.OVERHEAD):
            try:
                letter = letters.read(found, None, None, number, most=size)
                if letter.public != study.roster[letter.sender]:
                    raise MessageError(f"A letter in {letter.sender}'s name is signed with another key than theirs.")
                if not letter.study.startswith(study.id):
                    raise MessageError(f"A letter by {letter.sender} belongs to another training: it is an old one.")
                letter = letter._replace(study=letter.study.removeprefix(study.id))
                if letter.purpose == OUTGROWN and step.purpose == "update" and not letter.study:
                    self._outgrown.setdefault(number, set()).add(letter.sender)
                    continue
                self._check(letter, step, what, size)
            except MessageError as problem:
                study.refused(found.digest, found.sender, str(problem))
                continue
            code = messages.digest(letter.content) if what == ONE else letter.content
            of = kept.setdefault(letter.sender, {})
            if letter.study in of:
                self.journal.write("duplicate", number=number, digest=found.digest, sender=letter.sender)
            if letter.study in of or len(of) < 4:  # so many sums may a hospital say that it follows
                of[letter.study] = min(
                    Arrived(found.digest, letter.study, code), of.get(letter.study, Arrived("~", "", b""))
                )

    def _check(self, letter: Signed, step: Step, what: str, size: int) -> None:
        """Raise a MessageError if a letter is not what its place says."""
        if letter.purpose != (step.purpose if what == ONE else TWO):
            raise MessageError(f"{letter.sender} sent {letter.purpose!r:.40} where something else is added up.")
        if what == ONE:
            found = messages.Letter.from_bytes(letter.content, self.study.parameters)
            if len(letter.content) != size or found.about.hex() != letter.study:
                raise MessageError(f"{letter.sender} sent something else than its hidden numbers for this sum.")
