"""The coordinator: closes rounds by adding up what it cannot read. It holds no key, and needs no server.

Like a hospital it keeps nothing but its identity, and may be stopped and started again,
or replaced by somebody else (`Maker.hand_over`), at any moment.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from fedkit import encryption
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import OWN, MessageError
from fedkit.exchange import letters, rounds
from fedkit.exchange.folder import Where
from fedkit.exchange.letters import Letter
from fedkit.exchange.party import Player
from fedkit.exchange.rounds import Own, Total
from fedkit.exchange.status import Status

_MOST = 16  # models that a hospital may say that it started from in a round; letters about others are not kept


class Arrived(NamedTuple):
    """A hospital's letter that could be counted."""

    digest: str
    hospital: str
    after: str
    tag: bytes
    message: bytes


class Coordinator(Player):
    """Adds up; see `Party`.

    Parameters
    ----------
    identity
        The one that the invitation, or a handover, names.
    clock
        Tells seconds, for the deadline.
    """

    def __init__(
        self, folder: Where, identity: Identity, *, invitation: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(folder, identity, invitation=invitation)
        self._clock = clock
        self._arrived: dict[int, dict[tuple[str, str, bytes], Arrived]] = {}
        self._server: tuple[str, encryption.Server] | None = None
        self._since: dict[str, float] = {}

    def step(self) -> Status:
        """Look at what arrived, close the round if it is time to, and say how things are."""
        study = self.study
        study.refresh()
        if not study.id:
            return Status("invitation", note=study.why_not)
        if study.roster is None:
            return Status("opening", waits_for=study.maker_is[0])
        chain = study.chain()
        if not chain:
            return Status("keys", waits_for=study.key_maker)
        if self._server is None or self._server[0] != chain[0]:  # other keys count than was thought: read all again
            self._server = chain[0], encryption.Server(letters.unpacked(study.roots[chain[0]].json(), "public"))
            self._arrived.clear()
            self.folder.forget()
        round, settings = len(chain) - 1, study.settings
        if round > settings.rounds + 1:
            self._look(round - 1, chain)
            return Status("done", settings.rounds, settings.rounds)
        in_charge = study.in_charge(round)
        if in_charge[:2] != (self.identity.name, self.identity.public):
            note = "Somebody else is in charge of this round."
            return Status("round", round, settings.rounds, in_charge.name, note)
        for each in range(max(round - 1, 0), round + 1):
            self._look(each, chain)
        chosen = self._chosen(round, chain[-1])
        missing = [name for name in study.roster if name not in chosen]
        since = self._since.setdefault(chain[-1], self._clock())
        late = settings.deadline_seconds is not None and self._clock() - since >= settings.deadline_seconds
        if missing and not (late and len(chosen) >= settings.quorum):
            here = {each.hospital for each in self._arrived.get(round, {}).values() if each.after == chain[-1]}
            strange = ", ".join(name for name in missing if name in here)
            note = f"Another model than most others' is at {strange}: another kind of machine?" if strange else ""
            return Status("round", round, settings.rounds, ", ".join(missing), note)
        self._close(round, chain[-1], chosen)
        return Status("round", round, settings.rounds, ", ".join(study.roster), acted=True)

    def _look(self, round: int, chain: list[str]) -> None:
        """Read the letters of a round that are new."""
        study, settings, parameters = self.study, self.study.settings, self.study.parameters
        size = rounds.own_bytes(settings, parameters, round)
        closed = study.links[chain[round + 1]].counted if round + 1 < len(chain) else None
        for found in self.folder.new(rounds.place(round), size + letters.OVERHEAD):
            try:
                letter = letters.read(found, study.id, rounds.purpose(settings, round), round, size)
                if letter.public != study.roster[letter.sender]:
                    raise MessageError(f"A letter in {letter.sender}'s name is signed with another key than theirs.")
                if letter.hospitals != (letter.sender,):
                    raise MessageError(f"{letter.sender} sent the numbers of {', '.join(letter.hospitals)}.")
                if closed is not None:
                    if closed.get(letter.sender) != letter.digest:
                        what = "duplicate" if letter.sender in closed else "late"
                        self.journal.write(what, round=round, digest=letter.digest, sender=letter.sender)
                    continue
                own = Own.from_bytes(letter.content)
                arrived = Arrived(letter.digest, letter.sender, own.after, own.tag, self._unsealed(letter, own))
            except MessageError as problem:
                study.refused(found.digest, found.sender, str(problem))
                continue
            kept, key = self._arrived.setdefault(round, {}), (arrived.hospital, arrived.after, arrived.tag)
            if key in kept:
                twice = max(arrived, kept[key])
                self.journal.write("duplicate", round=round, digest=twice.digest, sender=twice.hospital)
            if key in kept or [each[0] for each in kept].count(arrived.hospital) < _MOST:
                kept[key] = min(arrived, kept.get(key, arrived))
        for old in [old for old in self._arrived if old < round]:
            del self._arrived[old]

    def _unsealed(self, letter: Letter, own: Own) -> bytes:
        """Return a hospital's encrypted numbers; MessageError if they are not for us, not theirs, or malformed."""
        if own.to != rounds.mark(self.identity.public):
            raise MessageError(f"The letter by {letter.sender} is sealed for another coordinator: a handover?")
        try:
            inside = self.identity.unseal(own.sealed)
        except ValueError as problem:
            raise MessageError(f"The letter by {letter.sender} does not open. {problem}") from None
        by, message = inside[: rounds.ID], inside[rounds.ID :]
        if by != rounds.mark(letter.public):
            raise MessageError(f"{letter.sender} signed what another hospital had sealed: a copy would count twice.")
        found = self._server[1].read(message)
        wanted = rounds.coefficients(self.study.settings, self.study.parameters, letter.round)
        if found.kind != OWN or found.coefficients != wanted:
            raise MessageError(f"{letter.sender} sent something else than {wanted} encrypted numbers of its own.")
        return message

    def _chosen(self, round: int, after: str) -> dict[str, Arrived]:
        """Return the letters to add up, by hospital: those that started from the same model as most others."""
        candidates = [each for each in self._arrived.get(round, {}).values() if each.after == after]
        votes = Counter(tag for _, tag in {(each.hospital, each.tag) for each in candidates})
        tag = min(votes, key=lambda tag: (-votes[tag], tag), default=b"")
        chosen: dict[str, Arrived] = {}
        for each in sorted(candidates, key=lambda each: (each.hospital, each.digest)):
            if each.tag == tag:
                chosen.setdefault(each.hospital, each)
        return chosen

    def _close(self, round: int, after: str, chosen: dict[str, Arrived]) -> None:
        """Add up, sign and post. From the same letters, the same bytes: twice is as good as once."""
        study, total = self.study, encryption.Sum(self._server[1])
        for each in chosen.values():
            total.add(each.message)
        counted = {hospital: each.digest for hospital, each in chosen.items()}
        content = Total(after, counted, total.to_bytes()).to_bytes()
        purpose = rounds.purpose(study.settings, round)
        found = self.post(rounds.sum_place(round), content, purpose, round, tuple(counted))
        for each in self._arrived.pop(round).values():
            if each.digest == counted.get(each.hospital):
                self.journal.write("counted", round=round, digest=each.digest, sender=each.hospital)
            elif each.after != after:
                study.refused(each.digest, each.hospital, f"{each.hospital} built on a sum that does not count.")
            else:
                study.refused(each.digest, each.hospital, f"{each.hospital} started from another model than most.")
        self.journal.write("closed", round=round, digest=found.digest, hospitals=list(counted))
        study.take_sums([found], round)
