"""A model at the bedside: a CDS Hooks service answers a hospital's record system with a card.

A record system opens a patient, and asks (https://cds-hooks.hl7.org/2.0/). The service reads what came with the
question, and nothing else: it asks nobody, and keeps nothing of a patient. For teaching, not for care.

    python -m fedkit.sources.cds RUN --hospital Cleveland --mapping heart_disease.csv
"""

import argparse
import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping as Of
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import jwt
import pandas as pd
import uvicorn
from pydantic import AliasPath, AwareDatetime, BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fedkit import records
from fedkit.sources import fhir, files, mapping
from fedkit.sources.mapping import Mapping

ID = "fedkit"
LARGEST = 2**17  # bytes of a request
REMEMBERED = 10_000  # tokens, and cards, at a time: what is older is forgotten
LONGEST = 300  # seconds that a token may be good for
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # where only this machine reaches a service
NOT_FOR_CARE = "For teaching, not for care."
ASYMMETRIC = ["ES256", "ES384", "RS256", "RS384"]  # never "none", and no secret that two would share


class Form(BaseModel, alias_generator=to_camel):
    """What the specification wants of a request; what else is in it is not read."""


class Question(Form):
    """What is asked when a patient is opened: a key of `prefetch` that is null was looked for, and there is nothing."""

    hook: Literal["patient-view"]
    hook_instance: uuid.UUID
    user_id: str = Field(validation_alias=AliasPath("context", "userId"))
    patient_id: str = Field(validation_alias=AliasPath("context", "patientId"))
    prefetch: dict[str, dict | None] = {}


class Outcome(Form):
    """What became of a card."""

    card: str
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: AwareDatetime
    accepted_suggestions: list | None = None


class Feedback(Form):
    """What became of some cards."""

    feedback: list[Outcome] = Field(min_length=1, max_length=100)


