"""What `import optaxwd` gives, and what it must not pull in."""

import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import optaxwd

ROOT = pathlib.Path(__file__).parent.parent
UNWANTED = ("flax", "matplotlib", "chex", "sklearn", "torch")


def loaded_after(statement):
    code = (
        f"import sys; {statement}; print([m for m in {UNWANTED!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_import_pulls_in_nothing_unwanted():
    # Optax before 0.2.7 imports chex itself; what Optax loads is not ours to avoid.
    own = set(eval(loaded_after("import optaxwd")))
    assert own == set(eval(loaded_after("import jax, optax, optax.contrib")))
    assert not own & {"flax", "matplotlib", "sklearn", "torch"}


def test_the_import_test_can_fail():
    pytest.importorskip("matplotlib")
    assert "matplotlib" in loaded_after("import optaxwd, matplotlib")


def test_import_does_not_start_a_backend():
    # Otherwise jax.distributed.initialize, which must come first, would fail.
    code = (
        "import optaxwd, jax; jax.config.update('jax_platforms', 'nowhere')\n"
        "try: jax.devices()\nexcept RuntimeError: print('not started')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "not started"


def test_all_is_sorted_and_complete():
    assert list(optaxwd.__all__) == sorted(optaxwd.__all__)
    public = {
        name
        for name, value in vars(optaxwd).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public == set(optaxwd.__all__)


MODULES = {"": optaxwd, "rules.": optaxwd.rules, "plots.": optaxwd.plots}
PUBLIC = {
    prefix + name: getattr(module, name)
    for prefix, module in MODULES.items()
    for name in module.__all__
    if not isinstance(getattr(module, name), str)
}

# What computes nothing has no formula to give.
NO_FORMULA = {
    "a table, a file or a message": (
        "AuditError",
        "AuditReport",
        "CSVWriter",
        "DecayWarning",
        "Finding",
        "JSONLinesWriter",
        "TensorBoardWriter",
        "format_telemetry",
        "leaf_paths",
        "plots.plot_audit",
        "plots.plot_decaying",
        "plots.plot_telemetry",
        "read_json_lines",
        "read_telemetry",
        "rules.Explanation",
    ),
    "a choice by name": (
        "OptimizerInfo",
        "create_optimizer",
        "list_optimizers",
        "rules.Pattern",
        "rules.anchored",
        "rules.as_pattern",
        "rules.check_mask",
        "rules.everything",
        "rules.glob",
        "rules.lora",
        "rules.matrices_only",
        "rules.owned_by",
        "rules.resolve_decays",
        "rules.search",
        "rules.standard",
    ),
    "the same numbers in another structure or place": (
        "convert_state",
        "restore_state",
        "state_shardings",
    ),
}

RAISES_NOTHING = ("leaf_paths", "rules.lora", "rules.matrices_only", "rules.standard")


def is_state(name):
    return name.endswith("State")


def named_in(text, name):
    """Return the public names that roles of a docstring refer to; others fail."""
    prefix = name.rpartition(".")[0] + "." if "." in name else ""
    found = []
    for role in re.findall(r":(?:class|func|meth):`~?([\w.]+)`", text):
        if not role.startswith(("jax.", "optax.")):
            own = role.removeprefix("optaxwd.")
            owner, _, method = own.rpartition(".")
            known = [x for x in (prefix + own, own) if x in PUBLIC]
            known += [owner] if hasattr(PUBLIC.get(owner), method) else []
            assert known, f"{name} refers to {role}, which is not public"
            found.append(known[0])
    return found


def has_source(name):
    """Whether the references have a link, or name what has, or a page of the docs."""
    _, _, references = inspect.getdoc(PUBLIC[name]).partition("References:")
    pages = re.findall(r"``(docs/\w+\.md)``", references)
    assert all((ROOT / page).is_file() for page in pages)
    if pages or "https://" in references:
        return True
    return any(has_source(other) for other in named_in(references, name))


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_has_its_sections(name):
    value = PUBLIC[name]
    doc = inspect.getdoc(value)
    if is_state(name):
        assert re.match(r"State of :func:`\w+`", doc)
        assert "Attributes:" in doc and "dtype" in doc
    assert ">>>" in doc, "needs an executed example"
    assert has_source(name), "needs a source"
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters
        wanted = ["Returns:"] + (["Args:", "Raises:"] if parameters else [])
        if name in RAISES_NOTHING:
            wanted.remove("Raises:")
        assert not [section for section in wanted if section not in doc]
        for parameter in parameters:
            documented = re.search(
                rf"^ *([*\w]+, )*\**{parameter}[,:]", doc, re.MULTILINE
            )
            assert documented, f"{parameter} is not documented"


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_refers_to_what_is_public(name):
    named_in(inspect.getdoc(PUBLIC[name]), name)


def test_docstrings_have_formulas():
    lacking = {
        name
        for name, value in PUBLIC.items()
        if not is_state(name) and "math:" not in inspect.getdoc(value)
    }
    exempt = [name for names in NO_FORMULA.values() for name in names]
    assert lacking == set(exempt)


@pytest.mark.parametrize("name", optaxwd.__all__)
def test_names_are_the_field_s(name):
    value = getattr(optaxwd, name)
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters
        assert not {"lr", "wd", "lambda_", "decay_rate_"} & set(parameters)


@pytest.mark.parametrize("name", ["adamw", "nadamw", "lion", "sgd", "rmsprop"])
def test_positional_arguments_are_optax_s(name):
    import optax

    def positional(function):
        return [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ]

    theirs = positional(getattr(optax, name))
    ours = positional(getattr(optaxwd, name.removesuffix("w") + "w"))
    assert ours[: len(theirs)] == theirs


def test_list_optimizers_describes_each():
    listed = optaxwd.list_optimizers()
    assert list(listed) == sorted(listed)
    for name, info in listed.items():
        assert info.name == name and info.factory is getattr(optaxwd, name)
        assert "\n" not in info.description and info.description.endswith(".")
        assert "https://" in info.reference


def test_create_optimizer_passes_everything_on():
    tx = optaxwd.create_optimizer("adamw", 0.1, weight_decay=0.5)
    import jax.numpy as jnp

    params = jnp.array([2.0])
    updates, _ = tx.update(jnp.zeros(1), tx.init(params), params)
    assert float(updates[0]) == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="Did you mean 'adamw'"):
        optaxwd.create_optimizer("adamwd", 0.1)
    with pytest.raises(TypeError, match="momentum"):
        optaxwd.create_optimizer("adamw", 0.1, momentum=0.9)


def test_version_is_the_installed_one():
    import importlib.metadata

    assert importlib.metadata.version("optaxwd") == optaxwd.__version__
