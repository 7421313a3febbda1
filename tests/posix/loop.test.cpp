// SPDX-License-Identifier: MIT
// Goal: a loop with descriptors handles them and machines in the order that heartbeats rely on.
// Method: pairs of sockets and a manual clock.
#include <belay/posix/loop.hpp>

#include <cerrno>
#include <csignal>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/core/clocks.hpp>

#include "support/posix/watch_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("posix::Loop::stop may be called in a signal handler", "[posix][posix_loop][unit]") {
    static posix::Loop<>* running = nullptr;
    posix::Loop loop;
    running = &loop;
    struct sigaction stops {
    }, before{};
    stops.sa_handler = [](int) { running->stop(); };
    REQUIRE(::sigaction(SIGUSR1, &stops, &before) == 0);
    // ThreadSanitizer 14 creates a thread's record of signals at its first wait, and loses a signal
    // that arrives meanwhile.
    CHECK(loop.run_until([] { return true; }));
    // Another thread, so that the signal also arrives while the loop waits.
    std::thread other{[target = ::pthread_self()] { ::pthread_kill(target, SIGUSR1); }};
    loop.run();
    other.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_CASE("WakeupFd::signal does not change errno, because signal handlers call it",
          "[posix][posix_loop][fault]") {
    posix::detail::WakeupFd wakeup;
    // Fills an eventfd, so that the write fails. The other end of a pipe cannot be filled here.
    const std::uint64_t most = std::numeric_limits<std::uint64_t>::max() - 1;
    static_cast<void>(::write(wakeup.descriptor(), &most, sizeof most));
    errno = EDOM;
    wakeup.signal();
    const int after = errno;
    CHECK(after == EDOM);
}

TEST_CASE("Loop ends with a handler's exception, and calls the other handlers later",
          "[posix][posix_loop][fault]") {
    posix::Loop loop;
    Pair a, b;
    Handler first{loop}, second{loop};
    first.watch.start(a.ends[0], POLLIN);
    second.watch.start(b.ends[0], POLLIN);
    SECTION("by readiness") {
        a.ring();
        b.ring();
        first.action = [&] {
            a.drain();
            throw std::runtime_error{"handler"};
        };
        CHECK_THROWS_WITH(loop.run(), "handler");
    }
    SECTION("by soon") {
        second.watch.soon();
        first.watch.soon();
        first.action = [] { throw std::runtime_error{"handler"}; };
        CHECK_THROWS_WITH(loop.run(), "handler");
    }
    first.action = {};
    CHECK(loop.run_until([&] { return second.observed.size() == 1; }));
    CHECK(first.observed.size() == 1);
}

TEST_CASE("Loop reads descriptors before it runs timers", "[posix][posix_loop][unit]") {
    ManualClock clock;
    posix::Loop loop{clock.view()};
    Pair pair;
    std::vector<std::string> order;
    Handler h{loop};
    h.watch.start(pair.ends[0], POLLIN);
    h.action = [&] {
        pair.drain();
        order.emplace_back("data");
    };
    struct TimerMachine {
        void attach(Waker w) { waker = std::move(w); }
        Instant deadline() const noexcept { return due; }
        void advance(Instant) {
            due = never;
            order->emplace_back("timer");
        }
        std::vector<std::string>* order;
        Instant due;
        Waker waker;
    } judge{&order, after(clock.now(), 10s), {}};
    loop.attach(judge);
    round(loop);
    // A long suspend: both are late.
    pair.ring();
    clock.advance(1h);
    round(loop);
    CHECK(order == std::vector<std::string>{"data", "timer"});
}

TEST_CASE("Loop waits in the kernel until a descriptor is ready", "[posix][posix_loop][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], POLLIN);
    int rounds = 0;
    loop.post([&] { pair.ring(); });
    CHECK(loop.run_until([&] {
        ++rounds;
        return !h.observed.empty();
    }));
    CHECK(rounds <= 3);
}
