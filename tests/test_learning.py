"""Training against oracles: TFF's own process, a gradient written by hand, and what must not matter."""

import dataclasses
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from fedkit import aggregators, hospitals, learning, models, preparation, records
from fedkit.compat.tff import tf, tff


def only(federation, *names):
    return dataclasses.replace(federation, hospitals=tuple(federation[name] for name in names))


def stock_fed_avg(federation, model, rounds, server_optimizer, epochs=2, batch_size=32, seed=0):
    """The same training by `tff.learning.algorithms.build_weighted_fed_avg`: final weights."""
    split = preparation.split(federation, seed)
    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn=model.functional(len(split.columns), seed),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.3),
        server_optimizer_fn=server_optimizer,
    )
    state = process.initialize()
    for round in range(1, rounds + 1):
        datasets = []
        for name, rows in split.hospitals.items():
            epochs_of_rows = None
            for order in learning.row_order(seed, round, name, len(rows.train_labels), epochs):
                epoch = tf.data.Dataset.from_tensor_slices((rows.train_features[order], rows.train_labels[order]))
                epoch = epoch.batch(batch_size)
                epochs_of_rows = epoch if epochs_of_rows is None else epochs_of_rows.concatenate(epoch)
            datasets.append(epochs_of_rows)
        state = process.next(state, datasets).state
    return models.flatten(process.get_model_weights(state).trainable)


LOGISTIC, NETWORK, ADAM = models.logistic_regression(), models.mlp((5,)), tff.learning.optimizers.build_adam(0.05)
STOCK = [("heart", NETWORK, None), ("heart", LOGISTIC, ADAM), ("iris", NETWORK, None)]


@pytest.mark.parametrize(("federation", "model", "server_optimizer"), STOCK, indirect=["federation"])
def test_it_equals_tffs_own_process(federation, model, server_optimizer):
    counted = dataclasses.replace(model, classes=len(federation.classes))
    stock = stock_fed_avg(federation, counted, 3, server_optimizer or tff.learning.optimizers.build_sgdm(1.0))
    ours = learning.train_federated(federation, rounds=3, epochs=2, model=model, server_optimizer=server_optimizer)
    weights = models.flatten(ours.weights["shared"])
    assert np.abs(stock).max() > 0.1, "an oracle that stands still proves nothing"
    assert np.abs(weights - stock).max() <= 1e-6


BOTH = pytest.mark.parametrize("federation", ["heart", "iris"], indirect=True)


@BOTH
@pytest.mark.parametrize("penalty", [0.0, 100.0])
def test_one_full_step_of_the_federation_is_one_centralized_step(federation, penalty):
    how = {"rounds": 3, "epochs": 1, "batch_size": None, "penalty": penalty}
    central = learning.train_centralized(federation, **how).weights["shared"]
    federated = learning.train_federated(federation, **how).weights["shared"]
    assert np.abs(models.flatten(central) - models.flatten(federated)).max() <= 1e-6


def by_scikit_learn(rows, penalty):
    """Logistic regression with a penalty, to the end: kernel and bias."""
    features, labels = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    model = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(features, labels)
    return np.append(model.coef_[0], model.intercept_)


def test_the_penalty_is_scikit_learns(heart):
    """One over C; at each hospital over its own rows, together over all."""
    penalty = 30
    to_the_end = {"rounds": 1, "epochs": 500, "batch_size": None, "learning_rate": 1.0, "penalty": penalty}
    ours = learning.train_local(heart, prepared="alone", **to_the_end)
    for hospital in heart:
        rows = preparation.split(only(heart, hospital.name), 0).hospitals[hospital.name]
        right = by_scikit_learn([(rows.train_features, rows.train_labels)], penalty)
        assert np.abs(models.flatten(ours.weights[hospital.name]) - right).max() < 2e-3, hospital.name
    every = preparation.split(heart, 0).hospitals.values()
    right = by_scikit_learn([(rows.train_features, rows.train_labels) for rows in every], penalty)
    pooled = learning.train_centralized(heart, **to_the_end)
    assert np.abs(models.flatten(pooled.weights["shared"]) - right).max() < 2e-3
    assert pooled.settings["penalty"] == 30
    assert "penalty" not in learning.train_centralized(heart, rounds=1).settings


