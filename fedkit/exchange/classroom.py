"""A study in a class: each person plays one part, from notebook 08, on a folder that all share.

    classroom.play("maker", "Ms Lee", folder)                        # prints a fingerprint to read aloud
    classroom.play("hospital", "hospital 7", folder, fingerprint)    # seat 7
    classroom.play("watch", "", folder, fingerprint)                 # the projector

What is typed is asked for here; what is done is `fedkit.exchange`.
"""

import getpass
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from fedkit import hospitals
from fedkit.chapters import partitions
from fedkit.encryption.identities import Identity, fingerprint
from fedkit.exchange import Coordinator, Folder, Maker, Participant, Settings, results, watch
from fedkit.exchange.folder import quoted
from fedkit.exchange.hospital import EVERYBODY
from fedkit.exchange.work import Training
from fedkit.hospitals import Federation

DRIVE = "/content/drive"
_ALOUD = "Fingerprint that the maker reads aloud: "
ROLES = ("hospital", "maker", "coordinator", "watch")


class Played(Exception):  # noqa: N818 - it is no error
    """Raised when a part is played: what follows in the notebook is not run, and no traceback is shown."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def play(
    role: str,
    name: str,
    where: str,
    invitation: str = "",
    *,
    rounds: int = 5,
    seats: int = 30,
    group_size: int = 5,
    deadline_seconds: float = 120.0,
    home: str | os.PathLike | None = None,
    poll_seconds: float = 3.0,
    work: Callable[[Settings], Training] = Training,
) -> None:
    """Play one part until the study is done. Stopped and started again, it goes on where the study is.

    role : one of `ROLES`. The maker also adds up, unless somebody else is named when asked
    name : "hospital 7" for seat 7; others are called as they like
    where : path of the shared folder
    invitation : its fingerprint, as the maker reads it aloud; asked for if empty
    rounds, seats, group_size, deadline_seconds : of the study; the maker's count, and `seats` must be the same
    home : folder of this machine, outside the shared one, for the secret and what comes out; the user's own if None
    poll_seconds : between looks into the folder
    work : see `exchange.Participant`

    ValueError if the part cannot be played; the sentence says what to do.
    """
    if role not in ROLES:
        raise ValueError(f"ROLE is {role!r}, and it must be alone, {', '.join(ROLES)}.")
    folder = open_folder(where)
    if role == "watch":
        watch.show(folder, invitation or _asked(_ALOUD), poll_seconds=poll_seconds)
        return
    federation = federation_of(name, seats) if role == "hospital" else None  # before a passphrase is typed
    me = identify(name, where, home)
    print(f"You are {me.name}; the fingerprint of your key is {fingerprint(me.public)}.")
    if role == "maker":
        # Laptops are no servers: groups, each a list of its own, so that one that sleeps spoils one group's round; and
        # a large budget for that. What it costs stands in the lesson's page.
        patience = {"deadline_seconds": deadline_seconds, "share_seconds": deadline_seconds, "budget": 2 * rounds}
        settings = Settings.of(seat_federation(seats), rounds=rounds, epochs=5, group_size=group_size, **patience)
        invitation = _make(Maker(folder, me, invitation=invitation), settings)
        role = "coordinator"
    elif role == "coordinator":
        print(f"Give this to the maker, by chat: {me.public.hex()} {me.name}")
    invitation = invitation or _asked(_ALOUD)
    if role == "coordinator":
        Coordinator(folder, me, invitation=invitation, home=_home(home)).run(poll_seconds)
        return

    def trained(settings: Settings) -> Training:  # with other seats, patients would be dealt out twice
        if settings.title != federation.name:
            raise ValueError(f"The study has {settings.title}, and SEATS is {seats} here: write what the maker wrote.")
        return work(settings)

    known, rows = _known(), federation[name]  # before it asks: a list is not long waited for
    how = {"home": _home(home), "known": known, "work": trained, "waits_for_all": False}
    hospital = Participant(folder, me, rows, invitation=invitation, **how)
    while (status := hospital.run(poll_seconds, lambda status: status.stage == "known")).stage == "known":
        hospital.known = _known()
    if status.stage == "done":
        mean, patients = hospital.scores[hospital.study.settings.rounds]["auroc"]
        place, study = _home(home) / f"fedkit-study.{hospital.study.id[:8]}", results.run(hospital, federation)
        study.save(place)
        here = study.final("auroc")[name]
        print(f"AUROC at the test patients of all hospitals: {mean:.3f} (mean, {patients} patients); here {here:.3f}.")
        print(f"Saved in {place}, for STUDY of notebook 08.")


def open_folder(where: str) -> Folder:
    """Return the shared folder, after mounting Google Drive where it is on it; ValueError if it is not there."""
    if where.startswith(DRIVE) and not os.path.ismount(DRIVE):
        try:
            from google.colab import drive

            drive.mount(DRIVE)
        except Exception as refusal:  # Colab raises several kinds, none of them documented
            raise ValueError(
                "Google Drive cannot be used here: it was not allowed, you have no Drive, or this is not Colab. Run "
                "the cell again and allow it, or use a folder that all machines of the class can reach."
            ) from refusal
    if not where or not Path(where).expanduser().is_dir():
        said = f"FOLDER is {where!r}, and there is no such folder. On Drive: find the folder that was shared with you"
        raise ValueError(f"{said}, add a shortcut to it to My Drive, and write its path, like {DRIVE}/MyDrive/study.")
    return Folder(where)


def identify(name: str, where: str, home: str | os.PathLike | None = None) -> Identity:
    """Return the identity kept on this machine, or make one; its passphrase is typed.

    ValueError if the secret would lie in the shared folder, or the passphrase is too short, not repeated, or wrong.
    """
    file = _home(home) / f"fedkit-identity.{quoted(name)}"
    if file.is_relative_to(_home(where)):
        raise ValueError("Your secret would lie in the folder that all share: take another folder for it.")
    if not file.exists():
        passphrase = getpass.getpass("Choose a passphrase, 12 characters or more: ")
        if getpass.getpass("The same again: ") != passphrase:
            raise ValueError("The two passphrases differ: run the cell again.")
        Identity.new(name).save(file, passphrase)
        return Identity.load(file, passphrase)
    return Identity.load(file, getpass.getpass("Your passphrase: "))


def federation_of(name: str, seats: int) -> Federation:
    """Return the seats, if the name is among them, else a ValueError."""
    if name in (federation := seat_federation(seats)).names:
        return federation
    raise ValueError(f"HOSPITAL is {name!r}: write hospital 1 to hospital {seats}, as your seat says.")


def seat_federation(seats: int) -> Federation:
    """Deal the real patients out to "hospital 1", "hospital 2", ...: alike on every machine, and each patient once.

    At most 92 seats: a hospital has ten patients or more.
    """
    pooled = hospitals.load("heart_disease").frame().drop(columns="hospital")
    dealt = partitions.iid(pooled, seats, seed=0)
    return hospitals.from_frame(dealt, site="hospital", label="label", name=f"{seats} seats")


def _home(home: str | os.PathLike | None) -> Path:
    return Path(home or Path.home()).expanduser().resolve()


def _make(maker: Maker, settings: Settings) -> str:
    """Invite, wait for people, and open; return the fingerprint of the invitation."""
    coordinator = maker.study.in_charge(0)[:2] if maker.resume() else None
    if coordinator:
        print(f"The study that you began here on {maker.study.day} goes on.")
    if coordinator is None and (said := _asked("Key and name of who adds up (Enter: you): ")):
        key, _, name = said.partition(" ")
        coordinator = name, bytes.fromhex(key)
    print(f"Read this aloud, twice: {maker.invite(settings, coordinator)}")
    while maker.study.roster is None:
        _asked("Press Enter to see who asked to join: ")
        requests = maker.step()
        for request in requests:
            why = "  ".join(request.problems) or ("two of one name or key" if request.twice else "fits")
            print(f"{request.fingerprint}  {request.name}: {why}")
        asked = "If all have heard theirs, type open (and fingerprints, to leave somebody out): "
        word, *out = _asked(asked).upper().split() or [""]
        if word == "OPEN":
            fit = [each.fingerprint for each in requests if not each.problems and (out or not each.twice)]
            try:  # with nobody who asked since
                if unknown := ", ".join({*out} - {each.fingerprint for each in requests}):
                    raise ValueError(f"Nobody who is shown has the fingerprint {unknown}.")
                maker.open([each for each in fit if each not in out])
            except ValueError as problem:
                print(problem)
    return maker.study.invitation


def _known() -> Collection[str]:
    """Ask whose fingerprints were compared: those of hospitals in one's group."""
    said = _asked("Fingerprints of two neighbours, better of all (or: everybody, if you trust the maker): ").upper()
    return EVERYBODY if said.strip() == EVERYBODY.upper() else said.replace(",", " ").split()


def _asked(question: str) -> str:
    sys.stdout.flush()
    return input(question)
