"""TenSEAL made safe to import after TensorFlow: ``from fedkit.compat.tenseal import ts``.

Both carry a copy of protobuf, and TensorFlow shows its own to every library that is loaded later: TenSEAL would take it
for its own, and the first ``serialize()`` ends the process (a segmentation fault; TensorFlow 2.20, TenSEAL 0.3.18).
``RTLD_DEEPBIND`` (``man dlopen``) makes it look into itself first, in whatever order.
"""

import os
import sys

_flags = sys.getdlopenflags()
sys.setdlopenflags(_flags | os.RTLD_DEEPBIND)
try:
    import tenseal as ts
    from tenseal import sealapi
finally:
    sys.setdlopenflags(_flags)

__all__ = ["sealapi", "ts"]
