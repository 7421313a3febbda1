// SPDX-License-Identifier: MIT
/// \file tests/support/asio/loop_suite.hpp
/// The tests of AsioLoop in an io_context, for both kinds of asio.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include <belay/asio/loop.hpp>
#include <belay/drive/driver_check.hpp>

#include "support/catch.hpp"
#include "support/drive/ticker.hpp"

namespace belay_test {

using namespace belay;
using namespace std::chrono_literals;

template <class Context>
struct AsioLoopSuite {
    /// The driver for check::driver.
    struct Rig {
        Context context{};
        AsioLoop<Context> driver{context};
        void run_once() {
            context.restart();
            context.run_one_for(1ms);
            context.poll();
        }
    };
    static void checked() {
        const auto broken = check::driver([] { return std::make_unique<Rig>(); });
        INFO((broken ? to_string(*broken) : ""));
        CHECK_FALSE(broken.has_value());
    }
    static void runs_machines() {
        Context context;
        AsioLoop loop{context};
        static_assert(DriverLike<AsioLoop<Context>>);
        Ticker ticker{.every = 1ms};
        loop.attach(ticker);
        CHECK(ticker.turns == 0);  // no machine runs outside of run()
        bool timed = false;
        const Instant begun = loop.now();
        loop.after(3ms, [&] { timed = loop.now() >= after(begun, 3ms); });
        std::thread::id home;
        std::thread other{[&] { loop.post([&] { home = std::this_thread::get_id(); }); }};
        while (ticker.turns < 5 || !timed || home == std::thread::id{}) context.run_one();
        other.join();
        CHECK(home == std::this_thread::get_id());
    }
    static void context_ends() {
        Context context;
        AsioLoop loop{context};
        Ticker ticker;
        ticker.every = forever;
        loop.attach(ticker);
        context.run();
        CHECK(ticker.turns == 1);
        ticker.due = always;
        ticker.waker.touch();
        context.restart();
        context.run();
        CHECK(ticker.turns == 2);
    }
    static void timer_comes_once() {
        Context context;
        detail::AsioEvents<Context> events{context};
        std::string reported;
        const Instant soon = after(events.now(), 1ms);
        typename detail::AsioOf<Context>::Timer earlier{context};
        earlier.expires_at(soon);
        // Both timers have expired when the context looks. The handler of the second is queued
        // after that of the first, and cannot be cancelled any more.
        earlier.async_wait([&](const auto&) {
            reported += "asked again, ";
            events.call_at(events.now(), [&] { reported += "second"; });
        });
        events.call_at(after(soon, 1us), [&] { reported += "first, "; });
        while (events.now() <= after(soon, 1us)) {
        }
        context.run();
        CHECK(reported == "asked again, second");
    }
    static void loop_may_end() {
        Context context;
        std::optional<AsioLoop<Context>> loop{std::in_place, context};
        Ticker ticker{.every = 1ms};
        loop->attach(ticker);
        context.run_one();
        REQUIRE(ticker.turns == 1);
        int ran = 0;
        SECTION("with a call queued") {
            ticker.due = always;
            ticker.waker.touch();
            loop.reset();
            context.run();
        }
        SECTION("with the timer's handler queued") {
            const Instant due = ticker.due;
            while (loop->now() < due) {
            }
            loop.reset();
            context.run();
        }
        SECTION("in a machine's turn") {
            struct Last {
                void attach(Waker w) { waker = std::move(w); }
                [[nodiscard]] Instant deadline() const noexcept { return always; }
                void advance(Instant) {
                    ++*ran;
                    loop->reset();
                }
                std::optional<AsioLoop<Context>>* loop;
                int* ran;
                Waker waker{};
            };
            Last last{&loop, &ran};
            ticker.due = never;
            ticker.waker.touch();
            loop->attach(last);
            context.run();
            CHECK(ran == 1);
        }
        SECTION("in a timer's call") {
            ticker.due = never;
            ticker.waker.touch();
            loop->after(0ns, [&] {
                ++ran;
                loop.reset();
            });
            loop->after(0ns, [&] { ++ran; });
            context.run();
            CHECK(ran == 1);
        }
        CHECK_FALSE(loop.has_value());
        CHECK(ticker.turns == 1);
        ticker.waker.touch();
        ticker.waker.handle().wake();
        CHECK(ticker.waker.now() == always);
    }
    static void context_may_end() {
        const auto held = std::make_shared<int>(7);
        Ticker ticker;
        {
            Context context;
            AsioLoop loop{context};
            loop.attach(ticker);
            loop.post([held] { FAIL("the loop must not run it"); });
            loop.after(1h, [held] { FAIL("the loop must not run this either"); });
        }
        CHECK(held.use_count() == 1);
        CHECK(ticker.turns == 0);
    }
    static void machine_throws() {
        Context context;
        AsioLoop loop{context};
        Ticker bad, good;
        bad.throws = true;
        bad.every = good.every = forever;
        loop.attach(bad);
        loop.attach(good);
        CHECK_THROWS_AS(context.run(), std::runtime_error);
        context.run();
        CHECK(good.turns == 1);
    }
    static void woken_by_threads() {
        Context context;
        std::optional<AsioLoop<Context>> loop{std::in_place, context};
        Ticker ticker;
        ticker.every = forever;
        loop->attach(ticker);
        const auto run_once = [&] {
            context.restart();
            context.poll();
        };
        wake_beyond_the_end(ticker, run_once, [&] { loop.reset(); });
        run_once();
        CHECK(ticker.turns == 1);
    }
};

}  // namespace belay_test
