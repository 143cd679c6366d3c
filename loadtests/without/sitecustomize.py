"""Imported by Python at its start if this folder is in PYTHONPATH: a signal takes away what is to be measured.

Each signal of SIGNALS puts everything back first, so that the ways can be compared within one process. Without hooks
means: the functions have the code that they would have if nothing in them asked whether spans are made.
"""

import ast
import importlib
import inspect
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Final

SIGNALS: Final = {"as it is": signal.SIGUSR1, "no memory": signal.SIGUSR2, "no hooks": signal.SIGRTMIN + 1}
RECORDING: Final = ("handled", "called", "failed", "unpublished", "dead_letter")
HOOKED: Final = {
    "sagakit.engine.dispatcher": ("Dispatcher._try_all", "Dispatcher._transact"),
    "sagakit.engine.relay": ("Relay._publish",),
    "sagakit.engine.provider_calls": ("ProviderCaller._call",),
    "sagakit.engine.durations": ("Durations.committed",),
}
_usual: dict[Any, CodeType] = {}


class _Off(ast.NodeTransformer):
    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`tracing.on` becomes False, and what depends on it is not compiled."""
        off = isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("tracing", "on")
        return ast.copy_location(ast.Constant(False), node) if off else self.generic_visit(node)


def functions() -> Iterator[Any]:
    """The functions that have hooks for spans."""
    for module, names in HOOKED.items():
        for name in names:
            owner, method = name.split(".")
            yield vars(getattr(importlib.import_module(module), owner))[method]


def without_hooks(function: Any) -> CodeType:
    """The code of the function without its hooks."""
    tree = _Off().visit(ast.parse(textwrap.dedent(inspect.getsource(function))))
    (code,) = (
        one
        for one in compile(tree, function.__code__.co_filename, "exec", dont_inherit=True).co_consts
        if isinstance(one, CodeType)
    )
    return code


def switch(way: str) -> None:
    """Go on in this way."""
    from sagakit.activity import Activity

    for function, code in _usual.items():
        function.__code__ = code
    _usual.clear()
    if way == "no memory":
        for name in RECORDING:
            _replace(vars(Activity)[name], _nothing(name).__code__)
    elif way == "no hooks":
        for function in functions():
            _replace(function, without_hooks(function))


def _replace(function: Any, code: CodeType) -> None:
    _usual[function] = function.__code__
    function.__code__ = code


def _nothing(name: str) -> Callable[..., None]:
    def nothing(self: Any, *arguments: Any, **named: Any) -> None:
        """In place of what records."""

    return nothing


if "order_service" in sys.argv or any(word.endswith("_service") for word in sys.orig_argv):
    for _way, _number in SIGNALS.items():
        signal.signal(_number, lambda *_, way=_way: switch(way))
