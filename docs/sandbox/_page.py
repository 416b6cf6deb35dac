"""The page, made of its template, style, script and the runs."""

import base64
import hashlib
import json
import math
import pathlib
import re
from typing import Any, NamedTuple

from docs.sandbox import _encode, _grid
from docs.sandbox._methods import METHODS
from docs.sandbox._problems import PROBLEMS
from docs.sandbox._runs import Runs

_TEMPLATE = pathlib.Path(__file__).parent / "template"
_SCRIPTS = ("data.js", "words.js", "plots.js", "page.js")
PAGE = _TEMPLATE.parents[2] / "optaxwd" / "_commands" / "sandbox.html"


class Embedded(NamedTuple):
    """What the page carries beside its template.

    Attributes:
      settings: names and numbers of sliders, problems and methods.
      layout: how to read the data, see :func:`_encode.decode`.
      data: the numbers.
    """

    settings: dict[str, Any]
    layout: dict[str, Any]
    data: str


def embed(runs: Runs) -> Embedded:
    """Return what the page of these runs carries."""
    settings = {
        "learning_rates": _grid.LEARNING_RATES,
        "weight_decays": _grid.WEIGHT_DECAYS,
        "b2s": _grid.B2S,
        "ratios": _grid.RATIOS,
        "steps": _grid.STEPS,
        "every": _grid.EVERY,
        "start": _grid.START,
        "minimum": _grid.MINIMUM,
        "peak": _grid.PEAK,
        "problems": {
            name: {
                "title": problem.title,
                "words": problem.words,
                "scale_power": problem.scale_power,
            }
            for name, problem in PROBLEMS.items()
        },
        "methods": {
            name: {
                "title": method.title,
                "note": method.note,
                "color": method.color,
                "dashes": method.dashes,
            }
            for name, method in METHODS.items()
        },
    }
    return Embedded(json.loads(json.dumps(settings)), *_encode.encode(runs))


def render(embedded: Embedded) -> str:
    """Return the page."""
    style = _read("style.css")
    scripts = "".join(map(_read, _SCRIPTS))
    script = f'(() => {{\n"use strict";\n{scripts}}})();\n'
    parts = {
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        "settings": json.dumps(embedded.settings, ensure_ascii=False),
        "layout": json.dumps(embedded.layout),
        "data": embedded.data,
        **{name: str(embedded.settings[name]) for name in ("steps", "every", "peak")},
        **{name: _point(embedded.settings[name]) for name in ("start", "minimum")},
        **_errors(embedded),
    }
    page = _read("page.html")
    for name, text in parts.items():
        page = page.replace("{{" + name + "}}", text)
    return page


def read(page: str) -> Embedded:
    """Return what a page carries."""

    def part(name: str) -> str:
        found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page)
        if not found:
            raise ValueError(f"sandbox: the page has no {name}. Build it again.")
        return found[1]

    settings, layout = (json.loads(part(name)) for name in ("settings", "layout"))
    return Embedded(settings, layout, part("data"))


def _errors(embedded: Embedded) -> dict[str, str]:
    *others, sgd = _encode.theta_error(embedded.layout)
    rates = _encode.rate_error(embedded.layout)
    return {
        "theta_error": _rounded_up(max(others), 5),
        "sgd_error": _rounded_up(sgd, 4),
        "rate_error": f"{_rounded_up(100 * rates, 2)} %",
    }


def _rounded_up(value: float, digits: int) -> str:
    return f"{math.ceil(value * 10**digits) / 10**digits:.{digits}f}"


def _point(theta: list[float]) -> str:
    return f"({', '.join(map(str, theta))})"


def _read(name: str) -> str:
    return (_TEMPLATE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the hash by which the page's policy allows an inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
