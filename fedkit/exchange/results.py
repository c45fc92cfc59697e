"""A study that is done, as one more `Run` to compare with others."""

import pandas as pd

from fedkit import evaluation
from fedkit.exchange import rounds
from fedkit.exchange.hospital import Participant
from fedkit.exchange.study import Study
from fedkit.hospitals import Federation
from fedkit.preparation import split
from fedkit.records import Ledger, Run


def run(participant: Participant, federation: Federation | None = None) -> Run:
    """Return what a study leaves behind, as one hospital can tell.

    Parameters
    ----------
    participant
        A hospital for which the study is done.
    federation
        Where one person has the rows of all hospitals, as in a classroom: those to test
        the model of each round on (without what an algorithm keeps at other hospitals). The
        participant's own if None.

    Returns
    -------
    Run
        With the hospitals of `federation`, and the bytes of all who took part.

    Raises
    ------
    ValueError
        If the study is not done.
    """
    study, replica = participant.study, participant.replica
    settings, work = study.settings, replica.work
    if len(study.chain()) != settings.rounds + 3:
        raise ValueError(f"The study is not done: {participant.step()}")
    own = Federation(settings.title, (participant.rows,), settings.numeric, settings.categorical)
    federation = federation or own
    state, found, predictions = {}, [], []
    for round, held in replica.history():
        state[participant.rows.name] = held.state
        if round == 0:
            total = lambda own, sums=held.sums: sums  # noqa: E731
            prepared = split(federation, settings.seed, settings.test_fraction, add=total).hospitals
        elif round <= settings.rounds:
            wanted = evaluation.METRICS if round == settings.rounds else evaluation.METRICS[:1]
            predictions = [
                (name, rows.test_labels, work.predict(list(held.weights), state.get(name), rows.test_features))
                for name, rows in prepared.items()
            ]
            for name, *predicted in predictions:
                found += [(round, name, *each) for each in evaluation.scores(*predicted, wanted).items()]
    how = {name: getattr(settings, name) for name in ("rounds", "epochs", "batch_size", "learning_rate", "seed")}
    how |= {"model": settings.model.name, "leave_out": []}
    how |= {"algorithm": settings.algorithm} if settings.algorithm else {}
    method = " + ".join(filter(None, ["federated", work.name, "BFV, folder"]))
    return Run.of(method, federation, how, found, ledger(study), predictions, {"shared": list(held.weights)})


def ledger(study: Study) -> pd.DataFrame:
    """Return the bytes of a study, from its letters: what each hospital wrote, and what it had to read.

    Returns
    -------
    pandas.DataFrame
        Columns as of `records.Ledger`; without seconds, which nobody but the hospitals
        themselves knows. A letter that was pruned counts with its content alone.
    """
    notes, chain = Ledger(), study.chain()
    if not chain:
        return notes.frame()
    keys = len(study.roots[chain[0]].content)
    notes.add(study.roots[chain[0]].sender, "up", "keys", keys)
    for hospital in study.roster:
        notes.add(hospital, "down", "keys", keys)
    for digest in chain[1:]:
        link = study.links[digest]
        notes.round = link.round
        sizes = {name[:32]: size for name, size in study.folder.names(rounds.place(link.round)).items()}
        content = rounds.own_bytes(study.settings, study.parameters, link.round)
        for hospital, letter in link.counted.items():
            notes.add(hospital, "up", "send", sizes.get(letter, content))
        for hospital in study.roster:
            notes.add(hospital, "down", "send", link.size)
    return notes.frame()


def prune(study: Study, keep_rounds: int = 2) -> int:
    """Remove the hospitals' letters of rounds long closed, which their sums stand for; nothing else is ever removed.

    Parameters
    ----------
    study
        Whose folder to tidy up; whoever does it must be allowed to remove others' files.
    keep_rounds
        How many closed rounds keep their letters.

    Returns
    -------
    int
        How many letters were removed.

    Raises
    ------
    ValueError
        If not even the last closed round is to be kept.
    """
    if keep_rounds < 1:
        raise ValueError(f"The last closed round keeps its letters, and keep_rounds is {keep_rounds}: say 1 or more.")
    study.refresh()
    removed = 0
    for digest in study.chain()[1 : -keep_rounds or None]:
        link = study.links[digest]
        place = rounds.place(link.round)
        for name in study.folder.names(place):
            if name[:32] in link.counted.values():
                study.folder.remove(place, name)
                removed += 1
    return removed
