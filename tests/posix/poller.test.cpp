// SPDX-License-Identifier: MIT
// Goal: watches call when, and only when, their descriptor is ready, also if handlers change them.
// Method: pairs of sockets.
#include <belay/posix/poller.hpp>

#include <memory>
#include <vector>

#include <sys/resource.h>

#include <belay/posix/loop.hpp>

#include "support/posix/watch_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("Watch calls for as long as its descriptor is ready", "[posix][posix_poller][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], POLLIN);
    CHECK(loop.watched() == 1);
    round(loop);
    CHECK(h.observed.empty());
    pair.ring();
    round(loop);
    round(loop);
    CHECK(h.observed == std::vector<short>{POLLIN, POLLIN});
    pair.drain();
    round(loop);
    CHECK(h.observed.size() == 2);
    h.watch.modify(POLLOUT);
    round(loop);
    CHECK(h.observed.back() == POLLOUT);
    h.watch.stop();
    CHECK(loop.watched() == 0);
    round(loop);
    CHECK(h.observed.size() == 3);
    h.watch.start(pair.ends[0], POLLOUT);
    round(loop);
    CHECK(h.observed.size() == 4);
}

TEST_CASE("Watch without events makes no calls even when the peer has closed",
          "[posix][posix_poller][unit]") {
    posix::Loop loop;
    Pair pair;
    Handler h{loop};
    h.watch.start(pair.ends[0], 0);
    pair.hang_up();
    round(loop);
    CHECK(h.observed.empty());
    h.watch.modify(POLLIN);
    round(loop);
    CHECK(h.observed.size() == 1);
    h.watch.modify(0);
    round(loop);
    CHECK(h.observed.size() == 1);
}

TEST_CASE("Watch handlers may stop and start any watch", "[posix][posix_poller][fault]") {
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
    // The second stops the first, its neighbours and itself, and starts another one.
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
    CHECK(fresh.observed.empty());
    CHECK(loop.watched() == 3);
    round(loop);
    CHECK(calls == 6);
    CHECK(fresh.observed.size() == 1);
}

TEST_CASE("Watch::modify cancels a call that is due in the same round",
          "[posix][posix_poller][fault]") {
    posix::Loop loop;
    Pair pairs[3];
    Handler first{loop}, ended{loop}, writes{loop};
    Handler* const all[] = {&first, &ended, &writes};
    for (int i = 0; i < 3; ++i) {
        pairs[i].ring();
        all[i]->watch.start(pairs[i].ends[0], POLLIN);
    }
    first.action = [&] {
        ended.watch.modify(0);
        writes.watch.modify(POLLOUT);
    };
    round(loop);
    CHECK(ended.observed.empty());
    CHECK(writes.observed.empty());
    round(loop);
    CHECK(ended.observed.empty());
    CHECK(writes.observed == std::vector<short>{POLLOUT});
}

TEST_CASE("Poller serves all watches after the limit of open files was lowered below their number",
          "[posix][posix_poller][fault]") {
    struct Limit {
        explicit Limit(rlim_t files) {
            REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
            const rlimit lower{files, before.rlim_max};
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &lower) == 0);
        }
        ~Limit() { ::setrlimit(RLIMIT_NOFILE, &before); }
        rlimit before{};
    };
    posix::Loop loop;
    Pair pairs[10];
    std::vector<std::unique_ptr<Handler>> handlers;
    for (const Pair& pair : pairs) {
        handlers.push_back(std::make_unique<Handler>(loop));
        handlers.back()->watch.start(pair.ends[0], POLLIN);
    }
    const auto reports = [&](std::size_t i) {
        pairs[i].ring();
        handlers[i]->action = [&, i] { pairs[i].drain(); };
        const std::size_t before = handlers[i]->observed.size();
        return loop.run_until([&] { return handlers[i]->observed.size() > before; }, 5min);
    };
    {
        const Limit limit{4};
        CHECK(reports(9));
        CHECK(reports(0));
        loop.post([] {});
        round(loop);
        // It pauses before it tries again.
        int rounds = 0;
        loop.run_until([&] { return ++rounds < 0; }, 20ms);
        CHECK(rounds < 30);
    }
    {
        const Limit none{0};
        bool timed = false;
        loop.after(1ms, [&] { timed = true; });
        CHECK(loop.run_until([&] { return timed; }, 5min));
    }
    CHECK(reports(9));
}

TEST_CASE("Watch may outlive its loop", "[posix][posix_poller][fault]") {
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

TEST_CASE("Watch::soon makes one call at the end of the round", "[posix][posix_poller][unit]") {
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
    CHECK(first.observed == std::vector<short>{0});
    CHECK(second.observed == std::vector<short>{0});
    CHECK(ended.observed.empty());
    first.action = {};
    // The loop does not wait while a call is due.
    CHECK(loop.run_until([&] { return first.observed.size() == 2; }));
    round(loop);
    CHECK(first.observed.size() == 2);
}
