"""How the hospitals' updates become one."""

from fedkit.aggregators.encrypted import EncryptedMean, EncryptedState
from fedkit.aggregators.groupwise import GroupwiseEncrypted
from fedkit.aggregators.plain import Aggregator, Mean
from fedkit.aggregators.robust import FLTrust, Krum, Median, NormClipped, TrimmedMean

__all__ = [
    "Aggregator",
    "EncryptedMean",
    "EncryptedState",
    "FLTrust",
    "GroupwiseEncrypted",
    "Krum",
    "Mean",
    "Median",
    "NormClipped",
    "TrimmedMean",
]
