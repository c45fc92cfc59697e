"""The service at the bedside, asked by a real client: who is answered, what is said, and what is kept of it."""

import json
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import httpx
import jsonschema
import jwt
import numpy as np
import pandas as pd
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec

from fedkit import learning
from fedkit.chapters.heterogeneity import AtHome
from fedkit.sources import cds, fhir, mapping

PLACE, HERE = "/cds-services", "/cds-services/fedkit"
ISSUER, PAGE = "https://records.example", "https://records.example:8443"
TEXT, ADDRESS = {"type": "string", "minLength": 1}, {"type": "string", "format": "uri"}
# What the specification wants of an answer (https://cds-hooks.hl7.org/2.0/), nothing null or empty in it.
CARD = {
    "type": "object",
    "required": ["summary", "indicator", "source"],
    "properties": {
        "uuid": TEXT,
        "summary": TEXT | {"maxLength": 139},
        "detail": TEXT,
        "indicator": {"enum": ["info", "warning", "critical"]},
        "source": {"type": "object", "required": ["label"], "properties": {"label": TEXT, "url": ADDRESS}},
    },
    "additionalProperties": False,
}
SERVICE = {
    "type": "object",
    "required": ["hook", "id", "description"],
    "properties": dict.fromkeys(("hook", "id", "title", "description"), TEXT)
    | {"prefetch": {"type": "object", "additionalProperties": TEXT, "minProperties": 1}},
    "additionalProperties": False,
}
ANSWERS = {
    name: {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": of}}}
    for name, of in {"cards": CARD, "services": SERVICE}.items()
}


@pytest.fixture(scope="module")
def there(heart, tmp_path_factory):
    """A service that runs, and what is needed to call it."""
    home, key = tmp_path_factory.mktemp("bedside"), ec.generate_private_key(ec.SECP256R1())
    learning.train_federated(heart, rounds=5, algorithm=AtHome()).save(home / "run")
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    run, fingerprint = cds.load(home / "run")
    config = uvicorn.Config("", host="127.0.0.1", port=0, log_level="warning")
    server, socket = uvicorn.Server(config), config.bind_socket()
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    told = run, fingerprint, "Hungary", mapping.read(mapping.HOME / "heart_disease.csv"), url
    service = cds.Service(*told, {ISSUER: {"k1": public}}, (PAGE,), home / "feedback.jsonl")
    config.app = cds.application(service)
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    with httpx.Client(base_url=url, timeout=30) as client:
        yield SimpleNamespace(service=service, client=client, key=key, public=public, home=home)
    server.should_exit = True
    thread.join()


def token(there, path=HERE, key=None, kid="k1", algorithm="ES256", **claims):
    """What a record system shows."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": there.service.url + path, "iat": now, "exp": now + 60, "jti": str(uuid.uuid4())}
    claims = {name: value for name, value in (usual | claims).items() if value is not None}
    return {"authorization": f"Bearer {jwt.encode(claims, key or there.key, algorithm, headers={'kid': kid})}"}


def observed(source, name, who="p1", day=None, **value):
    """A Bundle with one Observation."""
    about = {"resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": f"Patient/{who}"}}
    about |= {"code": {"coding": [{"system": source, "code": name}]}, "effectiveDateTime": day or str(date.today())}
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": about | {"valueQuantity": value}}]}


def pressure(value=145, unit="mm[Hg]", **more):
    """A blood pressure."""
    return observed("http://loinc.org", "8480-6", **more, value=value, system="http://unitsofmeasure.org", code=unit)


def question(there, **prefetch):
    """What is asked when a patient is opened of whom nothing is known but age and sex."""
    patient = {"resourceType": "Patient", "id": "p1", "birthDate": "1961", "gender": "male"}
    told = dict.fromkeys(there.service.prefetch) | {"patient": patient} | prefetch
    about = {"hook": "patient-view", "hookInstance": str(uuid.uuid4())}
    return about | {"context": {"userId": "Practitioner/1", "patientId": "p1"}, "prefetch": told}


def answer(there, asked, path=HERE):
    """Ask with a good token."""
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    return there.client.post(path, content=body, headers=token(there, path))


def said(response):
    """The sentence of a refusal."""
    (issue,) = response.json()["issue"]
    return issue["diagnostics"]


def test_it_says_what_it_answers_and_what_it_wants_to_be_told(there):
    found = there.client.get(PLACE, headers=token(there, PLACE)).json()
    jsonschema.validate(found, ANSWERS["services"])
    (service,) = found["services"]
    run = there.service.run.preparation["shared"]
    assert set(service["prefetch"]) == {"patient", *run.moments.index, *run.levels} - {"age", "sex"}
    assert service["prefetch"]["patient"] == "Patient/{{context.patientId}}"
    assert service["prefetch"]["chol"].endswith("&code=http://loinc.org|2093-3")


def test_a_card_says_what_the_model_says_and_how_much_that_is_worth(there, heart):
    response = answer(there, question(there, trestbps=pressure()))
    jsonschema.validate(response.json(), ANSWERS["cards"])
    (card,) = response.json()["cards"]
    row = heart["Hungary"].table.head(1).assign(age=float(date.today().year - 1961), sex=1.0, trestbps=145.0)
    row[[name for name in row if name not in ("age", "sex", "trestbps")]] = None
    expected = there.service.run.predict(row, "Hungary")[0]
    assert f"{expected:.0%}" in card["summary"]
    assert "not for care" in card["summary"]
    assert "Cleveland, Hungary, Switzerland, VA Long Beach" in card["detail"]
    assert f"{there.service.run.final('calibration_intercept')['Hungary']:+.2f}" in card["detail"]
    assert "guessed: cp, chol, fbs, restecg, thalach, exang, oldpeak." in card["detail"]
    assert card["source"]["label"].endswith(there.service.fingerprint[:12])
    assert there.service.run.predict(row, "Switzerland")[0] != expected, "each hospital has a bias of its own"


USELESS = {
    "another unit": pressure(unit="kPa"),
    "a pound of pressure": pressure(unit="furlong"),
    "what cannot be": pressure(-145),
    "of another day": pressure(day="2001-01-01"),
    "of a day to come": pressure(day="2999-01-01"),
    "another system": observed("loinc", "8480-6", value=145, system="http://unitsofmeasure.org", code="mm[Hg]"),
}


@pytest.mark.parametrize("told", USELESS.values(), ids=USELESS)
def test_what_is_of_no_use_is_not_used(there, told):
    cards = [answer(there, question(there, trestbps=one)).json()["cards"][0] for one in (told, None)]
    assert cards[0]["summary"] == cards[1]["summary"]
    assert "trestbps" in cards[0]["detail"]
    assert "145" not in cards[0]["detail"], "no value of a patient is in a sentence"


def test_a_key_that_is_absent_and_one_that_is_null_are_two_things(there):
    for absent in ("chol", "patient"):
        asked = question(there)
        del asked["prefetch"][absent]
        refused = answer(there, asked)
        assert refused.status_code == 412
        assert absent in said(refused)
    refused = answer(there, question(there, chol={"resourceType": "OperationOutcome"}))
    assert refused.status_code == 412
    assert said(refused).endswith("Prefetch chol.")
    assert answer(there, question(there)).status_code == 200
    refused = answer(there, question(there, patient=None))
    assert refused.status_code == 422
    assert "Patient" in said(refused)


WRONG = {
    "no JSON": (400, b"{"),
    "a name twice": (400, b'{"hook": "patient-view", "hook": "order-sign"}'),
    "no number": (400, b'{"hook": NaN}'),
    "deep": (400, b"[" * 100_000),
    "a list": (400, b"[]"),
    "too long": (413, b" " * (cds.LARGEST + 1)),
    "another hook": (400, {"hook": "order-sign"}),
    "no instance": (400, {"hookInstance": "1"}),
    "no context": (400, {"context": {"userId": "Practitioner/1"}}),
    "another patient": (400, {"context": {"userId": "Practitioner/1", "patientId": "p2"}}),
    "prefetch is a list": (400, {"prefetch": []}),
    "prefetch holds a number": (400, {"chol": 145}),
    "of another patient": (400, {"trestbps": pressure(who="p2")}),
    "no resource": (400, {"trestbps": {"resourceType": "Bundle", "entry": [7]}}),
    "a word": (400, {"trestbps": "high"}),
    "a word for a subject": (400, {"trestbps": {"resourceType": "Observation", "subject": "p1"}}),
    "a list for a name": (400, {"patient": {"resourceType": "Patient", "id": ["p1"]}}),
}


@pytest.mark.parametrize(("code", "wrong"), WRONG.values(), ids=WRONG)
def test_a_wrong_question_is_answered_with_a_sentence(there, code, wrong):
    if isinstance(wrong, dict):
        known = {name: part for name, part in wrong.items() if name in there.service.prefetch}
        wrong = question(there, **known) | {name: part for name, part in wrong.items() if name not in known}
    response = answer(there, wrong)
    assert response.status_code == code
    assert said(response).endswith(".")
    assert "145" not in response.text


def test_a_question_that_takes_long_keeps_nobody_else_waiting(there, monkeypatch):
    begun, free, known = threading.Event(), threading.Event(), fhir.known
    monkeypatch.setattr(fhir, "known", lambda *told: (begun.set(), free.wait(8), known(*told))[2])
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(answer, there, question(there))
        assert begun.wait(8)
        there.client.get(PLACE, headers=token(there, PLACE), timeout=4).raise_for_status()
        free.set()
        late.result().raise_for_status()
    full = dict.fromkeys(there.service.prefetch, pressure() | {"link": "x" * 8_000})  # of what a server adds, much
    assert len(json.dumps(question(there) | {"prefetch": full})) < cds.LARGEST <= 2**17


def test_who_has_no_good_token_is_refused(there):
    mine, other = there.key, ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    bad = [
        {},
        {"authorization": "Bearer x"},
        {"authorization": token(there)["authorization"].replace("Bearer", "Basic")},
        *[token(there, **{name: None}) for name in ("iss", "aud", "exp", "iat", "jti")],
        token(there, PLACE),
        token(there, aud=[there.service.url + HERE, "https://else.example"]),
        token(there, iss="https://else.example"),
        token(there, kid="k2"),
        token(there, key=other),
        token(there, exp=now - 1),
        token(there, iat=now - 10, exp=now + cds.LONGEST),
        token(there, iat=now + 600, exp=now + 660),
        token(there, jti="x" * 101),
        token(there, exp=float("inf")),
        {"authorization": f"Bearer e30.{jwt.utils.base64url_encode(b'[' * 30_000).decode()}.AA"},
        {"authorization": "Bearer " + jwt.encode({"iss": ISSUER}, None, "none", headers={"kid": "k1"})},
        token(there, key="k" * 40, algorithm="HS256"),
    ]
    codes = [there.client.post(HERE, json=question(there), headers=each).status_code for each in bad]
    assert codes == [401] * len(bad)
    good = token(there, key=mine)
    codes = [there.client.post(HERE, json=question(there), headers=good).status_code for _ in range(2)]
    assert codes == [200, 401], "a token is good once"
    assert there.client.post(HERE, content=b"{", headers=bad[1]).status_code == 401, "nothing is read before"
    assert there.client.get(PLACE).status_code == 401


def test_only_named_pages_may_call_it_and_only_by_its_name(there):
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    for origin, allowed, *statuses in ((PAGE, PAGE, 200, 200), ("https://else.example", None, 400, 403)):
        preflight = there.client.options(HERE, headers=ask | {"origin": origin})
        answered = there.client.post(HERE, json=question(there), headers=token(there) | {"origin": origin})
        assert [preflight.status_code, answered.status_code] == statuses
        for one in (preflight, answered):  # without this header a browser keeps the answer from its page
            assert one.headers.get("access-control-allow-origin") == allowed
    assert there.client.get(PLACE, headers=token(there, PLACE) | {"host": "else.example"}).status_code == 400
    for page, code in {"https://else.example": 403, "null": 403, PAGE: 200}.items():  # what no browser asks before
        simple = token(there) | {"origin": page, "content-type": "text/plain"}
        assert there.client.post(HERE, content=json.dumps(question(there)), headers=simple).status_code == code


def test_feedback_is_kept_once_and_without_what_somebody_wrote(there):
    card = answer(there, question(there)).json()["cards"][0]["uuid"]
    about = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-01-01T10:00:00Z"}
    path = f"{HERE}/feedback"
    for wrong in (
        {},
        about | {"outcome": "liked"},
        about | {"outcomeTimestamp": "now"},
        about | {"outcome": "accepted"},
    ):
        assert answer(there, {"feedback": [wrong]}, path).status_code == 400
    assert answer(there, {"feedback": [about, about]}, path).status_code == 404, "an answer a card"
    told = about | {"overrideReason": {"userComment": "Mrs X was angry"}}
    assert answer(there, {"feedback": [told]}, path).status_code == 200
    assert answer(there, {"feedback": [told]}, path).status_code == 404, "no second time"
    (line,) = (there.home / "feedback.jsonl").read_text().splitlines()
    assert json.loads(line) == about | {"model": there.service.fingerprint}


def test_what_is_remembered_is_bounded(there, monkeypatch):
    monkeypatch.setattr(cds, "REMEMBERED", 3)
    there.service._tokens.clear()
    codes = [answer(there, question(there)).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 401], "more tokens than can be remembered are not taken"
    there.service._tokens = dict.fromkeys(there.service._tokens, 0.0)
    assert answer(there, question(there)).status_code == 200, "what has expired is forgotten"
    assert len(there.service._cards) == 3


def test_it_answers_with_the_model_that_was_named_and_only_where_it_may(there, heart):
    told, home = there.service, there.home / "run"
    assert cds.load(home, told.fingerprint[:12])[1] == told.fingerprint
    for wrong in ("0" * 64, told.fingerprint[:11]):
        with pytest.raises(ValueError, match=f"The run in run is {told.fingerprint[:12]}, and not {wrong[:11]}"):
            cds.load(home, wrong)
    rest = told.run, told.fingerprint, "Hungary", told.mapping
    with pytest.raises(ValueError, match="can be reached from other machines: say whose tokens to take"):
        cds.Service(*rest, "https://bedside.example")
    private = jwt.algorithms.ECAlgorithm.to_jwk(there.key, as_dict=True)
    for key in (private, {"kty": "oct", "k": "c2VjcmV0"}):
        with pytest.raises(ValueError, match="The key k1 is no public key"):
            cds.Service(*rest, told.url, {ISSUER: {"k1": key}})
    lacking = mapping.Mapping(tuple(one for one in told.mapping.entries if one.column != "chol"))
    with pytest.raises(ValueError, match="no row for chol, and the model was trained with it"):
        cds.Service(*rest[:3], lacking, told.url)
    alone = learning.train_local(heart, rounds=1, prepared="alone")
    with pytest.raises(ValueError, match="no model for 'Zurich': it has those of Cleveland"):
        cds.Service(alone, told.fingerprint, "Zurich", told.mapping, told.url)


def test_the_command_says_in_a_sentence_what_is_wrong(there, capsys):
    path = str(mapping.HOME / "heart_disease.csv")
    for wrong, sentence in {
        ("nowhere", "--mapping", path): "holds no run",
        (str(there.home / "run"), "--mapping", path, "--fingerprint", "0" * 12): "and not 000000000000",
        (str(there.home / "run"), "--mapping", path, "--url", "https://bedside.example"): "from other machines",
    }.items():
        with pytest.raises(SystemExit):
            cds.main([*wrong, "--hospital", "Hungary"])
        assert re.search(sentence, capsys.readouterr().err)


def test_a_hostile_run_fails_before_there_is_a_patient_and_puts_nothing_but_words_onto_a_card(there):
    told, run = there.service, there.service.run
    words = replace(run.preparation["shared"], moments=pd.DataFrame({"mean": 0.0, "std": 1.0}, ["sex"]), levels={})
    words = replace(run, preparation={"shared": words}, weights={"shared": [np.ones((1, 1)), np.ones(1)]})
    with pytest.raises(ValueError, match="This run cannot be asked"):
        cds.Service(words, told.fingerprint, "Hungary", mapping.read(mapping.HOME / "diabetes.csv"), told.url)
    parts = {"provenance": {}}, {"provenance": {"data": ["x"]}}, {"weights": {name: [] for name in run.weights}}
    for part in (*parts, {"settings": {"rounds": "many"}}, {"settings": {"rounds": [[1]]}}, {"method": "\ud800"}):
        with pytest.raises(ValueError, match="This run cannot be asked"):
            cds.Service(replace(run, **part), told.fingerprint, "Hungary", told.mapping, told.url)
    hostile = replace(run, method="![x](http://else.example)\n\n# Y", provenance={"data": "long" * 50})
    service = cds.Service(hostile, told.fingerprint, "Hungary", told.mapping, told.url)
    card = service.card(dict.fromkeys(service.mapping.columns("feature")), [])
    assert r"Trained by \!\[x\](http\:\/\/else\.example) \# Y (Cleveland, Hungary," in card["detail"]
    assert len(card["summary"]) < 140
    assert card["summary"].endswith("by the model. For teaching, not for care.")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_a_model_has_no_answer_to_is_said_without_a_value(there, monkeypatch):
    told, run = there.service, there.service.run
    row = dict.fromkeys(told.mapping.columns("feature"))
    with pytest.raises(ValueError, match=r"of this run has no answer to what is known of this patient\.$") as caught:
        told.card(row | {"trestbps": "145?"}, [])
    assert caught.value.__suppress_context__
    how = run.preparation["shared"]
    tiny = {"shared": replace(how, moments=how.moments.assign(std=5e-324))}
    zero = {name: [0 * array for array in arrays] for name, arrays in run.weights.items()}
    monkeypatch.setattr(told, "run", replace(run, preparation=tiny, weights=zero))
    refused = answer(there, question(there, trestbps=pressure()))
    assert (refused.status_code, "no answer" in said(refused)) == (422, True)
