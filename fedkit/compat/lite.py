"""TensorFlow Lite, which small devices run: a model as one file, in float32 or counted in whole numbers of 8 bits."""

import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from fedkit.compat.tff import tf


def convert(model: Callable[[tf.Tensor], tf.Tensor], rows: np.ndarray, whole: bool = False) -> bytes:
    """Write a model, of tensors [1, d] to [1, K], as a file of TensorFlow Lite: the same bytes each time.

    rows : examples, float32 [n, d]: their ranges say what a step of the whole numbers is
    whole : count in int8 inside, while rows and answers stay float32; in float32 throughout if False
    """
    row = tf.TensorSpec([1, rows.shape[1]], tf.float32)
    with _quiet():
        made = tf.lite.TFLiteConverter.from_concrete_functions([tf.function(model).get_concrete_function(row)])
        if whole:
            made.optimizations = [tf.lite.Optimize.DEFAULT]
            made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            made.representative_dataset = lambda: ([row[None]] for row in rows)
        return made.convert()


def predict(file: bytes, rows: np.ndarray) -> np.ndarray:
    """Run such a file as a device does, a row of float32 [n, d] at a time; returns float32 [n, K]."""
    with _quiet():
        device = tf.lite.Interpreter(model_content=file, num_threads=1)
        device.allocate_tensors()
    (into,), (out,), found = device.get_input_details(), device.get_output_details(), []
    for row in rows:
        device.set_tensor(into["index"], row[None])
        device.invoke()
        found.append(device.get_tensor(out["index"])[0])
    return np.array(found)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what TensorFlow Lite writes, in Python and beside it: it is for its makers."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings(action="ignore"):
        os.dup2(nowhere.fileno(), 2)
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            os.dup2(kept, 2)
            os.close(kept)