def test_alone_is_what_a_hospital_has_without_the_others(heart):
    how = {"rounds": 3, "penalty": 1.0, "seed": [0, 1]}
    every = learning.train_local(heart, prepared="alone", **how)
    for name in heart.names:
        for run, lone in zip(every, learning.train_local(only(heart, name), **how), strict=True):
            ours, theirs = run.weights[name], lone.weights["shared"]
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)), name
    assert every[0].settings["prepared"] == "alone"
    assert (every[0].metrics.query("metric == 'distance'")["value"] < 1e-6).all(), "a team of one is its own mean"


def test_a_run_is_the_same_again_and_beside_others(heart):
    visits = hospitals.example().assign(who=np.repeat(np.arange(90), [1, 3] * 45))  # how many train, a seed decides
    how = {"rounds": 4, "model": models.mlp((4,))}
    for made in (hospitals.from_frame(visits, site="hospital", label=("outcome", "died"), patient="who"), heart):
        first, again, (_, beside) = (learning.train_federated(made, seed=seed, **how) for seed in (1, 1, [0, 1]))
        assert records.compare(first, again).empty
        assert records.compare(first, beside).empty
    other = learning.train_federated(heart, rounds=4, seed=2, model=models.mlp((4,)))
    assert not records.compare(first, other).empty


SECRETLY = [aggregators.EncryptedMean, aggregators.SharedKeyMean]


@BOTH
@pytest.mark.parametrize("secretly", SECRETLY)
def test_encryption_leaves_the_model_where_it_was(federation, secretly):
    """That the server reads no number: `attacks/test_distinguishing`."""
    sent = []

    def network(sender, message):
        sent.append(message)
        return message

    encrypted = secretly(network=network)
    plain = learning.train_federated(federation, rounds=5)
    secret = learning.train_federated(federation, rounds=5, aggregator=encrypted)
    weights = models.flatten(secret.weights["shared"])
    assert np.abs(models.flatten(plain.weights["shared"]) - weights).max() <= 1e-6
    reads = secret.ledger.query("phase in ['decrypt', 'apply']")["hospital"]
    assert set(reads) == set(federation.names), "the server must neither decrypt nor apply a mean that it cannot read"
    up = secret.ledger.query("direction == 'up' and phase != 'keys'")["bytes"].sum()
    if encrypted.name == "BFV":
        assert up == sum(len(m) for m in sent if b'"sender":"server"' not in m)
        moved = secret.ledger.query("direction != '' and round > 1")
        assert moved.groupby(["round", "hospital"])["bytes"].sum().max() < 6_000


def far_and_small(hospital):
    """The same patients, with one column far from zero, and one in a very large unit."""
    table = hospital.table.assign(age=1.7e12 + hospital.table["age"], chol=1e-12 * hospital.table["chol"])
    return dataclasses.replace(hospital, table=table)


@pytest.mark.parametrize("secretly", SECRETLY)
def test_statistics_that_nobody_read_prepare_the_rows_alike(heart, secretly):
    run = learning.train_federated(heart, rounds=1, aggregator=secretly())
    messages = run.ledger.query("round == 0 and phase == 'send'")
    assert messages.groupby("direction").size().to_dict() == {"up": 4, "down": 4}

    aggregator, ledger = secretly(), records.Ledger()
    state = aggregator.start(heart.names, {"kernel": (13, 1), "bias": (1,)}, ledger)
    far = dataclasses.replace(heart, hospitals=tuple(map(far_and_small, heart)))
    plain = preparation.split(far, 3, leave_out=["Hungary"])
    secret = preparation.split(
        far, 3, leave_out=["Hungary"], add=lambda sums: aggregator.total(state, "statistics", sums, ledger)
    )
    assert secret.columns == plain.columns
    assert secret.statistics.rows == plain.statistics.rows
    assert secret.statistics.most_frequent == plain.statistics.most_frequent
    assert (secret.statistics.moments == plain.statistics.moments).all(axis=None), "to the last bit"
    for name, rows in plain.hospitals.items():
        assert np.array_equal(secret.hospitals[name].train_features, rows.train_features)
        assert np.array_equal(secret.hospitals[name].test_rows, rows.test_rows)
    assert "Hungary" not in set(ledger.frame().query("phase == 'send' and direction == 'up'")["hospital"])


