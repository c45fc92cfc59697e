"""A hospital's copy of the model: how it follows from the sums, and what the hospital adds to them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fedkit import evaluation
from fedkit.encryption import HospitalKeys
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError
from fedkit.encryption.schemes import SEED_BYTES
from fedkit.exchange import letters, rounds
from fedkit.exchange.chain import Link
from fedkit.exchange.folder import Found
from fedkit.exchange.rounds import METRICS, Total
from fedkit.exchange.settings import Settings
from fedkit.exchange.study import Study
from fedkit.exchange.work import Work
from fedkit.hospitals import Federation, Hospital
from fedkit.preparation import Prepared, Split, local_sums, split

Scores = dict[str, tuple[float, float]]


class Held(NamedTuple):
    """What a hospital holds after a sum.

    Attributes
    ----------
    keys : HospitalKeys
        Of the study.
    rows : Prepared or None
        Its patients, once the statistics are there.
    weights : sequence of numpy.ndarray
        The model; empty before that.
    state : object
        The optimizer's, and what the hospital keeps for itself: see `Work`.
    sums : numpy.ndarray or None
        The statistics that rows are prepared with, as `Sums.to_vector` has them.
    seeds : frozenset of bytes
        Of the ciphertexts in the sums so far, the first of each hospital.
    """

    keys: HospitalKeys
    rows: Prepared | None = None
    weights: Sequence[np.ndarray] = ()
    state: Any = None
    sums: np.ndarray | None = None
    seeds: frozenset[bytes] = frozenset()


class Replica:
    """The model as it follows from a study's sums, and from nothing else.

    Parameters
    ----------
    study
        What the folder says.
    identity
        Opens the hospital's copy of the key.
    hospital
        Its rows.
    make_work
        See `Participant`.

    Attributes
    ----------
    scores : dict of str to Scores
        Digest of a sum -> what it says about the model that its round started from:
        metric -> mean over test patients, and their number.
    """

    def __init__(
        self, study: Study, identity: Identity, hospital: Hospital, make_work: Callable[[Settings], Work]
    ) -> None:
        self.study, self.identity, self.hospital = study, identity, hospital
        self.scores: dict[str, Scores] = {}
        self._make_work, self._work = make_work, None
        self._held: dict[str, Held] = {}
        self._trained: tuple[Held | None, tuple] = None, ()  # from where, and what `Work.train` returned

    def follow(self) -> tuple[list[str], Held | None]:
        """Return the chain, as far as it can be used, and what follows from it; none before there is a key.

        Raises
        ------
        OSError
            If a sum that was there cannot be read now: try again later.
        """
        while True:
            chain = self.study.chain()
            at = next((at for at in reversed(range(len(chain))) if chain[at] in self._held), -1)
            try:
                for position in range(at + 1, len(chain)):
                    digest = chain[position]
                    self._held[digest] = (
                        self._after(self._held[chain[position - 1]], self.study.links[digest])
                        if position
                        else Held(self._keys(digest))
                    )
            except MessageError as problem:
                self.study.unusable.add(digest)
                self._tell(digest, f"A letter with keys or a sum cannot be used. {problem}")
                continue
            for digest in self._held.keys() - set(chain[-2:]):  # the last but one: there may be a second sum on it
                del self._held[digest]
            return chain, self._held[chain[-1]] if chain else None

    def numbers(self, held: Held, round: int) -> tuple[np.ndarray, int]:
        """Return what this hospital adds to the sum of a round, shape [n], and its weight there.

        Raises
        ------
        ValueError
            If it has too few patients to test on any.
        """
        settings, name = self.study.settings, self.identity.name
        if round == 0:
            train = self.hospital.table.iloc[self._split().hospitals[name].train_rows]
            return local_sums(train, settings.numeric, settings.categorical).to_vector(), 1
        tests, wanted = len(held.rows.test_labels), METRICS if round > settings.rounds else METRICS[:1]
        probabilities = self.work.predict(list(held.weights), held.state, held.rows.test_features)
        found = evaluation.scores(held.rows.test_labels, probabilities, wanted)
        values = np.array([found[metric] for metric in wanted], dtype=np.float64)
        # where a metric is not defined here, these test patients do not count for it
        pairs = np.nan_to_num(np.stack([values * tests, tests + 0 * values], axis=1)).ravel()
        if round > settings.rounds:
            return pairs, 1
        sent, _, weight = self._train(held, round)
        return np.concatenate([sent, pairs / weight]), weight

    def _train(self, held: Held, round: int) -> tuple[np.ndarray, Any, int]:
        """Train from what is held, once: a sum that counts it is followed with what was kept then."""
        if self._trained[0] is not held:
            found = self.work.train(list(held.weights), held.state, held.rows, round, self.identity.name)
            self._trained = held, found
        return self._trained[1]

    @property
    def work(self) -> Work:
        """What the study's settings ask for."""
        if self._work is None:
            self._work = self._make_work(self.study.settings)
        return self._work

    def history(self) -> Iterator[tuple[int, Held]]:
        """Go through the study once more: after the sum of each round, the round and what is held."""
        chain, _ = self.follow()
        held = Held(self._keys(chain[0])) if chain else None
        for round, digest in enumerate(chain[1:]):
            held = self._after(held, self.study.links[digest])
            yield round, held

    def _keys(self, digest: str) -> HospitalKeys:
        """Open this hospital's copy of the key; MessageError if it is of no use."""
        said, name = self.study.roots[digest].json(), self.identity.name
        secrets = said.get("secrets")
        try:
            sealed = letters.unpacked(secrets if isinstance(secrets, dict) else {}, name)
            keys = HospitalKeys(self.identity.unseal(sealed))
        except ValueError as problem:
            raise MessageError(str(problem)) from None
        if keys.public != letters.unpacked(said, "public"):
            maker = self.study.roots[digest].sender
            raise MessageError(f"{maker} gave {name} another key than the one it showed to all.")
        return keys

    def _after(self, held: Held, link: Link) -> Held:
        """Return what is held after a sum; MessageError if it is of no use."""
        settings, keys, before, self.study.why_not = self.study.settings, held.keys, held, ""
        content, hospitals = self._content(link)
        total = keys.read(content)
        if total.hospitals != len(hospitals):  # nor is it under another key
            raise MessageError(f"The sum of round {link.round} is not of the hospitals that it names.")
        seeds = frozenset(seed[:SEED_BYTES] for seed in total.seeds)
        if seeds & held.seeds:  # else one hospital's messages of many rounds would do as the sum of many hospitals
            raise MessageError(f"The sum of round {link.round} holds a message that was added up before.")
        held = held._replace(seeds=held.seeds | seeds)
        try:
            mean, weight = keys.decrypt(content, rounds.layout(settings, keys.parameters, link.round))
        except MessageError as problem:
            if link.round == 0:
                raise
            # One hospital sent nonsense under its signature. All who hold the key find the same, and go on alike.
            self._tell(link.digest, f"Round {link.round} changes nothing. {problem}")
            self.scores[link.digest] = dict.fromkeys(METRICS, (np.nan, 0))
            return held
        sums, scores = mean * weight, mean[:0]
        if link.round == 0:
            try:
                rows = self._split(lambda own: sums).hospitals[self.identity.name]
            except ValueError as problem:
                raise MessageError(f"The rows cannot be prepared with these statistics. {problem}") from None
            held = held._replace(rows=rows, weights=self.work.start(), sums=sums)
        elif link.round <= settings.rounds:
            state = held.state
            if self.work.keeps and self.identity.name in link.counted:
                _, state, _ = self._train(before, link.round)
            weights, state = self.work.apply(list(held.weights), state, mean[:-2])
            held, scores = held._replace(weights=weights, state=state), sums[-2:]
        else:
            scores = sums
        pairs = zip(METRICS, scores.reshape(-1, 2), strict=False)
        self.scores[link.digest] = {
            metric: (float(total / tests) if tests > 0.5 else np.nan, round(tests)) for metric, (total, tests) in pairs
        }
        return held

    def _tell(self, digest: str, sentence: str) -> None:
        self.study.why_not = sentence
        self.study.refused(digest, "", sentence)

    def _content(self, link: Link) -> tuple[bytes, tuple[str, ...]]:
        """Read an encrypted sum once more, and whose it is; OSError if it cannot be read now."""
        place = rounds.sum_place(link.round)
        data = self.study.folder.find(place, link.digest, link.size)
        if data is None:
            raise OSError(f"The sum of round {link.round} is in the folder, and cannot be read yet.")
        found = Found(place, link.digest, link.digest, link.sender, data)
        purpose = rounds.purpose(self.study.settings, link.round)
        letter = letters.read(found, self.study.id, purpose, link.round, most=link.size)
        return Total.from_bytes(letter.content, letter.hospitals).message, letter.hospitals

    def _split(self, add: Callable | None = None) -> Split:
        """Split the hospital's rows; with the sums of all hospitals, also prepare them."""
        settings = self.study.settings
        alone = Federation(settings.title, (self.hospital,), settings.numeric, settings.categorical)
        return split(alone, settings.seed, settings.test_fraction, add=add)
