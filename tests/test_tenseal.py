"""TenSEAL lives in one process with TensorFlow, whichever comes first."""

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
TENSEAL_FIRST = "from fedkit import encryption; encryption.SharedKeys(3).encrypt([0.25] * 3000, 10)"


@pytest.mark.parametrize("first", [TENSORFLOW_FIRST, TENSEAL_FIRST], ids=["tensorflow first", "tenseal first"])
def test_a_script_uses_both_in_either_order(tmp_path, first):
    (tmp_path / "script.py").write_text(first + USE)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
