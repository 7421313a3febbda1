// SPDX-License-Identifier: MIT
#include <cstdio>
#include <optional>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Greeter {
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) static_cast<void>(link.send(Bytes(5)));
    }
};
struct App {
    std::size_t received = 0;
    void on_message(const Bytes& message) { received += message.size(); }
};

int main() {
    // excerpt: begin
    posix::Loop loop;  // first: it lives longest
    const Policy once{MaxAttempts{1}};
    std::optional<Supervisor<Heartbeat<posix::Accepted<>>, Policy<MaxAttempts>, Greeter>> guest;
    const auto greet = [&](posix::Accepted<> connection) {
        guest.emplace(Heartbeat{std::move(connection), {.every = 10s, .dead_after = 25s}}, once, Greeter{});
        loop.attach(*guest);
        guest->start();
    };
    posix::Listener listener{loop, greet};
    if (listener.listen({"127.0.0.1", 0})) return 1;

    Supervisor link{Heartbeat{posix::Tcp{loop, {"localhost", listener.port()}}, {.every = 10s, .dead_after = 25s}},
                    Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}, App{}};
    loop.attach(link);
    link.start();
    // excerpt: end
    const bool greeted = loop.run_until([&] { return link.observer().received == 5; }, 10s);
    std::printf("%s\n", greeted ? "greeted over TCP" : "nobody answered");
    return greeted ? 0 : 1;
}
