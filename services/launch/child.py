"""Runs a module as a child that ends when its parent does: `python -m services.launch.child <module>`.

The parent holds the other end of standard input. However the parent dies, the pipe closes, and the child gets SIGTERM,
so that nothing is left behind by a kill -9.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_parent() -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock would be held at interpreter exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    module = sys.argv[1]
    sys.argv = [module, *sys.argv[2:]]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
