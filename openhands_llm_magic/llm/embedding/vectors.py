"""Vectors in 8 bytes a number, ready for NumPy, which need not be installed."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

NUMBER = "d"
"""The type of the numbers for `array`: what NumPy calls float64, in which none of their digits is
lost. Python's own floats in tuples would take four times as much."""


class Vectors(Sequence[Any]):
    """The vectors of some texts, or the one of a text.

    `numpy.asarray(vectors)` is an array of the same shape, without a copy; so whatever takes "array
    likes" takes them. Without NumPy they are sequences of floats.

    Args:
        numbers: All numbers, one vector after the other.
        shape: How many vectors and how many numbers in each, or the latter alone for one vector.
    """

    __slots__ = ("_numbers", "shape")

    def __init__(self, numbers: array[float], shape: tuple[int, ...]) -> None:
        self._numbers = numbers
        self.shape = shape

    @classmethod
    def of(cls, rows: Iterable[Iterable[float]]) -> Self:
        """Make `Vectors` of rows of numbers.

        Raises:
            TypeError: A vector holds something else than numbers.
            ValueError: They are not equally long.
        """
        arrays = (array(NUMBER, row) for row in rows)
        return cls.joined(cls(numbers, (1, len(numbers))) for numbers in arrays)

    @classmethod
    def joined(cls, parts: Iterable[Vectors]) -> Self:
        """Put the vectors of several requests together.

        Raises:
            ValueError: They are not equally long.
        """
        numbers: array[float] = array(NUMBER)
        count, widths = 0, set()
        for part in parts:
            numbers.extend(part._numbers)  # noqa: SLF001 - of the same class
            count += part.shape[0]
            widths.add(part.shape[1])
        if len(widths) > 1:
            raise ValueError("the vectors are not equally long")
        return cls(numbers, (count, *widths) if widths else (0, 0))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        if len(self.shape) == 1:
            numbers = self._numbers[index]
            return Vectors(numbers, (len(numbers),)) if isinstance(index, slice) else numbers
        rows, width = range(len(self))[index], self.shape[1]
        if isinstance(rows, int):
            return Vectors(self._numbers[rows * width : (rows + 1) * width], (width,))
        chosen = array(NUMBER, (number for row in rows for number in self[row]))
        return Vectors(chosen, (len(rows), width))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vectors):
            return NotImplemented
        return self.shape == other.shape and self._numbers == other._numbers

    __hash__ = None  # type: ignore[assignment]  # like a list

    def __repr__(self) -> str:
        return f"Vectors(shape={self.shape})"

    def tolist(self) -> list[Any]:
        """Return the numbers as lists, as NumPy's arrays do."""
        if len(self.shape) == 1:
            return self._numbers.tolist()
        return [vector.tolist() for vector in self]

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Where the numbers are, in NumPy's protocol, which keeps this object alive."""
        address, _ = self._numbers.buffer_info()
        order = "<" if sys.byteorder == "little" else ">"
        kind = f"{order}f{self._numbers.itemsize}"
        return {"version": 3, "shape": self.shape, "typestr": kind, "data": (address, False)}
