"""How a study is going, for everybody to see: on a projector, in a notebook, in a terminal."""

import sys
import time
from typing import NamedTuple

import pandas as pd

from fedkit.exchange import rounds
from fedkit.exchange.folder import Folder, Where
from fedkit.exchange.hospital import Participant
from fedkit.exchange.rounds import ONE, TWO, Step
from fedkit.exchange.study import Study, Tally

SIGNS = {"counted": "#", "shared": "*", "posted": "+", "late": "!", "lost": "x", "missing": "-", "awaited": "."}


class Progress(NamedTuple):
    """How a study is going; as text, the sentence and a row a hospital, a sign a number."""

    sentence: str  # all of it, short
    hospitals: list[str]  # who takes part; before the opening, who asked to
    letters: pd.DataFrame  # a row a number and hospital: "number", "hospital", "state" (see `SIGNS`), "bytes"
    auroc: dict[int, float]  # round -> of the model after it (0: the first one); none for those who have no key
    done: bool  # whether nothing more will happen

    def __str__(self) -> str:
        if self.letters.empty:
            return "\n".join([self.sentence, *self.hospitals])
        signs = self.letters["state"].map(SIGNS).groupby(self.letters["hospital"]).agg("".join)
        width = max(map(len, signs.index))
        lines = [f"{name:{width}} {row}" for name, row in signs.items()]
        return "\n".join([self.sentence, *lines, ", ".join(f"{sign} {state}" for state, sign in SIGNS.items())])


class Watch:
    """Looks at a study, whose letters it lists and does not read; only lists, sums and what comes before are checked.

    With a `participant`, if the watcher is a hospital, AUROC is known, too. See `Party`.
    """

    def __init__(self, folder: Where, invitation: str, participant: Participant | None = None) -> None:
        self.folder, self._participant = Folder.opened(folder), participant
        self.study = Study(self.folder, invitation)
        self._sizes: dict[str, dict[str, int]] = {}  # place -> who sent letters there -> bytes of the largest

    def look(self) -> Progress:
        """Read what is new, and say how things are."""
        study = self.study
        study.refresh()
        tallies = study.steps() if study.roster else []
        for step, _, _ in tallies:
            for place in (rounds.place(what, step.number) for what in (ONE, TWO)):
                if place not in self._sizes or step.number >= tallies[-1].step.number - 1:  # older ones do not change
                    self._sizes[place] = self.folder.senders(place)
        begun = [each for each in tallies if not each.step.ended]
        rows = [
            (each.step.number, name, state, self._size(ONE, each.step, name) + self._size(TWO, each.step, name))
            for each in begun
            for name, state in self._states(each).items()
        ]
        letters = pd.DataFrame(rows, columns=["number", "hospital", "state", "bytes"])
        scores = self._participant.scores if self._participant else {}
        auroc = {round: found["auroc"][0] for round, found in scores.items()}
        names = list(study.roster) if study.roster else sorted(self.folder.senders("request")) if study.id else []
        return Progress(self._sentence(tallies, names), names, letters, auroc, bool(tallies) and tallies[-1].step.ended)

    def _size(self, what: str, step: Step, name: str) -> int:
        """Bytes of a hospital's letter; 0 if it is not there."""
        return self._sizes[rounds.place(what, step.number)].get(name, 0)

    def _states(self, tally: Tally) -> dict[str, str]:
        """Hospital -> what became of its letters of a number."""
        step, closed, _ = tally
        return {
            name: "counted" if name in tally.counted
            else "lost" if tally.end and name in tally.listed
            else ("late" if self._size(ONE, step, name) else "missing") if closed and name not in tally.listed
            else "shared" if self._size(TWO, step, name)
            else "posted" if self._size(ONE, step, name)
            else "awaited"
            for name in self.study.roster
        }  # fmt: skip

    def _sentence(self, tallies: list[Tally], names: list[str]) -> str:
        study = self.study
        if not study.id:
            return "There is no invitation with this fingerprint here yet."
        title, last = study.settings.title, study.settings.rounds
        if study.roster is None:
            return f"{title}: {len(names)} asked to join."
        if study.group_key is None:
            return f"{title}: {len(names)} hospitals; {study.key_maker} makes the group's key."
        size = sum(sum(of.values()) for of in self._sizes.values())
        size += sum(each.added.size for each in tallies if each.added)
        total, step = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB", tallies[-1].step
        if step.ended:
            return f"{title}: {step.purpose}, {len(names)} hospitals, {total}."
        states, closed = self._states(tallies[-1]), tallies[-1].closed
        here = [name for name, state in states.items() if state != "awaited"]
        waited = [name for name, state in states.items() if state == ("posted" if closed else "awaited")]
        what = f"{step.purpose} of round {step.round} of {last}" if 0 < step.round <= last else f"the {step.purpose}"
        waits = f"waiting for {', '.join(waited)}" if waited else f"{study.in_charge(step.number).name} adds up"
        letter = "letter two" if closed else "letter one"
        return f"{title}: {what}, {len(here)} of {len(names)} letters, {letter}: {waits}; {total}."


def show(folder: Where, invitation: str, participant: Participant | None = None, poll_seconds: float = 2.0) -> Progress:
    """Show how a study is going, as `Watch` sees it, again and again in one place: a picture in a notebook, or text."""
    watch, place, before = Watch(folder, invitation, participant), None, ""
    while True:
        progress = watch.look()
        if str(progress) != before:
            before, place = str(progress), _shown(progress, place)
        if progress.done:
            return progress
        time.sleep(poll_seconds)


def _shown(progress: Progress, place: object) -> object:
    """Show a picture in the place of the last one, or print; return the place."""
    if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        print(f"\033[H\033[2J{progress}" if sys.stdout.isatty() else progress, flush=True)
        return None
    from IPython.display import display

    from fedkit.chapters.figures.studies import study_grid

    picture = progress.sentence if progress.letters.empty else study_grid(progress.letters, progress.sentence)
    if place is None:
        return display(picture, display_id=True)
    place.update(picture)
    return place
