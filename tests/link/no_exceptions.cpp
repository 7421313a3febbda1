// SPDX-License-Identifier: MIT
// Goal: a supervised connection with every decorator works in a program built without exceptions
// and RTTI.
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/tee.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/requests.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct Socket {
    using message_type = std::string;
    struct Connection {
        SendResult send(const std::string&) noexcept { return SendResult::sent; }
        void ping() noexcept { link.pong(); }
        void close(const Failure&) noexcept { link.closed(); }
        Link<std::string> link;
    };
    Link<std::string>* last;
    Connection open(const Link<std::string>& link) {
        *last = link;
        link.opened();
        return {link};
    }
    Connection open(const Link<std::string>& link, int) { return open(link); }
};

struct Check {
    Verdict begin(const auto& say) {
        return say("hello") == SendResult::sent ? Verdict::pending() : Verdict::rejected();
    }
    Verdict judge(const std::string& m, const auto&) {
        return m == "welcome" ? Verdict::passed() : Verdict::rejected();
    }
};

struct Source {
    using token_type = int;
    void operator()(Completion<int> done) { done(1); }
};

struct App {
    int* messages;
    void on_message(std::string) { ++*messages; }
};

struct Sink {
    int* lines;
    void operator()(std::string_view) { ++*lines; }
};

/// Returns whether a question gets its answer.
bool asks() {
    Link<std::string> handle;
    Requests requests{Socket{&handle}, Policy{Backoff{NoJitter{}, Cap{8s}, 1s}}, part::InOrder{}};
    const auto run = [&] {
        requests.advance(Instant{});
        while (requests.deadline() == always) requests.advance(Instant{});
    };
    run();
    requests.start();
    run();
    bool answered = false;
    const auto done = [&](const Result<std::string, Failure>& a) { answered = a && *a == "yes"; };
    const auto asked = requests.ask("well?", 1s, done);
    static_cast<void>(handle.received("yes"));
    run();
    return asked && answered;
}

}  // namespace

int main() {
    Link<std::string> a, b;
    int messages = 0, lines = 0;
    Supervisor link{
        Bundle{Validated{Heartbeat{Socket{&a}, {.every = 10s, .dead_after = 25s}}, Check{}},
               WithToken{Socket{&b}, Source{}}},
        Policy{Backoff{NoJitter{}, Cap{8s}, 1s}},
        {},
        Tee{LinkLog{Sink{&lines}}, App{&messages}}};
    const auto run = [&](Duration now) {
        for (int i = 0; i < 100 && link.deadline() <= Instant{now}; ++i) link.advance(Instant{now});
    };
    const auto receive = [](const Link<std::string>& from, std::string m) {
        static_cast<void>(from.received(std::move(m)));
    };
    link.start();
    run(0s);
    receive(a, "welcome");
    receive(b, "x");
    run(0s);
    if (link.status().state != LinkState::connected || messages != 1) return 1;
    for (int s = 10; s <= 100; s += 10) run(std::chrono::seconds{s});  // the heartbeat runs
    if (link.status().state != LinkState::connected) return 2;
    b.closed();
    run(100s);
    run(101s);
    if (link.status().state != LinkState::connecting || lines != 2) return 3;
    receive(a, "go away");
    run(101s);
    if (link.status().failure.error() != LinkErrc::not_validated) return 4;
    if (!asks()) return 6;
    link.stop();
    return link.status().state == LinkState::stopped && !a.alive() ? 0 : 5;
}
