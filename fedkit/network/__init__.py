"""A study over a network: the letters of `fedkit.exchange`, carried by an engine that hospitals already run (NVFlare).

`post` (letters between two folders) and `consent` (what a hospital agreed to) know no engine; `kits` makes what lies on
each machine, `parties` is what runs there, `resident` the engine's one component, and `__main__` the commands.
"""
