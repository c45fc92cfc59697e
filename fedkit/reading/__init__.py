"""Anybody's table, read and described: behind `hospitals.from_frame`, `hospitals.join` and `hospitals.check`."""
