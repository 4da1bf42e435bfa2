from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.caffe_format.cook_toom import POINTS, Matrix, both_axes, cook_toom


def times(matrix: Matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


def as_floats(matrix: Matrix) -> list[list[float]]:
    return [[float(number) for number in row] for row in matrix]


@given(outputs=st.integers(2, 7), size=st.integers(1, 7), seed=st.integers(0, 1000))
def test_results_are_the_convolution_exactly(outputs: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = [Fraction(int(number), 3) for number in rng.permutation(np.arange(-9, 10))[: outputs + size - 2]]
    transform = cook_toom(outputs, size, chosen)
    filters = [Fraction(int(number)) for number in rng.integers(-9, 10, size)]
    window = [Fraction(int(number)) for number in rng.integers(-9, 10, outputs + size - 1)]
    products = [
        a * b
        for a, b in zip(times(transform.filters, filters), times(transform.windows, window), strict=True)
    ]
    expected = [
        sum((window[place + number] * filters[number] for number in range(size)), Fraction(0))
        for place in range(outputs)
    ]
    assert times(transform.results, products) == expected


def test_known_matrices_of_two_results_of_three_taps() -> None:
    transform = cook_toom(2, 3, [Fraction(0), Fraction(1), Fraction(-1)])
    assert as_floats(transform.results) == [[1, 1, 1, 0], [0, 1, -1, 1]]
    assert as_floats(transform.filters) == [[-1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]
    assert as_floats(transform.windows) == [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]


def test_the_points_are_as_many_as_their_window_needs() -> None:
    for size, points in POINTS.items():
        assert len(set(points)) == len(points) == size - 1
        assert {-point for point in points} == set(points)


@pytest.mark.parametrize("points", [[0, 1], [0, 1, 1], [0, 1, 2, 3]])
def test_wrong_points(points: list[int]) -> None:
    with pytest.raises(ValueError, match="expected 3 different points, got"):
        cook_toom(2, 3, [Fraction(point) for point in points])


def test_both_axes_is_the_kronecker_product() -> None:
    rows, columns = cook_toom(2, 3, POINTS[6][:3]).windows, cook_toom(4, 3, POINTS[6]).windows
    expected = np.kron(np.array(as_floats(rows)), np.array(as_floats(columns)))
    np.testing.assert_allclose(both_axes(rows, columns), expected, rtol=1e-15)
