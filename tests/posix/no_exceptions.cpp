// SPDX-License-Identifier: MIT
// Goal: a loop, both ends of a connection, and the check of HTTP clients work in a program built
// without exceptions and RTTI.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/posix/http_check.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Sends back what it receives.
struct Echo {
    void on_message(auto& link, Bytes message) { static_cast<void>(link.send(std::move(message))); }
};

/// Sends one request.
struct EchoApp {
    Bytes answer{};

    void on_state(auto& link, const Transition& t) {
        if (t.to.state != LinkState::connected) return;
        static_cast<void>(link.send(to_bytes("hello")));
    }
    void on_message(auto&, Bytes message) { answer = std::move(message); }
};

/// A client that drops each request.
struct UnresponsiveHttpRig {
    struct Http {
        struct Handle {};
        Handle request(HttpRequest, Completion<HttpResponse>) { return {}; }
    };
    Http http{};
    void run_once() {}
};
bool judges_http_clients() {
    return check::http([] { return std::make_unique<UnresponsiveHttpRig>(); }) ==
           check::HttpRule::answers;
}

}  // namespace

int main() {
    posix::Loop<> loop;
    std::optional<Supervisor<posix::Accepted<>, MaxAttempts, Echo>> served;
    posix::Listener listener{loop, [&](posix::Accepted<> accepted) {
                                 served.emplace(std::move(accepted), MaxAttempts{1},
                                                SupervisorOptions{}, Echo{});
                                 loop.attach(*served);
                                 served->start();
                             }};
    if (!judges_http_clients()) return 3;
    if (listener.listen({"127.0.0.1", 0})) return 1;
    Supervisor link{
        posix::Tcp{loop, {"127.0.0.1", listener.port()}}, MaxAttempts{1}, {}, EchoApp{}};
    loop.attach(link);
    link.start();
    const auto over = [&] {
        return !link.observer().answer.empty() || link.status().state == LinkState::failed;
    };
    static_cast<void>(loop.run_until(over));
    return as_text(link.observer().answer) == "hello" ? 0 : 2;
}
