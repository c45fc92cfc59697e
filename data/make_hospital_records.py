"""Build `data/hospital_records/`: the exports of four pretend hospitals, of 300 people whom a computer made up.

    python -m venv .cache/maker && .cache/maker/bin/pip install carebundle==0.5.0
    .cache/maker/bin/python data/make_hospital_records.py

`carebundle` (Apache 2.0) makes the people, the same for the same seed. It knows no hospitals, gives everybody one visit
on one day, and makes no mistakes. What is added to that is below, rule by rule, and in the card. Running it again
writes the same bytes.
"""

import datetime
import gzip
import hashlib
import importlib.metadata
import json
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "hospital_records"
MAKER = "carebundle", "0.5.0"
SEED, PEOPLE, AGES = 17, 300, (30, 85)
SHARES = {"healthy": 0.3, "hypertension": 0.25, "type2_diabetes": 0.35, "ckd_stage3": 0.1}

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
BMI, CREATININE, PULSE, CHOLESTEROL, TRIGLYCERIDES = "39156-5", "2160-0", "8867-4", "2093-3", "2571-8"
KEPT = {BMI, CREATININE, PULSE, CHOLESTEROL, TRIGLYCERIDES, "2085-9", "2345-7", "4548-4", "85354-9"}
ELEMENTS = {
    "Patient": ["resourceType", "id", "gender", "birthDate"],
    "Encounter": ["resourceType", "id", "status", "class", "subject", "period"],
    "Condition": ["resourceType", "id", "verificationStatus", "code", "subject", "onsetDateTime"],
    "Observation": [
        *("resourceType", "id", "status", "code", "subject"),
        *("effectiveDateTime", "valueQuantity", "component"),
    ],
}
# LOINC has another code for moles: code -> (that code, mg/dL in a mmol/L).
MOLES = {CHOLESTEROL: ("14647-2", 38.67), "2085-9": ("14646-4", 38.67), TRIGLYCERIDES: ("14927-8", 88.57)}
SNOMED_OF = {"E11": "44054006", "I10": "38341003"}


def number(text: str, below: int) -> int:
    """Return a whole number that looks drawn, and is always the same for this text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % below


def people() -> list[list[dict]]:
    """Return each person's resources, with what the table does not need left out, and short names."""
    from carebundle import generate_cohort, to_ndjson

    cohort = generate_cohort(count=PEOPLE, seed=SEED, prevalence=SHARES, age_range=AGES)
    found = []
    for at, bundle in enumerate(cohort, 1):
        own, count = [], {}
        streams = to_ndjson(bundle)
        for kind, kept in ELEMENTS.items():
            for one in map(json.loads, streams.get(kind, "").splitlines()):
                code = one.get("code", {}).get("coding", [{}])[0].get("code")
                if kind != "Observation" or code in KEPT:
                    count[kind] = count.get(kind, 0) + 1
                    one = {name: plain(one[name]) for name in kept if name in one}
                    one["id"] = f"p{at:03}" if kind == "Patient" else f"p{at:03}-{kind[0].lower()}{count[kind]}"
                    if "subject" in one:
                        one["subject"] = {"reference": f"Patient/p{at:03}"}
                    own.append(one)
        found.append(own)
    return found


def plain(node: object) -> object:
    """Leave out what is there for people only: texts beside codes."""
    if isinstance(node, dict):
        return {name: plain(own) for name, own in node.items() if name not in ("text", "display")}
    return [plain(own) for own in node] if isinstance(node, list) else node


def code_of(one: dict) -> str:
    """Return the first code of a resource, or nothing."""
    return one.get("code", {}).get("coding", [{"code": ""}])[0]["code"]


def dated(own: list[dict]) -> list[dict]:
    """Give a person a visit of their own in 2023, and a diagnosis that follows it.

    The maker lets all diseases begin in 2024 and all visits be in 2026. Here a diabetes is written down 14 to 363 days
    after the visit that found the glucose, and all other diseases a year before it. Who got the diagnosis comes again
    90 days later: weight and pressure have gone down, and the laboratory has measured again.
    """
    name = own[0]["id"]
    visit = datetime.date(2023, 1, 1) + datetime.timedelta(number(f"visit {name}", 365))
    told = visit + datetime.timedelta(14 + number(f"diagnosis {name}", 350))
    again = told + datetime.timedelta(90)
    ill = any(code_of(one).startswith("E11") for one in own)
    more = []
    for one in own:
        if one["resourceType"] == "Encounter":
            one["period"] = {"start": f"{visit}T09:00:00Z", "end": f"{visit}T09:30:00Z"}
        elif one["resourceType"] == "Condition":
            day = told if code_of(one).startswith("E11") else visit - datetime.timedelta(365)
            one |= {"onsetDateTime": str(visit - datetime.timedelta(400)), "recordedDate": str(day)}
        elif one["resourceType"] == "Observation":
            one["effectiveDateTime"] = f"{visit}T09:00:00Z"
        if ill and one["resourceType"] in ("Encounter", "Observation"):
            later = json.loads(json.dumps(one).replace(str(visit), str(again)))
            later["id"] += "-2"
            for part in [later, *later.get("component", [])]:
                if "valueQuantity" in part and code_of(later) in (BMI, "85354-9"):
                    part["valueQuantity"]["value"] = round(part["valueQuantity"]["value"] * 0.9, 1)
            more.append(later)
    return own + more


