"""Imported by Python at its start if this folder is in PYTHONPATH: the code is compiled without the hooks for spans."""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class _Loader(SourceFileLoader):
    """Compiles the source each time: what is cached has the hooks."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of the module, in which every condition on tracing is false."""
        path = self.get_filename(fullname)
        text = self.get_data(path).decode()
        for hook in ("if tracing.on:", "if tracing.on else", "if tracing.on and"):
            text = text.replace(hook, hook.replace("tracing.on", "False"))
        code: CodeType = compile(text, path, "exec", dont_inherit=True)
        return code


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module of the machinery, to be loaded without hooks."""
        if not fullname.startswith("sagakit.engine."):
            return None
        spec = PathFinder.find_spec(fullname, path)  # type: ignore[arg-type]
        if spec is not None and spec.origin:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


sys.meta_path.insert(0, _Finder())
