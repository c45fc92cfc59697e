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
_SEALED, _DIGEST = 80, 32  # bytes of the group's key, sealed to a hospital; and of what stands for a letter

Network = Callable[[str, bytes], bytes]


class Opened(NamedTuple):
    """What the hospitals read of one list's sum."""

    numbers: np.ndarray  # the weights' sum, and that of weight x vector: shape [1 + p]
    hospitals: tuple[str, ...]
    clear: np.ndarray  # sum of what travelled readable, shape [c]


class Together:
    """A study in one process.

    Parameters
    ----------
    hospitals
        Names, three at the least.
    parameters
        Of the encryption.
    ledger
        Takes note of what is spent; see `records.Ledger`.
    network
        ``network(sender, message)`` returns what arrives of a message.

    Attributes
    ----------
    groups : list of tuple of str
        Lists that are added up apart: one, up to `MOST_LISTED` hospitals.
    any : Keyring
        One hospital's keys, for what all know; the last that made a letter, so it knows the number that is made now.
    """

    def __init__(self, hospitals: Sequence[str], parameters: Parameters, ledger: Any, network: Network) -> None:
        if len(hospitals) < FEWEST or SERVER in hospitals:
            raise ValueError(
                f"An encrypted sum needs {FEWEST} hospitals or more (of two, each reads the other's part), and none may "
                f"be called {SERVER!r}: these are {', '.join(map(str, hospitals))}."
            )
        parts = -(-len(hospitals) // MOST_LISTED)
        self.groups = [tuple(hospitals[at::parts]) for at in range(parts)]
        self.parameters, self._network = parameters, network
        self.identities = {name: Identity.new(name) for name in (*hospitals, SERVER)}
        self.roster = Roster({name: identity.public for name, identity in self.identities.items()})
        exchange = {name: X25519PrivateKey.generate() for name in hospitals}
        members = {n: Member(self.roster[n], key.public_key().public_bytes_raw()) for n, key in exchange.items()}
        study, group, opened = os.urandom(32), os.urandom(32), {}
        self.keyrings: dict[str, Keyring] = {}
        for peers in self.groups:
            for name in peers:
                with ledger.timed(name, "keys"):
                    self.keyrings[name] = keyring.join(
                        name, parameters, study, members, exchange[name], group,
                        own=os.urandom(32), known=peers, peers=peers,
                    )  # fmt: skip
                self.keyrings[name].opened = opened
                # two public keys, signed: each hospital's go to the server, and all of them come back
                ledger.add(name, "up", "keys", 2 * 32 + 64)
                ledger.add(name, "down", "keys", len(self.roster) * (2 * 32 + 64))
                if name != hospitals[0]:
                    ledger.add(hospitals[0], "peer", "keys", _SEALED)
        self.any = self.keyrings[hospitals[0]]

    def sums(
        self,
        purpose: str,
        layout: Layout,
        numbers: Mapping[str, tuple[np.ndarray, float]],
        ledger: Any,
        dither: Callable[[np.ndarray], np.random.Generator | None] = lambda vector: None,
        clear: Mapping[str, np.ndarray] | None = None,
        groups: Sequence[Sequence[str]] | None = None,
    ) -> list[Opened]:
        """Add up vectors [p] and weights of hospitals, a list for each of `groups`; who cannot be heard is left out.

        A ValueError names whose numbers cannot be encrypted; a MessageError says why no sum opened.
        """
        while True:
            found, silent = self._number(purpose, layout, numbers, ledger, dither, clear or {}, groups or self.groups)
            if found:
                return found
            if not silent:
                raise MessageError(
                    f"No list of {FEWEST} hospitals could be heard ({purpose}): nothing can be added up."
                )
            numbers = {name: own for name, own in numbers.items() if name not in silent}

    def _number(
        self,
        purpose: str,
        layout: Layout,
        numbers: Mapping,
        ledger: Any,
        dither: Callable,
        clear: Mapping,
        groups: Sequence[Sequence[str]],
    ) -> tuple[list[Opened], set[str]]:
        """Play one number: the sums that opened, and whose shares did not come."""
        for name in self.keyrings.keys() - numbers.keys():
            self.keyrings[name].begin(purpose, self.any.coefficients(layout))
        found, silent, totals = [], set(), []
        for group in groups:
            server, listed, headings, readable = None, {}, [], 0.0
            for name in filter(numbers.__contains__, group):
                sent, readable_part = self._sent(purpose, layout, name, numbers[name], ledger, dither, clear)
                began = perf_counter()
                server = server or Server(self.parameters, self.any.about, self.any.coefficients(layout))
                try:
                    message, extra = self._taken(purpose, layout, name, sent, server, readable_part)
                    listed[name], readable = messages.digest(message), readable + extra
                    headings.append(len(envelopes.heading(sent[purpose])))
                except MessageError:
                    for what, each in sent.items():
                        ledger.add(name, "up", "refused", len(each))
                else:
                    for what, each in sent.items():
                        ledger.add(name, "up", "clear" if what == "clear" else "send", len(each))
                ledger.add(SERVER, "", "add", seconds=perf_counter() - began)
            if len(listed) >= FEWEST:
                answer = self._shared(server, listed, headings, ledger, silent)
                if answer is not None:
                    totals.append((answer, listed, readable))
        if totals:
            found = self._opened(layout, totals, ledger)
        return found, silent

    def _about(self, purpose: str) -> dict:
        return {"study": self.any.about.hex(), "purpose": purpose, "round": self.any.number}

    def _signed(self, content: bytes, sender: str, purpose: str, hospitals: Sequence[str] = ()) -> bytes:
        about = About(**self._about(purpose), sender=sender, hospitals=tuple(hospitals) or (sender,))
        return envelopes.sign(content, about, self.identities[sender])

    def _read(self, message: bytes, sender: str, purpose: str, size: int | None, most: int = 0) -> tuple[About, bytes]:
        about = {"sender": sender, "size": size, "most": most} | self._about(purpose)
        return envelopes.read(message, self.roster[sender], **about)

    def _sent(
        self, purpose: str, layout: Layout, name: str, own: tuple, ledger: Any, dither: Callable, clear: Mapping
    ) -> tuple[dict[str, bytes], int]:
        """At a hospital: what arrives of its first letter, and of what it sends readable, of so many bytes."""
        (vector, weight), beside = own, b""
        with ledger.timed(name, "encrypt"):
            try:
                contents = {purpose: self.keyrings[name].encrypt(purpose, vector, weight, layout, dither(vector))}
            except MessageError:
                raise
            except ValueError as problem:
                raise ValueError(f"{name}: {problem}") from problem
            self.any = self.keyrings[name]
            if name in clear:
                beside = (clear[name] * weight).astype("<f4").tobytes()
                contents["clear"] = beside
            signed = {what: self._signed(content, name, what) for what, content in contents.items()}
        return {what: self._network(name, message) for what, message in signed.items()}, len(beside)

    def _taken(
        self, purpose: str, layout: Layout, name: str, sent: Mapping[str, bytes], server: Server, size: int
    ) -> tuple[bytes, np.ndarray | float]:
        """At the server: add a first letter, and what is readable beside it, or raise a MessageError."""
        readable: np.ndarray | float = 0.0
        if "clear" in sent:
            _, content = self._read(sent["clear"], name, "clear", size)
            readable = np.frombuffer(content, "<f4").astype(np.float64)
            if not np.isfinite(readable).all():
                raise MessageError(f"{name} sent numbers in the clear that are not finite: they cannot be added.")
        most = messages.letter_bytes(self.parameters, self.any.coefficients(layout))
        about, content = self._read(sent[purpose], name, purpose, most)
        if about.hospitals != (name,):
            raise MessageError(f"{name} sent the numbers of {', '.join(about.hospitals)}: each sends its own.")
        server.take(content)
        return content, readable

    def _shared(
        self, server: Server, listed: Listed, headings: list[int], ledger: Any, silent: set[str]
    ) -> bytes | None:
        """Close a list, and collect the shares for it: the sum, signed, or None if one does not come."""
        with ledger.timed(SERVER, "add"):
            closed = self._signed(b"".join(listed.values()), SERVER, "list", tuple(listed))
        closed = self._network(SERVER, closed)
        began = perf_counter()
        about, content = self._read(closed, SERVER, "list", _DIGEST * len(listed))
        parts = [content[at : at + _DIGEST] for at in range(0, len(content), _DIGEST)]
        read, seconds = dict(zip(about.hospitals, parts, strict=True)), perf_counter() - began
        for name in listed:
            began = perf_counter()
            share = self._signed(self.keyrings[name].share(read), name, "share")
            ledger.add(name, "", "share", seconds=perf_counter() - began + seconds)
            # the others' headings come with the list: who signed which letter, and for which sum
            ledger.add(name, "down", "list", len(closed) + sum(headings))
            arrived = self._network(name, share)
            began = perf_counter()
            try:
                server.take_share(
                    self._read(arrived, name, "share", messages.share_bytes(self.parameters, len(read)))[1]
                )
                ledger.add(name, "up", "share", len(arrived))
            except MessageError:
                silent.add(name)
                ledger.add(name, "up", "refused", len(arrived))
            ledger.add(SERVER, "", "add", seconds=perf_counter() - began)
        if silent & listed.keys():
            return None
        with ledger.timed(SERVER, "add"):
            return self._network(SERVER, self._signed(server.total(), SERVER, "sum", tuple(listed)))

    def _opened(self, layout: Layout, totals: list[tuple], ledger: Any) -> list[Opened]:
        """At each hospital: read and open what the server added up."""
        seconds, numbers = 0.0, []
        for answer, listed, _ in totals:
            began = perf_counter()
            size = messages.sum_bytes(self.parameters, self.any.coefficients(layout), len(listed))
            about, content = self._read(answer, SERVER, "sum", size)
            if about.hospitals != tuple(listed):
                raise MessageError("The server says that it added up other hospitals than it listed.")
            numbers += self.any.open([(content, listed)], layout)
            seconds += perf_counter() - began
            for keys in self.keyrings.values():
                if keys is not self.any:
                    keys.open([(content, listed)], layout)  # the same numbers: see `Keyring.opened`
        for name in self.keyrings:
            ledger.add(name, "", "decrypt", seconds=seconds)
            for answer, _, readable in totals:
                ledger.add(name, "down", "send", len(answer))
                if np.size(readable) and isinstance(readable, np.ndarray):
                    ledger.add(name, "down", "clear", 4 * readable.size)
        pairs = zip(numbers, totals, strict=True)
        return [Opened(own, tuple(listed), np.asarray(readable)) for own, (_, listed, readable) in pairs]
