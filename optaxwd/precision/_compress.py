def compress_state(*a, **k):
    raise NotImplementedError
