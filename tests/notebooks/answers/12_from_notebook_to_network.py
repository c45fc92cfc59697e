# %% Exercise 1: given
import tempfile
from pathlib import Path

from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Folder, letters
from fedkit.exchange.folder import digest
from fedkit.network.post import Board

# %% Exercise 1: right
shown = 1
# %% Exercise 1: right
shown = 1.0
# %% Exercise 1: right
shown = len(["one"])
# %% Exercise 1: wrong
shown = 0
# %% Exercise 1: wrong
shown = 2
# %% Exercise 1: wrong
shown = "one"
# %% Exercise 2: given
from types import SimpleNamespace

from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Settings
from fedkit.network.consent import LEAVES, Consent

me = Identity("Server", b"S" * 32)
levels = {"sex": ("female", "male")}
plan = Settings("Heart", "label", numeric=("age", "chol", "oldpeak"), categorical=levels, rounds=10, budget=0)
agreed = Consent(
    "K7QM-2XHD-9P1A-4T6R", {"Server": fingerprint(me.public)}, {}, "127.0.0.1", 8002, "label", ["0", "1"],
    ["age", "sex", "chol"], 5, 3, True, ["request", "group", "statistics", "bounds", "update", "two"], 10_000,
)  # fmt: skip
offered = SimpleNamespace(
    settings=plan, invitation=agreed.invitation, least=3, roster=None, maker_is=("Server", me.public), coordinators=[]
)
every = ["age", "chol", "oldpeak", "sex"]
# %% Exercise 2: right
consented = agreed._replace(columns=every, most_rounds=10, leaves=[*agreed.leaves, "scores"])
# %% Exercise 2: right
consented = agreed._replace(
    columns=sorted(every, reverse=True), most_rounds=plan.rounds, leaves=("scores", *agreed.leaves)
)
# %% Exercise 2: right
consented = Consent(
    **agreed._asdict() | {"columns": tuple(every), "most_rounds": 10, "leaves": {"scores", *agreed.leaves}}
)
# %% Exercise 2: wrong
consented = agreed._replace(columns=every, most_rounds=10)
# %% Exercise 2: wrong
consented = agreed._replace(columns=every, most_rounds=100, leaves=[*agreed.leaves, "scores"])
# %% Exercise 2: wrong
consented = agreed._replace(columns=[*every, "name"], most_rounds=10, leaves=[*agreed.leaves, "scores"])
# %% Exercise 2: wrong
consented = agreed._replace(columns=every, most_rounds=10, leaves=[*LEAVES])
# %% Exercise 3: given
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange.folder import digest


# %% Exercise 3: right
def door(name, data, roster):
    said, sender, _ = name.split(".")
    return digest(data) == said and fingerprint(data[:32]) == roster.get(sender)


# %% Exercise 3: right
def door(name, data, roster):
    parts = name.removesuffix(".letter").split(".")
    if parts[1] not in roster:
        return False
    return int(parts[0] == digest(data) and roster[parts[1]] == fingerprint(bytes(data[:32])))


# %% Exercise 3: right
import hashlib


def door(name, data, roster):
    whole = hashlib.sha256(data).hexdigest()[:32]
    return any(name == f"{whole}.{who}.letter" and key == fingerprint(data[:32]) for who, key in roster.items())


# %% Exercise 3: wrong
def door(name, data, roster):
    said, sender, _ = name.split(".")
    return digest(data) == said and sender in roster


# %% Exercise 3: wrong
def door(name, data, roster):
    return fingerprint(data[:32]) == roster.get(name.split(".")[1])


# %% Exercise 3: wrong
def door(name, data, roster):
    return digest(data) == name.split(".")[0] and fingerprint(data[:32]) in roster.values()
