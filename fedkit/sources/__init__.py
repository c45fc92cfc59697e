"""What becomes a table: records of hospitals (FHIR) as files. A table goes on to `fedkit.hospitals.from_frame`.

Read `mapping` (which record becomes which column: a small CSV), `files` (lines of strangers), then `fhir`.
"""
