# %% Exercise 1: given
from datetime import date
from fedkit.sources import fhir, mapping


def stands(day):
    whose = {"subject": {"reference": "Patient/a"}}
    visit = {"resourceType": "Encounter", "id": "b", "status": "finished"} | whose
    visit |= {"class": {"code": "AMB"}, "period": {"start": "2023-05-10"}}
    record = {"resourceType": "Observation", "id": "c", "status": "final"} | whose
    record["code"] = {"coding": [{"system": "http://loinc.org", "code": "39156-5"}]}
    quantity = {"value": 25, "system": fhir.UCUM, "code": "kg/m2"}
    record |= {"effectiveDateTime": day, "valueQuantity": quantity}
    person = {"resourceType": "Patient", "id": "a", "birthDate": "1960"}
    own, how = mapping.read(mapping.HOME / "diabetes.csv"), {"hospital": "A"}
    found = fhir.read([person, visit, record], own, exported=date(2026, 1, 1), **how)
    return found.table["bmi"].notna().all()


# %% Exercise 1: right
may_stand = ["2023-05-10", "2023-05-09T23:59:00Z"]
# %% Exercise 1: right
may_stand = ("2023-05-09T23:59:00Z", "2023-05-10")
# %% Exercise 1: right
import numpy as np

may_stand = np.array(["2023-05-10", "2023-05-09T23:59:00Z"])
# %% Exercise 1: wrong
may_stand = ["2023-05-10", "2023-05", "2023-05-09T23:59:00Z"]
# %% Exercise 1: wrong
may_stand = ["2023-05-10"]
# %% Exercise 1: wrong
may_stand = ["2023-05-10", "2022-05-09", "2023-05-09T23:59:00Z"]
# %% Exercise 2: given
import tempfile
from datetime import date
from pathlib import Path

from fedkit.sources import fhir, mapping


def reads(row, unit, number):
    whose, loinc = {"subject": {"reference": "Patient/a"}}, "http://loinc.org"
    person = {"resourceType": "Patient", "id": "a", "birthDate": "1960"}
    visit = {"resourceType": "Encounter", "id": "b", "status": "finished"} | whose
    visit |= {"class": {"code": "AMB"}, "period": {"start": "2023-05-10"}}
    record = {"resourceType": "Observation", "id": "c", "status": "final"} | whose
    record["code"] = {"coding": [{"system": loinc, "code": "8462-4"}]}
    quantity = {"value": number, "system": fhir.UCUM, "code": unit}
    record |= {"effectiveDateTime": "2023-05-10", "valueQuantity": quantity}
    with tempfile.TemporaryDirectory() as folder:
        text = (mapping.HOME / "diabetes.csv").read_text().rstrip() + f"\n{row}\n"
        Path(folder, "own.csv").write_text(text)
        own = mapping.read(Path(folder, "own.csv"))
    how = {"hospital": "A", "exported": date(2026, 1, 1)}
    found = fhir.read([person, visit, record], own, **how).table["diastolic"]
    return found.astype(float).iloc[0]


# %% Exercise 2: right
row = "diastolic,feature,Observation,valueQuantity,http://loinc.org,8462-4,kPa,7.50062,20,200,,,365"
# %% Exercise 2: right
row = "diastolic,feature,Observation,valueQuantity,http://loinc.org,8462-4,kPa,7.5006,,,,,"
# %% Exercise 2: right
cells = ["diastolic", "feature", "Observation", "valueQuantity", "http://loinc.org", "8462-4", "kPa"]
row = ",".join([*cells, str(7.50062), "0", "250", "", "", "400"])
# %% Exercise 2: wrong
row = "diastolic,feature,Observation,valueQuantity,http://loinc.org,8462-4,kPa,,20,200,,,365"
# %% Exercise 2: wrong
row = "diastolic,feature,Observation,valueQuantity,http://loinc.org,8480-6,kPa,7.50062,20,200,,,365"
# %% Exercise 2: wrong
row = "diastolic,feature,Observation,valueQuantity,http://loinc.org,8462-4,kPa,0.133322,20,200,,,365"


# %% Exercise 3: right
def usable(record):
    quantity = record.get("valueQuantity", {})
    if record.get("status") != "final" or type(quantity.get("value")) not in (int, float):
        return False
    return (quantity.get("system"), quantity.get("code")) == ("http://unitsofmeasure.org", "mg/dL")


# %% Exercise 3: right
def usable(record):
    try:
        quantity = record["valueQuantity"]
        value = quantity["value"]
        unit = quantity["code"] == "mg/dL" and quantity["system"] == "http://unitsofmeasure.org"
        return record["status"] == "final" and unit and not isinstance(value, bool | str)
    except KeyError:
        return False


# %% Exercise 3: right
import numbers

import numpy as np


def usable(record):
    quantity = record.get("valueQuantity") or {}
    value = quantity.get("value")
    good = [record.get("status") == "final", isinstance(value, numbers.Real), value is not True]
    good += [quantity.get("code") == "mg/dL", quantity.get("system") == "http://unitsofmeasure.org"]
    return np.all(good)


# %% Exercise 3: wrong
def usable(record):
    return record["status"] == "final" and record["valueQuantity"]["code"] == "mg/dL"


# %% Exercise 3: wrong
def usable(record):
    quantity = record.get("valueQuantity", {})
    good = isinstance(quantity.get("value"), int | float) and quantity.get("code") == "mg/dL"
    return record.get("status") == "final" and good and quantity.get("system") == "http://unitsofmeasure.org"


# %% Exercise 3: wrong
def usable(record):
    return True
