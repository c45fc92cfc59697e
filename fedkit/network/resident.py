"""NVFlare carries the question: one component, which lives as long as the engine does. There is no job."""

import contextlib
import time
from threading import Event
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.core_cell import CoreCell, Message
from nvflare.fuel.f3.cellnet.defs import CellChannel, MessageHeaderKey, ReturnCode
from nvflare.fuel.f3.cellnet.fqcn import FQCN
from nvflare.fuel.f3.cellnet.utils import make_reply
from nvflare.fuel.f3.streaming.stream_const import STREAM_CHANNEL
from nvflare.private.defs import CellMessageHeaderKeys

from fedkit.encryption.messages import MessageError
from fedkit.network.parties import Diary
from fedkit.network.post import Board

_OURS, _ASK, _BELL = "fedkit", "ask", "bell"  # channel, and its topics
_SECONDS = 60.0  # for one answer, over a slow line
_TOPICS = {  # channel -> what the engine listens to there, or all: to meet, to live on, and to carry our questions
    CellChannel.SERVER_MAIN: ("challenge", "register", "quit", "heart_beat"),
    CellChannel.CELLNET: ("bye",),
    **dict.fromkeys((_OURS, CellChannel.RETURN_ONLY, STREAM_CHANNEL)),
}


def deafen() -> None:
    """Have the engine listen to nothing else: it would run `cat` at a hospital for a sender who asks for no check."""
    CoreCell.register_request_cb = _kept(CoreCell.register_request_cb)
    Cell.register_blob_cb = _kept(Cell.register_blob_cb)


def _kept(register: Any) -> Any:
    def kept(self: Cell | CoreCell, channel: str, topic: str, *cb: Any, **how: Any) -> None:
        if channel in _TOPICS and topic in (_TOPICS[channel] or [topic]):
            register(self, channel, topic, *cb, **how)

    return kept


class Wire:
    """Between our thread and the engine's.

    bell : set when something may be new at the other side, or came from there
    board : at the server, what answers; None at a hospital
    since : attribute, when a question began that has no answer yet (`time.monotonic`); None if there is none
    """

    def __init__(self, bell: Event, diary: Diary, board: Board | None = None) -> None:
        self.bell, self.since, self._diary, self._board = bell, None, diary, board
        self._cell, self._sites = None, {}

    def start(self, cell: Cell) -> None:
        """Take the engine's end of the line, once it is up."""
        topic, heard = (_ASK, self._asked) if self._board else (_BELL, lambda message: self.bell.set())
        cell.register_request_cb(channel=_OURS, topic=topic, cb=heard)
        self._cell = cell

    def ask(self, question: dict) -> dict:
        """Carry a question to the server; OSError if no answer comes."""
        self.since, reply = self.since or time.monotonic(), None
        if self._cell is not None:
            where = {"channel": _OURS, "topic": _ASK, "target": FQCN.ROOT_SERVER, "timeout": _SECONDS}
            reply = self._cell.send_request(request=Message(payload=question), **where)
        if reply is None or reply.get_header(MessageHeaderKey.RETURN_CODE) != ReturnCode.OK:
            raise OSError("The server does not answer.")
        self.since = None
        if isinstance(reply.payload, str):
            raise MessageError(f"The server refuses what this hospital asks or sends. {reply.payload}")
        return reply.payload

    def ring(self) -> None:
        """Call all hospitals, which then ask; whoever misses it asks a little later."""
        where = {"channel": _OURS, "topic": _BELL, "targets": [*self._sites.values()], "optional": True}
        with contextlib.suppress(Exception):
            self._cell.fire_and_forget(message=Message(), **where)

    def _asked(self, message: Message) -> Message:
        # Whose certificate it is: the engine refuses a message with another name than the one it registered.
        site, question = message.get_header(CellMessageHeaderKeys.CLIENT_NAME), message.payload
        try:
            answer = self._board.answer(question, site or "")
            self._sites[site] = message.get_header(MessageHeaderKey.ORIGIN)
            if question["letters"]:
                self.bell.set()
        except MessageError as problem:
            self._diary.say(noted=f"Refused: {problem}")
            answer = str(problem)
        except OSError as problem:  # a full disk, say: it will be asked again
            return make_reply(ReturnCode.PROCESS_EXCEPTION, str(problem))
        return make_reply(ReturnCode.OK, body=answer)


WIRE: Wire | None = None  # of this process, made before the engine starts


class Resident(FLComponent):
    """What the engine starts."""

    def __init__(self) -> None:
        super().__init__()
        if WIRE is None:
            raise RuntimeError("Start this kit by `python -m fedkit.network`: its identity needs a passphrase.")
        self.register_event_handler(EventType.SYSTEM_START, lambda _, it: WIRE.start(it.get_engine().get_cell()))
