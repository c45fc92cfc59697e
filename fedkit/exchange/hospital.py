"""A hospital that takes part in a study: it does what is due, whenever it is asked to.

It keeps nothing on disk but its identity. All else follows from the folder and its own
rows, so it may be stopped at any moment, and started again.
"""

from collections.abc import Callable

import numpy as np

from fedkit import encryption
from fedkit.encryption.identities import Identity, fingerprint, seal_to
from fedkit.encryption.messages import MessageError
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import Where
from fedkit.exchange.letters import SMALL
from fedkit.exchange.party import Player
from fedkit.exchange.replica import Held, Replica, Scores
from fedkit.exchange.rounds import Own
from fedkit.exchange.settings import Settings
from fedkit.exchange.status import Status
from fedkit.exchange.work import Training, Work
from fedkit.hospitals import Hospital

_AGREED = ("scheme", "hospitals", "numbers", "bits", "security")


class Participant(Player):
    """A hospital in a study.

    Parameters
    ----------
    folder
        The study's.
    identity
        The hospital's own.
    rows
        Its patients, under the name of its identity.
    invitation
        Fingerprint of the invitation, as it was read aloud.
    work
        Makes the `Work` from the settings.

    Attributes
    ----------
    rows : Hospital
        Its patients.
    replica : Replica
        Its copy of the model.

    Raises
    ------
    ValueError
        If the rows are another hospital's.
    """

    def __init__(
        self,
        folder: Where,
        identity: Identity,
        rows: Hospital,
        *,
        invitation: str,
        work: Callable[[Settings], Work] = Training,
    ) -> None:
        if rows.name != identity.name:
            raise ValueError(f"The rows are {rows.name}'s and the identity is {identity.name}'s: they must agree.")
        super().__init__(folder, identity, invitation=invitation)
        self.rows, self.replica = rows, Replica(self.study, identity, rows, work)
        self._asked = "", ""  # in which study, and with which letter
        self._joined = ""
        self._posted: set[tuple[int, str, bytes, bytes]] = set()

    def step(self) -> Status:
        """Do the next thing that is due, if there is one, and say how things are.

        Raises
        ------
        ValueError
            If the hospital has too few patients, training diverges, or an update is too
            large to be added up.
        """
        study, name = self.study, self.identity.name
        study.refresh()
        if not study.id:
            return Status("invitation", note=study.why_not)
        try:
            self.replica.work  # noqa: B018  (it looks at the settings)
        except ValueError as problem:
            return Status("refused", note=str(problem))
        if study.roster is None:
            return self._ask()
        if name not in study.roster or study.roster[name] != self.identity.public:
            if len(study.chain()) > 1:
                return Status("refused", note="The study was opened without you, and nobody can join any more.")
            return Status("opening", waits_for=study.maker_is[0], note="So far, it was opened without you.")
        if study.key_maker == name and name not in {letter.sender for letter in study.roots.values()}:
            return self._make_keys()
        rounds = study.settings.rounds
        try:
            chain, held = self.replica.follow()
        except OSError as problem:
            return Status("round", len(study.chain()) - 1, rounds, note=str(problem))
        if held is None:
            return Status("keys", waits_for=study.key_maker, note=study.why_not)
        if self._joined != chain[0]:
            self._joined = chain[0]
            self.journal.write("joined", key=held.keys.fingerprint, hospitals=study.roster.fingerprints())
        round, last = len(chain) - 1, study.links.get(chain[-1])
        if round > rounds + 1:
            same = f"{len(last.counted)} of {len(study.roster)} hospitals hold this model: {self.model_fingerprint}."
            return Status("done", rounds, rounds, note=same)
        late = last is not None and name not in last.counted
        note = f"Round {last.round} was closed without you." if late else study.why_not
        return Status("round", round, rounds, study.in_charge(round).name, note, self._post(chain[-1], round, held))

    @property
    def weights(self) -> list[np.ndarray]:
        """The model so far, float32 arrays; none before the statistics are in."""
        _, held = self.replica.follow()
        return list(held.weights) if held else []

    @property
    def model_fingerprint(self) -> str:
        """What hospitals can read to each other to see that they hold the same model."""
        return fingerprint(b"".join(weight.tobytes() for weight in self.weights))

    @property
    def key_fingerprint(self) -> str:
        """Fingerprint of the hospitals' key, for people to compare; empty before there is one."""
        _, held = self.replica.follow()
        return held.keys.fingerprint if held else ""

    @property
    def scores(self) -> dict[int, Scores]:
        """Round -> metric -> mean over all hospitals' test patients, and their number; more metrics of the last."""
        chain, _ = self.replica.follow()
        return {number: self.replica.scores[digest] for number, digest in enumerate(chain[2:])}

    def _ask(self) -> Status:
        """Ask to join, unless it is known why not."""
        study = self.study
        if why := joining.strange_levels(study.settings, self.rows.table):
            return Status("refused", note=" ".join(why))
        if self._asked[0] != study.id:
            found = self.post("request", joining.request(study.settings, self.rows.table), "request")
            self._asked = study.id, found.digest
            self.journal.write("asked", invitation=study.invitation, digest=found.digest)
            return Status("opening", acted=True)
        for found in self.folder.new("refusal", SMALL):
            try:
                letter = joining.signed_by(letters.read(found, study.id, "refusal", 0), *study.maker_is)
                said = letter.json()
                if said.get("request") == self._asked[1] and isinstance(said.get("why"), list):
                    return Status("refused", note=" ".join(map(str, said["why"])))
            except MessageError as problem:
                study.refused(found.digest, found.sender, str(problem))
        return Status("opening", waits_for=study.maker_is[0])

    def _make_keys(self) -> Status:
        """Make the hospitals' key, and seal it for each."""
        study, agreed = self.study, self.study.parameters._asdict()
        keys = encryption.generate_keys(**{part: agreed[part] for part in _AGREED})
        secrets = {name: letters.packed(seal_to(public, keys.secret)) for name, public in study.roster.items()}
        said = {"opening": study.opening, "public": letters.packed(keys.public), "secrets": secrets}
        study.refresh(self.post("keys", said, "keys"))
        self.journal.write("made the key", key=keys.fingerprint)
        return Status("keys", acted=True)

    def _post(self, after: str, round: int, held: Held) -> bool:
        """Put this round's letter in the folder, if it is not there; say whether it was missing."""
        study, settings, to = self.study, self.study.settings, self.study.in_charge(round).public
        tag = rounds.tag(held.keys.secret, study.id, round, held.weights)
        key = round, after, rounds.mark(to), tag
        if key in self._posted or self._is_there(key):
            return False
        vector, weight = self.replica.numbers(held, round)
        message = held.keys.encrypt(vector, weight, rounds.layout(settings, held.keys.parameters, round))
        sealed = seal_to(to, rounds.mark(self.identity.public) + message)
        content = Own(after, tag, rounds.mark(to), sealed).to_bytes()
        found = self.post(rounds.place(round), content, rounds.purpose(settings, round), round)
        self._posted.add(key)
        self.journal.write("posted", round=round, digest=found.digest)
        return True

    def _is_there(self, key: tuple[int, str, bytes, bytes]) -> bool:
        """Whether a letter of ours is in the folder already, from before a restart."""
        study, settings, round = self.study, self.study.settings, key[0]
        size = rounds.own_bytes(settings, study.parameters, round)
        for found in self.folder.new(rounds.place(round), size + letters.OVERHEAD, self.identity.name):
            try:
                letter = letters.read(found, study.id, rounds.purpose(settings, round), round, size)
            except MessageError:
                continue  # somebody else wrote our name on it: the coordinator refuses and logs it
            if letter.public == self.identity.public:
                own = Own.from_bytes(letter.content)
                self._posted.add((round, own.after, own.to, own.tag))
        return key in self._posted
