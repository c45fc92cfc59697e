"""A study over NVFlare: processes on this machine that talk over mutual TLS. Skipped where the engine is not."""

import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from network_parts import DATA, Trial

from fedkit.exchange.folder import Folder
from fedkit.network import environment
from fedkit.network.loopback import SERVER

REQUIRED = os.environ.get("FEDKIT_NETWORK") == "required"  # in CI, where it must not be absent
pytestmark = pytest.mark.skipif(not environment.ready() and not REQUIRED, reason=environment.ABSENT)


@pytest.fixture(scope="module", autouse=True)
def paths():
    """The processes find the kit and the tests where this one does."""
    with pytest.MonkeyPatch.context() as patch:
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        patch.setenv("PYTHONPATH", f"{root}:{root}/tests")
        patch.setattr("fedkit.encryption.vault._COST", 14)
        yield


def test_the_same_bytes_at_all_though_a_hospital_and_then_the_server_are_killed(tmp_path):
    with Trial(tmp_path) as study:
        study.start()
        started = dict(study.processes)
        for round, name in ((3, "Hospital 1"), (6, SERVER)):
            study.reach(round, 90)
            study.kill(name)
            study.start(name)
        study.end(120)
        for name in DATA.names:
            assert study.processes[name].wait(10) == 0
        for kit in study.kits.values():
            assert "died" not in (kit / "out.txt").read_text()
            assert not list(kit.glob("engine/**/*.py")), "no code has come"
        said = [*started.values(), *study.processes.values()]
    assert all(one.poll() is not None for one in said)


def test_what_the_engine_keeps_silent_about_is_said_within_ten_seconds(tmp_path):
    """One server: a site that never comes, one of another project, and then no server at all."""
    with Trial(tmp_path / "one") as study, Trial(tmp_path / "other") as rogue:
        study.start("Hospital 0")
        study.hear("Hospital 0", "cannot be reached", 60)
        study.start(SERVER)
        study.hear(SERVER, "1 of 3 hospitals have asked to join", 60, "says")
        assert study.hear(SERVER, "Nothing is heard of", 10) < 10
        assert "Hospital 2" in study.status(SERVER)["wrong"]
        for name in ("tls.key", "tls.crt"):  # a certificate of another project
            shutil.copy(rogue.kits["Hospital 1"] / name, study.kits["Hospital 1"])
        study.start("Hospital 1")
        study.hear("Hospital 1", "refuses the certificate", 60)
        study.hear(SERVER, "A connection from 127.0.0.1 was refused: unable to get local issuer", 10)
        assert "Nothing is heard of Hospital 1, Hospital 2" in study.status(SERVER)["wrong"]
        assert len(Folder(study.kits[SERVER] / "study").names("request")) == 1
        began = time.monotonic()
        study.kill(SERVER)
        study.hear("Hospital 0", "cannot be reached", 20)
        assert time.monotonic() - began < 10
        assert study.hear(SERVER, "was killed, or hangs", 10) < 10


def test_a_thread_that_dies_ends_its_process_a_taken_port_is_said_and_a_false_name_refused(tmp_path):
    with Trial(tmp_path, work="exchange_parts:federation") as study:  # which is no work
        study.start(SERVER, "Hospital 0")
        assert study.processes["Hospital 0"].wait(60) == 1
        assert "The thread of the study died." in (study.kits["Hospital 0"] / "out.txt").read_text()
        assert "died" in study.status("Hospital 0")["says"]
        study.kill("Hospital 0")
        study.program = ["-c", LIAR]
        study.start("Hospital 1")
        del study.program
        for name, seconds in (("Hospital 1", 60), (SERVER, 10)):
            study.hear(name, "Somebody asks as Hospital 2, with the certificate of another.", seconds)
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


def test_a_hostile_server_has_nothing_run_or_read_at_a_hospital(tmp_path):
    """The engine would run `cat`, and skips its check of rights unless the sender asks for it."""
    with Trial(tmp_path) as study:
        study.start("Hospital 0")
        study.program = ["-c", HOSTILE]
        study.start(SERVER)
        heard = study.kits[SERVER] / "heard"
        study.until(heard.exists, 60)
        assert heard.read_text() == "[True, None, None, None, None]"
        assert "no callback for request (sys.shell@admin)" in (study.kits["Hospital 0"] / "engine.log").read_text()
