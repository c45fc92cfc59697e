"""Records of hospitals: what is read, what is left out and said, and that nothing of a patient is in what is said."""

import contextlib
import copy
import gzip
import json
from datetime import date
from pathlib import Path

import pytest

from fedkit.sources import fhir, files, mapping

EXPORTED = date(2026, 1, 1)
WANTED = mapping.read(mapping.HOME / "diabetes.csv")
WHOSE = {"subject": {"reference": "Patient/a"}}
LOINC, ICD = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"


def quantity(value, unit="mg/dL", **more):
    return {"valueQuantity": {"value": value, "system": fhir.UCUM, "code": unit} | more}


def coded(code, system=LOINC):
    return {"code": {"coding": [{"system": system, "code": code}]}}


def measured(name, day="2023-05-10", code="2093-3", value=None, **more):
    one = {"resourceType": "Observation", "id": name, "status": "final", "effectiveDateTime": day} | WHOSE
    return one | coded(code) | (quantity(200) if value is None else value) | more


def told(name, day, code="E11.9", **more):
    return {"resourceType": "Condition", "id": name, "recordedDate": day} | WHOSE | coded(code, ICD) | more


PERSON = {"resourceType": "Patient", "id": "a", "birthDate": "1960-05-11", "gender": "male"}
VISIT = {"resourceType": "Encounter", "id": "v", "status": "finished", "class": {"code": "AMB"}} | WHOSE
VISIT |= {"period": {"start": "2023-05-10T09:00:00Z"}}


def read(*records, person=PERSON, visit=VISIT, wanted=WANTED):
    return fhir.read([person, visit, *records], wanted, hospital="Hill", exported=EXPORTED)


def row(*records, **who):
    return read(*records, **who).table.iloc[0].to_dict()


def problems(*records, **who):
    return read(*records, **who).complaints["problem"].tolist()


def test_a_row_holds_the_latest_of_what_was_known_on_the_index_date_and_a_planted_leak_changes_nothing():
    before = [measured("o1", "2023-01-02"), measured("o3", "2023-05-10T01:00:00Z")]
    before += [
        measured("o2", "2023-05-10T23:00:00Z", value=quantity(210), subject={"reference": "Patient/a/_history/2"})
    ]
    found = row(*before, told("c1", "2024-01-01"), told("c2", "2023-01-01", "I10"))
    assert found["cholesterol"] == "210"
    assert (found["age"], found["sex"], found["hypertension"], found["diabetes"]) == ("62", "male", "1", "1")
    leaks = [measured(f"l{at}", day, value=quantity(499)) for at, day in enumerate(["2023-05-11", "2023-05", "2023"])]
    panel = coded("85354-9") | {"component": [coded("8480-6") | quantity(299, "mm[Hg]")]}
    leaks += [
        {"resourceType": "Observation", "id": "p", "status": "final", "effectiveDateTime": "2023-06"} | WHOSE | panel
    ]
    leaks += [told("c3", "2023-05-11", "I10") | {"onsetDateTime": "2020-01-01"}]
    later = row(*before, told("c1", "2024-01-01"), *leaks)
    assert later | {"hypertension": "1"} == found
    assert later["hypertension"] == "0", "Known is what was recorded, and not what had begun."
    assert row(measured("o", "2022-05-09"))["cholesterol"] is None, "outside the window"


def test_what_nobody_reads_is_neither_checked_nor_kept():
    full, plain = measured("o", note=7), measured("o")
    full["code"] = {"extension": [7], "coding": [one | {"display": 7} for one in plain["code"]["coding"]]}
    assert row(full, person=PERSON | {"photo": "no Attachment"}) == row(plain)


def test_no_fact_is_compared_with_all_others(monkeypatch):
    monkeypatch.setattr(fhir, "Fact", type("Alone", (fhir.Fact,), {"__eq__": None}))
    assert problems(measured("o", "2023-01-02"), measured("l", "2023-06-01")) == ["is later than the index date"]


