"""TenSEAL lives in one process with TensorFlow, whichever comes first, and in several without it."""

import subprocess
import sys

import pytest

USE = """
context = ts.context(ts.SCHEME_TYPE.BFV, 4096, 1032193, [60, 16])
message = ts.bfv_vector(context, [1, 2, 3]).serialize()
assert ts.bfv_vector_from(context, message).decrypt() == [1, 2, 3]
assert ts.context_from(context.serialize(save_secret_key=True)).is_private()
assert float(tf.reduce_sum([1.0, 2.0])) == 3.0
"""
TENSORFLOW, TENSEAL = "from fedkit.compat.tff import tf", "from fedkit.compat.tenseal import ts"

# What somebody writes who has not heard of `if __name__ == "__main__"`.
UNGUARDED = """
print("once", flush=True)
import numpy as np
from fedkit import encryption
keys = encryption.generate_keys("bfv", hospitals=2, numbers=140_000, cores=2)
message = keys.encrypt(np.full(140_000, 0.25), 10)
assert keys._encryptor._pool is not None, "one core did all of it"
"""


@pytest.mark.parametrize("order", [(TENSORFLOW, TENSEAL), (TENSEAL, TENSORFLOW)], ids=["tf first", "tenseal first"])
def test_both_work_in_either_order(order):
    done = subprocess.run([sys.executable, "-c", "\n".join([*order, USE])], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_without_a_guard_encrypts_on_two_cores(tmp_path):
    """The processes that help must not run the script as well."""
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
