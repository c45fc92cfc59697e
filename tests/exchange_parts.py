"""Parts that the tests of the exchange and its load run share: hospitals, and work without TensorFlow."""

import contextlib
import functools
import itertools
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd

from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.exchange import EVERYBODY, Coordinator, Folder, Maker, Participant, Settings, letters, rounds
from fedkit.exchange.folder import quoted
from fedkit.exchange.journal import events
from fedkit.exchange.rounds import LIST, ONE, SUM
from fedkit.hospitals import Federation, Hospital
from fedkit.preparation import Prepared


class Logistic:
    """Logistic regression in numpy: a gradient step over all rows, the same bits on every run."""

    name, keeps = "", False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def start(self) -> list[np.ndarray]:
        return [np.zeros(shape, np.float32) for shape in self.settings.shapes]

    def train(self, weights: list[np.ndarray], state: Any, rows: Prepared, round: int, hospital: str) -> tuple:
        kernel, bias = (weight.astype(np.float64) for weight in weights)
        start = np.concatenate([kernel.ravel(), bias])
        for _ in range(self.settings.epochs):
            error = _sigmoid((rows.train_features @ kernel)[:, 0] + bias) - rows.train_labels
            kernel = kernel - self.settings.learning_rate * (rows.train_features.T @ error)[:, None] / len(error)
            bias = bias - self.settings.learning_rate * error.mean()
        return np.concatenate([kernel.ravel(), bias]) - start, state, len(error)

    def apply(self, weights: list[np.ndarray], state: Any, mean: np.ndarray) -> tuple[list[np.ndarray], int]:
        kernel, bias = weights
        moved = kernel + mean[:-1, None].astype(np.float32), bias + mean[-1:].astype(np.float32)
        return list(moved), (state or 0) + 1

    def predict(self, weights: list[np.ndarray], state: Any, features: np.ndarray) -> np.ndarray:
        kernel, bias = weights
        return _sigmoid((features @ kernel)[:, 0] + bias)


def federation(hospitals: int = 3, rows: int = 30, columns: int = 3, seed: int = 0) -> Federation:
    """Pretend hospitals, with numbers, a category, and values missing."""
    rng = np.random.default_rng(seed)
    numeric, levels = tuple(f"x{number}" for number in range(columns)), ("low", "high")
    made = []
    for number in range(hospitals):
        values = rng.normal(size=(rows + number, columns))
        labels = (values[:, 0] + rng.normal(size=len(values)) > 0).astype(np.int64)
        values[rng.random(values.shape) < 0.05] = np.nan
        table = pd.DataFrame(values, columns=list(numeric))
        table["grade"] = pd.Categorical(rng.choice(levels, len(table)), categories=levels)
        made.append(Hospital(f"Hospital {number}", table, labels))
    return Federation("pretend", tuple(made), numeric, {"grade": levels})


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


