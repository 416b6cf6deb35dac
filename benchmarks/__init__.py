"""Speed, memory and compile time, beside Optax, PyTorch and the memory's bandwidth.

Run ``python -m benchmarks``; ``--help`` says what can be chosen.
"""