def site(own: list[dict]) -> str:
    """Say where a person goes: the kidney clinic, else by age, else by weight. So hospitals differ."""
    value = {
        code_of(one): one["valueQuantity"]["value"] for one in own if "valueQuantity" in one and one["id"][-2:] != "-2"
    }
    age = 2023 - int(own[0]["birthDate"][:4])
    if value[CREATININE] >= 1.1:
        return "Park"
    if age >= 62:
        return "Hill"
    return "Harbour" if value[BMI] >= 30 else "Lake"


def spoil(name: str, own: list[dict]) -> list[dict]:
    """Write as the hospital would: some of it is another right way, and some of it is wrong."""
    own, extra = json.loads(json.dumps(own)), []
    for one in own:
        kind, code, draw = one["resourceType"], code_of(one), number(f"{name} {one['id']}", 12)
        quantity = one.get("valueQuantity", {})
        if name == "Harbour" and code in MOLES:  # right: moles, under the code for moles
            other, factor = MOLES[code]
            one["code"]["coding"][0]["code"] = other
            quantity |= {"value": round(quantity["value"] / factor, 2), "unit": "mmol/L", "code": "mmol/L"}
        if name == "Harbour" and code == "85354-9" and draw < 3:  # wrong: UCUM says mm[Hg]
            for part in one["component"]:
                part["valueQuantity"]["code"] = "mmHg"
        if name == "Hill" and kind == "Condition" and code[:3] in SNOMED_OF:  # right: another code system
            one["code"]["coding"] = [{"system": SNOMED, "code": SNOMED_OF[code[:3]]}]
        if name == "Hill" and code == CHOLESTEROL and draw < 4:  # wrong: a system is an address
            one["code"]["coding"][0]["system"] = "loinc"
        if name == "Park" and code == PULSE:  # wrong, and it looks right: beats of half a minute
            quantity["value"] = round(quantity["value"] / 2)
        if name == "Park" and code == CREATININE and draw < 2:  # wrong: umol/L under another name
            quantity["value"] = round(quantity["value"] * 88.42)
        if name == "Lake" and code == BMI and draw < 1:  # right: this value is not to be used
            extra.append(json.loads(json.dumps(one)) | {"id": f"{one['id']}-x", "status": "entered-in-error"})
        if name == "Lake" and code == PULSE and draw < 1:  # wrong: nobody has this name
            one["subject"] = {"reference": "Patient/p999"}
        if name == "Lake" and code == PULSE and draw == 1:  # wrong: a slip of the pen
            one["effectiveDateTime"] = "3" + one["effectiveDateTime"][1:]
    if name == "Lake" and number(f"lipids {own[0]['id']}", 2):  # not measured
        own = [one for one in own if code_of(one) != TRIGLYCERIDES]
    return own + extra


def bundle(own: list[dict]) -> dict:
    """Write a person as a Bundle: the names are in `fullUrl`, and references use them."""
    full = {}
    for one in own:
        raw = bytearray(hashlib.sha256(one["id"].encode()).digest()[:16])
        raw[6], raw[8] = raw[6] & 15 | 64, raw[8] & 63 | 128  # as a UUID of version 4 has it
        text = raw.hex()
        full[one["id"]] = f"urn:uuid:{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    text = json.dumps(own)
    for name, url in full.items():
        text = text.replace(f'"Patient/{name}"', f'"{url}"')
    entries = [
        {"fullUrl": full[one["id"]], "resource": {name: value for name, value in new.items() if name != "id"}}
        for one, new in zip(own, json.loads(text), strict=True)
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def files() -> Iterator[tuple[str, bytes]]:
    """Return each file's name and bytes."""
    hospitals: dict[str, list[list[dict]]] = {"Harbour": [], "Hill": [], "Lake": [], "Park": []}
    for own in people():
        own = dated(own)
        name = site(own)
        hospitals[name].append(spoil(name, own))
    for name, persons in hospitals.items():
        folder = name.lower()
        if name == "Lake":
            kinds = {"bundles": [bundle(own) for own in persons]}
        else:
            kinds = {kind: [one for own in persons for one in own if one["resourceType"] == kind] for kind in ELEMENTS}
        for kind, lines in kinds.items():
            text = "".join(json.dumps(line, separators=(",", ":"), sort_keys=True) + "\n" for line in lines)
            yield f"{folder}/{kind}.ndjson.gz", gzip.compress(text.encode(), 9, mtime=0)


def main() -> None:
    """Make the files, and the list of their hashes."""
    name, version = MAKER
    try:
        if importlib.metadata.version(name) != version:
            raise importlib.metadata.PackageNotFoundError
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"make_hospital_records: this needs {name}=={version}. The first lines of this file say how.")
    made = dict(files())
    made |= {path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.csv"))}  # the mappings are written by hand
    for file, content in made.items():
        path = FOLDER / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in sorted(made.items()))
    (FOLDER / "SHA256SUMS").write_text(sums, encoding="utf-8", newline="\n")
    print(f"{len(made)} files, {sum(map(len, made.values())):,} bytes.")


if __name__ == "__main__":
    main()
