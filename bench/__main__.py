"""Run every bench, one after the other: `python -m bench [NAME...]`; options of one follow its name.

What cannot be measured on this machine, and what failed, is listed at the end. `python -m bench report` makes
docs/performance.md of what is kept (`bench._page`).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from itertools import dropwhile, takewhile

import bench
from bench import _page
from bench._skips import SKIPPED


def main() -> None:
    """Run the benches named on the command line, or all; one that fails does not keep the next from running."""
    if sys.argv[1:2] == ["report"]:
        _page.main(sys.argv[2:])
        return
    known = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))
    names = list(takewhile(_is_name, sys.argv[1:]))
    options = list(dropwhile(_is_name, sys.argv[1:]))
    for name in names:
        if name not in known:
            raise SystemExit(f"no bench is called {name}; there are {', '.join(known)}")
    if options and len(names) != 1:
        raise SystemExit(f"{options[0]}: options are those of one bench, and come after its name")
    failed = []
    for name in names or known:
        run = getattr(importlib.import_module(f"bench.{name}"), "main", None)
        if run is None:
            continue
        takes_options = bool(inspect.signature(run).parameters)
        if options and not takes_options:
            raise SystemExit(f"the bench {name} takes no options")
        print(f"== {name}", flush=True)
        try:
            run(options) if takes_options else run()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    if SKIPPED:
        print("== skipped")
        print("\n".join(SKIPPED))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _is_name(argument: str) -> bool:
    return not argument.startswith("-")


if __name__ == "__main__":
    main()
