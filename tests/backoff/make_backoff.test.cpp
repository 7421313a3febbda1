// SPDX-License-Identifier: MIT
// Goal: invalid parameters that are known only at run time are rejected with the reason, and never
// replaced. Method: each part wrong in turn.
#include <belay/backoff/backoff.hpp>

#include <limits>
#include <string>

#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// A growth and a jitter of a user, with their own checks.
struct Square {
    std::int64_t base;
    constexpr Duration operator()(std::uint64_t n) const noexcept {
        return part::saturating_multiply(part::saturating_multiply(Duration{base}, n + 1), n + 1);
    }
    constexpr BackoffErrc check() const noexcept {
        return base > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
    }
};

}  // namespace

static_assert(std::same_as<decltype(make_backoff(FullJitter{}, Cap{30s}, 1s)),
                           Result<Backoff<FullJitter, Cap>>>);
static_assert(std::same_as<decltype(make_backoff(DecorrelatedJitter{}, Cap{30s}, 1min)),
                           Result<Backoff<DecorrelatedJitter, Cap, Constant>>>);

TEST_CASE("make_backoff returns the same Backoff as the constructor",
          "[backoff][make_backoff][unit]") {
    auto made = make_backoff(NoJitter{}, Cap{30s}, Exponential{1s, 1.5});
    REQUIRE(made);
    Backoff constructed{NoJitter{}, Cap{30s}, Exponential{1s, 1.5}};
    for (int i = 0; i < 20; ++i) CHECK(made->next() == constructed.next());
    CHECK(make_backoff(FullJitter{}, Floor{500ms, Cap{30s}}, 1s).value().min_delay(0) == 500ms);
    CHECK(make_backoff(NoJitter{}, NoCap{}, Square{100}).value().max_delay(2) == 900ns);
}

TEST_CASE("make_backoff reports the part that is wrong", "[backoff][make_backoff][unit]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const auto error = [](auto made) { return made.error(); };
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, 0s)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, -1s)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Linear{0s})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Fibonacci{0s})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Constant{0s})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(DecorrelatedJitter{}, Cap{30s}, 0s)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(NoJitter{}, NoCap{}, Square{0})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Exponential{1s, 0.5})) ==
          BackoffErrc::bad_factor);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Exponential{1s, nan})) ==
          BackoffErrc::bad_factor);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Delays{1s, 0s})) == BackoffErrc::bad_delays);
    CHECK(error(make_backoff(ProportionalJitter::plus_percent(101), Cap{30s}, 1s)) ==
          BackoffErrc::bad_jitter);
    CHECK(error(make_backoff(FullJitter{}, Cap{-30s}, 1s)) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(FullJitter{}, Floor{2s, Cap{30s}}, 1s)) == BackoffErrc::bad_floor);
    CHECK(error(make_backoff(FullJitter{}, Floor{1s, Cap{30s}}, 1s)) == BackoffErrc::bad_floor);
    CHECK(error(make_backoff(FullJitter{}, Cap{1s}, 30s)) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(DecorrelatedJitter{}, Cap{30s}, 30s)) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(NoJitter{}, PreJitterCap{1s}, Linear{30s})) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(NoJitter{}, Cap{1s}, Delays{30s, 1s})) == BackoffErrc::bad_cap);
}

TEST_CASE("make_backoff does not overflow in any unit", "[backoff][make_backoff][unit]") {
    using std::chrono::duration;
    using std::chrono::years;
    const auto error = [](auto made) { return made.error(); };
    constexpr auto hours = std::chrono::hours::max();
    constexpr duration<double, years::period> real{1e9};
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, hours)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, real)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, years{-400})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(DecorrelatedJitter{}, Cap{30s}, hours)) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Linear{hours})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Fibonacci{real})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Constant{hours})) == BackoffErrc::bad_base);
    CHECK(error(make_backoff(FullJitter{}, Cap{hours}, 1s)) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(FullJitter{}, PreJitterCap{real}, 1s)) == BackoffErrc::bad_cap);
    CHECK(error(make_backoff(FullJitter{}, Floor{hours, Cap{30s}}, 1s)) == BackoffErrc::bad_floor);
    CHECK(error(make_backoff(FullJitter{}, Cap{30s}, Delays{1s, hours})) ==
          BackoffErrc::bad_delays);
    CHECK(make_backoff(NoJitter{}, Cap{years{292}}, years{200}).value().next() == years{200});
    CHECK(make_backoff(NoJitter{}, Cap{duration<double>{2.5}}, duration<float>{0.5F})
              .value()
              .max_delay(9) == 2500ms);
}

TEST_CASE("make_backoff accepts a seed", "[backoff][make_backoff][unit]") {
    auto made = make_backoff(FullJitter{}, Cap{30s}, 1s, Seed{7});
    Backoff constructed{FullJitter{}, Cap{30s}, 1s, Seed{7}};
    REQUIRE(made);
    for (int i = 0; i < 20; ++i) CHECK(made->next() == constructed.next());
    CHECK(make_backoff(FullJitter{}, Cap{0s}, 1s, Seed{7}).error() == BackoffErrc::bad_cap);
}

TEST_CASE("make_backoff's errors have complete messages", "[backoff][make_backoff][unit]") {
    CHECK(make_backoff(FullJitter{}, Cap{0s}, 1s).error().message() ==
          "the cap of a backoff must be > 0ns, at most 292 years and not below the first wait");
    CHECK(cause_of(make_backoff(FullJitter{}, Cap{0s}, 1s).error()) == Cause::permanent);
}
