"""What somebody who takes part in a study is doing, in a sentence."""

from typing import NamedTuple


class Status(NamedTuple):
    """How things are with one process of a study."""

    stage: str  # "away", "invitation", "opening", "known", "keys", "round", "done", "refused" or "stopped"
    round: int = 0  # which is open,
    rounds: int = 0  # of how many
    waits_for: str = ""  # who is to do something next
    note: str = ""  # what people should know
    acted: bool = False  # whether something was done, so that the next thing may be due

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.stage in ("done", "refused", "stopped")

    def __str__(self) -> str:
        round = (
            "the statistics" if self.round == 0
            else f"round {self.round} of {self.rounds}" if self.round <= self.rounds
            else "the last scores"
        )  # fmt: skip
        sentence = {
            "away": "The folder cannot be used now.",
            "invitation": "There is no invitation with this fingerprint here yet.",
            "opening": "Asked to join. The maker is to open the study.",
            "known": "Compare fingerprints with two other hospitals, and name theirs (`known`).",
            "keys": f"Waiting for the group's key{self.waits_for and f', which {self.waits_for} makes'}.",
            "round": f"Waiting for {self.waits_for}: {round}.",
            "done": "Done.",
            "refused": "Not taking part.",
            "stopped": "The study has stopped, and a person must decide.",
        }[self.stage]
        said = f"{sentence} {self.note}".strip()  # others' words may be in it, and a terminal obeys some characters
        return "".join(char if char.isprintable() else "?" for char in said)
