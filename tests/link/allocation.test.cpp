// SPDX-License-Identifier: MIT
// Goal: in the steady state neither a message nor a dial allocates. Method: a counting operator
// new.
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"
#include "support/counting_new.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;

namespace {

struct IntSocket {
    using message_type = int;
    struct Connection {
        SendResult send(const int&) noexcept { return SendResult::sent; }
        void ping() noexcept { link.pong(); }
        void close(const Failure&) noexcept { link.closed(); }
        Link<int> link;
    };
    Link<int>* last;
    Connection open(const Link<int>& link) {
        *last = link;
        return {link};
    }
};

struct Passes {
    Verdict begin(const auto&) { return Verdict::pending(); }
    Verdict judge(const int& m, const auto&) {
        return m == 7 ? Verdict::passed() : Verdict::pending();
    }
};

struct SummingApp {
    std::uint64_t* sum;
    void on_message(int m, Lane) { *sum += static_cast<std::uint64_t>(m); }
};

}  // namespace

TEST_CASE("Supervisor allocates for no message and no dial once it is warm",
          "[link][supervisor][unit]") {
    Link<int> a, b;
    std::uint64_t sum = 0;
    Supervisor link{Bundle{Heartbeat{IntSocket{&a}, {.every = 1s, .dead_after = 3s}},
                           Validated{IntSocket{&b}, Passes{}}},
                    Policy{Backoff{FullJitter{}, Cap{100ms}, 1ms}, MaxAttempts{1'000'000}},
                    {},
                    SummingApp{&sum}};
    Instant now{};
    const auto run = [&] {
        for (int i = 0; i < 1000 && link.deadline() <= now; ++i) link.advance(now);
    };
    const auto connect = [&] {
        while (link.status().state != LinkState::connecting) {
            now = std::max(now, link.deadline());
            run();
        }
        a.opened();
        b.opened();
        int seven = 7;
        static_cast<void>(b.received(std::move(seven)));
        run();
    };
    const auto exchange = [&](int rounds) {
        for (int i = 0; i < rounds; ++i) {
            for (int k = 1; k <= 16; ++k) {
                static_cast<void>((k % 2 == 0 ? a : b).received(std::move(k)));
            }
            static_cast<void>(link.send(i, static_cast<Lane>(i % 2)));
            now += 100ms;
            run();
        }
    };
    {
        const Counting warming;
        link.start();
        run();
        connect();
        exchange(20);
        CHECK(warming.made() > 0);  // the counter counts the allocations of the queues
    }
    {
        const Counting messages;
        exchange(1000);
        CHECK(messages.made() == 0);
    }
    CHECK(sum > 100'000);
    const Counting dials;
    for (int i = 0; i < 500; ++i) {
        (i % 2 == 0 ? a : b).closed({.cause = Cause::lost});
        run();
        connect();
    }
    for (int i = 0; i < 100; ++i) {  // and with a graceful close
        link.stop();
        run();
        link.start();
        run();
        connect();
    }
    CHECK(dials.made() == 0);
    CHECK(link.status().state == LinkState::connected);
}
