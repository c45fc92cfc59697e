"""How a study is going, for everybody to see: on a projector, in a notebook, in a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from fedkit.exchange import rounds
from fedkit.exchange.folder import Folder, Where, parts
from fedkit.exchange.hospital import Participant
from fedkit.exchange.rounds import ONE, TWO, Step
from fedkit.exchange.study import Added, Closed, Study

SIGNS = {"counted": "#", "shared": "*", "posted": "+", "late": "!", "lost": "x", "missing": "-", "awaited": "."}


class Progress(NamedTuple):
    """How a study is going.

    `sums` has a row a number: "number", "purpose", "round", "closed", "letters", "bytes", and "auroc" of the model that
    its round starts from, NaN for those who have no key.
    """

    sentence: str  # all of it, short
    hospitals: pd.DataFrame  # a row each: "hospital", "fingerprint" (empty until the study is open), "joined"
    letters: pd.DataFrame  # a row a hospital and number: "number", "hospital", "state" (see `SIGNS`), "bytes"
    sums: pd.DataFrame
    done: bool  # whether nothing more will happen

    def __str__(self) -> str:
        if self.letters.empty:
            return "\n".join([self.sentence, *self.hospitals["hospital"]])
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
        self._listed: dict[tuple[str, int], dict[str, int]] = {}

    def look(self) -> Progress:
        """Read what is new, and say how things are."""
        study = self.study
        study.refresh()
        if not study.id:
            return self._progress("There is no invitation with this fingerprint here yet.", [])
        title = study.settings.title
        if study.roster is None:
            asked = sorted(_sizes(self.folder.names("request")))
            return self._progress(f"{title}: {len(asked)} asked to join.", asked)
        steps = study.steps()
        for step, _, _ in steps:
            if (ONE, step.number) not in self._listed or step.number >= steps[-1][0].number - 1:
                for what in (ONE, TWO):  # those of older numbers do not change any more
                    self._listed[what, step.number] = _sizes(self.folder.names(rounds.place(what, step.number)))
        return self._progress(self._sentence(steps[-1][0], steps[-1][1]), list(study.roster))

    def _states(self, step: Step, closed: Closed | None, added: Added | None) -> dict[str, str]:
        """Hospital -> what became of its letters of a number."""
        one, two = (self._listed.get((what, step.number), {}) for what in (ONE, TWO))
        listed = {name for group in closed.groups for name in group} if closed else set()
        counted = {name for at in added.which for name in closed.groups[at]} if added else set()
        ended = added is not None or (closed is not None and not closed.groups)
        return {
            name: "counted" if name in counted
            else "lost" if ended and name in listed
            else ("late" if closed else "posted") if name in one and name not in listed
            else "missing" if closed and name not in listed
            else "shared" if name in two
            else "posted" if name in one
            else "awaited"
            for name in self.study.roster
        }  # fmt: skip

    def _sentence(self, step: Step, closed: Closed | None) -> str:
        study, size = self.study, self._bytes()
        total = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
        title, last = study.settings.title, study.settings.rounds
        if study.group_key is None:
            return f"{title}: {len(study.roster)} hospitals; {study.key_maker} makes the group's key."
        if step.ended:
            return f"{title}: {step.purpose}, {len(study.roster)} hospitals, {total}."
        states = self._states(step, closed, None)
        here = [name for name, state in states.items() if state != "awaited"]
        waited = [name for name, state in states.items() if state == ("posted" if closed else "awaited")]
        what = f"{step.purpose} of round {step.round} of {last}" if 0 < step.round <= last else f"the {step.purpose}"
        waits = f"waiting for {', '.join(waited)}" if waited else f"{study.in_charge(step.number).name} adds up"
        letters = "letter two" if closed else "letter one"
        return f"{title}: {what}, {len(here)} of {len(study.roster)} letters, {letters}: {waits}; {total}."

    def _bytes(self) -> int:
        sums = sum(added.size for _, _, added in self.study.steps() if added)
        return sums + sum(sum(listed.values()) for listed in self._listed.values())

    def _progress(self, sentence: str, names: list[str]) -> Progress:
        study = self.study
        prints, steps = study.roster.fingerprints() if study.roster else {}, study.steps() if study.roster else []
        hospitals = pd.DataFrame(
            [(name, prints.get(name, ""), name in prints) for name in names],
            columns=["hospital", "fingerprint", "joined"],
        )
        states = {step: self._states(step, closed, added) for step, closed, added in steps if not step.ended}
        sent = {
            step.number: sum(sum(self._listed.get((w, step.number), {}).values()) for w in (ONE, TWO))
            for step in states
        }
        letters = pd.DataFrame(
            [
                (
                    step.number,
                    name,
                    state,
                    sum(self._listed.get((what, step.number), {}).get(name, 0) for what in (ONE, TWO)),
                )
                for step, of in states.items()
                for name, state in of.items()
            ],
            columns=["number", "hospital", "state", "bytes"],
        )
        scores = {}
        with contextlib.suppress(AttributeError, OSError):  # a sum cannot be read just now, or there is no model yet
            scores = self._participant.scores if self._participant else {}
        table = pd.DataFrame(
            [
                (
                    *step,
                    added is not None,
                    sum(state not in ("missing", "awaited") for state in states[step].values()),
                    sent[step.number],
                    scores.get(step.round - 1, {}).get("auroc", (float("nan"), 0))[0],
                )
                for step, _, added in steps
                if not step.ended
            ],
            columns=["number", "purpose", "round", "closed", "letters", "bytes", "auroc"],
        )
        return Progress(sentence, hospitals, letters, table, bool(steps) and steps[-1][0].ended)


def _sizes(names: Mapping[str, int]) -> dict[str, int]:
    """Who is said to have sent letters, and the bytes of the largest."""
    sizes: dict[str, int] = {}
    for name, size in names.items():
        sender = parts(name)[1]
        sizes[sender] = max(size, sizes.get(sender, 0))
    return sizes


def show(
    folder: Where,
    invitation: str,
    participant: Participant | None = None,
    poll_seconds: float = 2.0,
    until: Callable[[Progress], bool] = lambda progress: progress.done,
) -> Progress:
    """Show how a study is going, as `Watch` sees it, again and again in one place: a picture in a notebook, or text."""
    watch, place, before = Watch(folder, invitation, participant), None, ""
    while True:
        progress = watch.look()
        if str(progress) != before:
            before, place = str(progress), _shown(progress, place)
        if until(progress):
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
