"""The house: rooms hold to their budgets, imports go one way, heavy libraries have one door, names one home."""

import ast
import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import sabotages

import fedkit

PACKAGE = Path(fedkit.__file__).parent
TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "notebooks" / "source"

# Room -> the most lines it may have, and the rooms that it may import. A module of the
# package's top folder is core.
ROOMS = {
    "compat": (455, set()),  # of which 55 make a model small enough for a watch
    "encryption": (1938, {"compat"}),
    "core": (2800, {"compat", "encryption", "reading"}),
    "reading": (1072, {"core"}),
    "chapters": (3665, {"core", "compat", "encryption"}),
    "studies": (881, {"core", "compat", "encryption", "chapters"}),
    "exchange": (2868, {"core", "compat", "encryption", "chapters"}),
    "network": (1022, {"core", "compat", "encryption", "exchange"}),
    "sources": (722, {"core"}),
}
WHOLE = 15_419  # the most lines of all rooms together
TESTED = 21_107  # and of the tests, with what measures and the answers to exercises
# The core in the order in which it is read, and the one module of it that opens the door to an engine.
CORE = "hospitals tables checks preparation models learning aggregators records evaluation plots".split()
BEHIND = {"encryption": "aggregators", "reading": "hospitals"}

# Who may import a library. What is encrypted, sent and added is vectors and bytes:
# pandas, in which patients' rows are held, has no business there.
DOORS = {
    "confusable_homoglyphs": {"encryption"},
    "cryptography": {"encryption", "network.kits"},
    "dp_accounting": {"chapters.privacy"},
    "fhir": {"sources"},
    "fsspec": {"exchange"},
    "jupytext": set(),
    "jwt": {"sources.cds"},
    "matplotlib": {"core.plots", "chapters"},
    "nacl": {"encryption"},
    "nvflare": {"network.resident"},
    "pandas": {"core", "reading", "chapters", "studies", "exchange", "network.parties", "sources"},
    "papermill": set(),
    "pickle": set(),
    "sklearn": {"core.evaluation", "chapters.attacks", "studies.flamby"},
    "starlette": {"sources.cds"},
    "tenseal": {"compat"},
    "tensorflow": {"compat"},
    "tensorflow_federated": {"compat"},
    "uvicorn": {"sources.cds"},
}
WITHOUT_PANDAS = {"core.aggregators", "core.models"}

# What notebooks 00 to 04 may import beside the core, compat and encryption.
CHAPTERS_OF = {"03": {"attacks"}, "04": {"attacks", "heterogeneity"}}


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
            elif room == "core" and name != BEHIND.get(other, name):
                found.append(f"{module} imports {one}: of the core only {BEHIND[other]} may.")
        elif library in DOORS and not any(f"{module}.".startswith(f"{place}.") for place in DOORS[library]):
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
    budgets, lines = {room: most for room, (most, _) in ROOMS.items()} | {"fedkit": WHOLE}, Counter()
    for module, source in sources.items():
        lines.update(dict.fromkeys([module.partition(".")[0], "fedkit"], len(source.splitlines())))
    return [
        f"{room} has {lines[room]} lines, and {budgets[room]} at most." for room in lines if lines[room] > budgets[room]
    ]


def defined(source: str) -> set[str]:
    """Public names that a module makes itself, at its top: classes, functions and values; not what it only imports."""
    values = re.findall(r"^(\w[\w, ]*)(?:: .+?)? \|?= ", source, re.M)
    names = re.findall(r"^(?:class|def) (\w+)", source, re.M) + ", ".join(values).split(", ")
    return {name for name in names if name[:1] != "_"}


def twice(sources: dict[str, str]) -> list[str]:
    """Names of public classes that more than one module has."""
    found = Counter(name for source in sources.values() for name in re.findall(r"^class ([A-Z]\w*)", source, re.M))
    return [name for name, count in found.items() if count > 1]


