#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants differences between the tables of a room's clients, and sees room_tables.py find them."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import room_tables  # noqa: E402

HEAD = "| state | event | next | actions |\n|---|---|---|---|\n"
CLIENT = HEAD + ("| any | token | same | check |\n"
                 "| checking | close | closing | leave, open |\n"
                 "| joined | lost, ended | closed | leave |\n"
                 "| joined | tick, when the grant ends | joined | fail (unauthorized) |\n")
CONNECTION = HEAD + "| open | ended | closed | |\n"
CLIENT_TEST = "".join(f"    {{State::{state}, Event::token, State::{state}, {{.check = true}}}},\n"
                      for state in ("checking", "loading", "opening", "joined")) + """
    {State::checking,
     Event::close,
     State::closing,
     {.leave = Leave::before_joining, .open = true}},
    {State::joined, Event::lost, State::closed, {.leave = Leave::joined}},
    {State::joined, Event::ended, State::closed, {.leave = Leave::joined}},
// row: joined | tick, when the grant ends | joined | fail (unauthorized)
"""
CONNECTION_TEST = "    {State::open, Event::ended, State::closed},\n"
ROOM = HEAD + "| loading | loaded | clean | |\n"
ROOM_TEST = "    {State::loading, Event::loaded, State::clean},\n"


REASONS = """enum class RoomErrc {
    malformed = 1,  ///< the bytes
    forbidden = 5,  ///< no right
    full = 6        ///< too many
};
        none,       ///< none is sent
        invalid = 1007,
        forbidden = 4003,
        try_later = 1013
        {E::malformed, Cause::protocol, C::invalid, "malformed", "malformed"},
        {E{2}, Cause::protocol, C::invalid, "of_yjs", "unknown error"},
        {E::forbidden, Cause::forbidden, C::forbidden, "forbidden", "no right to this room",
         nullptr, W::client, S::as_forbidden},
        {E::full, Cause::overloaded, C::try_later, "full", "too many", "rooms_max", W::client},
"""
REASONS_PAGE = """| check | reason | close code |
| --- | --- | --- |
| not too many | `full` | none: it is dropped |
| the right | `forbidden`, `full` | 4003, 1013 |

| reason | close code | ends | option |
| --- | --- | --- | --- |
| `malformed` | 1007 | connection | |
| `forbidden` | 4003 | client | any text |
| `full` | 1013 | client | `rooms_max` |
"""


def as_comment(table):
    return "".join(f"/// {line}\n" for line in table.splitlines())