def test_layers_in_the_clear_go_by_the_models_names(heart):
    model = models.mlp((4,))
    how = {"rounds": 2, "model": model}
    open_layers = aggregators.EncryptedMean(in_the_clear=["kernel 1", "bias 2"])
    run = learning.train_federated(heart, aggregator=open_layers, **how)
    plain = learning.train_federated(heart, **how)
    gap = models.flatten(run.weights["shared"]) - models.flatten(plain.weights["shared"])
    assert np.abs(gap).max() <= 1e-6
    clear = run.ledger.query("phase == 'clear'")
    assert set(clear["round"]) == {1, 2}
    assert (clear.query("direction == 'down'")["bytes"] == 4 * (13 * 4 + 1)).all()
    with pytest.raises(ValueError, match=r"no layer 'kernel' .* it has kernel 1, bias 1, kernel 2, bias 2"):
        learning.train_federated(heart, aggregator=aggregators.EncryptedMean(in_the_clear=["kernel"]), **how)


def test_a_hospital_left_out_is_tested_and_does_not_train(heart):
    run = learning.train_federated(heart, rounds=2, leave_out=["Cleveland"])
    assert "Cleveland" in run.final("auroc").index
    assert "Cleveland" not in run.ledger["hospital"].tolist()
    others = learning.train_federated(heart.without("Cleveland"), rounds=2)
    same = zip(run.weights["shared"], others.weights["shared"], strict=True)
    assert all(np.array_equal(a, b) for a, b in same)


def test_what_a_run_records(heart):
    run = learning.train_federated(heart, rounds=3)
    auroc = run.metrics.query("metric == 'auroc'")
    assert auroc.groupby("hospital")["round"].agg(list).tolist() == [[1, 2, 3]] * 4
    assert auroc["value"].between(0.4, 1).all()
    assert (run.metrics.query("metric == 'distance'")["value"] > 1e-3).all()
    rows = run.metrics.query("round == 0").pivot_table("value", "hospital", "metric")
    split = preparation.split(heart, 0).hospitals
    for name, own in split.items():
        assert rows.loc[name, ["train rows", "test rows"]].tolist() == [len(own.train_rows), len(own.test_rows)]
    up = run.ledger.query("direction == 'up'")
    assert up.groupby("round").size().to_dict() == {0: 4, 1: 4, 2: 4, 3: 4}
    assert (up[up["round"] > 0]["bytes"] == 14 * 4).all()
    (statistics,) = set(up[up["round"] == 0]["bytes"])
    first = heart.hospitals[0].table
    assert statistics == 8 * len(preparation.local_sums(first, heart.numeric, heart.categorical).to_vector())
    assert len(run.predictions) == sum(len(r.test_labels) for r in preparation.split(heart, 0).hospitals.values())


def test_a_centralized_run_counts_the_rows_that_travel(heart):
    run = learning.train_centralized(heart, rounds=1)
    rows = preparation.split(heart, 0).hospitals["Cleveland"]
    moved = run.ledger.query("hospital == 'Cleveland' and direction == 'up'")["bytes"].sum()
    assert moved == rows.train_features.nbytes + rows.train_labels.nbytes


def test_the_order_of_rows_is_a_function_of_seed_round_and_client():
    orders = [
        learning.row_order(*key, rows=50) for key in [(0, 1, "A"), (0, 1, "A"), (1, 1, "A"), (0, 2, "A"), (0, 1, "B")]
    ]
    assert np.array_equal(orders[0], orders[1])
    assert not any(np.array_equal(orders[0], other) for other in orders[2:])
    assert all(sorted(order[0]) == list(range(50)) for order in orders)


