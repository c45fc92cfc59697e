"""Imports inside fedkit only go down, and each heavy library has its one door."""

import ast
from pathlib import Path

import fedkit

PACKAGE = Path(fedkit.__file__).parent

# A module may import from the floors below its own, and from nowhere else in fedkit.
FLOORS = [
    {"audit", "environment", "federation", "metrics", "packing", "parameters", "preparation"}
    | {"records", "schemes", "style", "tables", "tenseal", "tff", "vault"},
    {"identities", "messages", "partitions", "quantization", "rings", "splits"},
    {"encryption", "envelopes", "hospitals", "models"},
    {"aggregators", "computations", "contributions"},
    {"screening", "teams"},
    {"attacks", "evaluation", "learning"},
    {"diagrams", "figures"},
    {"exchange", "notebooks", "report"},
    {"classroom"},
]

# Who may import a library. What is encrypted, sent and added is vectors and bytes:
# pandas, in which patients' rows are held, has no business there.
DOORS = {
    "cryptography": {"identities", "vault"},
    "fsspec": {"exchange"},
    "jupytext": {"notebooks"},
    "matplotlib": {"diagrams", "figures", "style"},
    "pandas": {"attacks", "evaluation", "exchange", "federation", "figures", "hospitals", "partitions", "preparation"}
    | {"records", "report", "screening", "style", "tables", "teams"},
    "nacl": {"identities"},
    "papermill": {"notebooks"},
    "pickle": set(),
    "sklearn": {"metrics"},
    "tenseal": {"tenseal"},
    "tensorflow": {"tff"},
    "tensorflow_federated": {"tff"},
    "zstandard": {"rings"},
}


def floor(module: str) -> int | None:
    return next((number for number, modules in enumerate(FLOORS) if module in modules), None)


def imported(source: str) -> set[str]:
    """Dotted names that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def problems(module: str, source: str) -> list[str]:
    """What is wrong with the imports of ``fedkit.<module>``, in sentences."""
    if floor(module) is None:
        return [f"{module} has no floor: name it in FLOORS."]
    found = []
    for name in imported(source):
        library, _, rest = name.partition(".")
        if library == "":
            found.append(f"{module} imports {name}: write the whole name, from fedkit on.")
        elif library == "fedkit" and rest.split(".")[0] not in ("", module):
            below = floor(rest.split(".")[0])
            if below is None or below >= floor(module):
                found.append(f"{module} imports {name}, which is not on a floor below it.")
        elif library in DOORS and module not in DOORS[library]:
            found.append(f"{module} imports {library}; only {', '.join(sorted(DOORS[library])) or 'nobody'} may.")
    return found


def modules() -> list[tuple[str, Path]]:
    """Every module of fedkit with its file; a package's files all count as the package."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in files]


def test_imports_only_go_down():
    assert [line for name, path in modules() for line in problems(name, path.read_text())] == []


def test_every_name_on_a_floor_is_a_module():
    assert set().union(*FLOORS) - {name for name, _ in modules()} == set()


def test_no_module_is_on_two_floors():
    assert sum(map(len, FLOORS)) == len(set().union(*FLOORS))


def test_bad_imports_are_found():
    assert problems("hospitals", "from fedkit import aggregators")
    assert problems("hospitals", "from fedkit.learning import train_federated")
    assert problems("hospitals", "def late():\n    import fedkit.figures")
    assert problems("hospitals", "from fedkit import models"), "the same floor is not below"
    assert problems("hospitals", "from . import records")
    assert problems("hospitals", "import tenseal as ts")
    assert problems("encryption", "import pandas as pd")
    assert problems("records", "import pickle")
    assert problems("attic", "import os"), "a module that no floor names"
    assert not problems("hospitals", "import os\nimport pandas as pd\nfrom fedkit import records, tables")


def test_the_package_itself_imports_nothing():
    assert imported((PACKAGE / "__init__.py").read_text()) == set()


def test_no_module_is_longer_than_250_lines():
    assert [f"{path.name}: {n}" for _, path in modules() if (n := len(path.read_text().splitlines())) > 250] == []
