"""Rounds of an aggregator without a training: updates go in, means come out."""

from fedkit.records import Ledger

PATIENTS = {"Cleveland": 212, "Hungary": 205, "Switzerland": 86, "VA Long Beach": 140}
SHAPES = {"kernel": (13, 1), "bias": (1,)}


class Training:
    """The last state of an aggregator, and its ledger."""

    def __init__(self, aggregator, hospitals=PATIENTS, shapes=SHAPES):
        self.aggregator, self.ledger = aggregator, Ledger()
        self.state = aggregator.start(list(hospitals), shapes, self.ledger)

    def play(self, vectors, weights=PATIENTS):
        """Return the mean of one round more."""
        self.ledger.round += 1
        self.state, mean = self.aggregator.aggregate(self.state, vectors, weights, self.ledger)
        return mean

    @property
    def refused(self):
        rows = self.ledger.frame().query("phase == 'refused'")
        assert set(rows["direction"]) <= {"up"}
        return list(zip(rows["round"], rows["hospital"], strict=True))
