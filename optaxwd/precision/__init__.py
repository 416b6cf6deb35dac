"""Low-precision parameters and states that lose neither decay nor gradient."""

__all__: list[str] = []
