"""Parts that the tests of the network and its load run share: letters as they travel, and a trial to wait for."""

import contextlib
import functools

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from exchange_parts import Logistic, federation

from fedkit import exchange
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.exchange import letters
from fedkit.exchange.folder import digest, quoted
from fedkit.network import kits
from fedkit.network.loopback import SERVER, Loopback

DATA = federation(3)


def letter(me, place, content=b"{}", purpose="request", number=0, sender=None):
    """A letter as it travels."""
    data = letters.signed(content, About("0" * 32, purpose, number, me.name, (me.name,)), me)
    return place, f"{digest(data)}.{quoted(sender or me.name)}.letter", data


@functools.cache
def rehearsed(rounds):
    return exchange.rehearse(DATA, rounds=rounds, work=Logistic)[0]


class Trial(Loopback):
    """Three hospitals, whose work is a gradient step in numpy."""

    def __init__(self, place, rounds=12, work="exchange_parts:Logistic"):
        super().__init__(place, DATA, work, rounds=rounds)
        self.rounds = rounds

    def reach(self, round, seconds=120):
        """Wait until a round is open."""
        return self.until(lambda: self.status(SERVER).get("round", 0) >= round, seconds)

    def hear(self, name, sentence, seconds, what="wrong"):
        """Wait until a process says something."""
        return self.until(lambda: sentence in self.status(name).get(what, ""), seconds)

    def end(self, seconds=300):
        """Wait until all hospitals have one model; see that it is the rehearsal's up to what rounding draws."""
        waited = self.until(lambda: all("model" in self.status(name) for name in DATA.names), seconds)
        assert len({(self.kits[name] / "model.npz").read_bytes() for name in DATA.names}) == 1
        found = np.load(self.kits[DATA.names[0]] / "model.npz")
        for at, wanted in enumerate(rehearsed(self.rounds).weights):
            assert np.abs(found[f"arr_{at}"] - wanted).max() < 1e-5
        return waited

    @contextlib.contextmanager
    def expired(self, name):
        """A certificate has run out, for a while; or a clock is wrong, which looks the same."""
        server, crt = self.kits[SERVER], self.kits[name] / "tls.crt"
        boss, good = Identity.load(server / "identity", self.passphrase), crt.read_bytes()
        authority = load_pem_private_key(boss.unlocked((server / "ca.key").read_bytes(), "ca.key"), None)
        use = ExtendedKeyUsageOID.SERVER_AUTH if name == SERVER else ExtendedKeyUsageOID.CLIENT_AUTH
        mine = x509.load_pem_x509_certificate(good).public_key()
        crt.write_bytes(kits._certificate("x", mine, authority, 0.001, use))
        yield
        crt.write_bytes(good)