def test_each_hospital_is_charged_the_seconds_of_its_own_training(heart):
    """One has 2,000 times the rows of the other, and is named, and so served, first; then last."""
    rng, plan = np.random.default_rng(0), learning.Plan(batch_size=4)
    for large, sizes in ((0, (8_000, 4)), (1, (4, 8_000))):
        tasks = [
            learning.Task(
                plan.model.initial_weights(3, 0),
                [],
                rng.normal(size=(rows, 3)).astype(np.float32),
                np.ones(rows, np.float32),
                np.arange(rows, dtype=np.int32)[None],
            )
            for rows in sizes
        ]
        learning.local_updates(plan, tasks)  # the first call traces
        seconds = [local.seconds for local in learning.local_updates(plan, tasks)]
        assert seconds[large] > 10 * seconds[1 - large] > 0
    train = learning.train_federated(heart, rounds=2).ledger.query("phase == 'train'")
    assert len(set(train["seconds"])) > 4, "of eight: each hospital's, each round's, in ticks of a quarter microsecond"


def test_nobody_is_charged_the_start_of_tensorflow(heart, monkeypatch):
    """All that is computed for the first time is computed before, for nobody: everybody's first step."""
    given, federated = [], tff.federated_computation

    def watched(*how):
        work = federated(*how)
        return lambda tasks: (given.append([order.shape[1:] for *_, order, _ in tasks]), work(tasks))[1]

    monkeypatch.setattr(tff, "federated_computation", watched)
    learning._work.cache_clear()
    learning.train_federated(heart, rounds=2, epochs=3)
    learning._work.cache_clear()
    assert given == [[(1, 32)] * 4, *[[(3, rows) for rows in (212, 206, 87, 140)]] * 2]


def test_another_learning_rate_is_no_other_computation(heart):
    """Each would cost TFF's worker 11 MB; and batches of any size go the way of the rows."""
    learning._work.cache_clear()
    for how in ({}, {"learning_rate": 0.01}, {"batch_size": None, "epochs": 2}, {"batch_size": 10**12}):
        learning.train_federated(heart, rounds=1, **how)
    assert learning._work.cache_info().misses == 1


@pytest.mark.parametrize("model", [models.logistic_regression(), models.mlp((5, 3))], ids=["logistic", "mlp"])
def test_predictions_are_those_of_tensorflow_and_equal_rows_have_equal_ones(heart, model):
    for seed in range(5):
        split, random = preparation.split(heart, seed), np.random.default_rng(seed)
        weights = [w + random.normal(size=w.shape).astype(np.float32) for w in model.initial_weights(13, seed)]
        rows = np.concatenate([each.test_features for each in split.hospitals.values()])
        expected = tf.sigmoid(model.logits([tf.constant(w) for w in weights], tf.constant(rows))).numpy()
        found = model.predict(weights, rows)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-6
        shuffled = np.random.default_rng(0).permutation(len(rows))[:101]
        assert np.array_equal(model.predict(weights, rows[shuffled]), found[shuffled])


# Settings

REFUSED = [
    *(({name: wrong}, f"{name} must be .*{shown}") for name in ("rounds", "epochs") for wrong, shown in (
        (0, "it is 0"), (2.0, "such as {name}=.*it is 2.0"), (True, "True"), ("5", "'5'"), (None, "None"))),
    *(({"batch_size": wrong}, "batch_size must be None, or .*such as 32") for wrong in (-1, 0, 16.0, "32", True)),
    *(({"learning_rate": wrong}, "learning_rate must be a positive") for wrong in (0, -1, np.nan, np.inf, True, None)),
    ({"learning_rate": "1e-3"}, r"learning_rate must be .*YAML 1.0e-3.*'1e-3'"),
    *(({"seed": wrong}, "seed must be .*as 0, or") for wrong in ([], True, "0", 0.5, None, -1, [0, -1], [0, "1"], {})),
    *(({"penalty": wrong}, "penalty must be .*such as penalty=1.0") for wrong in (-1, np.nan, np.inf, True, None)),
    ({"model": models.Model}, r"such as models.mlp.*the class Model, without brackets"),
    ({"model": "mlp"}, "model must be .*'mlp'"),
    ({"aggregator": aggregators.EncryptedMean}, r"such as EncryptedMean\(\).*without brackets"),
    ({"aggregator": "bfv"}, "aggregator must be .*'bfv'"),
    ({"algorithm": learning.Algorithm}, "algorithm must be an algorithm.*the class Algorithm, without brackets"),
    *(({name: Fraction(1, 3)}, f"{name} must be") for name in ("learning_rate", "penalty")),
    ({"seed": np.array(3)}, "seed must be"),
    ({"server_optimizer": "adam"}, "server_optimizer must be .*tff.learning.optimizers.*'adam'"),
    ({"leave_out": "Hungary"}, r"such as leave_out=\['Hungary'\].*'Hungary'"),
    ({"leave_out": [0]}, "leave_out must be a list, such as"),
    ({"leave_out": ["Bern"]}, "Bern"),
    ({"leave_out": ["Cleveland", "Hungary", "Switzerland", "VA Long Beach"]}, "nobody"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), REFUSED, ids=str)
