"""What can go wrong: each attack acts through the same updates and bytes as the honest protocol.

A curious reader of updates or models: `inversion` (a patient's row from an update's first layer), `matching` (an image
from its gradient), `inference` (the share of label 1), `membership` (was this patient trained on?). A malicious
hospital: `poisoning` (its rows) and `forging` (its updates). `panel` tries three of them on every method, and
`distinguishing` is a game that shows whether anything is encrypted.
"""
