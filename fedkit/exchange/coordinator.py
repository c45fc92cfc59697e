"""The coordinator: closes lists and adds up what it cannot read. It holds no key, and needs no server.

It may be stopped and started again, or replaced by somebody else (`Maker.hand_over`), at any moment: what it decided
is kept on a disk of its own before it is said, so that it never says two things.
"""

from collections import Counter
from typing import Any

from fedkit.encryption.identities import Identity
from fedkit.encryption.keyring import Listed, label_of
from fedkit.encryption.messages import MessageError
from fedkit.encryption.server import Server
from fedkit.exchange import rounds
from fedkit.exchange.arrivals import Arrived
from fedkit.exchange.folder import Where
from fedkit.exchange.party import Player, Status
from fedkit.exchange.rounds import LIST, ONE, SUM, TWO, Step
from fedkit.exchange.study import Added, Closed


class Coordinator(Player):
    """Adds up; see `Party`. Its identity is the one that the invitation, or a handover, names."""

    def __init__(self, folder: Where, identity: Identity, **party: Any) -> None:
        super().__init__(folder, identity, **party)
        self._since: dict[tuple[str, int], float] = {}
        self._useless: set[str] = set()  # second letters that no sum can be made with

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
        acted = Status("round", round, rounds_, ", ".join(study.roster), acted=True)
        if any(self._said(what, number) for number in (step.number - 1, step.number) for what in (LIST, SUM)):
            return acted
        what = LIST if closed is None else SUM
        if self.keep.read(rounds.place(what, step.number)) is not None:
            return Status("round", round, rounds_, self.identity.name, "What was decided is not shown here yet.")
        missing, content = self._list(step) if closed is None else self._sum(step, closed)
        if content is None:
            return Status("round", round, rounds_, ", ".join(missing))
        self.keep.write(rounds.place(what, step.number), content)
        self._said(what, step.number)
        return acted

    def _said(self, what: str, number: int) -> bool:
        """Post a list or a sum that was decided, if it is not there; say whether it was missing."""
        place = rounds.place(what, number)
        if (kept := self.keep.read(place)) is None:
            return False
        said = {LIST: "listed", SUM: "added"}[what]
        missing = self.put(place, self.letter(kept, what, number), said, number=number)
        if missing:
            self.study.refresh()
        return missing

    def _late(self, what: str, number: int, seconds: float | None) -> bool:
        since = self._since.setdefault((what, number), self._clock())
        return seconds is not None and self._clock() - since >= seconds

    def _list(self, step: Step) -> tuple[list[str], bytes | None]:
        """Close the list of a number: who is waited for, or what is to be said."""
        study, settings, number = self.study, self.study.settings, step.number
        if before := self._answered(step):
            return [], Closed.content(before.about, before.groups)
        found = self._arrivals.look(ONE, step)
        votes = Counter(about for _, about in {(each.sender, each.about) for each in found})
        about = max(sorted(votes), key=votes.get, default=None)
        arrived = _of(found, about)
        groups, missing = [], []
        for group in study.groups:
            # After lists that did not open, those who were in them alone (`Keyring.within`), and all who answered one.
            failed = {} if settings.deadline_seconds is None else study.failed(group)  # all are waited for
            within = set(group).intersection(*failed.values())
            chosen = {name: arrived[name].code for name in group if name in within and name in arrived}
            missing += sorted(within - chosen.keys() - self._away())
            if len(chosen) >= settings.quorum and not self._arrivals.answered(failed) & within - chosen.keys():
                groups.append(chosen)
        late = self._late(ONE, number, settings.deadline_seconds)
        if not groups or (missing and not late):
            return missing or [name for name in study.roster if name not in arrived], None
        for each in found:
            if each.sender not in arrived:
                study.refused(each.file, each.sender, f"{each.sender} follows another sum than most.")
        return [], Closed.content(bytes.fromhex(about), groups)

    def _answered(self, step: Step) -> Closed | None:
        """Return the list that most answered before this number was handed over: they answer no other one."""
        study, number, voted = self.study, step.number, {}
        lists = study.said.get((LIST, number), {}) if study.in_charge(number).from_number == number else {}
        for each in self._arrivals.look(TWO, step) if lists else ():
            share = self._arrivals.content(TWO, number, each)
            for digest, said in lists.items():
                listed, whole = said.of(each.sender), study.settings.deadline_seconds is None
                least = len(study.group(each.sender)) if whole else study.settings.quorum
                # Nobody honest answers a shorter one.
                if len(listed) >= least and label_of(study.members, said.about, listed) in share[:64]:
                    voted.setdefault(digest, set()).add(each.sender)
        return lists[max(sorted(voted), key=lambda digest: len(voted[digest]))] if voted else None

    def _away(self) -> set[str]:
        """Whom nobody waits for, where there is a deadline: who was not in the last list, nor has come back since."""
        last = next((each.listed for each in reversed(self.study.steps()[:-1]) if each.listed), None)
        if self.study.settings.deadline_seconds is None or last is None:
            return set()
        return self.study.roster.keys() - last

    def _sum(self, step: Step, closed: Closed) -> tuple[list[str], bytes | None]:
        """Add up a list: who is waited for, or what is to be said."""
        study, seconds, number = self.study, self.study.settings.share_seconds, step.number
        ones = {(each.sender, each.code): each for each in self._arrivals.look(ONE, step)}
        shares = [each for each in self._arrivals.look(TWO, step) if each.file not in self._useless]
        shares = _of(shares, closed.about.hex())
        listed = [each for group in closed.groups for each in group.items()]
        missing = [name for name, code in listed if name not in shares or (name, code) not in ones]
        if missing and not self._late(TWO, number, seconds):
            return missing, None
        sums = {}
        for at, group in enumerate(closed.groups):
            if not group.keys() & missing:
                letters = [ones[each] for each in group.items()]
                try:
                    sums[at] = self._added(step, closed.about, group, letters, [shares[name] for name in group])
                except OSError as problem:  # a letter is not shown just now, is gone for good, or of no use
                    if not self._late(TWO, number, seconds):
                        return [str(problem)], None
                except MessageError as problem:
                    study.refused(f"{SUM}-{number} {at}", "", f"A group could not be added up. {problem}")
        return [], Added.content(closed.digest, sums)

    def _added(self, step: Step, about: bytes, group: Listed, letters: list[Arrived], shares: list[Arrived]) -> bytes:
        """Add up a group's letters, read once more one by one, and their shares; OSError names whose cannot be used."""
        study, label = self.study, label_of(self.study.members, about, group)
        server = Server(study.parameters, (about, study.coefficients(step), label))
        for letter in letters:
            server.take(self._arrivals.content(ONE, step.number, letter))
        for share in shares:
            try:
                server.take_share(self._arrivals.content(TWO, step.number, share))
            except MessageError as problem:
                self._useless.add(share.file)
                study.refused(share.file, share.sender, f"{share.sender}'s second letter is of no use. {problem}")
                raise OSError(share.sender) from None
        return server.total()


def _of(found: list[Arrived], about: str | None) -> dict[str, Arrived]:
    """Who sent what for a sum: of more than one letter, the one with the smallest digest."""
    return {each.sender: each for each in sorted(found, reverse=True) if each.about == about}