def test_wrong_settings_are_refused_by_name(heart, wrong, message):
    with pytest.raises(ValueError, match=message.format(name=next(iter(wrong)))):
        learning.train_federated(heart, **wrong)


@pytest.mark.parametrize("hidden", [16, (0,), (1.5,), ("16",), "16", None])
def test_layers_that_are_none_are_refused(hidden):
    with pytest.raises(ValueError, match=r"hidden must be units of hidden layers, such as \(16,\)"):
        models.mlp(hidden)


@pytest.mark.parametrize(
    ("train", "wrong", "message"),
    [
        (learning.train_federated, "roundz", "train_federated has no setting 'roundz'. Did you mean rounds"),
        (learning.train_federated, "seeds", "Did you mean seed"),
        (learning.train_federated, "agregator", "Did you mean aggregator"),
        (learning.train_local, "prepare", "Did you mean prepared"),
        (learning.train_local, "leave_out", "train_local has no setting 'leave_out'"),
        (learning.train_centralized, "server_optimizer", "no setting 'server_optimizer'"),
        (learning.train_local, "aggregator", "no setting 'aggregator'"),
    ],
)
def test_a_setting_that_there_is_none_of_is_refused(heart, train, wrong, message):
    with pytest.raises(TypeError, match=message):
        train(heart, **{wrong: 3})


def test_rows_are_of_a_federation_and_prepared_together_or_alone(heart):
    with pytest.raises(ValueError, match=r"federation must be hospitals, such as hospitals.load.*'heart_disease'"):
        learning.train_federated("heart_disease")
    with pytest.raises(ValueError, match="prepared must be 'together' or 'alone', and it is 'lone'"):
        learning.train_local(heart, prepared="lone")


def test_numpys_numbers_are_numbers(heart):
    how = {"rounds": np.int64(1), "batch_size": np.int32(16), "learning_rate": np.float64(0.5), "seed": np.int64(1)}
    run = learning.train_federated(heart, model=models.mlp(np.array([2])), **how)
    assert (run.settings["rounds"], type(run.settings["rounds"])) == (1, int)
    assert [r.settings["seed"] for r in learning.train_federated(heart, rounds=1, seed=np.arange(2))] == [0, 1]


@pytest.mark.parametrize("train", [learning.train_federated, learning.train_centralized, learning.train_local])
def test_a_training_that_diverges_is_stopped_and_says_where(heart, train):
    with pytest.raises(ValueError, match=r"The update of \w+ in round \d is not finite.*smaller learning_rate"):
        train(heart, rounds=3, learning_rate=1e30, model=models.mlp((4,)))


@pytest.mark.parametrize("shapes", [[()], [(3, 2), (2,), (2, 1), (1,)], [(1, 2, 3), (), (4,)]])
def test_unflatten_is_the_inverse_of_flatten(shapes):
    arrays = [np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in shapes]
    again = models.unflatten(models.flatten(arrays), shapes)
    assert [array.shape for array in again] == shapes
    assert all(np.array_equal(one, other) for one, other in zip(arrays, again, strict=True))
    with pytest.raises(ValueError, match=r"A vector of \d+ numbers cannot fill arrays of \d+"):
        models.unflatten(np.append(models.flatten(arrays), 0.0), shapes)


def test_the_mean_counts_patients():
    assert aggregators.weighted_mean([np.array([1.0, 0.0]), np.array([4.0, 3.0])], [2, 1]).tolist() == [2.0, 1.0]
    for weights in ([0, 0], [1, -1], [3, -1]):
        with pytest.raises(ValueError, match="positive numbers of patients"):
            aggregators.weighted_mean([np.ones(2), np.ones(2)], weights)


