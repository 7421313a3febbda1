// SPDX-License-Identifier: MIT
#include <cstdio>
#include <optional>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
class Guest {  // a machine: one connection, and its messages
public:
    using Transport = Heartbeat<posix::Accepted<>>;
    explicit Guest(posix::Accepted<> accepted) : transport_{std::move(accepted), {.every = 10s, .dead_after = 25s}} {}

    void attach(Waker waker) {
        waker_ = std::move(waker);
        link_.emplace(std::move(transport_), 64, waker_, 1);  // 64 messages may wait; 1: the first of this machine's links
    }
    Instant deadline() const noexcept { return link_->deadline(); }
    void advance(Instant now) {
        link_->advance(now, 16, [&](const Bytes& message, Lane) {  // at most 16 messages a turn
            if (link_->send(message) != SendResult::sent) link_->abort();
            link_->close({.cause = Cause::planned}, 2s);  // no more is sent, what was sent leaves
        });
    }
    bool ended() const { return link_->ended(); }

private:
    Transport transport_;
    Waker waker_;
    std::optional<ServedLink<Transport>> link_;
};
// excerpt: end

struct App {
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) static_cast<void>(link.send(Bytes(5)));
    }
    void on_message(const Bytes& message) { std::printf("%d bytes came back\n", static_cast<int>(message.size())); }
};

int main() {
    posix::Loop loop;  // first: it lives longest
    std::optional<Guest> guest;
    posix::Listener listener{loop, [&](posix::Accepted<> accepted) {
                                 guest.emplace(std::move(accepted));
                                 loop.attach(*guest);
                             }};
    if (listener.listen({"127.0.0.1", 0})) return 1;
    Supervisor link{posix::Tcp{loop, {"127.0.0.1", listener.port()}}, MaxAttempts{1}, App{}};
    loop.attach(link);
    link.start();
    return loop.run_until([&] { return guest && guest->ended(); }, 10s) ? 0 : 1;
}