class RoomTablesTest(unittest.TestCase):
    def found(self, page=CLIENT + "\n" + CONNECTION, header=CLIENT, test=CLIENT_TEST):
        client, connection, room = room_tables.CORES
        files = {room_tables.PAGE: page + "\n" + ROOM,
                 client: as_comment(header), connection: as_comment(CONNECTION), room: as_comment(ROOM),
                 room_tables.CORES[client][0]: test, room_tables.CORES[connection][0]: CONNECTION_TEST,
                 room_tables.CORES[room][0]: ROOM_TEST}
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return list(room_tables.differences(root))

    def test_finds_nothing_where_all_agree(self):
        self.assertEqual(self.found(), [])

    def test_finds_a_page_that_differs(self):
        row = "| joined | lost, ended | closed | leave |\n"
        page = (CLIENT.replace(row, "") + "\n" + CONNECTION, CLIENT.replace(row, row + "| closed | lost | closed | abort |\n")
                + "\n" + CONNECTION, CLIENT)
        self.assertRegex(self.found(page=page[0])[0], "docs/design.md: the table lacks the row 'joined | lost, ended")
        self.assertRegex(self.found(page=page[1])[0], "client_core.hpp: the table lacks the row 'closed | lost")
        self.assertRegex(self.found(page=page[2])[0], "it has 2 tables of states, and must have 3")

    def test_finds_a_table_that_the_code_contradicts(self):
        for old, new in (("closing", "closed"), ("leave, open", "leave"), ("lost, ended", "lost"), ("any |", "joined |"),
                         ("same", "closed")):
            table = CLIENT.replace(old, new, 1)
            self.assertNotEqual(self.found(page=table + "\n" + CONNECTION, header=table), [], (old, new))

    def test_finds_rows_of_the_test_only(self):
        test = CLIENT_TEST + "    {State::closed, Event::ended, State::closed, {.abort = true}},\n"
        self.assertRegex(self.found(test=test)[0], "client_core.hpp: the table lacks 'closed | ended | closed | abort'")

    def test_finds_a_condition_without_a_test(self):
        self.assertRegex(self.found(test=CLIENT_TEST.replace("// row", "// now"))[0], "there is no test of the row 'joined | tick")
        table = CLIENT.replace("unauthorized", "no_answer")
        self.assertEqual(len(self.found(page=table + "\n" + CONNECTION, header=table)), 2)

    def in_arrays(self, events="Event::begun, Event::tick", model="Event::tick, Event::begun, Event::tick", states="State::open, State::gone"):
        enums = ("enum class State : std::uint8_t {\n    open,  ///< not closed\n    gone,\n    over\n};\n"
                 "enum class Event : std::uint8_t {\n    begun,  ///< first\n    tick\n};\n")
        arrays = f"constexpr State some_states[] = {{{states}}};\nconstexpr Event some_events[] = {{{events}}};\n"
        files = {room_tables.EXPLORATION: f"struct ClientModel {{\n    constexpr Event events[] = {{\n        {model}}};\n}};\n"}
        for header, (test, _) in room_tables.CORES.items():
            files |= {header: enums, test: arrays}
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return list(room_tables.missing_in_arrays(root))

    def test_finds_an_enumerator_that_no_array_has(self):
        self.assertEqual(self.in_arrays(), [])
        self.assertRegex(self.in_arrays(events="Event::begun")[0], "some_events must have all of Event of .*: begun, tick")
        self.assertRegex(self.in_arrays(states="State::open")[0], "some_states must have all of State of .*: open, gone")
        self.assertRegex(self.in_arrays(model="Event::tick")[0], "ClientModel::step must have Event::begun")

    def parts(self, listed="/// - `rooms`: `step` and `find`, for a room.\n"):
        header = ("/// This part calls\n" + listed + "///\n/// Thread safety: none.\n"
                  "template <class Document>\nclass Some {\n"
                  "    void f() {\n        parts_.rooms.step();  // parts_.rooms.other\n        parts_.rooms.find(1);\n"
                  "        parts_.answers.accept();\n    }\n    RoomModule<Document>& parts_;\n};\n")
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / room_tables.DETAIL / "some.hpp"
            path.parent.mkdir(parents=True)
            path.write_text("parts_.rooms.earlier();\n" + header, encoding="utf-8")
            return list(room_tables.part_differences(pathlib.Path(directory)))

    def test_finds_calls_of_parts_that_the_comment_lacks(self):
        self.assertEqual(self.parts(), [])
        self.assertRegex(self.parts("/// - `rooms`: `step`.\n")[0], "'This part calls' lacks `find` of `rooms`")
        self.assertRegex(self.parts("/// - `rooms`: `step`, `find` and `end`.\n")[0], "has, and the code has not, `end` of `rooms`")
        self.assertEqual(len(self.parts("/// - `edits`: `update`.\n")), 3)

    def reasons(self, header=REASONS, page=REASONS_PAGE):
        files = {room_tables.REASONS: header, room_tables.CLIENTS_PAGE: page,
                 room_tables.OPTIONS: "    std::size_t rooms_max = 10'000;\n"}
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return list(room_tables.reason_differences(root))

    def test_finds_nothing_where_the_reasons_agree(self):
        self.assertEqual(self.reasons(), [])

    def test_finds_reasons_that_differ(self):
        for old, new in (("    full = 6 ", "    full = 6,\n    other = 7 "), ('C::try_later, "full"', 'C::try_later, "ful"'), ('"rooms_max"', '"room_max"'),
                         ("C::try_later", "C::invalid"), ('"rooms_max", W::client', '"rooms_max", W::connection')):
            self.assertIn(old, REASONS)
            self.assertNotEqual(self.reasons(header=REASONS.replace(old, new)), [], (old, new))

    def test_finds_a_page_whose_reasons_differ(self):
        for old, new in (("| `malformed` | 1007 | connection | |\n", ""), ("4003 | client", "4001 | client"), ("| client | `rooms_max`", "| client | `other`"),
                         ("`forbidden`, `full` | 4003, 1013", "`forbidden`, `full` | 4003"), ("| check |", "| checks |"), ("`full` | 1013", "`ful` | 1013")):
            self.assertIn(old, REASONS_PAGE)
            self.assertNotEqual(self.reasons(page=REASONS_PAGE.replace(old, new)), [], (old, new))


if __name__ == "__main__":
    unittest.main()
