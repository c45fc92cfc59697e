"""What a hospital agreed to: one file in its kit, which a person wrote or read, compared before each step."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from fedkit.encryption.identities import fingerprint
from fedkit.exchange import Settings, joining
from fedkit.exchange.folder import SMALL
from fedkit.exchange.study import Study

FILE = "consent.json"
_HOST = re.compile("[A-Za-z0-9][A-Za-z0-9.-]{0,63}")  # a name, or an address; a certificate takes no more
LEAVES = ("request", "group", "statistics", "patients", "update", "two", "scores")  # all that a study sends


class Consent(NamedTuple):
    """The file, field by field; in the server's kit it says whom the study is for."""

    invitation: str  # its fingerprint
    server: dict  # name -> fingerprint of who invites, opens and adds up,
    hospitals: dict  # and of all who take part, this one included
    host: str  # where the server is
    port: int
    label: str  # what is predicted,
    classes: list  # and the names of its values, in order
    columns: list  # those that may be learned from
    most_rounds: int  # how often the model may be joined
    fewest_hospitals: int  # of how many a sum must be
    waits_for_all: bool  # no sum leaves out who is late: over a network the server alone sees who is
    leaves: list  # purposes of the letters that may leave
    largest_letter: int  # bytes

    @classmethod
    def to_all(cls, settings: Settings, **about: object) -> "Consent":
        """Return one to all that a study asks for: what is offered."""
        asked = {"label": settings.label, "classes": [*settings.classes], "columns": [*joining.asked(settings)]}
        asked |= {"most_rounds": settings.rounds, "fewest_hospitals": settings.quorum, "largest_letter": SMALL}
        return cls(leaves=[*LEAVES], waits_for_all=settings.deadline_seconds is None, **asked, **about).checked()

    @classmethod
    def read(cls, kit: Path) -> "Consent":
        """Read the file of a kit; ValueError if it is gone, or not as it must be."""
        try:
            return cls(**json.loads((kit / FILE).read_text(encoding="utf-8"))).checked()
        except OSError:
            raise ValueError(f"There is no {kit / FILE}: nobody agreed to anything here, nothing is sent.") from None
        except (TypeError, ValueError) as problem:
            raise ValueError(f"{kit / FILE} is not as it must be ({problem}): nothing is sent.") from None

    def checked(self) -> "Consent":
        """Return it; ValueError if a field is not as it must be."""
        wrong = [name for name, kind in type(self).__annotations__.items() if type(getattr(self, name)) is not kind]
        if not wrong and (len(self.server) != 1 or self.server.keys() & self.hospitals.keys()):
            wrong = ["server"]
        held = {name: [*each.values()] if type(each) is dict else each for name, each in self._asdict().items()}
        wrong += [name for name, each in held.items() if type(each) is list and {*map(type, each)} - {str}]
        if not wrong and not (_HOST.fullmatch(self.host) and 0 < self.port < 1 << 16):
            wrong = ["host", "port"]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} cannot be agreed to")
        return self

    @property
    def side(self) -> tuple[dict, int, int]:
        """What `post` needs: the roster, how many sums a study of so many rounds may take, and the largest letter."""
        return self.server | self.hospitals, 4 * (self.most_rounds + 3) + 2, self.largest_letter

    def may(self, purpose: str) -> None:
        """Raise a ValueError if a letter must not leave."""
        if purpose not in self.leaves:
            raise ValueError(f"A letter for {purpose!r} was to leave, and {FILE} does not allow it: it stays here.")

    def problems(self, study: Study) -> list[str]:
        """Say what the study does that was not agreed to: sentences, none if all was."""
        settings, found = study.settings, []
        if study.invitation != self.invitation:
            found.append(f"The invitation is {study.invitation}, and {self.invitation} was agreed to.")
        if (settings.label, [*settings.classes]) != (self.label, self.classes):
            found.append(f"It predicts {settings.label} ({', '.join(settings.classes)}), and that was not agreed to.")
        if more := sorted(joining.asked(settings).keys() - {*self.columns}):
            found.append(f"The study learns from {', '.join(more)}, and that was not agreed to.")
        if settings.rounds > self.most_rounds:
            found.append(f"The study takes {settings.rounds} rounds, and {self.most_rounds} are the most.")
        if settings.budget:
            found.append("After a sum that did not open another would follow (budget), and the two differ by somebody.")
        if self.waits_for_all and settings.deadline_seconds is not None:
            found.append("Sums may leave out who is late (deadline), as the server says, and that was not agreed to.")
        if settings.quorum < self.fewest_hospitals:
            found.append(f"Sums may be of fewer than {self.fewest_hospitals} hospitals, and that was not agreed to.")
        if (charge := {who: fingerprint(key) for who, key, *_ in [study.maker_is, *study.coordinators]}) != self.server:
            found.append(f"In charge are {', '.join(charge)}, with other keys or others than were agreed to.")
        if study.roster is not None and (them := study.roster.fingerprints()) != self.hospitals:
            others = sorted({name for name, _ in them.items() ^ self.hospitals.items()})
            found.append(f"It was opened with others, or other keys, than were agreed to: {', '.join(others)}.")
        return found
