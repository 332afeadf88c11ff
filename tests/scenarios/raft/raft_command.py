"""Run a file of raft commands and print its trace; the format is in docs/design/raft.md.

scripts/raft-scenario FILE            prints commands and what they do now
scripts/raft-scenario --check FILE    says nothing, and fails where the file's output differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.scenarios.raft.raft_world import RaftWorld
from tests.support.datadriven import DASHES, output_of, parse, run_file


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of printing")
    parser.add_argument("file", type=Path, help="the scenario")
    options = parser.parse_args()
    world = RaftWorld()
    try:
        if options.check:
            run_file(options.file, world.handle, rewrite=False)
            return 0
        for block in parse(options.file.read_text(), may_lack_output=True):
            print("\n".join(block.comment + block.commands))
            if block.commands:
                print("\n".join([DASHES, *output_of(block, world.handle)]), flush=True)
            print()
    except OSError as error:
        sys.exit(f"raft-scenario: {error}")
    except (ValueError, KeyError, AssertionError) as error:
        sys.exit(f"raft-scenario: {options.file}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
