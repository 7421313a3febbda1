// SPDX-License-Identifier: MIT
// Goal: JitterLike takes its archetype, and refuses types that lack one requirement each.
#include <belay/policy/jitter_like.hpp>

#include "support/archetypes.hpp"

using namespace belay;

namespace {

static_assert(JitterLike<belay_test::MinimalJitter>);
static_assert(explain_jitter_like<belay_test::MinimalJitter>());
struct JitterWithPeak {
    Duration delay(Duration, Random&) noexcept;
    Duration peak(Duration) const noexcept;
};
static_assert(JitterLike<JitterWithPeak>);

struct JitterThatThrows {
    Duration delay(Duration, Random&);
};
struct JitterInSeconds {
    std::chrono::seconds delay(Duration, Random&) noexcept;
};
struct JitterWithoutBits {
    Duration delay(Duration) noexcept;
};
struct JitterThatMovesOnly {
    JitterThatMovesOnly(JitterThatMovesOnly&&) = default;
    Duration delay(Duration, Random&) noexcept;
};
struct JitterWithChangingPeak {
    Duration delay(Duration, Random&) noexcept;
    Duration peak(Duration) noexcept;
};
struct JitterWithThrowingPeak {
    Duration delay(Duration, Random&) noexcept;
    Duration peak(Duration) const;
};
struct JitterWithThrowingReset {
    Duration delay(Duration, Random&) noexcept;
    void reset();
};
static_assert(!JitterLike<JitterWithThrowingReset>);
static_assert(!JitterLike<int> && !JitterLike<JitterThatThrows> && !JitterLike<JitterInSeconds>);
static_assert(!JitterLike<JitterWithoutBits> && !JitterLike<JitterThatMovesOnly>);
static_assert(!JitterLike<JitterWithThrowingPeak>);
// A peak that cannot be asked on a const jitter would be ignored in silence.
static_assert(!JitterLike<JitterWithChangingPeak>);

}  // namespace
