"""TensorFlow Federated made importable on Python 3.11 to 3.13, and its worker looked after.

TFF 0.87.0 is the newest release on the package index (September 2024): pure Python plus one
C++ program, ``worker_binary``. Both still work; what no longer works is what happens around
them. This module mends exactly that: ``from fedkit.compat.tff import tf, tff``.

1. TFF trains Keras 2 models: ``TF_USE_LEGACY_KERAS`` must be set before TensorFlow is imported.
2. ``tensorflow_privacy`` and ``tensorflow_model_optimization`` run imports in their
   ``__init__`` that no longer exist. TFF needs only some of their submodules.
3. ``vizier`` and ``jax`` occur in annotations, and in a front end that works with no jax of
   today. Stand-ins are there while TFF is imported; yours, if any, is back afterwards.
4. TFF optimises each graph with Grappler before it sends it to the worker. With today's
   TensorFlow that prints a thousand lines and gains nothing measurable, so it is left out.
5. ``worker_binary`` outlives the interpreter, is looked for behind ``http_proxy``, and where
   it is dead or silent TFF waits for ever (see `_Worker`, `_Executors`).
6. TFF computes in one thread alone, and never ends in a forked process (see `_mend_calls`).
7. TFF writes an array number by number, a third of a round's time; as bytes it reads one, too.
"""

import atexit
import gc
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
import weakref
from pathlib import Path

# The modules that TFF and the two packages of point 2 import; three are installed under another name.
NEEDS = (
    "absl attrs cachetools dp_accounting grpc numpy portpicker scipy tensorflow tensorflow_federated "
    "tensorflow_model_optimization tensorflow_privacy tensorflow_probability tf_keras tree"
).split()
PACKAGES = {"absl": "absl-py", "grpc": "grpcio", "tree": "dm-tree"}

# What of tensorflow_privacy TFF names, and what it imports and does not use.
_DP_QUERIES = (
    "discrete_gaussian_query distributed_discrete_gaussian_query distributed_skellam_query dp_query gaussian_query "
    "no_privacy_query normalized_query quantile_adaptive_clip_sum_query quantile_adaptive_clip_tree_query "
    "quantile_estimator_query restart_query tree_aggregation_query tree_range_query"
).split()
_UNUSED = (
    "jax jax.lib jax.lib.xla_client jax.tree_util vizier vizier.pyvizier vizier.client vizier.client.client_abc"
).split()


def _check() -> Path:
    """Say in a sentence what stands in the way, before anything is changed; return where the worker lies."""
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise ImportError(
            "TensorFlow was imported before fedkit, so it has chosen Keras 3, which TensorFlow "
            "Federated cannot use. Restart the kernel and import fedkit first."
        )
    missing = sorted(PACKAGES.get(name, name).replace("_", "-") for name in NEEDS if not importlib.util.find_spec(name))
    if missing:
        raise ImportError(
            f"TensorFlow Federated needs {', '.join(missing)}, which this Python does not have. "
            "Run 'python -m fedkit.compat.environment' to install what is missing, then try again."
        )
    (folder,) = importlib.util.find_spec("tensorflow_federated").submodule_search_locations
    worker = Path(folder, "data", "worker_binary")
    if not os.access(worker, os.X_OK):
        raise ImportError(
            f"TensorFlow Federated's worker, {worker}, is missing or may not be run. Install it again, on a disk "
            "that may hold programs: python -m pip install --force-reinstall --no-deps tensorflow-federated==0.87.0"
        )
    return worker


def _anything(name: str) -> type:
    """Stand in for a class or function, not for what a traceback asks every module for, as ``__file__``."""
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {"__init__": lambda self, *_: None})


def _import_tff() -> types.ModuleType:
    sys.skip_tf_privacy_import = True  # tensorflow_privacy's own way out of its __init__
    privacy = importlib.import_module("tensorflow_privacy")
    for module in _DP_QUERIES:
        found = importlib.import_module(f"tensorflow_privacy.privacy.dp_query.{module}")
        vars(privacy).update({module: found} | {name: it for name, it in vars(found).items() if name.endswith("Query")})
    bare = types.ModuleType("tensorflow_model_optimization")  # its submodules are found, its __init__ never runs
    bare.__path__ = list(importlib.util.find_spec(bare.__name__).submodule_search_locations)
    sys.modules.setdefault(bare.__name__, bare)
    yours = {name: sys.modules.pop(name) for name in _UNUSED if name in sys.modules}
    for name in _UNUSED:
        sys.modules[name] = stand_in = types.ModuleType(name)
        stand_in.__path__, stand_in.__getattr__ = [], _anything
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, stand_in)
    try:
        return importlib.import_module("tensorflow_federated")
    finally:
        for name in _UNUSED:
            del sys.modules[name]
        sys.modules.update(yours)


_BINARY = _check()
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # it starts threads in a forked child, which crash it
_stderr, _nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_nothing, 2)  # TensorFlow 2.21 logs there while it is imported, whatever it is told
try:
    import tensorflow as tf  # noqa: F401, handed on
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_nothing)

tff = _import_tff()

# ruff: noqa: E402
import grpc
import numpy as np
import portpicker
from tensorflow_federated.python.core.environments.tensorflow_backend import graph_optimizations
from tensorflow_federated.python.core.impl.compiler import array
from tensorflow_federated.python.core.impl.context_stack import context_stack_impl, set_default_context
from tensorflow_federated.python.core.impl.execution_contexts import sync_execution_context
from tensorflow_federated.python.core.impl.executor_stacks import executor_factory, python_executor_stacks
from tensorflow_federated.python.core.impl.executors import executors_errors, remote_executor, remote_executor_grpc_stub

_PATIENCE = 180  # seconds for a worker to answer at all; on a quiet machine it takes one
_alive = weakref.WeakSet()  # the `_Executors`


