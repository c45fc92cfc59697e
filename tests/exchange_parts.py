"""Parts that the tests of the exchange and its load run share: hospitals, and work without TensorFlow."""

import contextlib
from typing import Any

import numpy as np
import pandas as pd

from fedkit.encryption.identities import Identity
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings, letters, rounds
from fedkit.exchange.folder import quoted
from fedkit.exchange.journal import events
from fedkit.exchange.party import Party
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
    """A study in one process, in which everybody takes steps in turn."""

    boss = Identity("Teacher", b"B" * 32)

    def __init__(self, root, data=None, *, work=Logistic, coordinator=None, **settings):
        self.root, self.work, self.federation = root, work, data or federation(3)
        self.settings = Settings.of(self.federation, **{"rounds": 3} | settings)
        self.identities = {
            name: Identity(name, f"{at:02}".encode() * 16) for at, name in enumerate(self.federation.names, 1)
        }
        self.maker = Maker(Folder(root), self.boss)
        self.fingerprint = self.maker.invite(self.settings, coordinator)
        self.time, self.hospitals = 0.0, {}
        self.restart(*self.federation.names)
        self.restart()

    def restart(self, *names, coordinator=None):
        """Forget what hospitals had in memory; if none is named, what the coordinator had."""
        how = {"invitation": self.fingerprint}
        for name in names:
            me, rows = self.identities[name], self.federation[name]
            self.hospitals[name] = Participant(Folder(self.root), me, rows, work=self.work, **how)
        if not names:
            self.coordinator = Coordinator(Folder(self.root), coordinator or self.boss, clock=lambda: self.time, **how)

    def open(self, **how):
        self.step()
        self.maker.open(**how)
        return self

    def step(self, *names):
        """Let some hospitals, or all, do what is due: name -> status."""
        said = {}
        for name in names or self.hospitals:
            while (status := self.hospitals[name].step()).acted:
                pass
            said[name] = status
        return said

    def play(self, times=100):
        """Until all are done: what each said last."""
        for _ in range(times):
            said = [*self.step().values(), self.coordinator.step()]
            if all(status.ended for status in said):
                break
        return said

    def until(self, round):
        """Until all hospitals have posted for a round, and nobody has added up."""
        while max(status.round for status in self.step().values()) < round:
            self.coordinator.step()
        return self

    def put(self, place, sender, data):
        """Anybody's bytes, in the folder under anybody's name."""
        return Folder(self.root).post(place, sender, data)

    def post(self, identity, place, content, purpose, *about, study=""):
        """What somebody signs, in the folder, whatever their software says; see `Party.post`."""
        study = study or self.maker.study.id
        return Party(self.root, identity, invitation="").post(place, content, purpose, *about, study=study)

    def files(self, place):
        return sorted((self.root / place).iterdir())

    def letter(self, place, hospital):
        """The file of a hospital's letter."""
        (path,) = self.root.glob(f"{place}/*.{quoted(hospital)}.letter")
        return path

    @contextlib.contextmanager
    def hidden(self, *paths):
        """Files that synchronising does not show, for a while."""
        aside = [(path.rename(self.root / f"hidden {path.name}"), path) for path in paths]
        yield
        for there, path in aside:
            there.rename(path)

    def read(self, place, round, sender=None):
        """A letter of a round, or its sum, opened."""
        found = next(Folder(self.root).new(place, 10**6, sender))
        return letters.read(found, self.maker.study.id, rounds.purpose(self.settings, round), round)

    def added(self, round):
        """The encrypted sum of a round, as it lies in the folder."""
        letter = self.read(rounds.sum_place(round), round)
        return rounds.Total.from_bytes(letter.content, letter.hospitals).message

    def counted(self):
        """Round -> hospital -> digest of the letter that was counted."""
        self.coordinator.step()
        study = self.coordinator.study
        return [study.links[link].counted for link in study.chain()[1:]]

    def ends_well(self, model, why=""):
        """The study goes on to the same model with all hospitals, and the log says why something was refused."""
        assert {status.stage for status in self.play()} == {"done"}
        assert self.models() == {model}
        assert [list(of) for of in self.counted()] == [list(self.federation.names)] * (self.settings.rounds + 2)
        assert not why or why in self.sentences

    @property
    def sentences(self):
        """Why letters were refused, as the log tells."""
        return "\n".join(event["why"] for event in events(self.root) if event["what"] == "refused")

    def models(self):
        return {b"".join(weight.tobytes() for weight in hospital.weights) for hospital in self.hospitals.values()}
