"""What runs at a hospital, and at the server, whatever carries the letters; and what they say of themselves."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, RLock

import numpy as np
import pandas as pd

from fedkit import hospitals
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings
from fedkit.exchange.study import Study
from fedkit.exchange.work import Training
from fedkit.network.consent import Consent
from fedkit.network.post import Board, Mirror

SILENT = 6.0  # seconds of silence, after which it is said
FILE = "status.json"


class Diary:
    """What a process says: printed when it is new, and in its kit for `status`.

    said : attribute: "says", how things are; "wrong", what a person should look at; "noted", what went wrong at "then",
        and may be nothing soon; "over", whether the process has ended; and counts
    """

    def __init__(self, kit: Path) -> None:
        self._file, self._lock = kit / FILE, RLock()
        self.said = {"says": "", "wrong": "", "noted": "", "then": 0.0, "over": False}

    def say(self, **said: object) -> None:
        """Say what is known anew, and write down all of it; a full disk is no reason to stop."""
        for what in {"says", "wrong", "noted"} & said.keys():  # others' words, and a terminal obeys some characters
            said[what] = "".join(filter(str.isprintable, said[what]))
            if said[what] not in ("", self.said[what]):
                print(time.strftime("%H:%M:%S"), said[what], flush=True)
        said["when"] = time.time()
        with self._lock, contextlib.suppress(OSError):
            self.said |= said | ({"then": said["when"]} if "noted" in said else {})
            aside = self._file.with_suffix(".half")
            aside.write_text(json.dumps(self.said, indent=1))
            aside.replace(self._file)


def status(kit: Path) -> dict:
    """Return what the process of a kit said last; "wrong" is also said of a process that says nothing any more."""
    try:
        said = json.loads((kit / FILE).read_text())
        if said["when"] - said["then"] < 2 * SILENT:
            said["wrong"] = f"{said['wrong']} {said['noted']}".strip()
        if not said["over"] and (silent := time.time() - said["when"]) > SILENT:
            said["wrong"] = f"Its process has said nothing for {silent:.0f} s: it was killed, or hangs. Start it again."
        return said
    except FileNotFoundError:
        return {"says": "Nothing was started here.", "wrong": "", "over": True}
    except (KeyError, OSError, TypeError, ValueError):
        return {"says": "", "wrong": f"{kit / FILE} is damaged, or not ours: start it again.", "over": True}


def hospital(kit: Path, me: Identity, ask: Callable, bell: Event, diary: Diary, work: Callable = Training) -> bool:
    """Take part until the study has ended, and say whether it is done; consent is read and compared before each step.

    ask, bell, work : see `Mirror`; set when it is time to ask; see `exchange.Participant`
    """
    agreed, folder, mine = Consent.read(kit), kit / "study", None
    mirror = Mirror(folder, *agreed.side, name=me.name, ask=ask, may=lambda purpose: Consent.read(kit).may(purpose))
    study = Study(Folder(folder), agreed.invitation)
    while True:
        bell.clear()
        acted = False
        try:
            mirror.fetch()
            study.refresh()
            if study.id:
                if why := Consent.read(kit).problems(study):
                    raise ValueError(" ".join(why))
                if mine is None:
                    how = {"invitation": agreed.invitation, "home": kit, "known": agreed.hospitals.values()}
                    how["waits_for_all"] = False  # the consent decides
                    mine = Participant(folder, me, _rows(kit, me.name, study.settings), work=work, **how)
                    study = mine.study
                said = mine.step()
                mirror.send()
                acted = said.acted
                diary.say(says=str(said), wrong=study.why_not, round=said.round, **mirror.moved)
                if said.stage == "done":
                    np.savez(kit / "model.npz", *mine.weights)
                    diary.say(model=mine.model_fingerprint, auroc=mine.scores[study.settings.rounds]["auroc"][0])
                if said.ended:
                    return said.stage == "done"
        except MessageError as problem:  # what is wrong with the server is no reason to end here
            diary.say(wrong=str(problem))
        except ValueError as problem:  # nobody agreed to this, or the rows do not fit, or what is kept is damaged
            diary.say(says="Not taking part.", wrong=str(problem))
            return False
        except OSError as problem:
            if problem.errno:  # a full disk; that the server is away is said elsewhere
                diary.say(wrong=str(problem))
        if not acted:
            bell.wait(mirror.again)


def _rows(kit: Path, name: str, settings: Settings) -> hospitals.Hospital:
    """Read the hospital's own table; rows.json, where there is one, says how, in the words of `hospitals.join`."""
    how = json.loads((kit / "rows.json").read_text()) if (kit / "rows.json").exists() else {}
    return hospitals.join(pd.read_csv(kit / "rows.csv", float_precision="round_trip"), settings, name=name, **how)


def server(kit: Path, me: Identity, board: Board, bell: Event, diary: Diary, ring: Callable[[], object]) -> None:
    """Open the study when all who were agreed on have asked to join; add up, and answer for ever.

    bell, ring : set when letters came; calls all hospitals
    """
    agreed, began, folder = Consent.read(kit), time.monotonic(), kit / "study"
    maker, wanted = Maker(folder, me, invitation=agreed.invitation), {*agreed.hospitals.values()}
    coordinator = Coordinator(folder, me, invitation=agreed.invitation, home=kit)
    while True:
        bell.clear()
        try:
            said = coordinator.step()
            sentence, wrong = str(said._replace(waits_for="the hospitals") if said.stage == "round" else said), ""
            if said.stage == "opening":
                here = wanted & {each.fingerprint for each in maker.step() if not each.problems}
                sentence = f"{len(here)} of {len(wanted)} hospitals have asked to join."
                if here == wanted:
                    try:
                        maker.open(wanted)
                        said = coordinator.step()  # who sees whose letters must be known before the board shows any
                    except ValueError as problem:  # two have one key
                        wrong = f"They cannot begin. {problem}"
            board.groups = [{*group} for group in coordinator.study.groups]
            if board.look():
                ring()
        except OSError as problem:  # a full disk: what is not written did not happen
            diary.say(wrong=str(problem))
            bell.wait(1.0)
            continue
        late = time.monotonic() - max(SILENT, 3 * board.again)
        absent = [name for name in agreed.hospitals if board.heard.get(name, began) < late and not said.ended]
        wrong = f"Nothing is heard of {', '.join(absent)}: busy, or away." if absent else wrong
        diary.say(says=sentence, wrong=wrong, round=said.round)
        if not said.acted:
            bell.wait(1.0)
