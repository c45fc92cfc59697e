"""What becomes a table: records of hospitals (FHIR). Read `mapping`, `files`, `fhir`, then `cds` (at the bedside)."""
