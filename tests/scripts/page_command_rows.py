# SPDX-License-Identifier: MIT
"""How page_commands.py checks each command of the pages: it runs here or elsewhere, or it cannot, with the reason."""

import dataclasses


@dataclasses.dataclass
class Run:
    """A command that runs here: with `quick` in the gate, else in the matrix."""
    quick: bool = False
    lines: int = 1  # how many commands of its block are one, because they need the same shell
    before: str = ""  # what the page says in other words
    instead: tuple = ()  # a part of the command, and what runs instead of it
    needs: str = ""  # a program that not every machine has
    server: bool = False  # it prints its address, and runs until it is interrupted
    beside: str = ""  # it runs while the server of this command does, in one shell with the others beside it


@dataclasses.dataclass
class Elsewhere:
    """A command that is run by a file with this text."""
    path: str
    text: str


@dataclasses.dataclass
class Cannot:
    reason: str


# The commands run in the clone, and share what they leave there.
INSTALLED = ('cmake -B build && DESTDIR="$STAGE" cmake --install build && '
             'export PKG_CONFIG_PATH="$STAGE/usr/local/share/pkgconfig" && cp tests/consumer/')
OWN_SERVER = "echo '#include <belay/beast/any_listener_source.hpp>' > listener.cpp"
# What is typed in one client appears in the other.
TWO_CLIENTS = ("sed -n '/^```js/,/^```/{/^```/!p}' docs/tutorials/collaboration-server.md > client.mjs && : > seen\n"
               "tail -f /dev/null | node client.mjs >> seen & { echo hello; tail -f /dev/null; } | node client.mjs &\n"
               "timeout 120 bash -c 'until grep -q hello seen; do sleep 0.1; done'")
PROGRAMS = "python3 tests/scripts/page_blocks.py --programs programs && "
QUICK_BENCH = Run(instead=("bench/run", "bench/run --quick"))
WHITEBOARD = Elsewhere("tests/programs/whiteboard.py", "commands(page, ")
DEMO = Elsewhere("tests/e2e/client_and_server.test.cpp", '"client", "--connect"')

