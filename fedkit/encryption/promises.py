"""How large an update may get: what a hospital promises, and what a step is worth that follows from all promises.

Each hospital bounds its next update, layer by layer, by twice the largest number of this one, and gives up an old bound
only slowly. The bounds travel, hidden, beside the update; the sum of patients x bound is all that is seen, and what has
to fit, so that a small hospital with large updates needs no special care. Nothing is ever cut: whose update outgrew its
promise says so before anything is sent, and a sum of new bounds goes first.
"""

from collections.abc import Sequence

import numpy as np

from fedkit.encryption import quantization
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import Parameters

_GROWTH = 2.0  # times its last update is what a hospital promises for its next one
_KEEP = 0.95  # of an old bound: FedAvg's updates then outgrow it about once in 100 rounds


class Promises:
    """What one hospital promised, and what it knows of the others' promises: their sum.

    sizes : how many numbers each layer of an update has
    parameters : of the encryption
    draws : see `quantization.DRAWS`
    layout : attribute, of an update with its bounds; None before the first sum of bounds
    own : attribute, what is promised next, shape [layers]: to be kept where a process may end
    """

    counts = property(lambda self: self._weight > 0)  # bool: whether the last sum of bounds held this hospital's
    # Layout: of bounds alone
    bounds_layout = property(lambda self: Layout((quantization.exact_layer(len(self.sizes), self._parameters),)))

    def __init__(self, sizes: Sequence[int], parameters: Parameters, draws: int = quantization.DRAWS) -> None:
        self.sizes, self._parameters, self._draws = list(sizes), parameters, draws
        self._bounds, self._weight = np.zeros(len(self.sizes)), 0.0  # kept, and heard by the others
        self.own = self._bounds
        self.layout: Layout | None = None
        self._fresh = False  # whether bounds were added up alone, from the model that is trained from now

    def keeps(self, vector: np.ndarray, weight: float) -> bool:
        """Whether an update [p] is as small as was promised, and was promised at all."""
        largest = quantization.maxima(vector, self.sizes)
        return self.layout is not None and weight == self._weight and not (largest > self._bounds).any()

    def bounds(self, vector: np.ndarray, alone: bool = False) -> np.ndarray:
        """Return what is promised for the next update, from this one [p]: shape [layers].

        Beside an update whose bounds were just added up alone it is nothing: the same numbers in two sums would show,
        by their difference, those of a hospital that is in one of them only.
        """
        if self._fresh and not alone:
            return np.zeros(len(self.sizes))
        largest = quantization.maxima(vector, self.sizes)
        bounds = np.maximum(_GROWTH * largest, _KEEP * self._bounds)
        self.own = np.where(bounds == 0, 1.0, bounds)  # nothing ever moved
        return self.own

    def rounded(self, numbers: np.ndarray) -> np.ndarray:
        """Return what arrives of patients x update [p]."""
        return Layout(self.layout.layers[1:]).rounded(numbers)

    def heard(self, sums: np.ndarray, weight: float, alone: bool = False) -> None:
        """Take on what all promised: sums [layers] of patients x bound; the weight is 0 if ours is not in it."""
        fresh, self._fresh = self._fresh, alone
        if fresh and not alone:  # what was promised alone holds
            return
        pairs = zip(self.sizes, sums, strict=True)
        layers = (quantization.packed_layer(*pair, self._parameters, self._draws) for pair in pairs)
        self.layout = Layout((*self.bounds_layout.layers, *layers))
        self._bounds, self._weight = (self.own, weight) if weight else (self._bounds, 0.0)
