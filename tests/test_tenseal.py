"""TenSEAL lives in one process with TensorFlow, whichever comes first, and in several without it."""

import subprocess
import sys

import pytest

USE = """
from fedkit.compat.tenseal import ts
from fedkit.compat.tff import tf
context = ts.context(ts.SCHEME_TYPE.BFV, 4096, 1032193, [60, 16])
message = ts.bfv_vector(context, [1, 2, 3]).serialize()
assert ts.bfv_vector_from(context, message).decrypt() == [1, 2, 3]
assert ts.context_from(context.serialize(save_secret_key=True)).is_private()
assert float(tf.reduce_sum([1.0, 2.0])) == 3.0
print("once")
"""
TENSORFLOW_FIRST = "from fedkit.compat.tff import tf"
# What somebody writes who has not heard of `if __name__ == "__main__"`: the processes that help must not run it too.
TENSEAL_FIRST = """
import numpy as np
from fedkit import encryption
keys = encryption.generate_keys("bfv", hospitals=2, numbers=140_000, cores=2)
message = keys.encrypt(np.full(140_000, 0.25), 10)
assert keys._encryptor._pool is not None, "one core did all of it"
"""


@pytest.mark.parametrize("first", [TENSORFLOW_FIRST, TENSEAL_FIRST], ids=["tensorflow first", "tenseal first"])
def test_a_script_uses_both_in_either_order_and_two_cores_without_a_guard(tmp_path, first):
    (tmp_path / "script.py").write_text(first + USE)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
