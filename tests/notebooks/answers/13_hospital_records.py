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
