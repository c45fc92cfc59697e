"""The house: each room holds to its budget, imports go one way, and each heavy library has its one door."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import fedkit

PACKAGE = Path(fedkit.__file__).parent
SOURCE = PACKAGE.parent / "notebooks" / "source"

# Room -> the most lines it may have, and the rooms that it may import. A module of the
# package's top folder is core.
ROOMS = {
    "compat": (400, set()),
    "encryption": (2050, {"compat"}),
    "core": (2300, {"compat", "encryption"}),
    "chapters": (3700, {"core", "compat", "encryption"}),
    "exchange": (2900, {"core", "compat", "encryption", "chapters"}),
}
# The core in the order in which it is read, and the one module of it that encrypts.
CORE = ["hospitals", "tables", "preparation", "models", "learning", "aggregators", "records", "evaluation", "plots"]
ENCRYPTS = "aggregators"

# Who may import a library. What is encrypted, sent and added is vectors and bytes:
# pandas, in which patients' rows are held, has no business there.
DOORS = {
    "cryptography": {"encryption"},
    "fsspec": {"exchange"},
    "jupytext": set(),
    "matplotlib": {"core.plots", "chapters"},
    "nacl": {"encryption"},
    "pandas": {"core", "chapters", "exchange"},
    "papermill": set(),
    "pickle": set(),
    "sklearn": {"core.evaluation", "chapters.attacks"},
    "tenseal": {"compat"},
    "tensorflow": {"compat"},
    "tensorflow_federated": {"compat"},
    "zstandard": {"encryption"},
}
WITHOUT_PANDAS = {"core.aggregators", "core.models"}

# What notebooks 00 to 04 may import beside the core, compat and encryption.
CHAPTERS_OF = {"02": {"partitions"}, "04": {"attacks"}}


def modules() -> dict[str, str]:
    """Every module of fedkit as ``room.name``, with its source."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts != ("__init__",):
            found[".".join(parts if len(parts) > 1 else ("core", *parts))] = path.read_text(encoding="utf-8")
    return found


def imported(source: str) -> set[str]:
    """Dotted names that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def placed(name: str) -> str:
    """``fedkit.hospitals.load`` -> ``core.hospitals.load``."""
    parts = name.split(".")[1:]
    return ".".join(parts if parts[0] in ROOMS else ["core", *parts])


def allowed(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def problems(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module, in sentences."""
    room, name = module.split(".")[:2]
    if room not in ROOMS or (room == "core" and name not in CORE):
        return [f"{module} has no room: name it in ROOMS or CORE."]
    found = []
    for one in imported(source):
        library = one.partition(".")[0]
        if library == "":
            found.append(f"{module} imports {one}: write the whole name, from fedkit on.")
        elif library == "fedkit":
            other = placed(one).partition(".")[0]
            if other not in ROOMS[room][1] | {room}:
                found.append(f"{module} imports {one}, and {room} may not import {other}.")
            elif room == "core" and other == "encryption" and name != ENCRYPTS:
                found.append(f"{module} imports {one}: of the core only {ENCRYPTS} encrypts.")
        elif library in DOORS and not allowed(module, DOORS[library]):
            found.append(f"{module} imports {library}; only {', '.join(sorted(DOORS[library])) or 'nobody'} may.")
        elif library == "pandas" and module in WITHOUT_PANDAS:
            found.append(f"{module} imports pandas: it works on arrays.")
    return found


def circle(sources: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle, if there is one."""
    graph = {}
    for module, source in sources.items():
        names = [placed(one) for one in imported(source) if one.startswith("fedkit.")]
        known = (next((at for at in (one, one.rpartition(".")[0]) if at in sources), None) for one in names)
        graph[module] = {one for one in known if one and one != module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def over_budget(sources: dict[str, str]) -> list[str]:
    """Rooms with more lines than they may have, in sentences."""
    lines = dict.fromkeys(ROOMS, 0)
    for module, source in sources.items():
        lines[module.partition(".")[0]] += len(source.splitlines())
    return [
        f"{room} has {lines[room]} lines, and {most} at most."
        for room, (most, _) in ROOMS.items()
        if lines[room] > most
    ]


def test_every_room_imports_only_what_it_may():
    assert [line for module, source in modules().items() for line in problems(module, source)] == []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(modules()) == []


def test_every_room_holds_to_its_budget():
    assert over_budget(modules()) == []


def test_the_core_is_what_the_reading_order_says():
    assert sorted(CORE) == sorted(module.partition(".")[2] for module in modules() if module.startswith("core."))


def test_notebooks_00_to_04_import_the_core_and_their_own_chapter():
    for path in sorted(SOURCE.glob("0[0-4]_*.py")):
        rooms = [placed(one).split(".") for one in imported(path.read_text()) if one.startswith("fedkit.")]
        assert {room for room, *_ in rooms} <= {"core", "compat", "encryption", "chapters"}, path.name
        chapters = {rest[0] for room, *rest in rooms if room == "chapters"}
        assert chapters <= {"figures", "diagrams"} | CHAPTERS_OF.get(path.name[:2], set()), path.name


def test_bad_imports_are_found():
    assert problems("core.learning", "from fedkit.chapters import robust")
    assert problems("core.learning", "from fedkit import exchange")
    assert problems("core.learning", "def late():\n    import fedkit.exchange.rounds")
    assert problems("core.learning", "from fedkit.encryption import messages")
    assert problems("encryption.rings", "from fedkit import records")
    assert problems("compat.tff", "from fedkit import models")
    assert problems("chapters.robust", "from fedkit.exchange import Maker")
    assert problems("core.hospitals", "from . import records")
    assert problems("core.hospitals", "import tenseal as ts")
    assert problems("core.aggregators", "import pandas as pd")
    assert problems("encryption.rings", "import pandas as pd")
    assert problems("core.records", "import pickle")
    assert problems("core.attic", "import os"), "a module that the reading order does not name"
    assert problems("attic.attic", "import os"), "a room that is none"
    assert not problems("core.hospitals", "import os\nimport pandas as pd\nfrom fedkit import records, tables")
    assert not problems("core.aggregators", "from fedkit import encryption\nfrom fedkit.encryption import messages")


def test_a_circle_is_found():
    there, back = "from fedkit.records import Run", "def late():\n    from fedkit import learning"
    assert set(circle({"core.learning": there, "core.records": back})) == {"core.learning", "core.records"}
    assert circle({"core.learning": there, "core.records": "import os"}) == []


def test_a_line_too_many_is_found():
    assert over_budget({"compat.tff": "\n" * 400}) == []
    assert over_budget({"compat.tff": "\n" * 300, "compat.tenseal": "\n" * 101}) == [
        "compat has 401 lines, and 400 at most."
    ]


def test_the_package_itself_imports_nothing():
    assert imported((PACKAGE / "__init__.py").read_text()) == set()