@pytest.mark.parametrize(
    ("day", "label", "problem"),
    [
        ("2023-05-11", "1", None),
        ("2025-05-09", "1", None),
        ("2025-05-10", "0", None),
        ("2023-05-10", None, "has the disease already"),
        ("2023", None, "too coarse"),
    ],
)
def test_a_label_is_what_is_first_told_after_the_index_date_and_within_the_window(day, label, problem):
    found = read(told("c", day))
    assert found.table["diabetes"].tolist() == ([label] if label else [])
    assert [problem in said for said in found.complaints["problem"]] == [True] * bool(problem)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (measured("o", status="banana"), "has a status that FHIR does not know"),
        (measured("o", status="entered-in-error"), "does not count"),
        (measured("o", value=quantity(200, "furlong")), "is no plain number in a unit"),
        (measured("o", value=quantity(200, system="ucum")), "is no plain number in a unit"),
        (measured("o", value=quantity(200, comparator="<")), "is no plain number in a unit"),
        (measured("o", value=quantity("200")), "has a value that cannot be"),
        (measured("o", value=quantity(-5)), "has a value that cannot be"),
        (measured("o", value=quantity(5)), "has a value that cannot be"),
        (measured("o", value={}), "has not one valueQuantity"),
        (measured("o") | {"code": {"coding": [{"code": "a"}] * 5000}}, "is no FHIR R4, or too long"),
        (measured("o", dataAbsentReason={"text": "lost"}), "has not one valueQuantity"),
        (measured("o") | coded("2093-3", "loinc"), "under another system"),
        (measured("o") | coded("2093-3 "), "is no FHIR R4: look at code"),
        (measured("o", subject={"reference": "Patient/b"}), "is about a Patient who is not here"),
        (measured("o", "2999-01-01"), "is dated after the export"),
        (measured("o", "1950-01-01"), "before birth"),
        (measured("o", 1577934245), "has no effectiveDateTime that is a date"),
        (measured("o", bloodPressure=1), "is no FHIR R4"),
        (measured("o", "2023-02-30"), "is no FHIR R4: look at effectiveDateTime"),
        (measured("v", resourceType="Encounter"), "is no FHIR R4"),
        (VISIT, "comes twice"),
        (told("c", "2023-01-01", verificationStatus={"coding": [{"code": "refuted"}]}), "does not count"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_said_without_a_value(record, problem):
    found = read(record)
    (said,) = found.complaints.itertuples()
    assert problem in said.problem
    assert found.table.empty or found.table["cholesterol"].isna().all()
    assert (said.hospital, said.values) == ("Hill", f"resource {1 if 'birth' in problem else 3}")
    for secret in ("banana", "furlong", "loinc'", "-5", "2999", "1950", "1577934245", "Patient/b", "02-30"):
        assert secret not in str(found.complaints.drop(columns="write").to_dict())
    assert problems(measured("o")) == []


@pytest.mark.parametrize(
    ("who", "problem"),
    [
        ({"visit": VISIT | {"period": {"start": "2024-01-03"}}}, "was not followed to the end"),
        ({"visit": VISIT | {"status": "planned"}}, "has no visit that counts"),
        ({"visit": VISIT | {"period": None}}, "has no visit that counts"),
        ({"person": PERSON | {"deceasedDateTime": "2023-05-09"}}, "a visit after death"),
        ({"person": PERSON | {"birthDate": "2010"}}, "is not 18 to 120 years old"),
    ],
)
def test_who_has_no_index_date_or_no_label_has_no_row(who, problem):
    found = read(**who)
    assert found.table.empty
    assert problem in found.complaints["problem"].tolist()[-1]


def test_of_one_patient_at_the_bedside_the_row_is_of_today_and_without_label():
    records = [VISIT, measured("o", "2025-12-31"), PERSON, told("c", "2025-01-01")]
    found, problems = fhir.known(records, WANTED, EXPORTED)
    assert (found["age"], found["cholesterol"], problems) == ("65", "200", [])
    assert [*found] == WANTED.columns("feature")
    for wrong in (records[:2], [PERSON | {"gender": "m"}], [PERSON, PERSON | {"id": "b"}]):
        with pytest.raises(ValueError, match="There is no one Patient who can be read"):
            fhir.known(wrong, WANTED, EXPORTED)


def test_units_are_converted_by_the_mapping_and_no_digit_is_lost():
    assert float(row(measured("o", code="14647-2", value=quantity(5.2, "mmol/L")))["cholesterol"]) == pytest.approx(
        201.084
    )
    text = json.dumps([PERSON, VISIT, measured("o")]).replace("200", "200.10")
    assert row(*json.loads(text, parse_float=float)[2:])["cholesterol"] == "200.1"


def test_lines_bundles_and_packed_files_are_one_and_numbers_keep_their_text(tmp_path):
    records = [PERSON, VISIT, measured("o")]
    names = {"Patient/a": "urn:uuid:1", "v": "urn:uuid:2", "o": "urn:uuid:3"}
    text = json.dumps(records).replace('"Patient/a"', '"urn:uuid:1"').replace(" 200,", " 200.10,")
    entries = [{"fullUrl": url, "resource": one} for url, one in zip(names.values(), json.loads(text), strict=True)]
    lines = "\n".join(map(json.dumps, records)).replace(" 200,", " 200.10,")
    bundle = json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).replace("200.1,", "200.10,")
    for at, (name, content) in enumerate({"a.ndjson": lines, "b.ndjson": bundle, "c.json": bundle}.items()):
        for packed in (False, True):
            folder = tmp_path / f"{at}{packed}"
            folder.mkdir()
            (folder / (name + ".gz" * packed)).write_bytes(
                gzip.compress(content.encode()) if packed else content.encode()
            )
            found = fhir.read(folder, WANTED, hospital="Hill", exported=EXPORTED)
            assert found.table["cholesterol"].tolist() == ["200.10"], name


