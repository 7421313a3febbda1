// SPDX-License-Identifier: MIT
// expect-error: longest_wait: this rule cannot say how long it may make an attempt wait
#include <belay/backoff/backoff.hpp>
#include <belay/link/bounds.hpp>

using namespace belay;
using std::chrono::seconds;

struct Mondays {
    Advice admit(Instant) const noexcept { return Advice::go(); }
#if defined(BELAY_CONTROL)
    constexpr Duration longest_wait(std::uint64_t) const noexcept { return seconds{0}; }
#endif
};

static_assert(reconnects_within(Policy{Backoff{FullJitter{}, Cap{seconds{30}}, seconds{1}},
                                       Mondays{}},
                                3, seconds{120}));
