// SPDX-License-Identifier: MIT
// Goal: an AnyJitter makes the waits of the jitter that it was made from. Method: both draw from
// the same seed; examples.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using policies::AnyJitter;

namespace {

template <class Jitter>
constexpr bool draws_as(Jitter jitter) {
    Backoff known{jitter, Floor{20ms, Cap{10s}}, 100ms};
    Backoff any{AnyJitter{jitter}, Floor{20ms, Cap{10s}}, 100ms};
    Random known_bits{Seed{9}};
    Random any_bits{Seed{9}};
    for (std::uint64_t n = 0; n < 20; ++n) {
        if (known.min_delay(n) != any.min_delay(n)) return false;
        if (known.max_delay(n) != any.max_delay(n) || known.next(known_bits) != any.next(any_bits))
            return false;
    }
    return known_bits() == any_bits();
}

}  // namespace

TEST_CASE("AnyJitter draws like the jitter that it was made from", "[backoff][any_jitter][unit]") {
    STATIC_REQUIRE(JitterLike<AnyJitter>);
    CHECK(draws_as(NoJitter{}));
    CHECK(draws_as(FullJitter{}));
    CHECK(draws_as(EqualJitter{}));
    CHECK(draws_as(ProportionalJitter::plus_percent(30)));
    CHECK(draws_as(ProportionalJitter::plus_minus_percent(100)));
}

TEST_CASE("AnyJitter may be assigned another jitter", "[backoff][any_jitter][unit]") {
    AnyJitter jitter = FullJitter{};
    CHECK(Backoff{jitter, Cap{10s}, 1s}.min_delay(3) == 0s);
    jitter = EqualJitter{};
    CHECK(Backoff{jitter, Cap{10s}, 1s}.min_delay(3) == 4s);
    CHECK(jitter == AnyJitter{EqualJitter{}});
    CHECK(jitter != AnyJitter{NoJitter{}});
}

TEST_CASE("make_backoff reports a percentage of an AnyJitter that is too large",
          "[backoff][any_jitter][unit]") {
    const AnyJitter jitter = ProportionalJitter::plus_minus_percent(101);
    CHECK(make_backoff(jitter, Cap{10s}, 1s).error() == BackoffErrc::bad_jitter);
    CHECK(make_backoff(AnyJitter{FullJitter{}}, Cap{1s}, 10s).error() == BackoffErrc::bad_cap);
}
