"""The decorator `dataclass` of the standard library, but methods are compiled only when they are called often.

To compile six methods of each class at import takes a quarter of a command's start, and most of them are never
called. Half of the others are called once or twice: these calls work on the list of fields, which takes microseconds;
compiling takes a tenth of a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    import operator
    from functools import partial
    from types import MemberDescriptorType

    # The number of calls of a method before it is compiled.
    _CALLS_BEFORE = 3
    _COMPARISONS = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}
    _OPERATORS = {
        "==": operator.eq,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }

    def dataclass(*, frozen=False, slots=False, order=False):
        """Return a decorator like `dataclasses.dataclass` with these flags; methods of the class itself are kept."""

        def make(cls):
            cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
            methods = {
                "__repr__": _repr,
                "__eq__": _compiled_later(cls, "__eq__", partial(_comparison, "=="), partial(_compare, "==")),
            }
            methods["__hash__"] = (
                _compiled_later(cls, "__hash__", _hash, lambda self: hash(_compared(self)))
                if frozen
                else None
            )
            if frozen:
                methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
            if frozen and slots:
                methods |= {"__getstate__": _state, "__setstate__": _set_state}
            if order:
                methods |= {
                    name: _compiled_later(cls, name, partial(_comparison, symbol), partial(_compare, symbol))
                    for name, symbol in _COMPARISONS.items()
                }
            for name, method in methods.items():
                if name not in cls.__dict__:
                    setattr(cls, name, method)
            cls.__init__ = _compiled_later(cls, "__init__", partial(_init, frozen), partial(_fill, cls))
            return cls

        return make

    class _Unfit(Exception):
        """The arguments do not fit the fields; the compiled method says why, in Python's own words."""

    def _compiled_later(cls, name, write, plain):
        """Return a method that calls `plain` at first, then is compiled from what `write` returns: source and globals."""
        calls = 0

        def method(self, *positional, **named):
            nonlocal calls
            calls += 1
            if calls <= _CALLS_BEFORE:
                try:
                    return plain(self, *positional, **named)
                except _Unfit:
                    pass
            text, names = write(cls)
            exec(text, names)  # noqa: S102  the text is made of the names of our own fields
            setattr(cls, name, names[name])
            return names[name](self, *positional, **named)

        return method

    def _compared(self):
        return tuple([getattr(self, each.name) for each in dataclasses.fields(self) if each.compare])

    def _compare(symbol, self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        return _OPERATORS[symbol](_compared(self), _compared(other))

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
            slot = cls.__dict__.get(name)
            if frozen and isinstance(slot, MemberDescriptorType):  # a third faster than `object.__setattr__`
                names[f"_set_{name}"] = slot.__set__
                lines.append(f"_set_{name}(self, {value})")
            else:
                lines.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
        lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
        return f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), names

    def _fill(cls, self, *positional, **named):
        fields = dataclasses.fields(cls)
        taken = [each.name for each in fields if each.init]
        given = dict(zip(taken, positional, strict=False))
        if len(given) < len(positional) or given.keys() & named or named.keys() - taken:
            raise _Unfit
        given |= named
        for each in fields:
            if each.name in given:
                value = given[each.name]
            elif each.default_factory is not dataclasses.MISSING:
                value = each.default_factory()
            elif each.default is not dataclasses.MISSING:
                value = each.default
            elif each.init:
                raise _Unfit
            else:
                continue
            object.__setattr__(self, each.name, value)
        if hasattr(cls, "__post_init__"):
            self.__post_init__()

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
