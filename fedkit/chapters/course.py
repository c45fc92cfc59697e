"""What every notebook uses on its page: its settings, its claims, the checks of its exercises, and handing them in."""

import json
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

checked: dict[str, dict[str, object]] = {}  # of an exercise: the answer, as `value` or `code`, and what was `said`


def settings(
    names: MutableMapping[str, object], full: Mapping[str, object], smoke: Mapping[str, object]
) -> Callable[[object, str], None]:
    """Set what the profile asks for where the reader has changed nothing, and return the judge of the page's claims.

    A parameter at its published value counts as left alone, whoever wrote it: what the quick profile sets is printed.

    The judge, `claim(holds, sentence)`, is for what was seen at the published settings and need not be so elsewhere:
    there a claim that fails is an AssertionError, and at a reader's own settings a line that says so.

    names : the notebook's `globals()`; ValueError if its PROFILE is none, or a parameter is not there
    full : its parameters as published, but PROFILE
    smoke : those of them that the quick profile sets otherwise
    """
    if unset := sorted({"PROFILE", *full} - {*names}):
        raise ValueError(f"Not set: {', '.join(unset)}. Run the cell of parameters above, and then this one.")
    chosen = {"full": full, "smoke": {**full, **smoke}}.get(names["PROFILE"])
    if chosen is None:
        raise ValueError(f"PROFILE is {names['PROFILE']!r}: write 'full', or 'smoke' for a quick look.")
    left = [name for name, value in full.items() if names[name] == value]
    names.update({name: chosen[name] for name in left})
    if quick := [f"{name} = {chosen[name]}" for name in left if chosen[name] != full[name]]:
        print(f"The quick profile sets {', '.join(quick)}.")
    published = all(names[name] == value for name, value in chosen.items())

    def claim(holds: object, sentence: str) -> None:
        if not holds and published:
            raise AssertionError(sentence)
        if not holds:
            print(f"With your settings this is not so: {sentence}")

    return claim


def check(exercise: str, answer: object, *rules: tuple[Callable[[object], object], str]) -> None:
    """Say whether an answer is right, or that there is none yet. Of an answer, `checked` keeps what `hand_in` writes.

    exercise : its name, "Exercise 1"
    answer : the reader's own object; `...` is no answer yet
    rules : pairs of a function of the answer, which is true (or `...`, where the reader's function has no answer yet),
        and a sentence that says what to look at where it is not; the first that fails is shown
    """
    for rule, sentence in rules:
        why = sentence
        try:
            good = answer if answer is ... else rule(answer)
        except Exception as error:
            good, why = False, f"Your code stopped with {type(error).__name__}: {error}. {sentence}"
        if good is ... or not good:
            break
    said = "not answered yet." if good is ... else "right." if good else f"not yet. {why}"
    checked[exercise] = {"said": said} | ({} if good is ... else _kept(answer, sys._getframe(1).f_globals))
    print(f"{exercise}: {said}")


def _kept(answer: object, page: Mapping[str, object]) -> dict[str, object]:
    """Return a plain value as JSON has it; of anything else, the cell of the page in which it was made last."""
    with suppress(TypeError, ValueError):
        if not hasattr(answer, "_fields"):  # a tuple with names is more than its parts
            how = {"allow_nan": False, "default": lambda one: one.tolist() if hasattr(one, "tolist") else sorted(one)}
            text = json.dumps(answer, **how)
            if len(text) < 2_000 and not re.search(r"\d{19}|\[{5}", text):  # what `tools.collecting` takes
                return {"value": json.loads(text)}
    parts = answer if type(answer) is tuple else (answer,)
    names = "|".join(name for name, one in page.items() if any(one is part for part in parts)) or "$"
    made = rf"^(?:(?:def |class )(?:{names})\b|(?:{names})\b[\w, ]*=(?!=))"
    cells = [cell for cell in page.get("In", []) if re.search(made, cell, re.MULTILINE)]
    return {"code": [repr(answer), *cells][-1]}


def hand_in(notebook: str, name: str = "") -> None:
    """Write what the checks were given to a small file in this folder; ValueError if no check was run.

    notebook : the two digits of its title, "02"
    name : what your teacher shall call you: up to 60 letters, digits and spaces (else a ValueError), or nothing
    """
    if not checked or not re.fullmatch(r"\d\d", notebook):
        raise ValueError("Run the cells that check your answers, then hand_in('02'), with the digits of the title.")
    if not re.fullmatch(r"[\w\u200c\u200d .'-]{0,60}", name) or name.startswith((" ", "-")):
        raise ValueError("A name has up to 60 letters, digits and spaces, and begins with one of them.")
    handed = json.dumps({"kit": version("fedkit"), "notebook": notebook, "name": name, "exercises": checked}, indent=1)
    path = Path(f"answers-{notebook}-{abs(hash(handed)) % 10**6:06}.json")
    path.write_text(handed, encoding="utf-8")
    print(f"{path} is written, and nothing was sent: give the file to your teacher.")
