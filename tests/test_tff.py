"""TFF imports, computes wherever Python runs or says why not, and leaves no worker behind: with real processes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest

from fedkit.compat import tff as mended
from fedkit.compat.tff import tff

STACK = mended.context_stack_impl.context_stack

COMPUTE = """
import numpy as np
from fedkit.compat.tff import tf, tff
numbers = tff.FederatedType(np.float32, tff.CLIENTS)
@tff.federated_computation(numbers)
def mean(values):
    return tff.federated_mean(values)
print("mean", mean([np.float32(1), np.float32(2)]), flush=True)
"""


@pytest.fixture
def mark(monkeypatch):
    """A variable that every process started by this test inherits, so that only its own workers are seen."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("FEDKIT_TEST", value)
    return f"FEDKIT_TEST={value}".encode()


def workers(mark: bytes) -> set[int]:
    """Process ids of the TFF workers that run now and carry the mark."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            if b"worker_binary" in command.split(b"\0")[0] and mark in environment.split(b"\0"):
                found.add(int(entry.name))
    return found


def survivors(mark: bytes) -> set[int]:
    """Workers that are still there once they have had time to end."""
    deadline = time.monotonic() + 60
    while (left := workers(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def python(code: str, shell: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess:
    command = [*shell, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def test_it_computes_behind_a_proxy_and_in_the_background_without_noise_or_a_worker_left(mark):
    """A job that a script puts in the background ignores Ctrl-C. A jax of one's own stays what it was."""
    before = "import sys, types; sys.modules['jax'] = own = types.ModuleType('jax')\n"
    after = "assert sys.modules['jax'] is own and 'vizier' not in sys.modules and 'jax.lib' not in sys.modules"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"), "http://127.0.0.1:9")
    background = ("/bin/sh", "-c", 'trap "" INT; exec timeout 300 "$@"', "sh")
    done = python(before + COMPUTE + after, background, **proxies, no_proxy="", no_grpc_proxy="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "mean 1.5\n", "")
    assert survivors(mark) == set()


def test_no_worker_is_left_after_a_signal(mark):
    """Ctrl-C ends it as any exception does; after SIGKILL nothing of ours runs any more."""
    # The tests may run in the background, where Ctrl-C is ignored.
    heard = "import signal, time; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", heard + COMPUTE + "time.sleep(600)"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    started = [subprocess.Popen(command, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in started] == ["mean 1.5\n"] * 2
    assert len(workers(mark)) == 2, "or this test would pass on nothing"
    for process, kind in zip(started, (signal.SIGKILL, signal.SIGINT), strict=True):
        process.send_signal(kind)
        process.communicate()
    assert survivors(mark) == set()


def test_a_notebook_computes_shows_an_error_and_leaves_no_worker(tmp_path, mark):
    """IPython looks through every module to print an error, so no stand-in may trip it up: it would never answer."""
    cells = [COMPUTE, "for number in range(3):\n    assert number < 1, 'too large'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source, target = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    nbformat.write(notebook, source)
    with pytest.raises(papermill.PapermillExecutionError, match="too large"):
        papermill.execute_notebook(source, target, progress_bar=False, execution_timeout=300)
    outputs = [output for cell in nbformat.read(target, 4).cells for output in cell.get("outputs", [])]
    assert "mean 1.5\n" in [output.get("text") for output in outputs]
    assert "stderr" not in [output.get("name") for output in outputs]
    assert survivors(mark) == set()


OBSTACLES = """
import importlib.util, os, sys

def attempt():
    try:
        import fedkit.compat.tff
    except ImportError as error:
        print(error)

sys.modules["tensorflow"] = sys
attempt()
del sys.modules["tensorflow"]
find, access = importlib.util.find_spec, os.access
importlib.util.find_spec = lambda name: name not in ("tree", "tf_keras") and find(name)
attempt()
importlib.util.find_spec, os.access = find, lambda *_: False
attempt()
os.access = access
import fedkit.compat.tff
"""


def test_what_stands_in_the_way_is_said_with_what_to_do_and_not_what_tensorflow_logs(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'I0000 noise'); raise ImportError('on purpose')")
    done = python(OBSTACLES, PYTHONPATH=os.pathsep.join([str(tmp_path), os.getcwd()]), TF_USE_LEGACY_KERAS="")
    early, missing, worker = done.stdout.splitlines()
    assert re.match("TensorFlow was imported before .* Restart the kernel", early)
    assert re.search("needs dm-tree, tf-keras, .*'python -m fedkit.compat.environment'", missing)
    assert "worker_binary, is missing or may not be run. Install it again" in worker
    assert done.stderr.startswith("Traceback"), "and not with the noise"
    assert done.stderr.endswith("ImportError: on purpose\n")


# From here on in this process, each test with a worker of its own.


@pytest.fixture
def context():
    made = tff.backends.native.create_sync_local_cpp_execution_context()
    with STACK.install(made):
        yield made
    made.executor_factory._leave()


@tff.federated_computation(tff.FederatedType(np.float32, tff.CLIENTS))
def mean(values):
    return tff.federated_mean(values)


def kill_worker(context) -> None:
    """Kill what the shell started, as the kernel does where memory runs out."""
    shell = context.executor_factory._worker.pid
    (worker, _) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)


def test_threads_take_turns_and_start_with_the_default_that_was_set_last(context):
    real, busy, most = context._async_runner.run_coro_and_return_result, [], []

    def watched(coroutine):
        busy.append(0)
        most.append(len(busy))
        time.sleep(0.05)
        busy.pop()
        return real(coroutine)

    context._async_runner.run_coro_and_return_result = watched
    before = STACK._stack[0]
    STACK.set_default_context(context)
    try:
        with ThreadPoolExecutor(3) as pool:
            lists = [[np.float32(number)] * (1 + number % 3) for number in range(6)]
            assert list(pool.map(mean, lists)) == list(range(6))
    finally:
        STACK.set_default_context(before)
    assert most == [1] * 6


def test_a_worker_that_dies_is_reported_and_the_next_call_has_another(context, monkeypatch):
    stub = mended.remote_executor_grpc_stub.RemoteExecutorGrpcStub
    compute = stub.compute

    def dying(self, request):
        monkeypatch.undo()
        kill_worker(context)
        return compute(self, request)

    monkeypatch.setattr(stub, "compute", dying)
    with pytest.raises(RuntimeError, match=r"worker ended with code 137 \(it was killed, as where memory runs out\)"):
        mean([np.float32(2)])
    assert mean([np.float32(2)]) == 2
    kill_worker(context)  # between two calls nothing is lost
    context.executor_factory._worker.wait()
    assert mean([np.float32(3)]) == 3


@pytest.mark.parametrize(
    ("program", "mode", "patience", "sentence"),
    [
        ("echo port taken >&2; exit 3", 0o755, 90, r"worker ended with code 3\..* It said: port taken"),
        ("exit 0", 0o644, 90, r"worker ended with code 126\..* It said: .*[Pp]ermission denied"),
        ("echo starting; exec sleep 600", 0o755, 2, r"did not answer within 2 seconds\..* It said: starting"),
    ],
    ids=["ends", "cannot start", "silent"],
)
def test_a_worker_that_never_answers_is_reported_with_its_words(
    program, mode, patience, sentence, context, tmp_path, monkeypatch
):
    (tmp_path / "worker").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "worker").chmod(mode)
    monkeypatch.setattr(mended, "_BINARY", tmp_path / "worker")
    monkeypatch.setattr(mended, "_PATIENCE", patience)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=sentence):
        mean([np.float32(1)])
    assert patience == 2 or time.monotonic() - start < patience, "one that has ended is not waited for"
    monkeypatch.undo()
    assert mean([np.float32(1)]) == 1


held = []  # the context of the test below: what a forked process finds


def in_child() -> tuple[bool, str]:
    signal.alarm(120)  # ends it, should it wait for ever
    with pytest.raises(RuntimeError) as caught:
        mean([np.float32(1)])
    return held[0].executor_factory._worker.stdin.closed, str(caught.value)


def test_a_forked_process_says_that_it_cannot_compute_and_keeps_no_worker_alive(context, monkeypatch):
    """Several of them, since what gRPC's own handlers break in a fork they break now and then, and on some machines."""
    assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0", "its handlers are on"
    assert mean([np.float32(1)]) == 1
    monkeypatch.setitem(globals(), "held", [context])
    for _ in range(4):
        with ProcessPoolExecutor(2, get_context("fork")) as pool:
            found = [task.result() for task in [pool.submit(in_child) for _ in range(2)]]
        assert {closed for closed, _ in found} == {True}
        assert all(re.search(r"not compute in a forked process.*get_context\('spawn'\)", said) for _, said in found)
    assert mean([np.float32(1)]) == 1
