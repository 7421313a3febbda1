// SPDX-License-Identifier: MIT
// Keeps lines for a server that is killed, and sends them when it is back.
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>

#include "line_server.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

/// The server answers each line, in order. So each answer acknowledges the first line in flight.
struct App {
    void on_message(auto& outbox, const Bytes& answer) {
        std::printf("%s\n", std::string{as_text(answer)}.c_str());
        if (outbox.acknowledge()) std::printf("an answer to no line\n");
    }
};

int main() {
    LineServer server;  // another process
    posix::Loop loop;
    Outbox outbox{posix::Tcp{loop, {"127.0.0.1", server.port()}, Lines{}},
                  Policy{Backoff{FullJitter{}, Cap{100ms}, 5ms}}, Queue{Deque<Bytes>{1000}},
                  OutboxOptions{.promise = OutboxOptions::at_least_once}, App{}};
    loop.attach(outbox);
    outbox.start();
    const auto done = [&] { return outbox.depth() == 0; };
    if (outbox.push("line 1") || !loop.run_until(done, 10s)) return 1;
    server.kill();
    if (outbox.push("line 2") || outbox.push("line 3")) return 1;
    loop.run_until([] { return false; }, 20ms);
    std::printf("the server is killed, and %d lines wait\n", static_cast<int>(outbox.depth()));
    server.start();
    return loop.run_until(done, 10s) ? 0 : 1;
}
