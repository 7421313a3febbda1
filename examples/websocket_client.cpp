// SPDX-License-Identifier: MIT
// Keeps a WebSocket open, sends a word whenever it is connected, and ends after so many answers.
//   example_websocket_client PORT TARGET WORD ANSWERS
#include <belay/asio/loop.hpp>
#include <belay/beast/websocket.hpp>
#include <belay/belay.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

struct App {
    std::string word;
    int answers;

    void on_state(auto& link, const Transition& change) {
        std::printf("%s\n", to_string(change.to.state).data());
        if (change.to.state == LinkState::cooldown) {
            std::printf("  since %s\n", change.to.failure.message().c_str());
        }
        std::fflush(stdout);
        if (change.to.state != LinkState::connected) return;
        static_cast<void>(link.send(word));
    }
    void on_message(auto& link, const Bytes& message) {
        std::printf("answer: %s\n", std::string{as_text(message)}.c_str());
        std::fflush(stdout);
        if (--answers == 0) link.stop();
    }
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) return std::puts("usage: PORT TARGET WORD ANSWERS"), 2;
    const auto port = static_cast<std::uint16_t>(std::atoi(arguments[1]));

    boost::asio::io_context context;  // first: it lives longest
    AsioLoop loop{context};
    // Text, so that a browser's side needs no decoding. With TLS: docs/how-to/websocket-and-token.md.
    beast::WebSocket<> socket{
        context,
        {"127.0.0.1", port},
        {.target = arguments[2], .messages = {.frames = beast::WebSocketFrames::text}}};
    Supervisor link{
        Heartbeat{std::move(socket), {.every = 10s, .dead_after = 25s}},
        Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, CooldownOn{Cause::overloaded, 5s, 15s}},
        {},
        App{arguments[3], std::atoi(arguments[4])}};
    loop.attach(link);
    link.start();
    context.run();  // returns when nothing waits any more, because the link was stopped
    return link.observer().answers == 0 ? 0 : 1;
}
