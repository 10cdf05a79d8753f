"""The decorator `dataclass` of the standard library, but methods are compiled when they are first called.

To compile six methods of each class at import takes a quarter of a command's start, and most of them are never
called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from functools import partial

    _COMPARISONS = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}

    def dataclass(*, frozen=False, slots=False, order=False):
        """Return a decorator like `dataclasses.dataclass` with these flags; methods of the class itself are kept."""

        def make(cls):
            cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
            methods = {
                "__repr__": _repr,
                "__eq__": _compiled_later(cls, "__eq__", partial(_comparison, "==")),
            }
            methods["__hash__"] = _compiled_later(cls, "__hash__", _hash) if frozen else None
            if frozen:
                methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
            if frozen and slots:
                methods |= {"__getstate__": _state, "__setstate__": _set_state}
            if order:
                methods |= {
                    name: _compiled_later(cls, name, partial(_comparison, symbol))
                    for name, symbol in _COMPARISONS.items()
                }
            for name, method in methods.items():
                if name not in cls.__dict__:
                    setattr(cls, name, method)
            cls.__init__ = _compiled_later(cls, "__init__", partial(_init, frozen))
            return cls

        return make

    def _compiled_later(cls, name, write):
        """Return a method that is compiled at its first call, from the source and the globals that `write` returns."""

        def method(self, *positional, **named):
            text, names = write(cls)
            exec(text, names)  # noqa: S102  the text is made of the names of our own fields
            setattr(cls, name, names[name])
            return names[name](self, *positional, **named)

        return method

    def _comparison(symbol, cls):
        name = next((name for name, each in _COMPARISONS.items() if each == symbol), "__eq__")
        test = f"if other.__class__ is self.__class__: return {_values('self', cls)} {symbol} {_values('other', cls)}"
        return f"def {name}(self, other):\n {test}\n return NotImplemented", {}

    def _hash(cls):
        return f"def __hash__(self):\n return hash({_values('self', cls)})", {}

    def _values(of, cls):
        return f"({''.join(f'{of}.{each.name}, ' for each in dataclasses.fields(cls) if each.compare)})"

    def _init(frozen, cls):
        names = {"_missing": dataclasses.MISSING, "_set": object.__setattr__}
        parameters, lines = ["self"], []
        for each in dataclasses.fields(cls):
            name = value = each.name
            default = ""
            if each.default_factory is not dataclasses.MISSING:
                names[f"_new_{name}"] = each.default_factory
                default, value = "=_missing", f"_new_{name}()"
                value += f" if {name} is _missing else {name}" if each.init else ""
            elif each.default is not dataclasses.MISSING:
                names[f"_default_{name}"] = each.default
                default, value = f"=_default_{name}", name if each.init else f"_default_{name}"
            elif not each.init:
                continue
            if each.init:
                parameters.append(f"{name}{default}")
            lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
        lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
        return f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), names

    def _repr(self):
        shown = (
            f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr
        )
        return f"{self.__class__.__qualname__}({', '.join(shown)})"

    def _refuse_to_set(self, name, value):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def _refuse_to_delete(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def _state(self):
        return [getattr(self, each.name) for each in dataclasses.fields(self)]

    def _set_state(self, state):
        for each, value in zip(dataclasses.fields(self), state, strict=True):
            object.__setattr__(self, each.name, value)
