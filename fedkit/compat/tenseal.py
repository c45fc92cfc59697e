"""TenSEAL made safe to import after TensorFlow.

Both carry a copy of the protobuf library, and TensorFlow shows its own to every
library that is loaded later. TenSEAL's compiled part then takes TensorFlow's copy for
its own, and the first ``serialize()`` ends the process (a segmentation fault with
TensorFlow 2.20 and TenSEAL 0.3.18). ``RTLD_DEEPBIND`` (see ``man dlopen``) makes it
look into itself first. Import it from here, in whatever order::

    from fedkit.compat.tenseal import ts  # its vectors; sealapi is the SEAL underneath
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
