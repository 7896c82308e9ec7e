"""Vectors as NumPy takes them, whether it is there or not."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openhands_llm_magic.llm.embedding.vectors import Vectors

NUMBERS = st.floats(allow_nan=False)
ROWS = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)
)


@given(ROWS, st.slices(8))
def test_they_read_like_a_list_of_lists(rows: list[list[float]], part: slice) -> None:
    vectors = Vectors.of(rows)
    assert vectors.shape == (len(rows), len(rows[0]))
    assert vectors.tolist() == rows
    assert [list(vector) for vector in vectors] == rows
    assert vectors[part].tolist() == rows[part]
    assert vectors[-1].tolist() == rows[-1]
    assert vectors[-1][part].tolist() == rows[-1][part]
    assert vectors[0][-1] == rows[0][-1]


@given(ROWS, ROWS)
def test_those_of_several_requests_are_put_together(
    first: list[list[float]], second: list[list[float]]
) -> None:
    """They come of one model, and are equally long."""
    parts = [Vectors.of(first), Vectors.of(second)]
    if len(first[0]) == len(second[0]):
        assert Vectors.joined(parts) == Vectors.of([*first, *second])
    else:
        with pytest.raises(ValueError, match="not equally long"):
            Vectors.joined(parts)


def test_none_is_no_vector() -> None:
    assert Vectors.joined([]).shape == (0, 0)
    with pytest.raises(IndexError):
        Vectors.of([[1.0]])[1]


def test_a_word_says_what_they_are() -> None:
    """A cell that shows them is not full of numbers."""
    assert repr(Vectors.of([[0.5] * 1000] * 3)) == "Vectors(shape=(3, 1000))"
    assert repr(Vectors.of([[0.5] * 1000])[0]) == "Vectors(shape=(1000,))"


def test_numpys_protocol_says_where_the_numbers_are() -> None:
    vectors = Vectors.of([[1.0, 2.0], [3.0, 4.5]])
    told = vectors.__array_interface__
    assert (told["version"], told["shape"], told["typestr"][1:]) == (3, (2, 2), "f8")
    address, read_only = told["data"]
    assert not read_only
    assert list((ctypes.c_double * 4).from_address(address)) == [1.0, 2.0, 3.0, 4.5]


def test_numpy_takes_them_without_a_copy() -> None:
    numpy = pytest.importorskip("numpy")
    vectors = Vectors.of([[1.0, 2.0], [3.0, 4.5]])
    taken = numpy.asarray(vectors)
    assert (taken.shape, str(taken.dtype)) == ((2, 2), "float64")
    taken[0, 0] = 9.0
    assert vectors[0].tolist() == [9.0, 2.0]
    del vectors
    assert (taken @ taken.T).tolist() == [[85.0, 36.0], [36.0, 29.25]]
    assert numpy.asarray(Vectors.of([[1.0, 2.0]])[0]).shape == (2,)
