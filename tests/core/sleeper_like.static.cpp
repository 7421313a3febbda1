// SPDX-License-Identifier: MIT
// Goal: SleeperLike accepts its archetype, and rejects types that lack one requirement each.
#include <belay/core/sleeper_like.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

static_assert(SleeperLike<belay_test::MinimalSleeper>);
static_assert(explain::sleeper_like<belay_test::MinimalSleeper>());

struct WithoutNow {
    Random& bits() noexcept;
    void sleep_until(Instant, const auto&) noexcept {}
};
struct WithoutBits {
    Instant now() const noexcept;
    void sleep_until(Instant, const auto&) noexcept {}
};
struct BitsByValue : WithoutBits {
    Random bits() noexcept;
};
struct WithoutSleep {
    Instant now() const noexcept;
    Random& bits() noexcept;
};
struct SleepThrows : WithoutSleep {
    void sleep_until(Instant, const auto&) {}
};
struct SleepWithoutStop : WithoutSleep {
    void sleep_until(Instant) noexcept;
};
static_assert(!SleeperLike<WithoutNow> && !SleeperLike<WithoutBits> && !SleeperLike<BitsByValue>);
static_assert(!SleeperLike<WithoutSleep> && !SleeperLike<SleepThrows>);
static_assert(!SleeperLike<SleepWithoutStop>);

}  // namespace