SECRET = "191.7"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.ndjson", b'{"resourceType": "Patient", "id": "a"', "line 1 is no JSON"),
        ("a.ndjson", b'{"id": NaN, "x": 191.7}', "line 1 is no JSON"),
        ("a.ndjson", b'{"id": 191.7, "id": 1}', "line 1 is no JSON, or says something twice"),
        ("a.ndjson", b"[" * 100_000, "line 1 is no JSON"),
        ("a.ndjson", b"\xff191.7", "line 1 is no JSON"),
        ("a.ndjson", b"9" * 5000, "line 1 is no JSON"),
        ("a.ndjson", b'{"resourceType": "Patient", "id": "a", "multipleBirthInteger": 1e10000}', "line 1 is no JSON"),
        ("a.ndjson", b'{"resourceType": "Patient", "x": 1.' + b"9" * 5000 + b"}", "line 1 is no JSON"),
        ("a.ndjson", b"{}\n[191.7]", "line 1 holds something that is no FHIR"),
        ("a.json", b'{"resourceType": "Bundle", "entry": 191.7}', "no FHIR resource"),
        (
            "a.json",
            b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Bundle"}}]}',
            "no FHIR resource",
        ),
        ("a.ndjson.gz", b"191.7", "cannot be read"),
        ("a.ndjson.gz", gzip.compress(b"191.7" * 99)[:-9], "cannot be read"),
        ("a.ndjson.gz", gzip.compress(b"191.7" * 99)[:10] + b"\xff" * 40, "cannot be read"),
        ("a.ndjson.gz", gzip.compress(b" " * 2**21), "line 1 has more than 1,048,576 bytes"),
        ("a.ndjson.gz", gzip.compress((b" " * 2**16 + b"\n") * 40), "more than 2,000,000 bytes"),
        ("a.json.gz", gzip.compress(b" " * 2**21), "line 1 has more than 2,000,000 bytes"),
        ("a.json", b"," * (files.VALUES + 1), "line 1 holds more than 1,048,576 values"),
        (
            "a.ndjson",
            b'{"resourceType": "Patient", "id": "191.%d"}\n' * 4 % (7, 8, 9, 0),
            "line 3: there are more than 1",
        ),
        ("notes.txt", b"", "holds no export"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",  # packed bytes tell the time
)
def test_a_hostile_file_is_refused_in_a_sentence_that_quotes_nothing(name, content, sentence, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 2_000_000)
    monkeypatch.setattr(files, "BUNDLE", 2_000_000)
    monkeypatch.setattr(fhir, "MOST", 1)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as caught:
        fhir.read(tmp_path, WANTED, hospital="Hill", exported=EXPORTED)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "out").write_text(json.dumps(PERSON))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ndjson").symlink_to(tmp_path / "out")
    with pytest.raises(ValueError, match="is a link"):
        fhir.read(tmp_path / "in", WANTED, hospital="Hill", exported=EXPORTED)


JUNK = [None, True, -5, "", [], {}, "x", [None], [[]], {"a": 1}, "2999-01-01", 10**30, [{"coding": [None]}]]


def test_no_value_in_any_place_stops_the_reader_with_anything_but_a_sentence():
    """Each element of a few records becomes some kinds of junk, one at a time."""

    def places(node, at=()):
        for name, own in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            yield (*at, name)
            yield from places(own, (*at, name))

    records, seen = [PERSON, VISIT, measured("o"), told("c", "2024-01-01")], 0
    for number, record in enumerate(records):
        for *above, last in places(record):
            for junk in JUNK[seen % 4 :: 4]:
                broken, seen = copy.deepcopy(records), seen + 1
                inside = broken[number]
                for step in above:
                    inside = inside[step]
                inside[last] = junk
                with contextlib.suppress(ValueError):
                    fhir.read(broken, WANTED, hospital="Hill", exported=EXPORTED)
    assert seen > 100


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("times,least", "factor,least", "The first row"),
        (",mg/dL,,50", ",mg/dL,many,50", "row 9: .* are numbers"),
        ("period.start", "period.end", "row 2: the role is one of"),
        (
            "cholesterol,feature,Observation,valueQuantity,http://loinc.org",
            "cholesterol,feature,Observation,valueQuantity,loinc",
            "row 9: .* an address",
        ),
        ("visit,index", "visit,feature", "one row for the index date"),
        (",,730\n", ",,\n", "a label has a window"),
        ("diabetes,label", "diabetes,feature", "one column for the label"),
        ("sex,feature,Patient,gender,,,,,,,,,", "sex,feature,Patient,gender", "row 4"),
    ],
)
def test_a_mapping_that_says_nonsense_is_refused_with_its_row(old, new, sentence, tmp_path):
    text = (mapping.HOME / "diabetes.csv").read_text()
    assert old in text
    (tmp_path / "own.csv").write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=sentence):
        mapping.read(tmp_path / "own.csv")


def test_what_defines_the_label_is_no_feature():
    assert {"glucose", "hba1c"} == set(WANTED.columns("defines label"))
    assert not {"glucose", "hba1c", "diabetes", "visit"} & set(WANTED.columns("feature"))


def test_the_card_counts_the_shipped_rows_right():
    found = fhir.read(mapping.HOME / "lake", WANTED, hospital="Lake", exported=EXPORTED)
    ill = (found.table["diabetes"] == "1").sum()
    assert f"| Lake | all others | {len(found.table)} | {ill} |" in Path(mapping.HOME / "README.md").read_text()