@dataclass
class Service:
    """What answers, and to whom."""

    run: records.Run  # the model, with its preparation
    fingerprint: str  # hexadecimal SHA-256 of the run's run.json, which names all its other files
    hospital: str  # where it answers; whose own model it takes, if there is one
    mapping: Mapping  # which record becomes which column
    url: str  # where it is called, such as http://127.0.0.1:8000; a token must be for exactly what it calls
    # Of who may call: issuer -> key id -> public key, a JSON Web Key. Without any, whoever reaches it.
    keys: Of[str, Of[str, dict]] = field(default_factory=dict)
    origins: tuple[str, ...] = ()  # of web pages that may call it
    feedback: Path | None = None  # file to which feedback is appended, a line each; none is kept if None

    def __post_init__(self) -> None:
        how, features = self.run.preparation, self.mapping.columns("feature")
        if not (statistics := how.get(self.hospital, how.get("shared"))):
            raise ValueError(f"This run has no model for {self.hospital!r}: it has those of {', '.join(how)}.")
        self._numeric, wanted = [*statistics.moments.index], {*statistics.moments.index, *statistics.levels}
        if lacking := sorted(wanted.difference(features)):
            raise ValueError(f"The mapping has no row for {', '.join(lacking)}, and the model was trained with it.")
        needed = tuple(one for one in self.mapping.entries if one.role == "index" or one.column in wanted)
        self.mapping = Mapping(needed)  # nothing else is asked for, or looked at
        if not self.keys and urlsplit(self.url).hostname not in LOOPBACK:
            raise ValueError(f"{self.url} can be reached from other machines: say whose tokens to take (--keys).")
        self._keys: dict[tuple[str, str], jwt.PyJWK] = {}
        for issuer, own in self.keys.items():
            for kid, key in own.items():
                self._keys[issuer, kid] = read = jwt.PyJWK(key)
                if "d" in key or read.algorithm_name not in ASYMMETRIC:
                    raise ValueError(f"The key {kid} is no public key for one of {', '.join(ASYMMETRIC)}.")
        self._tokens: dict[tuple[str, str], float] = {}
        self._cards: dict[str, None] = {}
        some = {one.column: [*one.answers.values(), "male" if one.path == "gender" else None][0] for one in needed}
        try:  # of nobody, by words alone: what a run of strangers cannot say is found now, and beside no patient
            JSONResponse(self.card(some, []))
        except Exception:  # whatever is in it
            raise ValueError("This run cannot be asked: its settings, provenance or weights do not fit.") from None

    @property
    def prefetch(self) -> dict[str, str]:
        """The questions that a record system answers beforehand: the patient, and one for each column with a code."""
        found = {"patient": "Patient/{{context.patientId}}"}
        for entry in self.mapping.entries:
            if entry.role == "feature" and entry.code:
                latest = "_sort=-date&_count=1&" if entry.resource == "Observation" else ""
                found.setdefault(entry.column, f"{entry.resource}?patient={{{{context.patientId}}}}&{latest}code=")
                found[entry.column] += f"{entry.system}|{entry.code},"
        return {name: query.rstrip(",") for name, query in found.items()}

    def trust(self, request: Request) -> None:
        """Refuse a page that was not named: 403; and who has no new token of a known issuer for this address: 401."""
        if request.headers.get("origin") not in (None, *self.origins):
            raise HTTPException(403, "This page may not call the service: start it with --origin, if it should.")
        if not self.keys:
            return
        now, url = time.time(), self.url + request.url.path
        try:
            scheme, _, token = request.headers["authorization"].partition(" ")
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]  # only to find the key
            key = self._keys[issuer, jwt.get_unverified_header(token)["kid"]]
            must = {"require": ["iss", "aud", "exp", "iat", "jti"], "strict_aud": True}
            claims = jwt.decode(token, key, [key.algorithm_name], must, audience=url, issuer=issuer)
            self._tokens = {one: until for one, until in self._tokens.items() if until > now}
            once = issuer, str(claims["jti"])
            long = claims["exp"] - claims["iat"] > LONGEST or len(once[1]) > 100
            if scheme != "Bearer" or long or once in self._tokens or len(self._tokens) >= REMEMBERED:
                raise KeyError
            self._tokens[once] = claims["exp"]
        except (KeyError, OverflowError, RecursionError, TypeError, jwt.PyJWTError):
            raise HTTPException(401, "The token was refused: the page of this service says what it needs.") from None

    async def services(self, request: Request) -> JSONResponse:
        """Say what there is to call."""
        self.trust(request)
        what = f"A model that hospitals trained together, at {self.hospital}. {NOT_FOR_CARE}"
        about = {"hook": "patient-view", "id": ID, "title": "A federated model", "description": what}
        return JSONResponse({"services": [about | {"prefetch": self.prefetch}]})

    async def patient(self, request: Request) -> JSONResponse:
        """Answer when a patient is opened: with one card."""
        self.trust(request)
        asked, told = await _asked(request, Question)
        told, who = told.get("prefetch", {}), asked.patient_id
        failed = {name for name, one in told.items() if one.get("resourceType") == "OperationOutcome"}
        if lacking := [name for name in self.prefetch if name not in asked.prefetch.keys() - failed]:
            raise HTTPException(412, f"This service asks no FHIR server. Prefetch {', '.join(lacking)}.")
        try:
            given = [told[name] for name in self.prefetch if told.get(name)]
            resources = [one for each in given for one, *_ in files.parts(each, "The prefetch")]
        except ValueError as problem:
            raise HTTPException(400, str(problem)) from None
        owners = {f"Patient/{one['id']}" for one in resources if one.get("resourceType") == "Patient" and "id" in one}
        abouts = [one["subject"] for one in resources if "subject" in one]
        subjects = {str(one.get("reference") if isinstance(one, dict) else one) for one in abouts}
        if (owners | subjects) - {f"Patient/{who}"}:
            raise HTTPException(400, "What was prefetched is about another patient than the context.")
        try:  # in a thread, since it may take seconds: others are answered meanwhile
            known = await run_in_threadpool(fhir.known, resources, self.mapping, date.today())
            return JSONResponse({"cards": [self.card(*known)]})
        except ValueError as problem:
            raise HTTPException(422, str(problem)) from None

    def card(self, row: dict[str, str | None], problems: list[str]) -> dict[str, Any]:
        """Say what the model says of what is known of a patient, and how much that is worth here."""
        self._cards = dict.fromkeys([*self._cards, name := str(uuid.uuid4())][-REMEMBERED:])
        try:
            table = pd.DataFrame([row]).astype(dict.fromkeys(self._numeric, float))
            (probability,) = self.run.predict(table, self.hospital)
            if not 0 <= probability <= 1:  # nor if it is no number
                raise ValueError
        except Exception:  # a library's, about a run of strangers: whatever it says may hold a value of the patient
            raise ValueError("The model of this run has no answer to what is known of this patient.") from None
        missing = [column for column, cell in row.items() if cell is None]
        summary = f"{self.run.provenance['data'][:80]:s}: {probability:.0%} by the model. {NOT_FOR_CARE}"
        said = [self.about, f"Not known, and guessed: {', '.join(missing) or 'nothing'}.", *problems, NOT_FOR_CARE]
        shown = {"summary": summary, "indicator": "info", "detail": "\n\n".join(said)}
        return {"uuid": name, **shown, "source": {"label": f"fedkit, model {self.fingerprint[:12]}"}}

    @property
    def about(self) -> str:
        """Which model it is, whose, and how it did at this hospital; what would be Markdown is escaped."""
        run, here = self.run, self.hospital
        trained = run.metrics[(run.metrics["metric"] == "train rows") & (run.metrics["value"] > 0)]["hospital"]
        told = " ".join(f"Trained by {run.method} ({', '.join(dict.fromkeys(trained))})".split())
        told = re.sub(r"[!-'*./:-@\[-`{-~]", r"\\\g<0>", told) + f", {run.settings['rounds']:d} rounds."
        auroc, intercept = (run.final(name).get(here) for name in ("auroc", "calibration_intercept"))
        if auroc is None or intercept is None:
            return f"{told} It was never tested at {here}."
        scores = f"AUROC {auroc:.2f}, calibration intercept {intercept:+.2f} (0 is right on average)"
        return f"{told} On test patients of {here}: {scores}."

    async def hear(self, request: Request) -> JSONResponse:
        """Keep what became of a card: its name, the outcome and when, and nothing that somebody wrote."""
        self.trust(request)
        asked, _ = await _asked(request, Feedback)
        if any(one.outcome == "accepted" and one.accepted_suggestions is None for one in asked.feedback):
            raise HTTPException(400, "Feedback that a card was accepted needs acceptedSuggestions.")
        if len({one.card for one in asked.feedback} & self._cards.keys()) < len(asked.feedback):
            raise HTTPException(404, "This service has sent no such card, or it comes twice.")
        for one in asked.feedback:
            del self._cards[one.card]  # an answer a card: the file grows no faster than questions come
            if self.feedback:
                kept = one.model_dump(mode="json", by_alias=True, exclude={"accepted_suggestions"})
                with self.feedback.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(kept | {"model": self.fingerprint}) + "\n")
        return JSONResponse({})


