"""Figures as PNG and as SVG."""

from __future__ import annotations

import pytest

from transplant.pictures.adapters import draw_adapters
from transplant.pictures.figures import as_png, as_svg, new_figure
from transplant.pictures.route import draw_route
from transplant.pictures.uncertainty import draw_reliability

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


LONG = "/home/me/checkpoints/" + "llama-3.2-1b-tuned-" * 4


@pytest.mark.parametrize("name", ["ref-gpt2", LONG])
def test_long_names_are_whole_in_pictures_of_folders(name):
    bins = [{"from": n / 5, "count": n, "accuracy": n / 5, "confidence": n / 5} for n in range(5)]
    uncertain = {
        "model": f"law@{name}", "data": name,
        "calibration": {"bins": bins, "ece": 0.1, "interval": {"ece": [0.05, 0.2]}},
    }  # fmt: skip
    curve = [{"coverage": n / 4, "selective": 3.0 + n, "routed": 5.0 - n} for n in range(5)]
    area = {"nats": 0.1, "interval": [0.0, 0.2]}
    route = {
        "model": f"law@{name}", "baseline": name, "by": "entropy", "coverage": 0.5, "curve": curve,
        "areas": {"selective": area, "routed": area},
    }  # fmt: skip
    row = {"method": "basis-energy", "forgetting": 0.1, "domain": 3.0}
    adapters = {
        "rows": [row], "other": name, "domain": name, "backbone": name, "budget": 9_000,
    }  # fmt: skip
    for figure in (
        draw_reliability(uncertain), draw_route(route), draw_route(route, stacked=True),
        draw_adapters(adapters),
    ):  # fmt: skip
        as_png(figure)
        ends, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(ends.x0, ends.y0) > -0.03
        assert ends.x1 < width + 0.03
        assert ends.y1 < height + 0.03
