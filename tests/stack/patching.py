"""Replacing a part of MiniStack, loudly.

MiniStack has no plug-in points for what this stack adds, so the modules beside this one replace attributes of
its modules before the server starts. `replace` is the only way they do it: it takes what is there now, hands
it to the replacement as its first argument, and raises `PatchError` when it is not there. A version of
MiniStack that moved something therefore stops the launcher at start, and never changes a test's meaning
silently.

It cannot notice a part that kept its name and changed its meaning: the tests in `test_stack.py` are for that.
"""

import functools


class PatchError(RuntimeError):
    """MiniStack does not have what a patch replaces."""


def current(owner, name):
    """What `owner.name` is now, or a `PatchError` that says which patch has lost its ground."""
    try:
        return getattr(owner, name)
    except AttributeError:
        raise PatchError(
            f"MiniStack has no `{owner.__name__}.{name}`: the patch for it must be written anew"
        ) from None


def replace(owner, name):
    """Decorator: puts `function(original, *arguments)` in the place of `owner.name`."""
    original = current(owner, name)

    def decorate(function):
        replacement = functools.partial(function, original)
        # An attribute of a class must bind `self`, which a partial does not do.
        if isinstance(owner, type):

            def replacement(self, *arguments, **keywords):
                return function(original, self, *arguments, **keywords)

        setattr(owner, name, replacement)
        return function

    return decorate