# Runs that are kept


@dataclasses.dataclass(frozen=True)
class Slower(learning.Algorithm):
    part: float = 0.5

    def take(self, mean, own):
        return [self.part * each for each in mean], own


@pytest.fixture
def train(heart, tmp_path, monkeypatch):
    """Train with a folder of runs: the run, and how many hospitals' updates it took."""
    monkeypatch.setenv("FEDKIT_RUNS", str(tmp_path / "runs"))
    work, count = learning.local_updates, []
    monkeypatch.setattr(learning, "local_updates", lambda plan, tasks: count.extend(tasks) or work(plan, tasks))

    def trained(data=heart, kind=learning.train_federated, **how):
        count.clear()
        run = kind(data, **{"rounds": 1} | how)
        return run, len(count)

    return trained


def test_a_run_that_is_kept_is_the_one_that_was_trained(train, tmp_path):
    for kind in (learning.train_federated, learning.train_centralized, learning.train_local):
        (first, trained), (again, twice) = train(kind=kind), train(kind=kind)
        assert (trained > 0, twice) == (True, 0)
        assert records.compare(first, again).empty
        for table in ("metrics", "ledger", "predictions"):  # seconds and all
            pd.testing.assert_frame_equal(getattr(first, table), getattr(again, table), check_exact=True)
        kinds = [[part.dtype for weights in run.weights.values() for part in weights] for run in (first, again)]
        assert kinds[0] == kinds[1]
    runs, trained = train(seed=[1, 0, 2])
    assert trained == 2 * 4, "seed 0 was there"
    assert [run.settings["seed"] for run in runs] == [1, 0, 2]
    for file in (tmp_path / "runs").glob("*/weights.npz"):
        file.write_bytes(file.read_bytes()[:-30])
    again, trained = train()
    assert trained == 4, "all were damaged"
    assert records.compare(again, runs[1]).empty


def test_an_algorithm_of_a_notebook_is_trained_each_time(train, monkeypatch):
    """Its code lies in no file that could be looked at."""
    monkeypatch.setattr(Slower, "__module__", "__main__")
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)  # a worker of pytest has none
    assert min(train(algorithm=Slower())[1] for _ in range(2)) > 0


def test_what_a_run_follows_from_is_in_its_name(train, heart, monkeypatch, tmp_path):
    train()
    turned = dataclasses.replace(heart["Hungary"], labels=1 - heart["Hungary"].labels)
    others = [turned if each.name == "Hungary" else each for each in heart.hospitals]
    changed = [dataclasses.replace(heart, hospitals=tuple(others)), heart.without("Hungary")]
    for data in changed:
        assert train(data)[1] > 0
    plans = ({"rounds": 2}, {"epochs": 2}, {"batch_size": 16}, {"learning_rate": 0.1}, {"model": models.mlp((2,))},
             {"algorithm": Slower()}, {"algorithm": Slower(0.25)}, {"leave_out": ["Hungary"]}, {"seed": 1},
             {"penalty": 1.0})  # fmt: skip
    for how in plans:
        assert train(**how)[1] > 0, how
        assert train(**how)[1] == 0, how
    for how in (
        {"aggregator": aggregators.EncryptedMean()},
        {"server_optimizer": tff.learning.optimizers.build_adam(0.1)},
    ):
        assert min(train(**how)[1], train(**how)[1]) > 0, "always fresh"
    assert train()[1] == 0
    with monkeypatch.context() as patch:
        patch.setattr("fedkit.compat.environment.versions", lambda: {"python": "2.7"})
        assert train()[1] > 0
    read = type(tmp_path).read_bytes
    local = {"kind": learning.train_local}
    assert min(train(**local)[1], train(**local, prepared="alone")[1]) > 0
    for edited in ("evaluation.py", "tff.py", "test_learning.py"):
        with monkeypatch.context() as patch:
            edit = lambda path, edited=edited: read(path) + b"#" * (path.name == edited)  # noqa: E731
            patch.setattr(type(tmp_path), "read_bytes", edit)
            how = {"algorithm": Slower()} if edited == "test_learning.py" else {}
            assert train(**how)[1] > 0, edited
