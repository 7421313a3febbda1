// SPDX-License-Identifier: MIT
// Goal: watches call when, and only when, their descriptor is ready, whatever handlers do to them.
#include <belay/drive/posix/loop.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

#include <belay/core/manual_clock.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Two connected sockets.
struct Pair {
    Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0); }
    Pair(const Pair&) = delete;
    ~Pair() {
        hang_up();
        ::close(ends[0]);
    }
    void ring() { REQUIRE(::write(ends[1], "x", 1) == 1); }
    void drain() {
        char c[16];
        while (::read(ends[0], c, sizeof c) > 0) {
        }
    }
    void hang_up() {
        if (ends[1] >= 0) ::close(ends[1]);
        ends[1] = -1;
    }
    int ends[2];
};

struct Handler {
    explicit Handler(posix::Poller& poller)
        : watch{poller, this, [](void* self, short revents) {
                    auto& h = *static_cast<Handler*>(self);
                    h.seen.push_back(revents);
                    if (h.action) h.action();
                }} {}
    std::vector<short> seen;
    std::function<void()> action;
    posix::Watch watch;
};

template <class L>
void round(L& loop) {
    REQUIRE(loop.run_until([] { return true; }));
}

}  // namespace

TEST_CASE("Watch calls for as long as its descriptor is ready", "[drive][posix_loop][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], POLLIN);
    CHECK(loop.watched() == 1);
    round(loop);
    CHECK(h.seen.empty());
    pair.ring();
    round(loop);
    round(loop);
    CHECK(h.seen == std::vector<short>{POLLIN, POLLIN});
    pair.drain();
    round(loop);
    CHECK(h.seen.size() == 2);
    h.watch.modify(POLLOUT);
    round(loop);
    CHECK(h.seen.back() == POLLOUT);
    h.watch.stop();
    CHECK(loop.watched() == 0);
    round(loop);
    CHECK(h.seen.size() == 3);
    h.watch.start(pair.ends[0], POLLOUT);
    round(loop);
    CHECK(h.seen.size() == 4);
}

TEST_CASE("Watch without events is silent even when the peer has hung up",
          "[drive][posix_loop][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], 0);
    pair.hang_up();
    round(loop);
    CHECK(h.seen.empty());
    h.watch.modify(POLLIN);
    round(loop);
    CHECK(h.seen.size() == 1);
    h.watch.modify(0);
    round(loop);
    CHECK(h.seen.size() == 1);
}

TEST_CASE("Watch handlers may end and begin any watch", "[drive][posix_loop][fault]") {
    posix::Loop loop;
    std::vector<std::unique_ptr<Pair>> pairs;
    std::vector<std::unique_ptr<Handler>> handlers;
    int calls = 0;
    for (int i = 0; i < 5; ++i) {
        pairs.push_back(std::make_unique<Pair>());
        pairs.back()->ring();
        handlers.push_back(std::make_unique<Handler>(loop));
        handlers.back()->watch.start(pairs.back()->ends[0], POLLIN);
        handlers.back()->action = [&] { ++calls; };
    }
    Pair fresh_pair;
    fresh_pair.ring();
    Handler fresh{loop};
    // The second ends the first, its neighbours and itself, and begins another.
    handlers[1]->action = [&] {
        ++calls;
        auto dying = std::move(handlers[1]->action);
        fresh.watch.start(fresh_pair.ends[0], POLLIN);
        handlers[0].reset();
        handlers[2].reset();
        handlers[1].reset();
    };
    round(loop);
    CHECK(calls == 4);  // 0, 1, 3, 4
    CHECK(fresh.seen.empty());
    CHECK(loop.watched() == 3);
    round(loop);
    CHECK(calls == 6);
    CHECK(fresh.seen.size() == 1);
}

TEST_CASE("Watch may outlive its loop", "[drive][posix_loop][fault]") {
    Pair pair;
    auto loop = std::make_unique<posix::Loop<>>();
    Handler h{*loop}, idle{*loop};
    h.watch.start(pair.ends[0], POLLIN);
    h.watch.soon();
    loop.reset();
    CHECK_FALSE(h.watch.active());
    h.watch.modify(POLLIN);
    h.watch.soon();
    h.watch.stop();
    idle.watch.soon();
}

TEST_CASE("Watch::soon brings one call at the end of the round", "[drive][posix_loop][unit]") {
    posix::Loop loop;
    Pair a, b;
    Handler first{loop}, second{loop}, ended{loop};
    first.watch.start(a.ends[0], POLLIN);
    second.watch.start(b.ends[0], POLLIN);
    ended.watch.soon();
    loop.post([&] {
        first.watch.soon();
        first.watch.soon();
        second.watch.soon();
    });
    first.action = [&] { first.watch.soon(); };
    round(loop);
    CHECK(first.seen == std::vector<short>{0});
    CHECK(second.seen == std::vector<short>{0});
    CHECK(ended.seen.empty());
    first.action = {};
    // The loop does not wait while somebody is to be called.
    CHECK(loop.run_until([&] { return first.seen.size() == 2; }));
    round(loop);
    CHECK(first.seen.size() == 2);
}

TEST_CASE("Loop is left by what a handler throws, and calls the others later",
          "[drive][posix_loop][fault]") {
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
    CHECK(loop.run_until([&] { return second.seen.size() == 1; }));
    CHECK(first.seen.size() == 1);
}

TEST_CASE("Loop reads descriptors before it lets timers judge", "[drive][posix_loop][unit]") {
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
    struct Judge {
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

TEST_CASE("Loop waits in the kernel until a descriptor is ready", "[drive][posix_loop][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], POLLIN);
    int rounds = 0;
    loop.post([&] { pair.ring(); });
    CHECK(loop.run_until([&] {
        ++rounds;
        return !h.seen.empty();
    }));
    CHECK(rounds <= 3);
}
