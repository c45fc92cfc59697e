"""TensorFlow Federated made importable on Python 3.11 to 3.13, and its worker reaped.

TFF 0.87.0 is the newest release on the package index (September 2024). Its wheel
is pure Python plus one C++ program, ``worker_binary``, and both still work; what
no longer works is what happens around them. This module mends exactly that, before
TFF is imported, and hands on ``tff`` and ``tf``::

    from fedkit.compat.tff import tf, tff

1. TFF trains Keras 2 models: ``TF_USE_LEGACY_KERAS`` must be set before TensorFlow
   is imported.
2. ``tensorflow_privacy`` and ``tensorflow_model_optimization`` run imports in their
   ``__init__`` that no longer exist. TFF needs only some of their submodules.
3. ``vizier`` and two names of ``jax.lib.xla_client`` occur in annotations only.
4. TFF optimises each graph with Grappler before it sends it to the worker. It falls
   back to the plain graph where that fails; with today's TensorFlow the step prints
   a thousand lines and gains nothing measurable, so it is left out.
5. ``worker_binary`` outlives the interpreter: a kernel that ends leaves a process of
   130 MB behind, and ``command | tail`` never returns. Here it is started below a
   shell that ends with us (see `_Worker`).
"""

import atexit
import gc
import importlib
import importlib.util
import os
import subprocess
import sys
import types

# What TFF and the two packages of point 2 import: module name -> name to install.
NEEDS = {
    "absl": "absl-py",
    "attrs": "attrs",
    "cachetools": "cachetools",
    "dp_accounting": "dp-accounting",
    "grpc": "grpcio",
    "jax": "jax",
    "numpy": "numpy",
    "portpicker": "portpicker",
    "scipy": "scipy",
    "tensorflow": "tensorflow",
    "tensorflow_federated": "tensorflow-federated",
    "tensorflow_model_optimization": "tensorflow-model-optimization",
    "tensorflow_privacy": "tensorflow-privacy",
    "tensorflow_probability": "tensorflow-probability",
    "tf_keras": "tf-keras",
    "tree": "dm-tree",
}

# The classes of tensorflow_privacy that TFF names, by the submodule that holds them.
_DP_QUERIES = {
    "discrete_gaussian_query": [],
    "distributed_discrete_gaussian_query": ["DistributedDiscreteGaussianSumQuery"],
    "distributed_skellam_query": ["DistributedSkellamSumQuery"],
    "dp_query": ["DPQuery", "SumAggregationDPQuery"],
    "gaussian_query": ["GaussianSumQuery"],
    "no_privacy_query": ["NoPrivacySumQuery"],
    "normalized_query": ["NormalizedQuery"],
    "quantile_adaptive_clip_sum_query": ["QuantileAdaptiveClipSumQuery"],
    "quantile_adaptive_clip_tree_query": ["QAdaClipTreeResSumQuery"],
    "quantile_estimator_query": ["NoPrivacyQuantileEstimatorQuery", "QuantileEstimatorQuery"],
    "restart_query": ["RestartQuery"],
    "tree_aggregation_query": ["TreeResidualSumQuery"],
    "tree_range_query": ["TreeRangeSumQuery"],
}


class _Worker(subprocess.Popen):
    """``worker_binary`` below a shell that waits for its standard input to close.

    The pipe's other end is held by this process alone, so it closes at whatever
    end this process comes to, ``kill -9`` included; the shell then kills the
    worker. The shell leads a session of its own, so that Ctrl-C in a terminal
    interrupts the computation and not the worker. Its output goes nowhere: the
    worker's log is for TFF's developers, and an inherited stdout would keep a
    pipe of ours open.
    """

    _SCRIPT = '"$@" </dev/null & worker=$!; trap "kill -9 $worker; exit" INT TERM; read _; kill -9 $worker'

    def __init__(self, args: list[str], **_: object) -> None:
        super().__init__(
            ["/bin/sh", "-c", self._SCRIPT, "fedkit-worker", *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self, timeout: float | None = None) -> int:
        """End it, too: TFF sends SIGINT and waits, and a shell cannot trap what was ignored from the start (nohup)."""
        self.stdin.close()
        return super().wait(timeout)


def _check() -> None:
    """Say in a sentence what stands in the way, before anything is changed."""
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise ImportError(
            "TensorFlow was imported before fedkit, so it has chosen Keras 3, which TensorFlow "
            "Federated cannot use. Restart the kernel and import fedkit first."
        )
    missing = sorted(name for module, name in NEEDS.items() if importlib.util.find_spec(module) is None)
    if missing:
        raise ImportError(
            f"TensorFlow Federated needs {', '.join(missing)}, which this Python does not have. "
            "Run 'python -m fedkit.compat.environment' to install what is missing, then try again."
        )


def _bare_package(name: str) -> types.ModuleType:
    """Stand in for a package, so that its submodules are found and its ``__init__`` never runs."""
    package = types.ModuleType(name)
    package.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
    sys.modules[name] = package
    return package


def _any_class(name: str) -> type:
    """Stand in for whatever class a stub is asked for.

    A module's own attributes are not made up: whoever prints a traceback asks every
    module for its ``__file__``.
    """
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})


def _mend_imports() -> None:
    sys.skip_tf_privacy_import = True  # tensorflow_privacy's own way out of its __init__
    privacy = importlib.import_module("tensorflow_privacy")
    for module, names in _DP_QUERIES.items():
        found = importlib.import_module(f"tensorflow_privacy.privacy.dp_query.{module}")
        setattr(privacy, module, found)
        for name in names:
            setattr(privacy, name, getattr(found, name))

    if "tensorflow_model_optimization" not in sys.modules:
        _bare_package("tensorflow_model_optimization")

    from jax.lib import xla_client

    for name in ("XlaComputation", "Shape"):
        if name not in vars(xla_client):
            setattr(xla_client, name, type(name, (), {}))

    if importlib.util.find_spec("vizier") is None:
        names = ("vizier", "vizier.pyvizier", "vizier.client", "vizier.client.client_abc")
        stubs = {name: types.ModuleType(name) for name in names}
        for name, stub in stubs.items():
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(stubs[parent], child, stub)
            stub.__getattr__ = _any_class
            stub.__path__ = []
        sys.modules.update(stubs)


def _mend_tff() -> None:
    from tensorflow_federated.python.core.environments.tensorflow_backend import graph_optimizations
    from tensorflow_federated.python.core.impl.executor_stacks import executor_factory

    graph_optimizations.optimize_graph_spec = lambda graph_spec, config: graph_spec
    executor_factory.subprocess = types.SimpleNamespace(Popen=_Worker)


@atexit.register
def _let_go() -> None:
    """Let TFF end its worker now: it does so when its context goes, and later it no longer can."""
    if "tensorflow_federated" in sys.modules:
        from tensorflow_federated.python.core.impl.context_stack import set_default_context

        set_default_context.set_no_default_context()
        gc.collect()


_check()
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf  # noqa: E402

_mend_imports()
import tensorflow_federated as tff  # noqa: E402

_mend_tff()

__all__ = ["NEEDS", "tf", "tff"]
