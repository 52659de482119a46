"""Figures as PNG and as SVG."""

from __future__ import annotations

import pytest

from transplant.pictures.figures import as_png, as_svg, new_figure

pytest.importorskip("matplotlib")


def line(height: float):
    figure = new_figure(2, 1)
    figure.add_subplot().plot([0, 1], [0, height])
    return figure


def test_a_figure_is_the_same_png_each_time_and_another_one_is_not():
    assert as_png(line(1)) == as_png(line(1))
    assert as_png(line(1)) != as_png(line(-1))
    assert as_png(line(1)).startswith(b"\x89PNG")


def test_an_svg_is_one_element_that_names_no_date_and_no_place_to_load_from():
    drawn = as_svg(line(1))
    assert drawn.startswith("<svg")
    assert drawn.rstrip().endswith("</svg>")
    assert "<metadata" not in drawn
    assert 'href="http' not in drawn
