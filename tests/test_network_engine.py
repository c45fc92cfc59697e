"""A study over NVFlare: processes on this machine that talk over mutual TLS. Skipped where the engine is not."""

import os
import shutil
import signal
import subprocess
import time
from functools import partial

import numpy as np
import pytest
from exchange_parts import Logistic, federation

from fedkit import exchange
from fedkit.exchange.folder import Folder
from fedkit.network import environment
from fedkit.network.loopback import SERVER, Loopback

REQUIRED = os.environ.get("FEDKIT_NETWORK") == "required"  # in CI, where it must not be absent
pytestmark = pytest.mark.skipif(not environment.ready() and not REQUIRED, reason=environment.ABSENT)
DATA = federation(3)


@pytest.fixture(scope="module", autouse=True)
def paths():
    """The processes find the kit and the tests where this one does."""
    with pytest.MonkeyPatch.context() as patch:
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        patch.setenv("PYTHONPATH", f"{root}:{root}/tests")
        patch.setattr("fedkit.encryption.vault._COST", 14)
        yield


def round_of(study, name=SERVER):
    return study.status(name).get("round", 0)


def test_the_same_bytes_as_the_rehearsal_though_a_hospital_and_then_the_server_are_killed(tmp_path):
    rehearsed = exchange.rehearse(DATA, rounds=12, work=Logistic)[0]
    with Loopback(tmp_path, DATA, work="exchange_parts:Logistic", rounds=12) as study:
        study.start()
        started = dict(study.processes)
        study.until(lambda: round_of(study) >= 3, 90)
        study.kill("Hospital 1")
        study.start("Hospital 1")
        study.until(lambda: round_of(study) >= 6, 90)
        study.kill(SERVER)
        study.start(SERVER)
        study.until(lambda: all("model" in study.status(name) for name in DATA.names), 120)
        models = [np.load(study.kits[name] / "model.npz") for name in DATA.names]
        for name in DATA.names:
            assert study.processes[name].wait(10) == 0
        for kit in study.kits.values():
            assert "died" not in (kit / "out.txt").read_text()
            assert not list(kit.glob("engine/**/*.py")), "no code has come"
        said = list(started.values()) + list(study.processes.values())
    for model in models:
        assert [model[f"arr_{at}"].tobytes() for at in range(2)] == [each.tobytes() for each in rehearsed.weights]
    assert all(one.poll() is not None for one in said)


def test_what_the_engine_keeps_silent_about_is_said_within_ten_seconds(tmp_path):
    """One server: a site that never comes, one of another project, and then no server at all."""
    one, other = tmp_path / "one", tmp_path / "other"
    with Loopback(one, DATA, work="exchange_parts:Logistic") as study, Loopback(other, DATA) as rogue:
        study.start("Hospital 0")
        said = lambda name: study.status(name)["wrong"]  # noqa: E731
        study.until(lambda: "says" in study.status("Hospital 0") and study.status("Hospital 0")["wrong"], 60)
        assert "cannot be reached" in said("Hospital 0")
        study.start(SERVER)
        study.until(lambda: "asked to join" in study.status(SERVER)["says"], 60)
        study.until(lambda: "1 of 3" in study.status(SERVER)["says"], 60)
        assert study.until(lambda: "Nothing is heard of" in said(SERVER), 10) < 10
        assert "Hospital 2" in said(SERVER)
        for name in ("tls.key", "tls.crt"):  # a certificate of another project
            shutil.copy(rogue.kits["Hospital 1"] / name, study.kits["Hospital 1"])
        study.start("Hospital 1")
        study.until(lambda: "refuses the certificate" in said("Hospital 1"), 60)
        study.until(lambda: "A connection from 127.0.0.1 was refused: unable to get local issuer" in said(SERVER), 10)
        assert "Nothing is heard of Hospital 1, Hospital 2" in said(SERVER)
        assert len(Folder(study.kits[SERVER] / "study").names("request")) == 1
        began = time.monotonic()
        study.kill(SERVER)
        study.until(lambda: "cannot be reached" in said("Hospital 0"), 20)
        assert time.monotonic() - began < 10
        assert study.until(lambda: "was killed, or hangs" in said(SERVER), 10) < 10


