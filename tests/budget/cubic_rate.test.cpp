// SPDX-License-Identifier: MIT
// Goal: AdaptiveThrottle::CubicRate sends at the rates of botocore's adaptive mode, and follows what
// a server accepts. Method: the numbers of botocore's tests, a model with its formulas, a server in
// virtual time.
#include <belay/budget/cubic_rate.hpp>

#include <cmath>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::granted;

namespace {

using CubicRate = AdaptiveThrottle::CubicRate;

// The formulas of botocore/retries/throttling.py and adaptive.py, in seconds and calls per second.
struct CubicModel {
    double last_max = 0;
    double failed_at = 0;
    double zero = 0;
    double measured = 0;
    double rate = 0;  // 0: no limit
    double step_began = -1;
    double count = 0;

    void on_result(double now, bool throttled) {
        ++count;
        if (step_began < 0) step_began = now;
        const double steps = std::floor((now - step_began) / 0.5 + 1e-9);
        if (steps >= 1) {
            measured = count / (steps * 0.5) * 0.8 + measured * 0.2;
            count = 0;
            step_began += steps * 0.5;
        }
        if (!throttled && rate == 0) return;
        double next = 0.4 * std::pow(now - failed_at - zero, 3) + last_max;
        if (throttled) {
            last_max = rate == 0 ? measured : std::min(measured, rate);
            failed_at = now;
            zero = std::cbrt(last_max * 0.3 / 0.4);
            next = last_max * 0.7;
        }
        rate = std::max(0.5, std::min(next, 2 * measured));
    }
};

// A server that accepts a number of calls in each second, and callers that try every 5 ms.
struct Played {
    CubicRate rate{};
    CubicModel model{};
    Random bits{Seed{1}};
    Instant now{1000s};
    int accepted_per_second;
    int second_used = 0;
    Instant second_began = now;
    int sent = 0;
    int throttled = 0;

    explicit Played(int accepted) : accepted_per_second{accepted} {}

    void run(Duration time) {
        for (const Instant end = now + time; now < end; now += 5ms) {
            if (elapsed(second_began, now) >= 1s) second_began = now, second_used = 0;
            Turn turn{now, bits};
            auto permit = rate.acquire(turn);
            if (!permit) continue;
            ++sent;
            const bool accepts = second_used++ < accepted_per_second;
            model.on_result(std::chrono::duration<double>(now.time_since_epoch()).count(),
                            !accepts);
            if (accepts) {
                permit.success(turn);
            } else {
                ++throttled;
                static_cast<void>(
                    permit.failure(Failure{.cause = Cause::overloaded, .code = 429}, turn));
            }
        }
    }
};

}  // namespace

static_assert(ShareableLike<CubicRate> && !part::ReservableLike<CubicRate>);

TEST_CASE("CubicRate admits every attempt until the peer is overloaded",
          "[budget][cubic_rate][unit]") {
    CubicRate rate;
    Random bits{Seed{1}};
    Turn turn{Instant{1s}, bits};
    for (int i = 0; i < 1000; ++i) {
        auto permit = rate.acquire(turn);
        REQUIRE(permit);
        static_cast<void>(i % 2 == 0 ? permit.failure(Failure{Cause::lost}, turn)
                                     : permit.failure(turn));
        turn.now += 1ms;
    }
    CHECK(rate.rate_milli() == 0);
    CHECK(rate.admit(turn.now) == Advice::go());
}

TEST_CASE("CubicRate has the numbers of botocore's tests: 0.7 of the rate, and all of it after k",
          "[budget][cubic_rate][unit]") {
    CubicRate rate;
    Random bits{Seed{1}};
    Turn turn{Instant{100s}, bits};
    const auto result = [&](Duration later, bool overloaded) {
        turn.now += later;
        auto permit = rate.acquire(turn);
        REQUIRE(permit);
        if (overloaded) {
            static_cast<void>(permit.failure(Failure{Cause::overloaded}, turn));
        } else {
            permit.success(turn);
        }
        return rate.rate_milli();
    };
    // Ten calls per second for a long time.
    for (int i = 0; i < 600; ++i) result(100ms, false);
    const std::uint64_t reduced = result(100ms, true);
    CHECK(reduced >= 6990);
    CHECK(reduced <= 7000);
    // k is 1.957 s: after it, the rate is that at the overload.
    std::uint64_t seen = 0;
    for (int i = 0; i < 9; ++i) seen = result(150ms, false);
    CHECK(seen < 9950);
    CHECK(seen > 9850);
    seen = result(607ms, false);
    CHECK(seen >= 9980);
    CHECK(seen <= 10000);
}

TEST_CASE("CubicRate sends at the rates of a model with botocore's formulas",
          "[budget][cubic_rate][property]") {
    CHECK(rc::check("within two percent", [] {
        Played played{*rc::gen::inRange(2, 150)};
        for (int i = 0; i < 30; ++i) {
            if (i == 15) played.accepted_per_second = *rc::gen::inRange(2, 150);
            played.run(1s);
            const auto rate = static_cast<double>(played.rate.rate_milli()) / 1000;
            RC_ASSERT(std::abs(rate - played.model.rate) <= 0.02 * played.model.rate + 0.02);
        }
    }));
}

TEST_CASE("CubicRate follows a server that accepts less, and then more",
          "[budget][cubic_rate][unit]") {
    Played played{50};
    played.run(10s);
    played.sent = played.throttled = 0;
    played.run(60s);
    // Without it, the callers would send 200 calls per second, of which 150 would be throttled. It
    // stays below the rate that the server accepts, as in the SDKs.
    CHECK(played.sent > 60 * 20);
    CHECK(played.sent < 60 * 50);
    CHECK(played.throttled < 60 * 5);
    played.accepted_per_second = 200;
    played.run(30s);
    played.sent = 0;
    played.run(10s);
    CHECK(played.sent > 10 * 150);
}

