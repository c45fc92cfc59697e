"""Tables that take longer than a lesson: each module computes one, a seed at a time; `make study` keeps them."""
