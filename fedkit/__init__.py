"""fedkit: learn, teach and check privacy-preserving federated learning for hospitals.

Importing this package alone loads neither TensorFlow nor TenSEAL; each module loads what it needs (see the README).
"""

__version__ = "1.0.0"