TEST_CASE("CubicRate admits at least one attempt in two seconds", "[budget][cubic_rate][unit]") {
    Played played{0};
    played.run(60s);
    CHECK(played.rate.rate_milli() == 500);
    played.sent = 0;
    played.run(60s);
    CHECK(played.sent >= 29);
    CHECK(played.sent <= 31);
    Turn turn{played.now, played.bits};
    while (granted(played.rate.acquire(turn))) {
    }
    const Advice advice = played.rate.admit(played.now);
    CHECK(advice.verb == Advice::Verb::suspend);
    CHECK(advice.until <= played.now + 2s);
}

TEST_CASE("CubicRate keeps its bounds at any instant", "[budget][cubic_rate][unit]") {
    for (const Instant first : {always, Instant{}, before(never, 1s)}) {
        CubicRate rate;
        Random bits{Seed{1}};
        Turn turn{first, bits};
        for (int i = 0; i < 2000; ++i) {
            auto permit = rate.acquire(turn);
            if (permit) static_cast<void>(permit.failure(Failure{Cause::overloaded}, turn));
            turn.now = i % 3 == 0 ? first : after(turn.now, 100ms);
        }
        CHECK(rate.rate_milli() >= 500);
        turn.now = never;
        if (auto permit = rate.acquire(turn)) permit.success(turn);
        CHECK(rate.rate_milli() <= 1'000'000'000);
    }
}

TEST_CASE("A policy waits for a shared CubicRate, or is rejected with FailFast",
          "[budget][cubic_rate][unit]") {
    Played played{0};
    played.run(30s);
    Turn turn{played.now, played.bits};
    while (granted(played.rate.acquire(turn))) {
    }
    Policy waits{Shared{played.rate}};
    Policy fails{Shared{played.rate, FailFast{}}};
    CHECK(waits.admit(turn.now).verb == Advice::Verb::suspend);
    CHECK(fails.admit(turn.now).verb == Advice::Verb::stop);
}

TEST_CASE("CubicRate::set_rate sets and removes the limit while callers use it",
          "[budget][cubic_rate][unit]") {
    CubicRate rate;
    Random bits{Seed{1}};
    Turn turn{Instant{100s}, bits};
    const auto accepted_in_a_second = [&] {
        std::uint64_t accepted = 0;
        for (int i = 0; i < 200; ++i) {
            turn.now += 5ms;
            if (auto permit = rate.acquire(turn)) {
                ++accepted;
                permit.success(turn);
            }
        }
        return accepted;
    };
    CHECK(accepted_in_a_second() == 200);
    rate.set_rate(20'000, turn.now);
    CHECK(rate.rate_milli() == 20'000);
    // The rate and one burst. The curve rises by less than one per second in the first second.
    CHECK(accepted_in_a_second() <= 41);
    const std::uint64_t second = accepted_in_a_second();
    CHECK(second >= 19);
    CHECK(second <= 25);
    // From there it rises along the curve: 0.4 * 8^3 after 8 s.
    for (int i = 0; i < 6; ++i) static_cast<void>(accepted_in_a_second());
    CHECK(rate.rate_milli() > 30'000);
    rate.set_rate(0, turn.now);
    CHECK(rate.rate_milli() == 0);
    CHECK(accepted_in_a_second() == 200);
    // The next overload limits it again, to 0.7 times the measured rate.
    auto permit = rate.acquire(turn);
    permit.failure(Failure{Cause::overloaded}, turn);
    CHECK(rate.rate_milli() > 130'000);
    CHECK(rate.rate_milli() < 145'000);
}

TEST_CASE("CubicRate::set_rate lasts if the rate is far above the measured one",
          "[budget][cubic_rate][regression]") {
    Random bits{Seed{1}};
    Turn turn{Instant{100s}, bits};
    CubicRate fresh;
    fresh.set_rate(20'000, turn.now);
    // The first call may be much later.
    turn.now += 1h;
    for (int i = 0; i < 40; ++i) {
        fresh.acquire(turn).success(turn);
        turn.now += 50ms;
        REQUIRE(fresh.rate_milli() >= 20'000);
    }
    // It is at most twice the measured rate, as before.
    for (int i = 0; i < 40; ++i) {
        turn.now += 500ms;
        fresh.acquire(turn).success(turn);
    }
    CHECK(fresh.rate_milli() == 4'000);

    Played raised{0};
    raised.run(60s);
    REQUIRE(raised.rate.rate_milli() == 500);
    raised.accepted_per_second = 200;
    raised.rate.set_rate(20'000, raised.now);
    raised.sent = 0;
    for (int i = 0; i < 10; ++i) {
        raised.run(1s);
        REQUIRE(raised.rate.rate_milli() >= 20'000);
    }
    CHECK(raised.sent >= 200);
}

TEST_CASE("CubicRate::set_rate aborts on a rate out of its bounds", "[budget][cubic_rate][unit]") {
    const auto sets = [](std::uint64_t rate_milli) {
        return belay_test::aborts_with([rate_milli] {
            CubicRate rate;
            rate.set_rate(rate_milli, Instant{1s});
        });
    };
    CHECK(sets(499).find("CubicRate: the rate must be 0, or in [500, 1000000000] thousandths") !=
          std::string::npos);
    CHECK_FALSE(sets(1'000'000'001).empty());
    CubicRate rate;
    rate.set_rate(500, Instant{1s});
    rate.set_rate(1'000'000'000, Instant{1s});
    CHECK(rate.rate_milli() == 1'000'000'000);
}
