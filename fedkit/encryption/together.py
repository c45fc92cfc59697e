"""All hospitals of a study and its server, played by one process: every letter is made, signed, sent, checked."""

import os
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedkit.encryption import envelopes, keyring, messages
from fedkit.encryption.envelopes import About, Roster
from fedkit.encryption.identities import Identity
from fedkit.encryption.keyring import FEWEST, Keyring, Listed, Member
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import Parameters
from fedkit.encryption.server import Server

SERVER = "server"
MOST_LISTED = 100  # hospitals in a list: all of them must answer twice
MOST_PAIRED = 300  # hospitals that have keys with all others; of more, each has them with its own list
_SEALED, _DIGEST = 80, 32  # bytes of the group's key, sealed to a hospital; and of what stands for a letter

Network = Callable[[str, bytes], bytes]


class Opened(NamedTuple):
    """What the hospitals read of one list's sum."""

    numbers: np.ndarray  # the weights' sum, and that of weight x vector: shape [1 + p]
    hospitals: tuple[str, ...]
    clear: np.ndarray  # sum of what travelled readable, shape [c]


class _Asked(NamedTuple):
    """What is added up in one number, and how."""

    purpose: str
    layout: Layout
    numbers: Mapping[str, tuple[np.ndarray, float]]
    ledger: Any
    clear: Mapping[str, np.ndarray]