class Class:
    """A study in one process, in which all take steps in turn; homes lie beside the folder, if it is on a disk."""

    boss = Identity("Teacher", b"B" * 32)

    def __init__(self, root, data=None, *, work=Logistic, coordinator=None, known=EVERYBODY, public=True, **settings):
        self.root, self.work, self.federation, self.known = root, work, data or federation(3), known
        self.public = public
        self.home = Path(f"{root} at home") if isinstance(root, Path) else None
        self.settings = Settings.of(self.federation, **{"rounds": 3} | settings)
        self.identities = {
            name: Identity(name, f"{at:02}".encode() * 16) for at, name in enumerate(self.federation.names, 1)
        }
        self.maker = Maker(Folder(root), self.boss)
        self.fingerprint = self.maker.invite(self.settings, coordinator)
        self.time, self.ticks, self.hospitals = 0.0, itertools.count(), {}
        self.restart(*self.federation.names)
        self.restart()

    def clock(self):
        return self.time + next(self.ticks) * 1e-6

    def restart(self, *names, coordinator=None):
        """Forget what hospitals had in memory; if none is named, what the coordinator had."""
        how = {"invitation": self.fingerprint, "home": self.home, "clock": self.clock}
        for name in names:
            me, rows = self.identities[name], self.federation[name]
            more = how | {"known": self.known, "work": self.work, "waits_for_all": False}
            self.hospitals[name] = Participant(Folder(self.root), me, rows, **more)
            self.hospitals[name].public |= self.public  # else as it is in a hospital
        if not names:
            self.coordinator = Coordinator(Folder(self.root), coordinator or self.boss, **how)

    def open(self, **how):
        self.step()
        self.maker.open(**how)
        return self

    def step(self, *names):
        """Let some hospitals, or all, do what is due: name -> status."""
        said = {}
        for name in names or self.hospitals:
            for _ in range(50):
                said[name] = self.hospitals[name].step()
                if not said[name].acted:
                    break
        return said

    def play(self, times=100):
        """Until all are done: what each said last, the coordinator at the end."""
        for _ in range(times):
            said = [*self.step().values(), self.coordinator.step()]
            if all(status.ended for status in said):
                break
        return said

    def one_model(self):
        """The model that all hospitals hold at the end, to which the study goes on."""
        assert {status.stage for status in self.play()} == {"done"}
        (model,) = self.models()
        return model

    def until(self, number, what=ONE):
        """Until all hospitals' letters of a number, its list, or its sum are there, and nobody has looked at them."""
        for _ in range(100):
            self.step()
            study = self.hospitals[self.federation.names[0]].study
            step, closed, _ = study.steps()[-1]
            if reached := step.number == number and (what in (ONE, LIST) or closed):
                break
            self.coordinator.step()
        assert reached, f"Number {number} was not reached."
        if what in (LIST, SUM):
            self.coordinator.step()
        return self

    def wait(self, seconds=61):
        """Nothing more comes: the deadline passes."""
        self.coordinator.step()
        self.time += seconds
        self.coordinator.step()

    def unanswered(self, number, *names):
        """A number whose list these hospitals answer, and no other, until the deadline is over."""
        self.until(number, LIST).step(*names)
        self.wait()

    def until_there(self, place, number=3):
        """Until letters of a place (of a number, where it has one) are there, and nobody has looked: their files."""
        if place not in rounds.LETTERS:
            if place == "group" and self.maker.study.roster is None:
                self.open()
            self.step(self.federation.names[0]) if place == "group" else self.step()
            self.maker.step()
            return self.files(place)
        if self.maker.study.roster is None:
            self.open()
        return self.until(number, place).files(place, number)

    @contextlib.contextmanager
    def disk_put_back(self):
        """The hospitals' disk, after the block, is as it was before."""
        shutil.copytree(self.home, f"{self.home} backup")
        yield
        shutil.rmtree(self.home)
        Path(f"{self.home} backup").rename(self.home)

    def put(self, place, sender, data):
        """Anybody's bytes, in the folder under anybody's name."""
        return Folder(self.root).post(place, sender, data)

    def post(self, identity, place, content, purpose, number=0, study=""):
        """What somebody signs, in the folder, whatever their software says; see `Party.letter`."""
        about = About(study or self.maker.study.id, purpose, number, identity.name, (identity.name,))
        return letters.post(Folder(self.root), place, content, about, identity)

    def say(self, what, number, content, who=None):
        """A list or a sum by who adds up, or by somebody else."""
        return self.post(who or self.boss, rounds.place(what, number), content, what, number)

    def files(self, place, number=None):
        place = place if number is None else rounds.place(place, number)
        return sorted((self.root / place).iterdir())

    def letter(self, what, number, hospital):
        """The file of a hospital's letter."""
        (path,) = self.said(what, number, hospital)
        return path

    @contextlib.contextmanager
    def hidden(self, *paths):
        """Files that synchronising does not show, for a while."""
        aside = [(path.rename(self.root / f"hidden {path.name}"), path) for path in paths]
        yield
        for there, path in aside:
            there.rename(path)

    def content(self, what, number, sender="Teacher"):
        """The content of somebody's letter of a number."""
        found = next(each for each in Folder(self.root).new(rounds.place(what, number), 10**7) if each.sender == sender)
        return letters.read(found, None, None, number).content

    @property
    def counted(self):
        """For each number that was added up, its purpose and the hospitals in its sums."""
        self.coordinator.study.refresh()
        return [
            (step.purpose, sorted(name for at in added.which for name in closed.groups[at]))
            for step, closed, added in self.coordinator.study.steps()
            if added
        ]

    def ends_well(self, model, *why):
        """The study goes on to the same model with all hospitals, and the log says why something was refused."""
        assert self.one_model() == model
        purposes = ["statistics", "patients", *["update"] * self.settings.rounds, "scores"]
        assert self.counted == [(purpose, sorted(self.federation.names)) for purpose in purposes]
        assert not twice(self.root, self.identities), "nobody posted two letters of one kind and number"
        assert not [each for each in why if each not in self.sentences]

    def said(self, what, number, hospital):
        """The files of a kind and number that bear a hospital's name."""
        return sorted(self.root.glob(f"{rounds.place(what, number)}/*.{quoted(hospital)}.letter"))

    @property
    def sentences(self):
        """Why letters were refused, as the log tells."""
        return "\n".join(event["why"] for event in events(self.root) if event["what"] == "refused")

    def models(self):
        return {b"".join(weight.tobytes() for weight in hospital.weights) for hospital in self.hospitals.values()}


@functools.cache
def model_of(hospitals=3, **settings):
    """The model of a study when nothing goes wrong."""
    return Class(f"memory://undisturbed {hospitals} {settings}", federation(hospitals), **settings).open().one_model()


def twice(root, senders=None):
    """Where somebody wrote two letters of one kind and number, whatever a synchroniser made of their files."""
    found = {}
    for path in (path for what in rounds.LETTERS for path in root.glob(f"{what}-?????/*.letter*") if path.is_file()):
        sender = unquote(path.name.split(".")[1].split(" (")[0])
        if senders is None or sender in senders:
            found.setdefault((path.parent.name, sender), set()).add(path.name[:32])
    return [f"{each} by {sender} in {place}" for (place, sender), each in sorted(found.items()) if len(each) > 1]
