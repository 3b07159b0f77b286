"""Pickled arrays, read without running the pickle.

A pickle is a program. Here it is not run: its instructions are read one by one, and a small machine follows those that
numpy writes for arrays, on plain values. Names of functions stay names, so nothing can be imported or called; bytes
become an array only where their number is what shape and type say. Everything else ends with a ValueError.
"""

import io
import pickletools
import re
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Where the functions that numpy names in pickled arrays live in numpy 1 and in numpy 2.
ALLOWED = frozenset(
    {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"), ("__builtin__", "bytes")}
    | {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")}
    | {(f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")}
)
NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")


def pickled_arrays(data: bytes) -> tuple[list[NDArray[Any]], bool]:
    """The arrays in a pickle, read-only, and whether it holds one array that is not in a list.

    Raises ValueError with the reason when it is cut, malformed, or holds anything but a number array or a list or
    tuple of them.
    """
    try:
        value = _Machine().run(data)
        if isinstance(value, _Array):
            return [value.whole()], True
        if isinstance(value, list | tuple) and value and all(isinstance(one, _Array) for one in value):
            return [one.whole() for one in value], False
    except (IndexError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("its instructions are malformed") from error
    if isinstance(value, list | tuple):
        raise ValueError("it holds a list that holds other things than arrays" if value else "it holds an empty list")
    raise ValueError(f"it holds a value of type {type(value).__name__!r}")


def shape_in_head(head: bytes) -> tuple[int, ...] | None:
    """Shape of a pickle's only array, when it stands in the first bytes of the file; None when it does not."""
    machine = _Machine()
    try:
        machine.run(head)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError):
        # The usual case: the head ends inside the bytes of the array, whose version and shape are on the stack.
        if len(machine.saved) == 1 and len(machine.saved[0]) == 1 and isinstance(machine.saved[0][0], _Array):
            match machine.stack:
                case [int(), tuple(shape), _Kind(), bool(), *_] if all(type(n) is int and n >= 0 for n in shape):
                    return shape
    return None


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that numpy writes into pickles of arrays. It stands for itself and is never looked up."""

    name: str


@dataclass(slots=True)
class _Kind:
    """The type of an array's items, and its byte order."""

    text: str
    order: str = "|"

    def build(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise ValueError("an array with named fields or nested items")
        if not isinstance(state[1], str) or state[1] not in ("<", ">", "=", "|"):
            raise ValueError("an array of unknown byte order")
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        return np.dtype((self.order if self.order in "<>" else "") + self.text.lstrip("<>|="))


@dataclass(slots=True)
class _Array:
    """An array under construction."""

    value: NDArray[Any] | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, data = state
        self.value = _values(kind, shape, data, columns_first=bool(columns_first))

    def whole(self) -> NDArray[Any]:
        if self.value is None:
            raise ValueError("an array without contents")
        return self.value


def _values(kind: Any, shape: Any, data: Any, *, columns_first: bool) -> NDArray[Any]:
    """Bytes as an array in the byte order of this machine. Raises ValueError when they do not fit the shape."""
    # Python 2 wrote bytes as text of the same code points.
    data = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(kind, _Kind) or not isinstance(data, bytes | bytearray):
        raise ValueError("an array of objects")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array whose shape is not made of whole numbers from 0")
    dtype = kind.dtype()
    if prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array that declares shape {shape} of {dtype} but holds {len(data)} bytes")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if columns_first else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


PUSHED = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "STRING", "BINSTRING", "SHORT_BINSTRING"} | {
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(slots=True)
class _Machine:
    """Follows the instructions of a pickle that build number arrays, and refuses every other one by name."""

    stack: list[Any] = field(default_factory=list)
    saved: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self, data: bytes) -> Any:
        """The value that the pickle describes. Raises ValueError, or another error for malformed instructions."""
        for code, argument, position in pickletools.genops(io.BytesIO(data)):
            match code.name:
                case "PROTO" | "FRAME":
                    pass
                case "STOP":
                    return self.stack.pop()
                case name if name in PUSHED:
                    self.stack.append(argument)
                case name if name in CONSTANTS:
                    self.stack.append(CONSTANTS[name])
                case name:
                    self._step(name, argument, position)
        raise ValueError("it has no end")

    def _step(self, name: str, argument: Any, position: int | None) -> None:
        stack = self.stack
        match name:
            case "MARK":
                self.saved.append(stack)
                self.stack = []
            case "EMPTY_LIST":
                stack.append([])
            case "TUPLE" | "LIST":
                self.stack = self.saved.pop()
                self.stack.append(tuple(stack) if name == "TUPLE" else stack)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                number = int(name[-1])
                if len(stack) < number:
                    raise ValueError("it is malformed: a tuple of too few items")
                stack[-number:] = [tuple(stack[-number:])]
            case "APPEND" | "APPENDS":
                added = [stack.pop()] if name == "APPEND" else stack
                self.stack = stack if name == "APPEND" else self.saved.pop()
                if type(self.stack[-1]) is not list:
                    raise ValueError("it is malformed: it appends to what is no list")
                self.stack[-1].extend(added)
            case "MEMOIZE" | "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_allowed(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(_allowed(module, attribute))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_made(called, arguments))
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], _Kind | _Array) or not isinstance(state, tuple):
                    raise ValueError("it sets attributes of something that is no array")
                stack[-1].build(state)
            case _:
                raise ValueError(f"it asks for the instruction {name} at byte {position}")


def _allowed(module: Any, attribute: Any) -> _Name:
    # Neither is hashed or shown before it is known to be text: tuples in tuples can take for ever.
    if not isinstance(module, str) or not isinstance(attribute, str):
        raise ValueError("it asks for a function whose name is no text")
    if (module, attribute) not in ALLOWED:
        raise ValueError(f"it asks for {module}.{attribute}")
    return _Name(attribute)


def _made(called: Any, arguments: Any) -> Any:
    """What a call that numpy writes into a pickle stands for."""
    match called, arguments:
        case _Name("dtype"), (str(text), *_) if NUMBERS.fullmatch(text):
            return _Kind(text)
        case _Name("dtype"), (str(text), *_):
            raise ValueError(f"an array of type {text!r}, which is not one of numbers")
        case _Name("_reconstruct"), (_Name("ndarray"), *_):
            return _Array()
        case _Name("_frombuffer"), (data, kind, shape, order):
            return _Array(_values(kind, shape, data, columns_first=order == "F"))
        case _Name("scalar"), (kind, data):
            return _Array(_values(kind, (), data, columns_first=False))
        case _Name("encode"), (str(text), "latin1" | "latin-1"):
            return text.encode("latin1")
        case _Name("bytes"), ():
            return b""
    raise ValueError(f"it calls {getattr(called, 'name', type(called).__name__)} in a way that numpy does not")
