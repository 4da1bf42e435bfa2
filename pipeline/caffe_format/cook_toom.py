"""The matrices of Winograd's fast convolution, made by Cook and Toom's method in exact fractions.

A filter of r numbers over a window of a = m + r - 1 numbers gives m results. Both are taken for polynomials,
whose product is found from its values at a points instead of from m * r products:

    results = A^T [(G filter) * (B^T window)]

(Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", arXiv 1509.09308.) In exact arithmetic that is the convolution itself. In floats, the
points decide how much is lost, so they were searched for: over sets of symmetric pairs of small fractions,
on filters and non-negative inputs of 256 channels. Root mean square errors, relative to that of the results,
both axes with these points:

    =====  ==================================  =======  ==========================================
    a      finite points                       error    the usual choice
    =====  ==================================  =======  ==========================================
    6      0, +-2/3, +-3/2                     1.2e-6   0, +-1, +-2: 2.5e-6; 0, +-1, 1/2, -2: 1.7e-6
    8      0, +-1/2, +-1, +-2                  5.1e-6   the same
    10     0, +-2/5, +-3/4, +-4/3, +-5/2       2.5e-5   0, +-1/2, +-1, +-2, 1/4, 4: 5e-5 and more
    =====  ==================================  =======  ==========================================

(a = 6 and 8 with filters of 3 numbers, a = 10 with 7.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Matrix = tuple[tuple[Fraction, ...], ...]


def _with_opposites(*points: Fraction | int) -> tuple[Fraction, ...]:
    return (Fraction(0), *(Fraction(sign * point) for point in points for sign in (1, -1)))


POINTS: Mapping[int, tuple[Fraction, ...]] = MappingProxyType(
    {
        6: _with_opposites(Fraction(2, 3), Fraction(3, 2)),
        8: _with_opposites(Fraction(1, 2), 1, 2),
        10: _with_opposites(Fraction(2, 5), Fraction(3, 4), Fraction(4, 3), Fraction(5, 2)),
    }
)
"""Window size a -> the a - 1 finite points; infinity is the last one."""


@dataclass(frozen=True, slots=True)
class Transform:
    """Transforms along one axis, exact.

    Attributes
    ----------
    results
        A^T, (m, a).
    filters
        G, (a, r).
    windows
        B^T, (a, a).
    """

    results: Matrix
    filters: Matrix
    windows: Matrix


def cook_toom(outputs: int, filter_size: int, points: Sequence[Fraction]) -> Transform:
    """Transforms for some results of a filter.

    Parameters
    ----------
    outputs
        Results m of one window.
    filter_size
        Numbers r of the filter.
    points
        m + r - 2 different finite points.

    Returns
    -------
    Transform

    Raises
    ------
    ValueError
        Too few or too many points, or the same one twice.
    """
    size = outputs + filter_size - 1
    if len(set(points)) != size - 1 or len(points) != size - 1:
        raise ValueError(f"expected {size - 1} different points, got {[str(point) for point in points]}")
    weights = [math.prod(point - other for other in points if other != point) for point in points]
    filters = [
        *(tuple(power / weight for power in row) for row, weight in zip(
            _powers(points, filter_size), weights, strict=True)),
        _unit(filter_size),
    ]  # fmt: skip
    results = zip(*_powers(points, outputs), _unit(outputs), strict=True)
    windows = [_from_roots([other for other in points if other != point], size) for point in points]
    return Transform(tuple(results), tuple(filters), (*windows, _from_roots(points, size)))


def both_axes(rows: Matrix, columns: Matrix) -> NDArray[np.float64]:
    """Kronecker product of the transforms of rows and columns, every number rounded once from its fraction.

    Returns
    -------
    array
        (rows of `rows` * rows of `columns`, columns of `rows` * columns of `columns`).
    """
    return np.array(
        [[float(one * two) for one in row for two in column] for row in rows for column in columns],
        np.float64,
    )


def _powers(points: Sequence[Fraction], count: int) -> list[tuple[Fraction, ...]]:
    return [tuple(point**power for power in range(count)) for point in points]


def _unit(size: int) -> tuple[Fraction, ...]:
    """The point at infinity: only the highest power counts."""
    return (*(Fraction(0),) * (size - 1), Fraction(1))


def _from_roots(roots: Sequence[Fraction], size: int) -> tuple[Fraction, ...]:
    """Coefficients of the polynomial with these roots, the constant first, filled up with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [
            high - root * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)
        ]
    return (*coefficients, *(Fraction(0),) * (size - len(coefficients)))
