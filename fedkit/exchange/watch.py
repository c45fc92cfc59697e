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
from fedkit.exchange.study import Study

SIGNS = {"counted": "#", "posted": "+", "late": "!", "missing": "-", "awaited": "."}


class Progress(NamedTuple):
    """How a study is going.

    `rounds` has a row a round: "round", "purpose", "closed", "letters", "bytes", and "auroc" of the model that was
    made in the round before, NaN for those who have no key.
    """

    sentence: str  # all of it, short
    hospitals: pd.DataFrame  # a row each: "hospital", "fingerprint" (empty until the study is open), "joined"
    letters: pd.DataFrame  # a row a hospital and round: "round", "hospital", "state" (see `SIGNS`), "bytes"
    rounds: pd.DataFrame
    done: bool  # whether nothing more will happen

    def __str__(self) -> str:
        if self.letters.empty:
            return "\n".join([self.sentence, *self.hospitals["hospital"]])
        signs = self.letters["state"].map(SIGNS).groupby(self.letters["hospital"]).agg("".join)
        width = max(map(len, signs.index))
        lines = [f"{name:{width}} {row}" for name, row in signs.items()]
        return "\n".join([self.sentence, *lines, ", ".join(f"{sign} {state}" for state, sign in SIGNS.items())])


class Watch:
    """Looks at a study, whose letters it lists and does not read; only sums and what comes before are checked.

    With a `participant`, if the watcher is a hospital, AUROC is known, too. See `Party`.
    """

    def __init__(self, folder: Where, invitation: str, participant: Participant | None = None) -> None:
        self.folder, self._participant = Folder.opened(folder), participant
        self.study = Study(self.folder, invitation)
        self._listed: dict[int, dict[str, int]] = {}

    def look(self) -> Progress:
        """Read what is new, and say how things are."""
        study = self.study
        study.refresh()
        if not study.id:
            return self._progress("There is no invitation with this fingerprint here yet.", [], {})
        title = study.settings.title
        if study.roster is None:
            asked = sorted(_sizes(self.folder.names("request")))
            return self._progress(f"{title}: {len(asked)} asked to join.", asked, {})
        chain, last = study.chain(), study.settings.rounds + 1
        open_round = len(chain) - 1
        for round in range(min(open_round, last) + 1):
            if round not in self._listed or round >= open_round - 1:  # older rounds do not change any more
                self._listed[round] = _sizes(self.folder.names(rounds.place(round)))
        states = {round: self._states(round, chain) for round in range(last + 1)}
        return self._progress(self._sentence(chain, states), list(study.roster), states)

    def _states(self, round: int, chain: list[str]) -> dict[str, str]:
        """Hospital -> what became of its letter of a round."""
        listed, closed = self._listed.get(round, {}), round + 1 < len(chain)
        counted = self.study.links[chain[round + 1]].counted if closed else {}
        return {
            name: "counted" if name in counted
            else ("late" if closed else "posted") if name in listed
            else "missing" if closed
            else "awaited"
            for name in self.study.roster
        }  # fmt: skip

    def _sentence(self, chain: list[str], states: dict[int, dict[str, str]]) -> str:
        study, size = self.study, self._bytes()
        total = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
        title, last = study.settings.title, study.settings.rounds + 1
        if not chain:
            return f"{title}: {len(study.roster)} hospitals; {study.key_maker} makes the key."
        round = len(chain) - 1
        if round > last:
            return f"{title}: done, {len(study.roster)} hospitals, {total}."
        missing = [name for name, state in states[round].items() if state == "awaited"]
        what = "statistics" if round == 0 else f"round {round} of {last - 1}" if round < last else "last scores"
        waits = f"waiting for {', '.join(missing)}" if missing else f"{study.in_charge(round).name} adds up"
        return f"{title}: {what}, {len(study.roster) - len(missing)} of {len(study.roster)} letters, {waits}; {total}."

    def _bytes(self) -> int:
        return sum(sum(listed.values()) for listed in self._listed.values()) + sum(
            link.size for link in self.study.links.values()
        )

    def _progress(self, sentence: str, names: list[str], states: dict[int, dict[str, str]]) -> Progress:
        study = self.study
        prints = study.roster.fingerprints() if study.roster else {}
        hospitals = pd.DataFrame(
            [(name, prints.get(name, ""), name in prints) for name in names],
            columns=["hospital", "fingerprint", "joined"],
        )
        letters = pd.DataFrame(
            [
                (round, name, state, self._listed.get(round, {}).get(name, 0))
                for round, of in states.items()
                for name, state in of.items()
            ],
            columns=["round", "hospital", "state", "bytes"],
        )
        chain, scores = study.chain(), {}
        with contextlib.suppress(OSError):  # a sum cannot be read just now
            scores = self._participant.scores if self._participant else {}
        table = pd.DataFrame(
            [
                (
                    round,
                    rounds.purpose(study.settings, round),
                    round + 1 < len(chain),
                    sum(state in ("counted", "posted") for state in of.values()),
                    sum(self._listed.get(round, {}).values()),
                    scores.get(round - 1, {}).get("auroc", (float("nan"), 0))[0],
                )
                for round, of in states.items()
            ],
            columns=["round", "purpose", "closed", "letters", "bytes", "auroc"],
        )
        done = bool(states) and len(chain) == len(states) + 1
        return Progress(sentence, hospitals, letters, table, done)


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