def application(service: Service) -> Starlette:
    """Return the service as an ASGI application."""
    routes = [
        Route("/cds-services", service.services),
        Route(f"/cds-services/{ID}", service.patient, methods=["POST"]),
        Route(f"/cds-services/{ID}/feedback", service.hear, methods=["POST"]),
    ]
    allowed = {"allow_methods": ["GET", "POST"], "allow_headers": ["authorization", "content-type"]}
    called = Middleware(TrustedHostMiddleware, allowed_hosts=[urlsplit(service.url).hostname])
    named = Middleware(CORSMiddleware, allow_origins=[*service.origins], **allowed)
    return Starlette(routes=routes, middleware=[called, named], exception_handlers={HTTPException: _refused})


def load(folder: Path, fingerprint: str = "") -> tuple[records.Run, str]:
    """Read a run, and its fingerprint; ValueError if it is not the one that was named by 12 digits of it, or more."""
    run, found = records.load(folder), hashlib.sha256(Path(folder, "run.json").read_bytes()).hexdigest()
    if fingerprint and (len(fingerprint) < 12 or not found.startswith(fingerprint)):
        raise ValueError(f"The run in {Path(folder).name} is {found[:12]}, and not {fingerprint[:64]}.")
    return run, found


async def _refused(request: Request, error: HTTPException) -> JSONResponse:
    issue = {"severity": "error", "code": "processing", "diagnostics": error.detail}
    return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, error.status_code)


async def _asked(request: Request, form: type[Form]) -> tuple[Any, dict]:
    """Return what was asked in its form, and as JSON without what is null."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"The request has more than {LARGEST:,} bytes.")
    try:
        told = files.parse(bytes(body), "The request")  # more strictly: no name twice
        return form.model_validate_json(bytes(body)), told
    except ValidationError as error:
        where = [*error.errors()[0]["loc"], "the whole"][0]  # a name of the form, and nothing that was sent
        raise HTTPException(400, f"The request is not as CDS Hooks 2.0 wants it: look at {where}.") from None
    except ValueError as problem:
        raise HTTPException(400, str(problem)) from None


def main(arguments: list[str] | None = None) -> None:
    """Run the service until it is stopped. Before it must stand a proxy that ends slow requests: nothing here does."""
    parser = argparse.ArgumentParser(prog="python -m fedkit.sources.cds", description="Answer a record system.")
    parser.add_argument("run", type=Path, help="folder to which a run was saved")
    parser.add_argument("--hospital", required=True, help="where it answers, as in the run")
    parser.add_argument("--mapping", type=Path, required=True, help="CSV that says which record is which column")
    parser.add_argument("--fingerprint", default="", help="of the run that must be there: 12 digits or more")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where it is called; loopback unless told")
    parser.add_argument("--keys", type=Path, help="JSON: issuer -> key id -> public key as a JSON Web Key")
    parser.add_argument("--origin", action="append", default=[], help="of a web page that may call; may be repeated")
    parser.add_argument("--feedback", type=Path, help="file to which feedback is appended")
    given = parser.parse_args(arguments)
    try:
        keys = json.loads(given.keys.read_text(encoding="utf-8")) if given.keys else {}
        told = *load(given.run, given.fingerprint), given.hospital, mapping.read(given.mapping), given.url.rstrip("/")
        service = Service(*told, keys, tuple(given.origin), given.feedback)
    except (OSError, ValueError, jwt.PyJWTError) as problem:
        parser.error(str(problem))
    where = urlsplit(service.url)
    print(f"Model {service.fingerprint[:12]} answers at {service.url}/cds-services. {NOT_FOR_CARE}", flush=True)
    uvicorn.run(application(service), host=where.hostname, port=where.port, log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
