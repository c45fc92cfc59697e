"""A whole study in one process and in memory: to see how one goes, and what comes out."""

import secrets
import warnings
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from fedkit.checks import require
from fedkit.encryption.identities import Identity
from fedkit.exchange.coordinator import Coordinator
from fedkit.exchange.folder import Folder
from fedkit.exchange.hospital import EVERYBODY, Participant
from fedkit.exchange.maker import Maker
from fedkit.exchange.settings import Settings
from fedkit.exchange.work import Training
from fedkit.hospitals import Federation

if TYPE_CHECKING:
    from fedkit.learning import Algorithm


def rehearse(
    federation: Federation,
    *,
    silent: Collection[str] = (),
    algorithm: "Algorithm | None" = None,
    work: Callable[[Settings], Training] = Training,
    **settings: object,
) -> list[Participant]:
    """Play a study to its end, everybody in turn; what a hospital refuses is a warning.

    federation : whose hospitals take part
    silent : hospitals that join, and post nothing
    algorithm : what all train by; federated averaging if None
    work : see `Participant`
    **settings : of the study: see `Settings`

    Returns the hospitals that posted, for whom the study is done.
    ValueError if a setting makes no sense, or the study would wait for ever: for the silent ones, or one that stopped.
    """
    agreed = Settings.of(federation, algorithm, **settings)
    work = partial(work, algorithm=algorithm) if algorithm else work
    require("silent", silent, lambda it: {*it} <= {*federation.names}, f"some of {', '.join(federation.names)}")
    posting = [name for name in federation.names if name not in silent]
    if len(posting) < len(federation) and (agreed.deadline_seconds is None or len(posting) < agreed.quorum):
        raise ValueError("Who is silent is waited for: give a deadline_seconds, and a quorum that the others make up.")
    where = f"memory://{secrets.token_hex(8)}"
    maker = Maker(Folder(where), Identity.new("Maker"))
    aloud = maker.invite(agreed)
    how = {"invitation": aloud, "known": EVERYBODY, "work": work, "waits_for_all": False}
    people = [Participant(Folder(where), Identity.new(rows.name), rows, **how) for rows in federation]
    for one in people:
        one.study.notice = lambda why, **_: warnings.warn(why, stacklevel=2)
        one.public = True  # so that a study that is played again gives the same bits
        one.step()
    maker.open(key_maker=posting[0])
    coordinator = Coordinator(Folder(where), maker.identity, invitation=aloud)
    posting = [one for one in people if one.identity.name in posting]
    ended = False
    while not ended:
        adds, *said = [one.step() for one in (coordinator, *posting)]
        ended, stopped = adds.ended, [each.note for each in said if each.stage == "stopped"]
        few = agreed.deadline_seconds is None or len(said) - len(stopped) < agreed.quorum
        if stopped and few and not ended:  # all would wait for ever
            raise ValueError(stopped[0])
    return posting