def test_a_thread_that_dies_ends_its_process_a_taken_port_is_said_and_a_false_name_refused(tmp_path, monkeypatch):
    with Loopback(tmp_path, DATA, work="exchange_parts:federation") as study:  # which is no work
        study.start(SERVER, "Hospital 0")
        assert study.processes["Hospital 0"].wait(60) == 1
        assert "The thread of the study died." in (study.kits["Hospital 0"] / "out.txt").read_text()
        assert "died" in study.status("Hospital 0")["says"]
        study.kill("Hospital 0")
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", partial(instead, LIAR, subprocess.Popen))
            study.start("Hospital 1")
        refused = "Somebody asks as Hospital 2, with the certificate of another."
        study.until(lambda: refused in study.status("Hospital 1")["wrong"], 60)
        study.until(lambda: refused in study.status(SERVER)["wrong"], 10)
        study.kill("Hospital 1")
        again = study.processes.pop(SERVER)
        study.start(SERVER)
        assert study.processes[SERVER].wait(60) == 1
        assert "already in use" in (study.kits[SERVER] / "out.txt").read_text()
        again.send_signal(signal.SIGTERM)
        assert again.wait(10) == 0


def test_its_environment_leaves_that_of_the_kit_as_it_is():
    seen = "import nvflare, numpy, tenseal; print(nvflare.__version__, numpy.__file__)"
    there = subprocess.run([environment.PYTHON, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    assert there == ["2.9.0", np.__file__]
    with pytest.raises(ModuleNotFoundError):
        __import__("nvflare")


HOSTILE = """
import os, time
from pathlib import Path
from fedkit.network import __main__, parties, resident

def server(kit, *more):
    from nvflare.apis.shareable import Shareable
    from nvflare.fuel.f3.cellnet.utils import new_cell_message
    from nvflare.private.admin_defs import Message
    while not (sites := list(resident.WIRE._sites.values())):
        time.sleep(0.1)
    said = [os.environ["SSL_CERT_FILE"] == str(kit / "ca.crt")]
    for channel, topic, what in (
        ("admin", "sys.shell", Message("sys.shell", "cat ../rows.csv")),
        ("admin", "sys.report_env", Message("sys.report_env", "")),
        ("_net_manager", "config_vars", None),
        ("aux_communication", "fed.event", Shareable()),
    ):
        asked = {"channel": channel, "topic": topic, "request": new_cell_message({}, what), "timeout": 3.0}
        reply = resident.WIRE._cell.send_request(target=sites[0], **asked).payload
        said.append(reply and str(vars(reply)))
    Path(kit, "heard").write_text(repr(said))
    return True

parties.server = server
__main__.main()
"""
LIAR = """
from fedkit.network import __main__, post
exchange = post.Mirror._exchange

def lying(self, new):
    self._name = "Hospital 2"
    return exchange(self, new)

post.Mirror._exchange = lying
__main__.main()
"""


def instead(script, start, command, **how):
    """Start a process of a kit with other software."""
    return start([command[0], "-c", script, *command[3:]], **how)


def test_a_hostile_server_has_nothing_run_or_read_at_a_hospital(tmp_path, monkeypatch):
    """The engine would run `cat`, and skips its check of rights unless the sender asks for it."""
    with Loopback(tmp_path, DATA, work="exchange_parts:Logistic") as study:
        study.start("Hospital 0")
        monkeypatch.setattr(subprocess, "Popen", partial(instead, HOSTILE, subprocess.Popen))
        study.start(SERVER)
        heard = study.kits[SERVER] / "heard"
        study.until(heard.exists, 60)
        assert heard.read_text() == "[True, None, None, None, None]"
        assert "no callback for request (sys.shell@admin)" in (study.kits["Hospital 0"] / "engine.log").read_text()