class _Worker(subprocess.Popen):
    """``worker_binary`` below a shell that ends it when this process ends, and ends with it.

    The pipe's other end is held by this process alone, so it closes at whatever end this
    process comes to, ``kill -9`` included. The session of its own keeps a terminal's Ctrl-C
    away. What the worker says is kept, in a file without a name, for the error it may end in.
    """

    _SCRIPT = """exec 3<&0; "$@" </dev/null 3<&- & worker=$!
        { read _ <&3; kill -9 $worker; } >/dev/null 2>&1 & guard=$!
        exec 3<&-; wait $worker; code=$?; kill -9 $guard; exit $code"""

    def __init__(self, calls: int) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the worker
        port, pipes = portpicker.pick_unused_port(), {"stdin": subprocess.PIPE, "stdout": self._said}
        command = [_BINARY, f"--port={port}", f"--max_concurrent_computation_calls={calls}"]
        shell = ["/bin/sh", "-c", self._SCRIPT, "fedkit-worker", *command]
        super().__init__(shell, **pipes, stderr=subprocess.STDOUT, start_new_session=True)
        ours = ("grpc.enable_http_proxy", 0), ("grpc.initial_reconnect_backoff_ms", 100)
        channel = grpc.insecure_channel(f"localhost:{port}", [*executor_factory._GRPC_CHANNEL_OPTIONS, *ours])
        self.stub = remote_executor_grpc_stub.RemoteExecutorGrpcStub(channel)
        deadline = time.monotonic() + _PATIENCE
        while not self.stub.is_ready:
            if self.poll() is not None or time.monotonic() > deadline:
                raise self.lost()
            time.sleep(0.02)

    def lost(self) -> RuntimeError:
        """Let go of it, and say how it ended."""
        code, how = self.poll(), f"did not answer within {_PATIENCE} seconds"
        if code is not None:
            how = f"ended with code {code}" + " (it was killed, as where memory runs out)" * (code == 128 + 9)
        self.stdin.close()
        self._said.seek(0)
        words = " ".join(self._said.read().decode(errors="replace").split()[-60:]) or "(nothing)"
        return RuntimeError(f"TensorFlow Federated's worker {how}. The next call starts another. It said: {words}")


class _Executors(python_executor_stacks.ResourceManagingExecutorFactory):
    """In place of TFF's ``local_cpp_executor_factory``: it notices that its worker has ended, and starts another."""

    def __init__(self, default_num_clients=0, max_concurrent_computation_calls=-1, stream_structs=False):
        def start(cardinalities: dict) -> remote_executor.RemoteExecutor:
            executor = remote_executor.RemoteExecutor(self._worker.stub, stream_structs=stream_structs)
            executor.set_cardinalities({tff.CLIENTS: default_num_clients} | cardinalities)
            return executor

        super().__init__(start)
        self._calls, self._worker = max_concurrent_computation_calls, None
        _alive.add(self)

    def create_executor(self, cardinalities: dict) -> remote_executor.RemoteExecutor:
        """Return the executor for as many clients, in a worker that runs."""
        if self._worker is None or self._worker.poll() is not None:
            self._leave()
            self._executors.clear()
            self._worker = None  # should none start
            self._worker = _Worker(self._calls)
        return super().create_executor(cardinalities)

    def clean_up_executor(self, cardinalities: dict) -> None:
        """Say that the worker has ended, if that is the error being handled: TFF would try again without end."""
        super().clean_up_executor(cardinalities)
        if isinstance(sys.exception(), executors_errors.RetryableError):
            try:
                self._worker.wait(timeout=10)
            except subprocess.TimeoutExpired:  # it runs: TFF may try again
                return
            raise self._worker.lost() from None

    def _leave(self) -> None:
        """Have no more to do with the worker: it has ended, or is of the process that this one was forked from."""
        for executor in self._executors.values():
            executor._executor_id = None
        if self._worker:
            self._worker.stdin.close()


def _array_to_proto(value, *, dtype_hint=None, by_number=array.to_proto):
    numbers = isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.size
    return (array.to_proto_content if numbers else by_number)(value, dtype_hint=dtype_hint)


def _mend_calls() -> None:
    """Let every thread compute, one after the other, and no forked process try."""
    context, stack = sync_execution_context.SyncExecutionContext, context_stack_impl.ContextStackImpl
    invoke, turn, home = context.invoke, threading.RLock(), os.getpid()

    def invoke_here(self, comp, arg):
        if os.getpid() != home:
            raise RuntimeError(
                "TensorFlow Federated does not compute in a forked process, since a fork copies none of its threads. "
                "Use threads, or processes of multiprocessing.get_context('spawn')."
            )
        with turn:
            return invoke(self, comp, arg)

    context.invoke = invoke_here
    # TFF's stack of contexts is of one thread. The default, at its bottom, is now of all that start later.
    set_default, default = stack.set_default_context, [context_stack_impl.context_stack.current]

    def set_default_for_all(self, ctx):
        set_default(self, ctx)
        default[0] = ctx

    stack.__init__ = lambda self, _: setattr(self, "_stack", default[:])
    stack.set_default_context = set_default_for_all
    os.register_at_fork(after_in_child=lambda: [executors._leave() for executors in _alive])


graph_optimizations.optimize_graph_spec = lambda graph_spec, config: graph_spec
executor_factory.local_cpp_executor_factory = tff.framework.local_cpp_executor_factory = _Executors
array.to_proto = _array_to_proto
_mend_calls()
tff.backends.native.set_sync_local_cpp_execution_context()
# TFF ends what it runs when its context goes; after the interpreter's end it no longer can.
atexit.register(gc.collect)
atexit.register(set_default_context.set_no_default_context)
