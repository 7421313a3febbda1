// SPDX-License-Identifier: MIT
// Goal: arithmetic on time saturates, and never overflows, for any operands.
#include <belay/core/instant.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Instant at(Duration d) { return Instant{d}; }

static_assert(after(at(1s), 2s) == at(3s));
static_assert(after(never, 0s) == never && after(never, 1ns) == never &&
              after(never, forever) == never);
static_assert(after(always, 1h) == always && after(always, forever) == always);
static_assert(after(at(1ns), forever) == never &&
              after(at(-5ns), forever) == Instant{forever - 5ns});
static_assert(before(at(3s), 2s) == at(1s) && before(at(1s), 3s) == at(-2s));
static_assert(before(always, 0s) == always && before(always, forever) == always);
static_assert(before(never, 1h) == never && before(never, forever) == never);
static_assert(before(at(-2ns), forever) == always && before(at(-1ns), forever) == always);
static_assert(before(at(0ns), forever) == always + 1ns);
static_assert(elapsed(at(1s), at(3s)) == 2s);
static_assert(elapsed(at(3s), at(1s)) == 0s && elapsed(at(3s), at(3s)) == 0s);
static_assert(elapsed(always, never) == forever && elapsed(always, Instant{}) == forever);
static_assert(elapsed(always + 1ns, Instant{}) == forever);
static_assert(part::saturating_add(forever, forever) == forever &&
              part::saturating_add(1s, 2s) == 3s);
static_assert(part::saturating_add(forever - 1ns, 1ns) == forever &&
              part::saturating_add(forever, 0s) == forever);
static_assert(part::saturating_multiply(3s, 4) == 12s &&
              part::saturating_multiply(forever, 0) == 0s);
static_assert(part::saturating_multiply(0s, ~std::uint64_t{0}) == 0s);
static_assert(part::saturating_multiply(1ns, ~std::uint64_t{0}) == forever);
static_assert(part::saturating_multiply(2ns, 1ULL << 62) == forever);
static_assert(part::saturating_multiply(1ns, 1ULL << 62) == Duration{std::int64_t{1} << 62});

/// The same sums in 128 bits.
__extension__ using Wide = __int128;
__extension__ using UWide = unsigned __int128;
Duration clamp(Wide ticks) {
    const Wide most = forever.count();
    return Duration{static_cast<std::int64_t>(ticks > most ? most : ticks < 0 ? Wide{0} : ticks)};
}
Duration positive(std::int64_t ticks) { return Duration{ticks & std::int64_t{0x7FFFFFFFFFFFFFFF}}; }

}  // namespace

TEST_CASE("after, elapsed and the saturating operations agree with 128-bit arithmetic",
          "[core][instant][property]") {
    CHECK(rc::check("saturating_add", [](std::int64_t a, std::int64_t b) {
        const Duration x = positive(a), y = positive(b);
        RC_ASSERT(part::saturating_add(x, y) == clamp(Wide{x.count()} + y.count()));
    }));
    CHECK(rc::check("saturating_multiply", [](std::int64_t a, std::uint64_t factor) {
        const Duration x = positive(a);
        const auto product = static_cast<UWide>(x.count()) * factor;
        const auto most = static_cast<UWide>(forever.count());
        RC_ASSERT(part::saturating_multiply(x, factor) ==
                  Duration{static_cast<std::int64_t>(product > most ? most : product)});
    }));
    CHECK(rc::check("elapsed", [](std::int64_t a, std::int64_t b) {
        RC_ASSERT(elapsed(at(Duration{a}), at(Duration{b})) == clamp(Wide{b} - a));
    }));
    CHECK(rc::check("after is never earlier, and exact where it fits",
                    [](std::int64_t a, std::int64_t b) {
                        const Instant t = at(Duration{a});
                        const Duration d = positive(b);
                        const Instant sum = after(t, d);
                        RC_ASSERT(sum >= t);
                        if (t != always && sum != never) RC_ASSERT(sum - t == d);
                    }));
}

TEST_CASE("after() rejects a negative duration", "[core][instant][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(after(Instant{}, Duration{-1}));
          }).find("after: the duration must be >= 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(part::saturating_add(-1ns, 1s));
          }).find("operands must be >= 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(part::saturating_multiply(-1ns, 1));
          }).find("must be >= 0ns") != std::string::npos);
}
