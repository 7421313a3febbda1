#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How long programs over belay take to compile, as multiples of a file with <chrono>, <vector> and <string>.

    compile_time.py [--root DIR] [--compiler NAME] [--flags FLAGS] [--rounds N]

The time is that of the processor as a user, the median of the rounds. Each round compiles every program once, so that a
slow moment hits all of them. A program that does not compile, for example without its library, has no figure.
"""

import argparse
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile

BASE = "three headers"


def page_program(root, page, number):
    """The text of a program of a page: the first is 0."""
    return re.findall(r"```cpp\n(.*?)```", (root / "docs" / page).read_text(encoding="utf-8"), re.S)[number]


def without_belay(text):
    """The program of a page without its test: what it does with real sockets."""
    program, rest = text.split("// ---- its test ----")
    real = rest[rest.index("int main()"):rest.index("    for (int fixes")]
    return re.sub(r"#include <belay/.*\n", "", program) + real + "}\n"


def programs(root):
    """The text of each program, and the most that it may cost, by its row."""
    bench = root / "bench/compile"
    client = (root / "examples/websocket_client.cpp").read_text(encoding="utf-8")
    any_client = client.replace("beast/websocket.hpp", "beast/any_websocket.hpp").replace(
        "beast::WebSocket<>", "beast::AnyWebSocket")
    any_source = "#include <belay/{}_source.hpp>\n"
    simulated = (root / "docs/programs/test_asio_code.cpp").read_text(encoding="utf-8")
    return {
        BASE: ("#include <chrono>\n#include <vector>\n#include <string>\nint main() {}\n", None),
        "retry by hand": ((bench / "retry_by_hand.cpp").read_text(), None),
        "retry by name": ((bench / "retry.cpp").read_text(), 2.1),
        "retry by belay.hpp and drive.hpp": ((bench / "retry_by_umbrellas.cpp").read_text(), 3.0),
        "HTTP by hand": ((bench / "http_by_hand.cpp").read_text(), None),
        "HttpCalls and curl::Http": (page_program(root, "how-to/http-calls.md", 0), None),
        "curl::AnyHttpCalls": ((bench / "any_http_calls.cpp").read_text(), 6.0),
        "its source file, once": (any_source.format("curl/any_http_calls"), None),
        "WebSocket by hand": ((bench / "websocket_by_hand.cpp").read_text(), None),
        "beast::WebSocket": (client, None),
        "beast::AnyWebSocket": (any_client, 14.0),
        "its source file of Beast, once": (any_source.format("beast/any_websocket"), None),
        "asio by hand": (without_belay(simulated), None),
        "asio in a simulated world": (simulated, 15.0),
    }


def seconds_of(command):
    """Processor seconds of a compiler; None if it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, check=False)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    return spent if done.returncode == 0 else None


def measure(texts, command, rounds):
    """Seconds by row, one for each round; None where a program does not compile."""
    seconds = {row: [] for row in texts}
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "program.cpp"
        for _ in range(rounds):
            for row, text in texts.items():
                if seconds[row] is None:
                    continue
                source.write_text(text, encoding="utf-8")
                spent = seconds_of([*command, "-c", str(source), "-o", str(source.with_suffix(".o"))])
                seconds[row] = None if spent is None else [*seconds[row], spent]
    return seconds


def table(seconds, goals):
    """The lines of the table; a multiple is the median of those of the rounds."""
    lines = [f"{'program':<36}{'seconds':>9}{'multiple':>10}{'goal':>8}"]
    for row, spent in seconds.items():
        if spent is None:
            lines.append(f"{row:<36} does not compile here")
            continue
        multiple = statistics.median(one / base for one, base in zip(spent, seconds[BASE]))
        goal = f"{goals[row]:>8.1f}{'' if multiple <= goals[row] else '  not met'}" if goals[row] else ""
        lines.append(f"{row:<36}{statistics.median(spent):>9.2f}{multiple:>10.1f}{goal}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[1])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--flags", default="-O0")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found = programs(options.root)
    command = [options.compiler, "-std=c++20", *options.flags.split(), f"-I{options.root / 'include'}"]
    seconds = measure({row: text for row, (text, _) in found.items()}, command, options.rounds)
    print("\n".join(table(seconds, {row: goal for row, (_, goal) in found.items()})))


if __name__ == "__main__":
    main()
