"""A study over a network: ``python -m fedkit.network identity | provision | site | serve | status``.

Where it asks for a passphrase and no person types, the passphrase is the first line of what it is given.
"""

import argparse
import asyncio.sslproto
import contextlib
import getpass
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from fedkit.encryption.identities import Identity, fingerprint
from fedkit.network import kits, parties, post
from fedkit.network.consent import FILE, Consent


def main(arguments: list[str] | None = None) -> None:
    """Read the command line, and do what it says; what is wrong is a sentence, and then the process ends with 1."""
    parser = argparse.ArgumentParser(prog="python -m fedkit.network", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name, help=about) for name, (_, about) in COMMANDS.items()}
    for one in made.values():
        one.add_argument("kit", type=Path, help="folder of this machine")
    made["identity"].add_argument("name", help="under which it takes part")
    made["provision"].add_argument("plan", type=Path, help="JSON: settings, host, port")
    made["provision"].add_argument("out", type=Path, help="where a folder for each hospital is made")
    made["provision"].add_argument("cards", type=Path, nargs="+", help="of the hospitals")
    made["site"].add_argument("--work", default="fedkit.exchange.work:Training", help="what trains, as module:name")
    given = parser.parse_args(arguments)
    given.kit = given.kit.resolve()
    os.umask(0o077)  # what is made here is for this account alone
    try:
        COMMANDS[given.command][0](given)
    except (OSError, ValueError) as problem:
        sys.exit(str(problem))
    except ModuleNotFoundError as problem:
        sys.exit(f"{problem.name} is not in this environment: `make network` makes one that has all it takes.")


def _passphrase() -> str:
    return getpass.getpass("Passphrase: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


def _identity(given: argparse.Namespace) -> None:
    me = kits.make(given.kit, given.name, _passphrase())
    print(f"{me.name} is {fingerprint(me.public)}. Hand out {given.kit / 'card.json'}, and read this aloud.")


def _provision(given: argparse.Namespace) -> None:
    try:
        plan = json.loads(given.plan.read_text())
    except ValueError as problem:
        raise ValueError(f"{given.plan} cannot be read: {problem}.") from None
    me, cards = Identity.load(given.kit / "identity", _passphrase()), [given.kit / "card.json", *given.cards]
    print(f"{kits.provision(given.kit, me, plan, cards, given.out)} is the invitation. Read aloud, too:")
    for name, spoken in Consent.read(given.kit).side[0].items():
        print(f"{spoken} {name}")


def _status(given: argparse.Namespace) -> None:
    said = parties.status(given.kit)
    print(said["says"])
    if said["wrong"]:
        sys.exit(said["wrong"])


def _run(given: argparse.Namespace) -> None:
    """Run the engine here, and our part in a thread; when either ends, the process does."""
    diary = parties.Diary(given.kit)
    try:
        engine = _begin(given, diary)
    except (OSError, ValueError) as problem:
        _end(diary, 1, says="Not started.", wrong=str(problem))
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: _end(diary, 0))
    engine()
    _end(diary, 1, says="The engine has ended.", wrong=f"Look into {given.kit / 'engine.log'}, and start it again.")


def _begin(given: argparse.Namespace, diary: parties.Diary) -> Callable[[], None]:
    """Start our threads, and return what runs the engine."""
    kit, serving, bell = given.kit, given.command == "serve", threading.Event()
    agreed, me = Consent.read(kit), Identity.load(kit / "identity", _passphrase())
    mine = fingerprint(me.public)
    if agreed.side[0].get(me.name) != mine or (me.name in agreed.server) != serving:
        raise ValueError(f"{kit / FILE} does not name {me.name}, {mine}, for this.")
    kits.trust(kit)
    from fedkit.network import resident

    resident.deafen()
    board = post.Board(kit / "study", *agreed.side) if serving else None
    wire = resident.WIRE = resident.Wire(bell, diary, board)
    if serving:
        here = agreed.host if agreed.host in ("localhost", "127.0.0.1") else ""  # as the engine listens
        socket.create_server((here, agreed.port)).close()  # a port that is taken would be tried for ever
        _say_refusals(diary)
        part = partial(parties.server, kit, me, board, bell, diary, wire.ring)
    else:
        part = partial(parties.hospital, kit, me, wire.ask, bell, diary, pkgutil.resolve_name(given.work))
    for run in (partial(_play, part, diary), partial(_watch, kit, agreed, wire, diary)):
        threading.Thread(target=run, daemon=True).start()
    site = post.site(mine)
    return partial(_engine, kits.workspace(kit, agreed, site, serving), site, serving)


def _play(part: Callable[[], object], diary: parties.Diary) -> NoReturn:
    try:
        _end(diary, 0 if part() else 2)
    except BaseException as problem:
        why = f"{type(problem).__name__}: {problem}. Start it again."
        _end(diary, 1, says="The thread of the study died.", wrong=why)


def _end(diary: parties.Diary, code: int, **said: str) -> NoReturn:
    """End at once: whatever is to be kept is on the disk already."""
    diary.say(over=True, **said)
    sys.stdout.flush()
    os._exit(code)


def _watch(kit: Path, agreed: Consent, wire: object, diary: parties.Diary) -> NoReturn:
    """Show each second that the process lives; look why, where the server does not answer."""
    while True:
        time.sleep(1.0)
        silent = wire.since and time.monotonic() - wire.since > parties.SILENT / 2
        why = silent and (kits.probe(kit, agreed) or "The server takes connections, and does not answer.")
        diary.say(**({"wrong": why} if why and wire.since else {}))


def _say_refusals(diary: parties.Diary) -> None:
    """Say which connections TLS refused: asyncio and the engine keep it to themselves."""
    before = asyncio.sslproto.SSLProtocol._fatal_error

    def fatal(self: object, problem: BaseException, *more: object) -> None:
        peer = self._transport and self._transport.get_extra_info("peername")
        why = getattr(problem, "verify_message", "") or getattr(problem, "reason", "") or problem
        diary.say(noted=f"A connection from {peer[0] if peer else 'somewhere'} was refused: {why}.")
        before(self, problem, *more)

    asyncio.sslproto.SSLProtocol._fatal_error = fatal


def _engine(place: Path, site: str, serving: bool) -> None:
    """Run NVFlare's own program until it ends."""
    kind = "server" if serving else "client"
    how = ["secure_train=true", "org=fedkit", "config_folder=config", f"uid={site}"]
    sys.argv = ["fedkit", "-m", str(place), "-s", f"fed_{kind}.json", "--set", *how]
    with contextlib.suppress(SystemExit):
        runpy.run_module(f"nvflare.private.fed.app.{kind}.{kind}_train", run_name="__main__")


COMMANDS = {
    "identity": (_identity, "make a kit's keys, and the card to hand out"),
    "provision": (_provision, "in the server's kit: make the study, and a certificate for each card"),
    "site": (_run, "take part, as a hospital"),
    "serve": (_run, "be the server"),
    "status": (_status, "say how things are with a kit, and end with 1 if something is wrong"),
}

if __name__ == "__main__":
    main()
