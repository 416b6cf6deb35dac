"""One job in a process of its own: ``python -m benchmarks._worker JSON``.

The last line of its output is the result, as JSON.
"""

import json
import sys

import optaxwd


def main() -> None:
    """Run the job that the command line says."""
    options = json.loads(sys.argv[1])
    if options.get("one_pass"):
        optaxwd.enable_multi_output_fusion()
    # After the flags are set; what is imported may start JAX's backend.
    from benchmarks import _compiled, _leaves, _machine, _memory, _steps

    sections = {
        "machine": _machine.describe_machine,
        "steps": _steps.time_steps,
        "leaves": _leaves.time_leaves,
        "compiled": _compiled.examine_compiled,
        "memory": _memory.watch_memory,
        "audit": _memory.watch_audit,
    }
    print(json.dumps(sections[options["section"]](options)))


if __name__ == "__main__":
    main()
