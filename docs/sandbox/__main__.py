"""``python -m docs.sandbox``: run everything and write the page into the package."""

import jax

from docs.sandbox._page import PAGE, embed, render
from docs.sandbox._runs import compute_runs

if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    PAGE.write_text(render(embed(compute_runs())), encoding="utf-8", newline="\n")
    print(f"{PAGE}: {PAGE.stat().st_size:,} bytes")
