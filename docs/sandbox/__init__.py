"""The two-coordinate sandbox: runs by the library, and the page that shows them.

``python -m docs.sandbox`` writes the page into the package, from where
``python -m optaxwd sandbox`` opens it. The page looks numbers up and computes none.
"""
