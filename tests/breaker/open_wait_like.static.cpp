// SPDX-License-Identifier: MIT
// Goal: OpenWaitLike accepts its archetype, and rejects types that lack one requirement each.
#include <belay/breaker/open_waits.hpp>

#include "support/breaker/breaker_archetypes.hpp"

using namespace belay;

namespace {

static_assert(OpenWaitLike<belay_test::MinimalOpenWait>);
static_assert(explain::open_wait_like<belay_test::MinimalOpenWait>());
static_assert(OpenWaitLike<belay_test::GrowingWait> && detail::HasReset<belay_test::GrowingWait>);
static_assert(!detail::HasReset<belay_test::MinimalOpenWait>);

struct WithoutNext {
    void reset() noexcept;
};
struct NextWithoutBits {
    Duration next() noexcept;
};
struct NextInSeconds {
    std::chrono::seconds next(Random&) noexcept;
};
struct NextThrows {
    Duration next(Random&);
};
struct WaitResetThrows {
    Duration next(Random&) noexcept;
    void reset();
};
struct WaitResetsToSomething {
    Duration next(Random&) noexcept;
    void reset(int) noexcept;
};
static_assert(!OpenWaitLike<WaitResetsToSomething>);
struct WaitMoveOnly {
    WaitMoveOnly(WaitMoveOnly&&) = default;
    Duration next(Random&) noexcept;
};
static_assert(!OpenWaitLike<int> && !OpenWaitLike<WithoutNext> && !OpenWaitLike<NextWithoutBits>);
static_assert(!OpenWaitLike<NextInSeconds> && !OpenWaitLike<NextThrows>);
static_assert(!OpenWaitLike<WaitResetThrows> && !OpenWaitLike<WaitMoveOnly>);

struct HeedsFailure {
    Duration next(Random&) noexcept;
    Duration next(Random&, const Failure&) noexcept;
};
struct HeedsFailureThrows {
    Duration next(Random&) noexcept;
    Duration next(Random&, const Failure&);
};
// Forms that a breaker would not call.
template <class First, class Second>
struct HeedsOtherwise {
    Duration next(Random&) noexcept;
    Duration next(First, Second) noexcept;
};
static_assert(!OpenWaitLike<HeedsOtherwise<Random&, Failure&>>);
static_assert(!OpenWaitLike<HeedsOtherwise<const Failure&, Random&>>);
static_assert(!OpenWaitLike<HeedsOtherwise<Failure&, Random&>>);
static_assert(!OpenWaitLike<HeedsOtherwise<Random&, std::error_code>>);
static_assert(OpenWaitLike<HeedsOtherwise<Random&, Failure>>);
static_assert(OpenWaitLike<HeedsOtherwise<Random&, int>>);
static_assert(OpenWaitLike<HeedsFailure> && detail::HeedsFailure<HeedsFailure>);
static_assert(!OpenWaitLike<HeedsFailureThrows>);

struct HeedsCounts {
    Duration next(Random&) noexcept;
    Duration next(Random&, const Failure&, const CallCounts&) noexcept;
};
struct HeedsCountsThrows {
    Duration next(Random&) noexcept;
    Duration next(Random&, const Failure&, const CallCounts&);
};
static_assert(OpenWaitLike<HeedsCounts> && detail::HeedsCounts<HeedsCounts>);
static_assert(!OpenWaitLike<HeedsCountsThrows>);

// A member counts in any form: overloaded, private, or a template.
struct WaitBase {
    Duration next(Random&) noexcept;
};
class WaitResetsInSecret : public WaitBase {
    void reset() noexcept;
};
struct WaitResetsTwice : WaitBase {
    void reset(int) noexcept;
    void reset(Duration) noexcept;
};
struct WaitResetsAnything : WaitBase {
    template <class T>
    void reset() noexcept;
};
static_assert(OpenWaitLike<WaitBase>);
static_assert(!OpenWaitLike<WaitResetsInSecret> && !OpenWaitLike<WaitResetsTwice>);
static_assert(!OpenWaitLike<WaitResetsAnything>);

}  // namespace
