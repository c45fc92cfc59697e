"""The maker of a study: invites, looks at who asks to join, opens it, and hands the coordination over."""

import json
import re
import time
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from fedkit.encryption.identities import Identity, fingerprint, is_exchange_key, skeleton
from fedkit.encryption.keyring import Member
from fedkit.encryption.messages import MessageError
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import Found, Where
from fedkit.exchange.joining import NEW
from fedkit.exchange.party import Party
from fedkit.exchange.settings import Settings

PLACES = ("invitation", "request", "opening", "group", "handover")


class Request(NamedTuple):
    """Somebody who asks to join: name and fingerprint are to be compared with what they say themselves."""

    name: str
    fingerprint: str
    member: Member
    problems: tuple[str, ...]  # why they cannot; sentences, none if they can
    twice: bool = False  # whether somebody else asks under this name or key: people must say who is who


class Maker(Party):
    """Makes a study, and decides who takes part; see `Party`. An `invitation` not given is found by the maker's key."""

    def __init__(self, folder: Where, identity: Identity, *, invitation: str = "") -> None:
        super().__init__(folder, identity, invitation=invitation)
        self._asked: dict[tuple[str, bytes], Request] = {}  # by name and key

    def invite(self, settings: Settings, coordinator: tuple[str, bytes] | None = None) -> str:
        """Put the study in the folder, and return its fingerprint, to read aloud; once more changes nothing.

        settings : what it is about; ValueError if the maker has another study in this folder
        coordinator : name and public key of who adds up; the maker if None
        """
        name, public = coordinator or (self.identity.name, self.identity.public)
        if not self.resume():
            said = {"settings": settings.to_json(), "coordinator": name, "key": letters.packed(public)}
            said["versions"] = joining.versions()
            # No two studies have the same id; but a maker that is started again, and is not shown the invitation
            # yet, writes the same one again: who begins anew on one day takes another folder.
            said["day"] = time.strftime("%Y-%m-%d", time.gmtime())
            said["nonce"] = self._nonce(said)
            self.journal.write("invited", title=settings.title)
            self._begin(self._post("invitation", said, NEW))
            numbers = range(settings.rounds + 3 + settings.budget)  # statistics, patients, each round, scores
            self.folder.make([*PLACES, *(rounds.place(what, n) for what in rounds.LETTERS for n in numbers)])
        if self.study.settings != settings or self.study.in_charge(0)[:2] != (name, public):
            raise ValueError(f"{self.folder.root} holds another study of {self.identity.name}'s: take an empty folder.")
        return self.study.invitation

    def resume(self) -> bool:
        """Go on with the study that this maker began here, and say if there is one; ValueError if there are two."""
        if not self.study.invitation:
            own = []

            def read(found: Found) -> None:
                letter = letters.read(found, NEW, "invitation", 0)
                if letter.public == self.identity.public:
                    own.append((found, letter.json(nonce=str)))

            self.study.take("invitation", read)
            if len(own) > 1 or any(said.pop("nonce") != self._nonce(said) for _, said in own):
                said = f"{self.folder.root} holds {len(own)} studies of {self.identity.name}'s, or of another path"
                raise ValueError(f"{said}: say the invitation= that was read aloud, or take an empty folder.")
            for found, _ in own:
                self._begin(found)
        self.study.refresh()
        return bool(self.study.id)

    def _nonce(self, said: dict) -> str:
        return self.identity.sign(json.dumps([said, self.folder.root]).encode())[:16].hex()

    def _begin(self, invitation: Found) -> None:
        self.study.invitation = fingerprint(invitation.data)
        self.study.follow(invitation)

    def step(self) -> list[Request]:
        """Return who asked to join, in the order of their names; ValueError before there is an invitation."""
        self._must_resume()
        self.study.take("request", self._read_request)
        requests = [self._asked[key] for key in sorted(self._asked)]
        names = Counter(skeleton(each.name) for each in requests)
        keys = Counter(key for each in requests for key in each.member)
        return [
            each._replace(twice=names[skeleton(each.name)] > 1 or max(map(keys.__getitem__, each.member)) > 1)
            for each in requests
        ]

    def _read_request(self, found: Found) -> None:
        letter = letters.read(found, self.study.id, "request", 0)
        member = Member(letter.public, letters.unpacked(letter.json(), "exchange"))
        if not is_exchange_key(member.exchange):
            raise MessageError(f"{letter.sender} asks with a key for exchanges that is none.")
        problems = tuple(joining.misfits(self.study.settings, self.study.versions, letter.json()))
        new = Request(letter.sender, fingerprint(letter.public), member, problems)
        known = self._asked.setdefault(letter.by, new)
        self._asked[letter.by] = min(new, known, key=lambda each: (bool(each.problems), each.member))

    def open(self, fingerprints: Collection[str] | None = None, key_maker: str | None = None) -> None:
        """Close the list of hospitals, and begin; ValueError if it is closed, or these hospitals cannot begin.

        fingerprints : whom to take, after comparing these with them; everybody who fits if None
        key_maker : the hospital that makes the key; the first by name if None
        """
        requests, settings = self.step(), self.study.settings
        if self.study.roster is not None:
            raise ValueError(f"The study is open, with {', '.join(self.study.roster)}: nobody can join any more.")
        if fingerprints is None:
            taken = [request for request in requests if not request.problems and not request.twice]
        else:
            taken = [request for request in requests if request.fingerprint in fingerprints]
            if strangers := set(fingerprints) - {request.fingerprint for request in taken}:
                raise ValueError(f"Nobody asked to join with the key {', '.join(sorted(strangers))}.")
        names, keys = {request.name: request for request in taken}, {key for request in taken for key in request.member}
        one = len(set(map(skeleton, names))) < len(taken) or len(keys) < 2 * len(taken)
        if one or any(request.problems for request in taken):
            wrong = ", ".join(request.name for request in taken if request.twice or request.problems)
            raise ValueError(f"Of those chosen, two have one name or key, or one does not fit; see `step`: {wrong}.")
        if not settings.quorum <= len(names) <= settings.most_hospitals:
            least, most = settings.quorum, settings.most_hospitals
            raise ValueError(f"{len(names)} hospitals can join, and the study takes {least} to {most}.")
        key_maker = key_maker or min(names)
        if key_maker not in names:
            raise ValueError(f"{key_maker} is none of the hospitals, and one of them makes the key.")
        hospitals = {n: {k: letters.packed(v) for k, v in names[n].member._asdict().items()} for n in sorted(names)}
        parts = max(len(names) // settings.group_size, 1) if settings.group_size else 1
        groups = [group.tolist() for group in np.array_split(sorted(names, key=_seat), parts)]
        for request in taken:
            self.journal.write("approved", who=request.name, key=request.fingerprint)
        self._post("opening", {"hospitals": hospitals, "groups": groups, "key_maker": key_maker})
        self.study.refresh()

    def hand_over(self, name: str, public: bytes) -> int:
        """Let somebody else, by name and key, add up from the number on that is open now, and return it.

        ValueError before there is an invitation.
        """
        self._must_resume()
        from_number, number = self.study.step.number, 1 + max(each.number for each in self.study.coordinators)
        said = {"coordinator": name, "key": letters.packed(public), "from_number": from_number}
        self._post("handover", said | {"number": number})
        self.journal.write("handover", **said)
        return from_number

    def _post(self, what: str, content: dict, about: str = "") -> Found:
        return self.folder.post(what, self.identity.name, self.letter(content, what, about=about))

    def _must_resume(self) -> None:
        if not self.resume():
            raise ValueError(f"{self.identity.name} has not invited anybody here: call `invite` first.")


def _seat(name: str) -> list[str | int]:
    """Order "hospital 10" behind "hospital 9": a group sits together, and compares fingerprints."""
    return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", name))]
