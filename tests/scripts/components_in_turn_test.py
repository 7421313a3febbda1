#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants commits: components_in_turn.py chooses what they changed, and each other component in its turn."""

import contextlib
import io
import re
import unittest
from unittest import mock

import components_in_turn as turn


def filter_of(commit, files=""):
    out = io.StringIO()
    with mock.patch.object(turn.mutants, "head", lambda _: commit), \
            mock.patch.object(turn.subprocess, "run", lambda *_, **__: mock.Mock(stdout=files)), \
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        turn.main()
    return re.compile(out.getvalue().strip())


class ComponentsInTurn(unittest.TestCase):
    def test_what_changed_has_its_turn_at_each_commit(self):
        files = "include/belay/queue/spsc_ring.hpp\ntests/support/sync/sync_rig.hpp\ntests/journal/journal.test.cpp\ndocs/call.md\n"
        for commit in range(3):
            regex = filter_of(str(commit), files)
            for name in ("queue/queue", "sync/replica", "journal/journal", "room/real_evicted", "scripts/layout",
                         "no_exceptions", "call/near_misses.fail", "adapter/lmdb_storage"):
                self.assertTrue(regex.search(name), name)

    def test_each_component_has_its_turn_and_no_commit_has_all(self):
        components = turn.components(turn.ROOT)
        self.assertGreater(len(components), 15)
        seen = set()
        for commit in range(40):
            now = {one for one in components if filter_of(str(commit)).search(f"{one}/any")}
            self.assertLess(len(now), len(components))
            seen |= now
        self.assertEqual(seen, components)


if __name__ == "__main__":
    unittest.main()
