"""TenSEAL and TensorFlow live in one process, whichever comes first."""

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


@pytest.mark.parametrize("order", [(TENSORFLOW, TENSEAL), (TENSEAL, TENSORFLOW)], ids=["tf first", "tenseal first"])
def test_both_work_in_either_order(order):
    done = subprocess.run([sys.executable, "-c", "\n".join([*order, USE])], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
