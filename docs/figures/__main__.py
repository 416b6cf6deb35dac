"""Draw the pictures of the documentation: ``python -m docs.figures [NAME ...]``.

Each module beside this one draws one picture, ``draw() -> Figure``, from numbers that
the library computes. It is written to ``docs/images`` under the module's name.
"""

import argparse
import importlib
import io
import pathlib

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

HERE = pathlib.Path(__file__).parent
IMAGES = HERE.parent / "images"
NAMES = sorted(path.stem for path in HERE.glob("[!_]*.py"))


def draw(name: str) -> Figure:
    """Draw the picture of this name in matplotlib's own style, whatever the user's."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        return importlib.import_module(f"docs.figures.{name}").draw()


def save(figure: Figure, path: pathlib.Path) -> None:
    """Write a picture in few colours, without what changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120)
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw all pictures, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m docs.figures")
    # No names are a choice too: argparse looks for the empty list among them.
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    for name in parser.parse_args().names or NAMES:
        path = IMAGES / f"{name}.png"
        save(draw(name), path)
        print(f"figure: {path.relative_to(HERE.parent.parent)}")


if __name__ == "__main__":
    main()
