"""What every notebook uses on its page: its settings, its claims, and the checks of its exercises."""

from collections.abc import Callable, Mapping, MutableMapping


def settings(
    names: MutableMapping[str, object], full: Mapping[str, object], smoke: Mapping[str, object]
) -> Callable[[object, str], None]:
    """Set what the profile asks for where the reader has changed nothing, and return the judge of the page's claims.

    A parameter at its published value counts as left alone, whoever wrote it: what the quick profile sets is printed.

    The judge, `claim(holds, sentence)`, is for what was seen at the published settings and need not be so elsewhere:
    there a claim that fails is an AssertionError, and at a reader's own settings a line that says so.

    names : the notebook's `globals()`; ValueError if its PROFILE is none
    full : its parameters as published, but PROFILE
    smoke : those of them that the quick profile sets otherwise
    """
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
    """Say whether an answer is right, or that there is none yet.

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
        if good is ...:
            return print(f"{exercise}: not answered yet.")
        if not good:
            return print(f"{exercise}: not yet. {why}")
    return print(f"{exercise}: right.")
