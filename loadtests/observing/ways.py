"""Takes away, from running code, what makes a service observable: functions get the code that they would have without.

A piece that is taken away is not compiled at all, so neither its test nor its call is left.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import CodeType
from typing import Any, Final, Literal

from sagakit.engine.dispatcher import Dispatcher
from sagakit.engine.durations import Durations
from sagakit.engine.provider_calls import ProviderCaller
from sagakit.engine.relay import Relay

Piece = Literal["memory", "hooks"]
FUNCTIONS: Final[dict[Piece, Sequence[Callable[..., Any]]]] = {
    "memory": (Dispatcher._transact, ProviderCaller._ask),
    "hooks": (
        Dispatcher._try_all,
        Dispatcher._transact,
        Relay._publish,
        ProviderCaller._call,
        Durations.committed,
    ),
}
"""Where each piece is, as far as work that succeeds comes by it."""


class _Without(ast.NodeTransformer):
    def __init__(self, piece: Piece | None) -> None:
        self._piece = piece
        self.found = 0

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """`tracing.on` becomes False: what depends on it is not compiled."""
        if self._piece == "hooks" and ast.unparse(node) == "tracing.on":
            self.found += 1
            return ast.copy_location(ast.Constant(False), node)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A statement that tells the memory something is left out."""
        if self._piece == "memory" and ast.unparse(node).startswith("self._activity."):
            self.found += 1
            return ast.copy_location(ast.Pass(), node)
        return self.generic_visit(node)


@cache
def code_without(function: Callable[..., Any], piece: Piece | None) -> CodeType:
    """The code of the function without that piece, or the same code made anew.

    Raises:
        LookupError: The piece is not in the function.
    """
    transformer = _Without(piece)
    tree = transformer.visit(ast.parse(textwrap.dedent(inspect.getsource(function))))
    if piece and not transformer.found:
        raise LookupError(f"{function.__qualname__} has nothing of the {piece}: correct FUNCTIONS")
    module = compile(tree, function.__code__.co_filename, "exec", dont_inherit=True)
    (code,) = (one for one in module.co_consts if isinstance(one, CodeType))
    return code


@contextmanager
def without(piece: Piece | None) -> Iterator[None]:
    """Go on without that piece. Whatever the piece, the same functions get code that was made in the same way."""
    functions = {function for those in FUNCTIONS.values() for function in those}
    usual = {function: function.__code__ for function in functions}
    for function in functions:
        function.__code__ = code_without(function, piece if piece and function in FUNCTIONS[piece] else None)
    try:
        yield
    finally:
        for function, code in usual.items():
            function.__code__ = code
