"""Who may import whom: a package sees only the layers below its own."""

import ast
import pathlib
import sys

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "optaxwd"

LAYERS = [
    {"_typing", "_checks", "_tables", "_leave_out"},
    {"numerics"},
    {"tree"},
    {"rules", "schedules"},
    {"transforms", "precision", "telemetry"},
    {"optimizers", "auditor"},
    {"plots"},
    {"_commands"},
    {"__main__"},
]
# A referee shares no code with the players.
ONLY = {"auditor": {"_typing", "_checks", "_tables", "tree"}}
# Anything else must be imported inside the function that needs it.
OUTSIDE = {"jax", "numpy", "optax"}


def layer_of(part):
    return next(i for i, names in enumerate(LAYERS) if part in names)


def breaches(part, source, where="<source>"):
    """Return what is wrong with the imports of ``source``, a file of ``part``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            if node.module == "optaxwd":
                modules = [f"optaxwd.{alias.name}" for alias in node.names]
            if node.level:
                found.append(f"{where}:{node.lineno}: relative import")
                continue
        else:
            continue
        for module in modules:
            found += [
                f"{where}:{node.lineno}: {part} imports {module}: {reason}"
                for reason in reasons_against(part, module, node.col_offset == 0)
            ]
    return found


def reasons_against(part, module, at_top):
    top, _, rest = module.partition(".")
    if "_src" in module:
        yield "a private part of another library"
    if top != "optaxwd":
        if at_top and top not in OUTSIDE and top not in sys.stdlib_module_names:
            yield f"only {sorted(OUTSIDE)} may be imported at the top"
        return
    other = rest.split(".")[0]
    if other == part:
        return
    if not other:
        yield "import from the package that defines the name"
    elif part in ONLY and other not in ONLY[part]:
        yield f"it may only see {sorted(ONLY[part])}"
    elif layer_of(other) > layer_of(part):
        yield "it lies above"
    elif layer_of(other) == layer_of(part) and not other.startswith("_"):
        yield "it lies beside"


def all_files():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "__init__.py" and path.parent == PACKAGE:
            continue
        relative = path.relative_to(PACKAGE)
        yield pytest.param(
            relative.parts[0].removesuffix(".py"), path, id=str(relative)
        )


FILES = list(all_files())


@pytest.mark.parametrize(("part", "path"), FILES)
def test_imports(part, path):
    assert not breaches(part, path.read_text(), path.name)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("tree", "from optaxwd.transforms import huber"),
        ("transforms", "import optaxwd.optimizers"),
        ("rules", "from optaxwd import schedules"),
        ("auditor", "from optaxwd.transforms import huber"),
        ("transforms", "from optax._src import base"),
        ("transforms", "import optaxwd"),
        ("transforms", "from . import _engine"),
        ("plots", "import matplotlib"),
        ("_checks", "import flax"),
    ],
)
def test_a_breach_is_found(part, source):
    assert breaches(part, source)


def test_plots_may_import_matplotlib_inside():
    assert not breaches("plots", "def f():\n    import matplotlib")


@pytest.mark.parametrize(("part", "path"), FILES)
def test_files_can_be_read_in_a_sitting(part, path):
    del part
    assert len(path.read_text().splitlines()) <= 400


def test_only_init_of_the_package_has_no_logic():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    allowed = (ast.Expr, ast.ImportFrom, ast.Assign)
    assert all(isinstance(node, allowed) for node in tree.body)