def second_homes(sources: dict[str, str], reader: str) -> list[str]:
    """Names that a program takes from a module of the core which did not make them, in sentences."""
    homes = {f"fedkit.{name}": defined(sources[f"core.{name}"]) for name in CORE if f"core.{name}" in sources}
    tree, taken, known = ast.parse(reader), set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in homes:
            taken |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "fedkit":
            known |= {alias.asname or alias.name: f"fedkit.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            taken.add((known[node.value.id], node.attr))
    return [
        f"{name} is not made in {home}: take it from where it is."
        for home, name in sorted(taken)
        if home in homes and name[0] != "_" and name not in homes[home]
    ]


@pytest.mark.parametrize("rule", [circle, over_budget, twice])
def test_all_rooms_keep(rule):
    assert rule(modules()) == []


def test_every_room_imports_only_what_it_may():
    assert [line for module, source in modules().items() for line in problems(module, source)] == []
    assert imported((PACKAGE / "__init__.py").read_text()) == set(), "the package itself imports nothing"


def test_the_core_is_what_the_reading_order_says():
    assert sorted(CORE) == sorted(module.partition(".")[2] for module in modules() if module.startswith("core."))


def test_notebooks_00_to_04_import_the_core_and_their_own_chapter():
    for path in sorted(SOURCE.glob("0[0-4]_*.py")):
        rooms = [placed(one).split(".") for one in imported(path.read_text()) if one.startswith("fedkit.")]
        assert {room for room, *_ in rooms} <= {"core", "compat", "encryption", "chapters"}, path.name
        chapters = {rest[0] for room, *rest in rooms if room == "chapters"}
        assert chapters <= {"course", "diagrams", "figures"} | CHAPTERS_OF.get(path.name[:2], set()), path.name


def test_every_name_of_the_core_is_taken_from_its_home():
    readers, sources = [*PACKAGE.rglob("*.py"), *TESTS.rglob("test_*.py"), *SOURCE.glob("*.py")], modules()
    found = {path.name: second_homes(sources, path.read_text(encoding="utf-8")) for path in readers}
    assert {name: lines for name, lines in found.items() if lines} == {}


BAD = [
    ("core.learning", "from fedkit.chapters import robust"),
    ("core.learning", "from fedkit import exchange"),
    ("core.learning", "def late():\n    import fedkit.exchange.rounds"),
    ("core.learning", "from fedkit.encryption import messages"),
    ("encryption.rings", "from fedkit import records"),
    ("compat.tff", "from fedkit import models"),
    ("chapters.robust", "from fedkit.exchange import Maker"),
    ("core.hospitals", "from . import records"),
    ("core.hospitals", "import tenseal as ts"),
    ("core.aggregators", "import pandas as pd"),
    ("encryption.rings", "import pandas as pd"),
    ("core.records", "import pickle"),
    ("core.preparation", "from fedkit.reading import table"),
    ("reading.table", "from fedkit import chapters"),
    ("core.attic", "import os"),  # a module that the reading order does not name
    ("exchange.folder", "from fedkit.network import post"),
    ("network.post", "from fedkit.chapters import audit"),
    ("network.post", "import nvflare"),
    ("sources.fhir", "from fedkit.reading import table"),
    ("core.hospitals", "from fhir.resources.R4B import patient"),
    ("attic.attic", "import os"),  # a room that is none
]


def test_bad_imports_are_found():
    assert [case for case in BAD if not problems(*case)] == []
    assert not problems("core.hospitals", "import os\nimport pandas as pd\nfrom fedkit import records, tables")
    assert not problems("core.aggregators", "from fedkit import encryption\nfrom fedkit.encryption import messages")


def test_a_second_name_and_a_second_home_are_found():
    one, other = "class Party:\n    pass", "X, Y = 1, 2\nclass Party:\n    pass\nclass _Inner:\n    pass"
    assert twice({"a.one": one, "a.other": other, "a.third": "class _Inner:\n    pass"}) == ["Party"]
    core = {"core.records": "from fedkit.tables import MAX\nclass Run:\n    pass", "core.tables": "MAX: int = 3"}
    assert second_homes(core, "from fedkit.records import Run\nfrom fedkit import records, tables\ntables.MAX") == []
    for bad in ("from fedkit.records import MAX", "from fedkit import records as kept\ndef late():\n    kept.MAX"):
        assert second_homes(core, bad) == ["MAX is not made in fedkit.records: take it from where it is."]


def test_a_circle_is_found():
    there, back = "from fedkit.records import Run", "def late():\n    from fedkit import learning"
    assert set(circle({"core.learning": there, "core.records": back})) == {"core.learning", "core.records"}
    assert circle({"core.learning": there, "core.records": "import os"}) == []


def test_a_line_too_many_is_found():
    assert over_budget({"compat.tff": "\n" * 455}) == []
    found = over_budget({"compat.tff": "\n" * 355, "compat.tenseal": "\n" * 101})
    assert found == ["compat has 456 lines, and 455 at most."]
    assert [line.split()[0] for line in over_budget({"exchange.all": "\n" * (WHOLE + 1)})] == ["exchange", "fedkit"]


def test_the_tests_keep_to_their_budget_as_well():
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py"))
    assert lines <= TESTED, f"The tests have {lines} lines, and {TESTED} at most: say once what two of them say."


def test_every_fault_is_in_a_line_that_is_there_once_and_has_a_test():
    """`make sabotage` takes hours: this much of it is looked at each time."""
    for fault in sabotages.faults([]):
        assert (PACKAGE / fault.file).read_text(encoding="utf-8").count(fault.old) == 1, fault
        for path, _, name in (test.partition("::") for test in fault.tests):
            assert f"def {name.partition('[')[0]}" in (TESTS.parent / path).read_text(encoding="utf-8"), fault
