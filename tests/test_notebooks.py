"""The notebooks are kept as agreed and do what they say, from the first cell on."""

import json
import os
import pathlib
import re

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGE = (ROOT / "docs" / "notebooks.md").read_text()
COLAB = "https://colab.research.google.com"
BADGE = (
    f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
    f"({COLAB}/github/optaxwd/optaxwd/blob/main/notebooks/{{}})"
)
REPOSITORY = "https://github.com/optaxwd/optaxwd/blob/main/"
INSTALL = '%pip install -q --no-deps "optaxwd @ git+https://github.com/optaxwd/optaxwd"'
MAGICS = {INSTALL, "%matplotlib inline"}
MOST_CELLS = 25
SECONDS = 60  # of any cell, on two slow cores

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path):
    return nbformat.read(path, as_version=4)


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_there_are_seven():
    assert [path.name[0] for path in NOTEBOOKS] == list("1234567")
    assert re.findall(r"\(\.\./notebooks/(.*?)\)", PAGE) == [p.name for p in NOTEBOOKS]


@each
def test_nothing_is_kept_but_the_text(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for i, cell in enumerate(notebook.cells):
        assert cell.id == f"cell-{i:02}" and not cell.metadata
        assert not cell.get("outputs") and cell.get("execution_count") is None
    text = path.read_text()
    indented = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    assert text == indented + "\n"


@each
def test_the_first_cells(path):
    notebook = read(path)
    title, badge = notebook.cells[0].source.split("\n\n")[:2]
    assert title.startswith("# ") and badge == BADGE.format(path.name)
    assert badge in PAGE and f"[{title[2:]}](../notebooks/{path.name})" in PAGE
    assert "no accelerator is needed" in notebook.cells[0].source.replace("\n", " ")
    install = notebook.cells[1]
    assert install.cell_type == "code"
    assert install.source == read(NOTEBOOKS[0]).cells[1].source
    condition, _, pip = install.source.partition("\n\n")[2].splitlines()[:3]
    assert condition == 'if importlib.util.find_spec("optaxwd") is None:'
    assert pip == f"    {INSTALL}"
    for printed in ("jax.__version__", "optax.__version__", "optaxwd.__version__"):
        assert printed in install.source


@each
def test_the_form(path):
    notebook = read(path)
    prose, code = sources(notebook, "markdown"), sources(notebook, "code")
    assert len(notebook.cells) <= MOST_CELLS
    headings = re.findall(r"^#+ .*", "\n".join(prose), re.MULTILINE)
    assert [heading.count("#") for heading in headings[1:]].count(1) == 0
    assert headings[-2:] == ["## Checked", "## Try"]
    assert re.search(r"^ *assert ", code[-1], re.MULTILINE)
    assert not re.search(r"</?[a-z]", "\n".join(prose)), "HTML"
    lines = [line.strip() for line in "\n".join(code).splitlines()]
    magics = {line for line in lines if line.startswith(("%", "!"))}
    assert magics <= MAGICS


@each
def test_links_lead_somewhere(path):
    text = "\n".join(sources(read(path), "markdown"))
    for target in re.findall(re.escape(REPOSITORY) + r"([^)#]*)(#\w+)?\)", text):
        file, anchor = ROOT / target[0], target[1][1:]
        assert file.is_file(), file
        assert not anchor or f'<a id="{anchor}">' in file.read_text()


@pytest.mark.slow
@each
def test_it_runs(path, tmp_path, monkeypatch):
    environment = {
        "IPYTHONDIR": tmp_path,
        "JUPYTER_RUNTIME_DIR": tmp_path,
        "PYTHONPATH": ROOT,  # this library, and for the claims its examples
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    complaints = [one.text for one in outputs if one.get("name") == "stderr"]
    assert not complaints
    assert any("image/png" in one.get("data", {}) for one in code[-2].outputs)
