// SPDX-License-Identifier: MIT
// Goal: clients with the same hint return at times that are spread over some percent of it, and
// never earlier. Other waits are unchanged. Method: many seeds.
#include <belay/policy/rules.hpp>

#include <algorithm>
#include <type_traits>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/policy.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant start{1000s};

constexpr Failure hinted(Duration wait, Cause cause = Cause::lost) {
    return Failure{.cause = cause, .retry_after = wait};
}

template <class P>
constexpr Advice advised(P policy, const Failure& failure, std::uint64_t seed = 1) {
    Random bits{Seed{seed}};
    Turn turn{start, bits};
    return policy.failed(failure, turn);
}

struct Breaks {
    constexpr Advice failed(const Failure&, Turn&) const noexcept {
        return Advice::suspend(start + 1min);
    }
};

}  // namespace

static_assert(std::is_trivially_copyable_v<SpreadHint>);
static_assert(SpreadHint::plus_percent(50) == SpreadHint::plus_percent(50));

TEST_CASE("SpreadHint draws evenly between the hint and some percent more",
          "[policy][spread_hint][unit]") {
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, SpreadHint::plus_percent(50)};
    Duration least = forever;
    Duration most{};
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 10'000; ++seed) {
        const Advice advice = advised(policy, hinted(30s), seed);
        CHECK(advice.verb == Advice::Verb::wait_at_least);
        const Duration wait = advice.until - start;
        least = std::min(least, wait);
        most = std::max(most, wait);
        sum += static_cast<double>(wait.count());
    }
    CHECK(least >= 30s);
    CHECK(least < 30'100ms);
    CHECK(most > 44'900ms);
    CHECK(most <= 45s);
    CHECK(sum / 10'000 == Approx(37.5e9).epsilon(0.01));
    CHECK(advised(policy, hinted(30s)).by == "SpreadHint");
}

TEST_CASE("SpreadHint draws no random number if no hint decides the wait",
          "[policy][spread_hint][unit]") {
    STATIC_REQUIRE([] {
        Policy policy{Backoff{NoJitter{}, Cap{8s}, 8s}, SpreadHint::plus_percent(100)};
        Random bits{Seed{1}};
        Turn turn{start, bits};
        bool ok = true;
        for (const Duration hint : {0ns, -1ns, Duration::min(), Duration{8s} - 1ns}) {
            ok = ok && policy.failed(hinted(hint), turn).until == start + 8s;
            ok = ok && policy.lost(hinted(hint), turn).until == start + 8s;
        }
        // The same holds if there is no wait.
        ok = ok && advised(Policy{SpreadHint::plus_percent(100)}, hinted(0ns)) == Advice::go();
        // A hint counts for its own failure only.
        ok = ok && policy.failed(hinted(1h), turn).until >= start + 1h;
        bits = Random{Seed{1}};
        ok = ok && policy.failed(hinted(0s), turn).until == start + 8s;
        return ok && bits() == Random{Seed{1}}();
    }());
}

TEST_CASE("SpreadHint spreads every wait that a hint decides", "[policy][spread_hint][unit]") {
    // A CooldownOn that waits exactly for the hint.
    const Policy cooldown{CooldownOn{Cause::overloaded, 5s, 15s}, SpreadHint::plus_percent(10)};
    const Advice after_1013 = advised(cooldown, hinted(20s, Cause::overloaded));
    CHECK(after_1013.verb == Advice::Verb::wait_exactly);
    CHECK(after_1013.until > start + 20s);
    CHECK(after_1013.until <= start + 22s);
    // The random wait of CooldownOn is spread already.
    CHECK(advised(cooldown, hinted(4s, Cause::overloaded)).until <= start + 15s);
    // A suspension that lasts longer than the hint is unchanged.
    CHECK(advised(Policy{Breaks{}, SpreadHint::plus_percent(10)}, hinted(59s)) ==
          Advice::suspend(start + 1min));
    const Advice longer =
        advised(Policy{Breaks{}, Backoff{NoJitter{}, Cap{1s}, 1s}, SpreadHint::plus_percent(10)},
                hinted(100s));
    CHECK(longer.verb == Advice::Verb::suspend);
    CHECK(longer.until > start + 100s);
    CHECK(longer.until <= start + 110s);
    // A hint counts although no other rule uses it.
    const Advice alone = advised(Policy{SpreadHint::plus_percent(10)}, hinted(10s));
    CHECK(alone.verb == Advice::Verb::wait_at_least);
    CHECK(alone.until >= start + 10s);
    CHECK(alone.until <= start + 11s);
}

TEST_CASE("The limits after a SpreadHint review its wait", "[policy][spread_hint][unit]") {
    Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}, SpreadHint::plus_percent(100), MaxElapsed{10s}};
    int stopped = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        Random bits{Seed{seed}};
        Turn turn{start, bits};
        auto run = policy;
        static_cast<void>(run.begin(turn));
        // The wait is in [9 s, 18 s]: one in nine is in time.
        const Advice advice = run.failed(hinted(9s), turn);
        if (advice.verb == Advice::Verb::stop) ++stopped;
        CHECK((advice.verb == Advice::Verb::stop || advice.until <= start + 10s));
    }
    CHECK(stopped > 820);
    CHECK(stopped < 950);
}

TEST_CASE("SpreadHint saturates, and never shortens a wait", "[policy][spread_hint][property]") {
    CHECK(rc::check("hint <= wait <= hint + percent", [](std::uint64_t seed) {
        const auto percent = *rc::gen::inRange<std::uint32_t>(1, 101);
        const Duration hint{*rc::gen::oneOf(rc::gen::inRange<Duration::rep>(1, 1000),
                                            rc::gen::positive<Duration::rep>(),
                                            rc::gen::just(forever.count()))};
        const Policy policy{Backoff{FullJitter{}, Cap{1s}, 1ms}, SpreadHint::plus_percent(percent)};
        const Advice advice = advised(policy, hinted(hint), seed);
        RC_ASSERT(advice.until >= after(start, hint < 1ms ? Duration{} : hint));
        const Duration more{hint.count() / 100 * percent + hint.count() % 100 * percent / 100};
        const Duration most = hint < 1ms ? part::saturating_add(Duration{1ms}, more) : hint;
        RC_ASSERT(advice.until <= after(after(start, most), more));
    }));
}

TEST_CASE("SpreadHint rejects invalid percentages", "[policy][spread_hint][unit]") {
    for (const std::uint32_t percent : {0U, 101U, ~0U}) {
        CHECK(belay_test::aborts_with([percent] {
                  static_cast<void>(SpreadHint::plus_percent(percent));
              }).find("the percentage must be in [1, 100]") != std::string::npos);
    }
}
