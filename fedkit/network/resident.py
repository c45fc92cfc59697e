"""NVFlare carries the question: one component, which lives as long as the engine does. There is no job."""

import contextlib
import time
from threading import Event
from typing import Any

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.fuel.f3.cellnet.cell import Cell
from nvflare.fuel.f3.cellnet.core_cell import CoreCell
from nvflare.fuel.f3.cellnet.defs import CellChannel
from nvflare.fuel.f3.streaming.stream_const import STREAM_CHANNEL
from nvflare.private.aux_runner import AuxMsgTarget

from fedkit.encryption.messages import MessageError
from fedkit.network.parties import Diary
from fedkit.network.post import Board

_ASK, _BELL = "fedkit.ask", "fedkit.bell"
_SECONDS = 60.0  # for one answer, over a slow line
_TOPICS = {  # channel -> what the engine listens to there, or all: to meet, to live on, and to carry our questions
    CellChannel.SERVER_MAIN: ("challenge", "register", "quit", "heart_beat"),
    CellChannel.CELLNET: ("bye",),
    **dict.fromkeys((CellChannel.AUX_COMMUNICATION, CellChannel.RETURN_ONLY, STREAM_CHANNEL)),
}


def deafen() -> None:
    """Have the engine listen to nothing else: it would run `cat` at a hospital for a sender who asks for no check."""
    CoreCell.register_request_cb = _ours(CoreCell.register_request_cb)
    Cell.register_blob_cb = _ours(Cell.register_blob_cb)


def _ours(register: Any) -> Any:
    def kept(self: Cell | CoreCell, channel: str, topic: str, *cb: Any, **how: Any) -> None:
        if channel in _TOPICS and topic in (_TOPICS[channel] or [topic]):
            register(self, channel, topic, *cb, **how)

    return kept


class Wire:
    """Between our thread and the engine's.

    bell : set when something may be new at the other side, or came from there
    board : at the server, what answers; None at a hospital

    Attributes
    ----------
    since : when a question began that has no answer yet (`time.monotonic`); None if there is none
    """

    def __init__(self, bell: Event, diary: Diary, board: Board | None = None) -> None:
        self.bell, self.since, self._diary, self._board = bell, None, diary, board
        self._engine, self._runner, self._sites = None, None, {}

    def start(self, engine: Any) -> None:
        """Take the engine, once it is up."""
        self._engine = engine
        self._runner = engine.run_manager.aux_runner if self._board else engine.aux_runner
        topic, handler = (_ASK, self._answered) if self._board else (_BELL, self._called)
        self._runner.topic_table = {topic: handler}  # and none of the engine's own

    def ask(self, question: dict) -> dict:
        """Carry a question to the server; OSError if no answer comes."""
        self.since, reply = self.since or time.monotonic(), None
        if self._engine is not None:
            request = Shareable()
            request["question"] = question
            with self._engine.new_context() as context:  # `engine.send_aux_request` would log each reply in full
                target = [AuxMsgTarget.server_target()]
                reply = self._runner.send_aux_request(target, _ASK, request, _SECONDS, context).get("server")
        if reply is None or reply.get_return_code() != ReturnCode.OK:
            raise OSError("The server does not answer.")
        self.since = None
        if "answer" not in reply:
            raise MessageError(f"The server refuses what this hospital asks or sends. {reply.get('why')}")
        return reply["answer"]

    def ring(self) -> None:
        """Call all hospitals, which then ask; whoever misses it asks a little later."""
        targets = [AuxMsgTarget(site, site) for site in self._sites.values()]
        with contextlib.suppress(Exception), self._engine.new_context() as context:
            self._runner.send_aux_request(targets, _BELL, Shareable(), 0.0, context, optional=True)

    def _called(self, topic: str, request: Shareable, fl_ctx: Any) -> Shareable:
        self.bell.set()
        return make_reply(ReturnCode.OK)

    def _answered(self, topic: str, request: Shareable, fl_ctx: Any) -> Shareable:
        reply, question = make_reply(ReturnCode.OK), request.get("question")
        try:
            reply["answer"] = self._board.answer(question)
            self._sites[question["name"]] = fl_ctx.get_peer_context().get_identity_name()
            if question["letters"]:
                self.bell.set()
        except MessageError as problem:
            self._diary.note(f"Refused: {problem}")
            reply["why"] = str(problem)
        return reply


WIRE: Wire | None = None  # of this process, made before the engine starts


class Resident(FLComponent):
    """What the engine starts."""

    def __init__(self) -> None:
        super().__init__()
        self.register_event_handler(EventType.SYSTEM_START, self._begin)

    def _begin(self, event: str, fl_ctx: Any) -> None:
        if WIRE is None:
            raise RuntimeError("Start this kit by `python -m fedkit.network`: its identity needs a passphrase.")
        WIRE.start(fl_ctx.get_engine())
