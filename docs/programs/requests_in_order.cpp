// SPDX-License-Identifier: MIT
#include <cstdio>
#include <optional>

#include <belay/belay.hpp>
#include <belay/link/requests.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Server {  // usually another program
    void on_message(auto& link, const Bytes& line) { static_cast<void>(link.send("re: " + std::string{as_text(line)})); }
};

int main() {
    posix::Loop loop;
    std::optional<Supervisor<posix::Accepted<Lines>, MaxAttempts, Server>> served;
    const auto serve = [&](posix::Accepted<Lines> accepted) {
        served.emplace(std::move(accepted), MaxAttempts{1}, Server{});
        loop.attach(*served);
        served->start();
    };
    posix::Listener listener{loop, serve, Lines{}};
    if (listener.listen({"127.0.0.1", 0})) return 1;

    // excerpt: begin
    Requests requests{posix::Tcp{loop, {"127.0.0.1", listener.port()}, Lines{}},
                      Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}, part::InOrder{}};
    loop.attach(requests);
    requests.start();
    bool done = false;
    const auto asked = requests.ask("tea?", 2s, [&](const Result<Bytes, Failure>& answer) {
        std::puts(answer ? std::string{as_text(*answer)}.c_str() : answer.error().message().c_str());
        done = true;
    });
    if (!asked) return std::puts(asked.error().message().c_str()), 1;
    // excerpt: end
    return loop.run_until([&] { return done; }, 10s) ? 0 : 1;
}