class Together:
    """A study in one process.

    hospitals : names, three at the least
    parameters : of the encryption
    ledger : takes note of what is spent; see `records.Ledger`
    network : ``network(sender, message)`` returns what arrives of a message
    least : hospitals in a list
    groups : attribute, lists that are added up apart: one, up to `MOST_LISTED` hospitals
    """

    def __init__(
        self, hospitals: Sequence[str], parameters: Parameters, ledger: Any, network: Network, least: int = FEWEST
    ) -> None:
        if len(hospitals) < FEWEST or SERVER in hospitals:
            said = f"An encrypted sum needs {FEWEST} hospitals or more, and none may be called {SERVER!r}"
            raise ValueError(f"{said}: these are {', '.join(map(str, hospitals))}.")
        parts = -(-len(hospitals) // MOST_LISTED)
        self.groups = [tuple(hospitals[at::parts]) for at in range(parts)]
        self.parameters, self._network, self._least = parameters, network, least
        self.identities = {name: Identity.new(name) for name in (*hospitals, SERVER)}
        self.roster = Roster({name: identity.public for name, identity in self.identities.items()})
        exchange = {name: X25519PrivateKey.generate() for name in hospitals}
        members = {n: Member(self.roster[n], key.public_key().public_bytes_raw()) for n, key in exchange.items()}
        self.keyrings: dict[str, Keyring] = {}
        study, group = os.urandom(32), os.urandom(32)
        for name in hospitals:
            peers = next(each for each in self.groups if name in each) if len(hospitals) > MOST_PAIRED else hospitals
            how = {"own": os.urandom(32), "known": peers, "peers": peers, "least": least}
            with ledger.timed(name, "keys"):
                self.keyrings[name] = keyring.join(name, parameters, study, members, exchange[name], group, **how)
            # Two public keys, signed: each hospital's go to the server, and all of them come back.
            ledger.add(name, "up", "keys", 2 * 32 + 64)
            ledger.add(name, "down", "keys", len(self.roster) * (2 * 32 + 64))
            if name != hospitals[0]:
                ledger.add(hospitals[0], "peer", "keys", _SEALED)
        self._any = self.keyrings[hospitals[0]]  # all go the same way: number, label and size of letters

    def sums(
        self,
        purpose: str,
        layout: Layout,
        numbers: Mapping[str, tuple[np.ndarray, float]],
        ledger: Any,
        clear: Mapping[str, np.ndarray] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
    ) -> list[Opened]:
        """Add up vectors [p] and weights of hospitals, a list for each of `groups`; who cannot be heard is left out.

        A ValueError names whose numbers cannot be encrypted; a MessageError says why no sum opened.
        """
        groups, found, silent = groups or self.groups, [], {""}
        numbers = {name: numbers[name] for group in groups for name in group if name in numbers}
        while silent and not found:
            numbers, silent = {name: own for name, own in numbers.items() if name not in silent}, set()
            asked = _Asked(purpose, layout, numbers, ledger, clear or {})
            for keys in (keys for name, keys in self.keyrings.items() if name not in numbers):
                keys.begin(purpose, keys.coefficients(layout))
            sent = {name: self._sent(asked, name) for name in numbers}
            sums = [self._sum(asked, {name: sent[name] for name in group if name in sent}, silent) for group in groups]
            found = self._opened(asked, list(filter(None, sums)))
        if not found:
            raise MessageError(f"No list of {self._least} hospitals could be heard ({purpose}): nothing is added up.")
        return found

    def _sent(self, asked: _Asked, name: str) -> dict[str, bytes]:
        """At a hospital: what arrives of its first letter, and of what it sends readable."""
        vector, weight = asked.numbers[name]
        with asked.ledger.timed(name, "encrypt"):
            try:
                letter = self.keyrings[name].encrypt(asked.purpose, vector, weight, asked.layout, public=True)
            except ValueError as problem:  # or a MessageError
                raise type(problem)(f"{name}: {problem}") from problem
            contents = {asked.purpose: letter}
            if name in asked.clear:
                contents["clear"] = (asked.clear[name] * weight).astype("<f4").tobytes()
            signed = {what: self._signed(content, name, what) for what, content in contents.items()}
        return {what: self._network(name, message) for what, message in signed.items()}

    def _sum(self, asked: _Asked, sent: Mapping[str, Mapping[str, bytes]], silent: set[str]) -> tuple | None:
        """Add up a group's letters, and the shares for their list: the sum, its list and what was readable, if any.

        Whose share does not come is added to those who are silent.
        """
        ledger, server = asked.ledger, Server(self.parameters, (self._any.about, self._any.size, None))
        listed, headings, readable = {}, 0, 0.0
        for name, arrived in sent.items():
            phases = dict.fromkeys(arrived, "send") | {"clear": "clear"}
            with ledger.timed(SERVER, "add"):
                try:
                    letter, extra = self._taken(asked, name, arrived, server)
                    listed[name], readable = messages.digest(letter), readable + extra
                    headings += len(arrived[asked.purpose]) - len(letter) + _DIGEST
                except MessageError:
                    phases = dict.fromkeys(arrived, "refused")
            for what, message in arrived.items():
                ledger.add(name, "up", phases[what], len(message))
        if len(listed) < self._least:
            return None
        with ledger.timed(SERVER, "add"):
            closed = self._signed(b"".join(listed.values()), SERVER, "list", listed)
        closed = self._network(SERVER, closed)
        for name in listed:
            with ledger.timed(name, "share"):
                about, content = self._read(closed, SERVER, "list", _DIGEST * len(listed))
                digests = (content[at : at + _DIGEST] for at in range(0, len(content), _DIGEST))
                share = self.keyrings[name].share(dict(zip(about.hospitals, digests, strict=True)))
                share = self._signed(share, name, "share")
            # The others' headings come with the list: who signed which letter, and for which sum.
            ledger.add(name, "down", "list", len(closed) + headings)
            share, phase = self._network(name, share), "share"
            with ledger.timed(SERVER, "add"):
                try:
                    size = messages.share_bytes(self.parameters, len(listed))
                    server.take_share(self._read(share, name, "share", size)[1])
                except MessageError:
                    phase = "refused"
                    silent.add(name)
            ledger.add(name, "up", phase, len(share))
        if silent & listed.keys():
            return None
        with ledger.timed(SERVER, "add"):
            total = self._signed(server.total(), SERVER, "sum", listed)
        return self._network(SERVER, total), listed, readable

    def _taken(self, asked: _Asked, name: str, sent: Mapping[str, bytes], server: Server) -> tuple[bytes, Any]:
        """At the server: add a first letter, and return it with what is readable beside it, or raise a MessageError."""
        readable = 0.0
        if "clear" in sent:
            _, content = self._read(sent["clear"], name, "clear", 4 * len(asked.clear[name]))
            readable = np.frombuffer(content, "<f4").astype(np.float64)
            if not np.isfinite(readable).all():
                raise MessageError(f"{name} sent numbers in the clear that are not finite: they cannot be added.")
        size = messages.letter_bytes(self.parameters, self._any.size)
        about, letter = self._read(sent[asked.purpose], name, asked.purpose, size)
        if about.hospitals != (name,):
            raise MessageError(f"{name} sent the numbers of {', '.join(about.hospitals)}: each sends its own.")
        server.take(letter)
        return letter, readable

    def _opened(self, asked: _Asked, totals: list[tuple]) -> list[Opened]:
        """At each hospital: read and open what the server added up; the first does it for all."""
        if not totals:
            return []
        began, sums = perf_counter(), []
        for answer, listed, _ in totals:
            size = messages.sum_bytes(self.parameters, self._any.size, len(listed))
            about, content = self._read(answer, SERVER, "sum", size)
            if about.hospitals != tuple(listed):
                raise MessageError("The server says that it added up other hospitals than it listed.")
            sums.append((content, listed))
        numbers = self._any.open(sums, asked.layout)
        seconds = perf_counter() - began
        for name, keys in self.keyrings.items():
            keys.accept(sums)
            asked.ledger.add(name, "", "decrypt", seconds=seconds)
            for answer, _, readable in totals:
                asked.ledger.add(name, "down", "send", len(answer))
                if np.ndim(readable):
                    asked.ledger.add(name, "down", "clear", 4 * len(readable))
        each = zip(numbers, totals, strict=True)
        return [Opened(own, tuple(listed), np.asarray(readable)) for own, (_, listed, readable) in each]

    def _signed(self, content: bytes, sender: str, purpose: str, hospitals: Listed | None = None) -> bytes:
        keys = self.keyrings.get(sender, self._any)
        about = About(keys.about.hex(), purpose, keys.number, sender, tuple(hospitals or (sender,)))
        return envelopes.sign(content, about, self.identities[sender])

    def _read(self, message: bytes, sender: str, purpose: str, size: int) -> tuple[About, bytes]:
        expected = {"study": self._any.about.hex(), "purpose": purpose, "round": self._any.number, "sender": sender}
        return envelopes.read(message, self.roster[sender], **expected, size=size)
