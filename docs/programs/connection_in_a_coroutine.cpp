// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/link/awaitable.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Echo {  // the server, in the same loop
    void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
};
using Guest = Supervisor<posix::Accepted<>, MaxAttempts, Echo>;

// excerpt: begin
Task<bool> talk(auto& link) {
    while (co_await connected(link)) {  // until the link is stopped, has failed or is blocked
        static_cast<void>(link.send(Bytes(5)));
        while (auto message = co_await receive(link)) {  // until this connection ends
            std::printf("%d bytes came back\n", static_cast<int>(message->size()));
            link.stop();
        }
    }
    co_return true;
}
// excerpt: end

int main() {
    posix::Loop loop;  // first: it lives longest
    std::optional<Guest> guest;
    posix::Listener listener{loop, [&](posix::Accepted<> accepted) {
                                 guest.emplace(std::move(accepted), MaxAttempts{1}, Echo{});
                                 loop.attach(*guest);
                                 guest->start();
                             }};
    if (listener.listen({"127.0.0.1", 0})) return 1;
    // excerpt: begin
    Supervisor link{Heartbeat{posix::Tcp{loop, {"127.0.0.1", listener.port()}}, {.every = 10s, .dead_after = 25s}},
                    Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}, LinkAwaits{}};
    loop.attach(link);
    link.start();
    Task<bool> task = talk(link);
    task.start();
    // excerpt: end
    return loop.run_until([&] { return task.done(); }, 10s) ? 0 : 1;
}
