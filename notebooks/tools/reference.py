"""The code's own pages: one a module, from the docstrings. The modules are read, and not imported."""

import re
from pathlib import Path

import griffe

READ = ("hospitals", "tables", "preparation", "models", "learning", "aggregators", "records", "evaluation", "plots")
ROOMS = {  # in the order in which they are read
    "": "The core",
    "compat": "What hides TensorFlow Federated's and TenSEAL's rough edges",
    "encryption": "The encryption engine",
    "reading": "Tables of one's own",
    "chapters": "What a notebook teaches",
    "studies": "Tables that take longer than a lesson",
    "exchange": "One folder, many hospitals",
    "network": "A study over a network",
    "sources": "Hospital systems, and back to the bedside",
}


def pages(root: Path) -> dict[str, str]:
    """Write a page a module that has a docstring, and one that lists them by room."""
    modules = _modules(griffe.load("fedkit", search_paths=[root]))
    public = [one for module in modules for one in _public(module) if not one.is_attribute]
    homes = {one.path.removeprefix("fedkit."): one.path for one in public}
    made, listed = {}, {room: [] for room in ROOMS}
    for module in modules:
        page = [f"# {module.path}", _prose(module, homes)]
        for one in _public(module):
            members = [each for each in _public(one) if each.docstring] if one.is_class else []
            page += [_entry(one, homes, "##"), *(_entry(each, homes, "###") for each in members)]
        made[f"api/{module.path}.md"] = "\n\n".join(page) + "\n"
        parts = module.path.split(".")
        first = module.docstring.value.partition("\n")[0]
        listed[parts[1] if parts[1] in ROOMS else ""].append(f"- [{module.path}]({module.path}.md): {first}")
    page = ["# The code, module by module", "From the docstrings. The README says in which order it is read."]
    page += [f"## {ROOMS[room]}\n\n" + "\n".join(lines) for room, lines in listed.items()]
    names = "\n".join(re.findall(r"\]\((.*)\.md\)", "\n".join(page)))
    made["api/index.md"] = "\n\n".join(page) + f"\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    return made


def _modules(package: griffe.Module) -> list[griffe.Module]:
    """Return the modules below a package, a room's own page first; what is started as a program has none."""
    found = []
    own = [one for one in package.modules.values() if not one.is_alias and not one.name.startswith("__")]
    for one in sorted(own, key=lambda one: (*READ, one.name).index(one.name)):
        found += [*([one] if one.docstring else []), *_modules(one)]
    return found


def _public(home: griffe.Object) -> list[griffe.Object]:
    """Return what a module or a class has for others: attributes only where something is said of them."""
    own = [one for one in home.members.values() if not one.is_alias and not one.is_module]
    return [one for one in own if not one.name.startswith("_") and (one.docstring or not one.is_attribute)]


def _entry(one: griffe.Object, homes: dict[str, str], level: str) -> str:
    """Return what a page says of one name: how it is called, and its docstring."""
    call = one.signature() if one.is_function else ""
    if one.is_class:
        call = f"{one.name}({', '.join(each.name for each in one.parameters if each.name != 'self')})"
    if len(call) > 88:  # an argument a line
        call = re.sub(r"(?<=[(,]) ?(?=\*{0,2}\w+(?:[:=,]| =|\)))", "\n    ", call)
    return "\n\n".join([f"{level} {one.name}", *([f"```python\n{call}\n```"] if call else []), _prose(one, homes)])


def _prose(one: griffe.Object, homes: dict[str, str]) -> str:
    """Return a docstring as Markdown: a line `name : what` becomes a point, and a name of ours leads to its page."""
    module = one if one.is_module else one.module

    def linked(match: re.Match) -> str:
        home = homes.get(match[1]) or homes.get(f"{module.path.removeprefix('fedkit.')}.{match[1]}")
        if not home or home == one.path:
            return match[0]
        page, _, name = home.rpartition(".")
        return f"[`{match[1]}`]({page}.md#{name.lower()})"

    text = re.sub(r"``([^`]+)``", r"`\1`", one.docstring.value if one.docstring else "")
    text = re.sub(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.*)$", r"- **\1**: \2", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!\n)\n- \*\*", "\n\n- **", text, count=1)  # a list begins after an empty line
    return re.sub(r"`([\w.]+)`", linked, text)
