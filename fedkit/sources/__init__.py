"""What becomes a table: records of hospitals (FHIR). A table goes on to `fedkit.hospitals.from_frame`.

Read `mapping` (a small CSV: which record is which column), `files` (of strangers), `fhir`, `cds` (at the bedside).
"""