# The command, in one line and without its comment. One that ends in " *" is the start of several.
ROWS = {
    "examples/run": Run(),
    "examples/run --help": Run(quick=True),
    "examples/run *": Run(),
    "tests/run": Run(),
    "tests/run --all": Run(),
    "tests/run --preset libcxx": Elsewhere("tests/scripts/matrix.py", '"tests/run", "--preset", "libcxx"'),
    "tests/run --preset mingw": Elsewhere("tests/scripts/matrix.py", '"tests/run", "--preset", "mingw"'),
    "BELAY_LARGE=1 tests/run --filter ^room/": Run(),
    "BELAY_SEEDS=100000 tests/run --filter ^session/": Run(instead=("100000", "1000")),
    "cmake --workflow --preset clang": Run(),
    ".ci/run": Cannot("it runs this script"),
    ".ci/matrix": Cannot("it runs this script"),
    ".ci/matrix --check": Elsewhere("tests/scripts/matrix_test.py", '"--check"'),
    "cmake -B build": Run(quick=True),
    "cmake -B build && cmake --install build": Run(quick=True, before='export DESTDIR="$STAGE"'),
    "conan create *": Cannot("Debian has no conan; where it is installed, consumer/conan runs it"),
    "conan install *": Cannot("Debian has no conan; where it is installed, consumer/conan runs it"),
    "vcpkg install *": Cannot("Debian has no vcpkg; where it is installed, consumer/vcpkg runs it"),
    "c++ -std=c++20 app.cpp $(pkg-config --cflags --libs belay)":
        Run(quick=True, needs="pkg-config", before=INSTALLED + "main.cpp app.cpp"),
    "c++ -std=c++20 app.cpp $(pkg-config --cflags --libs belay-sqlite belay-curl)":
        Run(quick=True, needs="pkg-config", before=INSTALLED + "components/main.cpp app.cpp"),
    "c++ -std=c++20 -O2 -Iinclude examples/stability_table.cpp && ./a.out": Run(),
    "c++ -std=c++20 -O1 -I belay/include client.cpp -o client && ./client": Run(before=(
        PROGRAMS + "ln -sfn . belay && cp programs/test-your-network-code.cpp client.cpp")),
    "tests/run --filter ^breaker/": Run(),
    "tests/run --filter ^breaker/trip_when$": Run(),
    'BELAY_FIRST_SEED=5001 BELAY_SEEDS=5000 build/clang/tests/tests_room "*hostile*"': Run(
        before="tests/run --build-only --filter ^room/", instead=("SEEDS=5000", "SEEDS=100")),
    'BELAY_DEPTH=11 build/release/tests/tests_link "SupervisorCore keeps its contract after every sequence of events*"': Run(
        before="cmake --preset release && ninja -C build/release tests_link", instead=("DEPTH=11", "DEPTH=6")),
    "bench/run": QUICK_BENCH,
    "bench/run *": QUICK_BENCH,
    "bench/run --build-only": Run(lines=3, needs="valgrind"),
    "BELAY_MASS_RECONNECT_SVG=docs/mass_reconnect.svg build/bench/bench/bench_link --benchmark_filter=mass_reconnect":
        Run(before="bench/run --build-only"),
    "node garbage.mjs --check":
        Run(needs="npm", before="source tests/scripts/install.sh && node_packages yjs && cd tests/node/yjs"),
    "tests/scripts/readme_excerpts.py --write": Run(quick=True),
    "docs/site/build --serve 8000": Run(server=True),
    "examples/whiteboard/run": Run(server=True, needs="npm"),
    "examples/whiteboard/run --permit bob demo view": Run(beside="examples/whiteboard/run"),
    'examples/whiteboard/run 8080 build/demo/whiteboard "dbname=boards"': WHITEBOARD,
    "createdb boards": WHITEBOARD,
    "examples/mcp_bridge/run": Run(server=True, needs="npm"),
    "examples/mcp_bridge/run URL FILE": Elsewhere("tests/*/mcp_bridge.test.cpp", "MCP_BRIDGE_BINARY"),
    "build/demo/examples/outage server --port 4000 --dir /tmp/server": DEMO,
    "build/demo/examples/outage client --connect 127.0.0.1:4000 --file notes.txt --dir /tmp/client": DEMO,
    "offline_notes *": Elsewhere("tests/*/offline_notes.test.cpp", '"show"'),
    "shared_list *": Elsewhere("tests/*/shared_list.test.cpp", '"server"'),
    "journal_inspect *": Elsewhere("tests/e2e/journal_inspect.test.cpp", '"--salvage"'),
    'tar -C "$DATA" *': WHITEBOARD,
    '"$SERVER" *': WHITEBOARD,
    'sqlite3 "$DATA/rights.db" *': WHITEBOARD,
    'cp -p "$DATA/secret" *': WHITEBOARD,
    "sqlite3 server.db \"VACUUM INTO 'copy.db'\"":
        Run(quick=True, needs="sqlite3", before="sqlite3 server.db 'CREATE TABLE notes (text)'"),
    "sqlite3 outbox.db VACUUM":
        Run(quick=True, needs="sqlite3", before="sqlite3 outbox.db 'CREATE TABLE operations (text)'"),
    "redis-cli --rdb FILE": Elsewhere("tests/redis/deployments.test.cpp", "redis-cli --rdb FILE"),
    "apt-get install *": Elsewhere("tests/scripts/install.sh", "need libboost-dev"),
    OWN_SERVER: Run(lines=6, server=True, needs="npm", before=PROGRAMS + "cp programs/collaboration-server.cpp server.cpp",
                    instead=("openssl rand -hex 32", "openssl rand -hex 32 | tee secret")),
    "b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }": Run(beside=OWN_SERVER, lines=3, before="SECRET=$(cat secret)"),
    "npm install yjs y-websocket ws": Run(beside=OWN_SERVER),
    "node client.mjs": Run(beside=OWN_SERVER, instead=("node client.mjs", TWO_CLIENTS)),
}
