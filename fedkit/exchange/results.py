"""A study that is done, as one more `Run` to compare with others."""

import pandas as pd

from fedkit import evaluation
from fedkit.encryption import messages
from fedkit.exchange import rounds
from fedkit.exchange.hospital import Participant
from fedkit.exchange.letters import OVERHEAD
from fedkit.exchange.rounds import ONE, TWO
from fedkit.exchange.study import Study
from fedkit.hospitals import Federation
from fedkit.preparation import split
from fedkit.records import Ledger, Run


def run(participant: Participant, federation: Federation | None = None) -> Run:
    """Return what a study leaves behind, as one hospital can tell.

    participant : A hospital for which the study is done
    federation : where one person has the rows of all hospitals, as in a classroom: those to test the model of each
        round on (without what an algorithm keeps at other hospitals). The participant's own if None

    Returns With the hospitals of `federation`, and the bytes of all who took part. ValueError if the study is not done.
    """
    study, replica = participant.study, participant.replica
    settings, work = study.settings, replica.work
    if study.step.purpose != "done" or replica.opened(study.step.number - 1) is None:
        raise ValueError(f"The study is not done: {participant.step()}")
    federation = federation or replica.alone
    state, found, predictions = {}, [], []
    for round, held in replica.history():
        state[participant.rows.name] = held.state
        if round == 0:
            total = lambda own, sums=held.sums: sums  # noqa: E731
            made = split(federation, settings.seed, settings.test_fraction, add=total)
        elif round <= settings.rounds:
            wanted = evaluation.METRICS if round == settings.rounds else evaluation.METRICS[:1]
            predictions = [
                (name, rows.test_labels, work.predict(list(held.weights), state.get(name), rows.test_features))
                for name, rows in made.hospitals.items()
            ]
            for name, *predicted in predictions:
                found += [(round, name, *each) for each in evaluation.scores(*predicted, wanted).items()]
    how = {name: getattr(settings, name) for name in ("rounds", "epochs", "batch_size", "learning_rate", "seed")}
    how |= {"model": settings.model.name, "leave_out": []}
    how |= {name: getattr(settings, name) for name in ("algorithm", "steps") if getattr(settings, name)}
    method = " + ".join(filter(None, ["federated", work.name, "BFV, folder"]))
    # Where hospitals keep something, the shared model may serve nobody: then the run scores no patients.
    told = {"shared": list(held.weights)}, {} if work.keeps else {"shared": made.statistics}
    return Run.of(method, federation, how, found, ledger(study), predictions, *told)


def ledger(study: Study) -> pd.DataFrame:
    """Return the bytes of a study, from its letters: what each hospital wrote, and what it had to read.

    Returns Columns as of `records.Ledger`; without seconds, which nobody but the hospitals themselves knows. What was
    pruned counts with its content alone.
    """
    notes, parameters = Ledger(), study.parameters
    keys = len(study.group_key.content)
    notes.add(study.group_key.sender, "up", "keys", keys)
    for hospital in study.roster:
        notes.add(hospital, "down", "keys", keys)
    for step, closed, added in study.steps():
        if added is None:
            continue
        notes.round = step.round
        ones, twos = (study.folder.senders(rounds.place(what, step.number)) for what in (ONE, TWO))
        one, two = study.letter_bytes(step), messages.share_bytes(parameters, max(map(len, study.groups)))
        for said, size in ((ones, one), (twos, two)):  # what is no letter may have any size
            said |= {name: min(said[name], size + OVERHEAD) for name in said}
        for group in closed.groups:
            for hospital in group:
                notes.add(hospital, "up", "send", ones.get(hospital, one))
                notes.add(hospital, "up", "share", twos.get(hospital, messages.share_bytes(parameters, len(group))))
                for other in group:  # whose letters it looks at before it answers
                    if other != hospital:
                        notes.add(hospital, "down", "list", ones.get(other, one))
        names = study.folder.names(rounds.place(rounds.LIST, step.number))
        for hospital in study.roster:
            notes.add(hospital, "down", "list", sum(size for name, size in names.items() if name[:32] == closed.digest))
            notes.add(hospital, "down", "send", added.size)
    return notes.frame()


def prune(study: Study, keep_numbers: int = 4) -> int:
    """Remove the hospitals' letters of sums long made, and nothing else. Return how many.

    study : whose folder to tidy up; whoever does it must be allowed to remove others' files
    keep_numbers : how many sums keep their letters, one at the least, else a ValueError
    """
    if keep_numbers < 1:
        raise ValueError(f"The last sum keeps its letters, and keep_numbers is {keep_numbers}: say 1 or more.")
    study.refresh()
    failed = {number for group in study.groups for number in study.failed(group)}  # whose answers still count
    old = [step for step, *_ in study.steps()[: -1 - keep_numbers] if step.number not in failed]
    old = [rounds.place(what, step.number) for step in old for what in (ONE, TWO)]
    files = [(place, name) for place in old for name in study.folder.names(place)]
    for file in files:
        study.folder.remove(*file)
    return len(files)
