// SPDX-License-Identifier: MIT
// Keeps a connection open over real sockets. The peer closes the first one, and belay reconnects.
#include <cstdio>
#include <memory>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// The observer of the connection: a struct with the hooks that the application needs.
struct App {
    posix::Loop<>& loop;
    int greetings = 0;

    void on_message(auto& link, const Bytes& message) {
        std::printf("received: %s\n", std::string{as_text(message)}.c_str());
        if (++greetings == 2) {
            link.stop();
            loop.stop();
        }
    }
    void on_state(const Transition& t) {
        std::printf("%s -> %s\n", to_string(t.from).data(), to_string(t.to.state).data());
    }
};

/// The peer. It greets every connection, and closes the first one at once.
class Host {
public:
    explicit Host(posix::Loop<>& loop) : loop_{loop} {}
    void operator()(posix::Accepted<> connection) {
        served_connections_.push_back(std::make_unique<ServedConnection>(
            std::move(connection), MaxAttempts{1}, SupervisorOptions{},
            Greeter{static_cast<int>(served_connections_.size()) + 1}));
        loop_.attach(*served_connections_.back());
        served_connections_.back()->start();
    }

private:
    struct Greeter {
        int number;
        void on_state(auto& link, const Transition& t) {
            if (t.to.state != LinkState::connected) return;
            static_cast<void>(link.send("hello, visit " + std::to_string(number)));
            if (number < 2) link.stop();
        }
    };
    using ServedConnection = Supervisor<posix::Accepted<>, MaxAttempts, Greeter>;

    posix::Loop<>& loop_;
    std::vector<std::unique_ptr<ServedConnection>> served_connections_{};
};

}  // namespace

int main() {
    posix::Loop<> loop;
    posix::Listener listener{loop, Host{loop}};
    if (const std::error_code e = listener.listen({"127.0.0.1", 0})) {
        std::printf("cannot listen: %s\n", e.message().c_str());
        return 2;
    }
    const posix::Endpoint peer{"127.0.0.1", listener.port()};
    // excerpt: begin
    const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
    const HeartbeatOptions heartbeat{.every = 10s, .dead_after = 25s};
    // App is the observer: it has on_message(link, message) and on_state(transition).
    Supervisor link{Heartbeat{posix::Tcp{loop, peer}, heartbeat}, policy, App{loop}};
    loop.attach(link);
    link.start();
    // excerpt: end
    const auto over = [&] { return link.observer().greetings == 2; };
    return loop.run_until(over, 10s) || over() ? 0 : 1;
}
