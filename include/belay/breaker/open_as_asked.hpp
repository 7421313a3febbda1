// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_as_asked.hpp
/// OpenAsAsked: a breaker stays open as long as the peer requested.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/breaker/open_wait_like.hpp>
#include <belay/core/detail/any_unit.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
// The member is in a base, because a member with a condition would count as one in another form.
template <class Self, bool grows>
struct GrowsHook {};
template <class Self>
struct GrowsHook<Self, true> {
    constexpr void reset() noexcept { static_cast<Self&>(*this).otherwise_.reset(); }
};
}  // namespace detail

/// An open wait that is at least as long as the peer requested, up to a limit.
///
/// The request is the `retry_after` of the failure that opens the breaker.
///
///     Breaker{ConsecutiveFailures{3}, OpenAsAsked{OpenFor{30s}, 10min}}
///
/// If a peer requests more than the limit, it is tried again after the limit.
///
/// Models:        OpenWaitLike, if `OpenWait` is one.
/// Thread safety: a plain value.
template <class OpenWait>
class OpenAsAsked : public detail::GrowsHook<OpenAsAsked<OpenWait>, detail::Grows<OpenWait>> {
    static_assert(explain::open_wait_like<OpenWait>());

public:
    /// Pre: at_most > 0ns.
    constexpr OpenAsAsked(OpenWait otherwise, detail::AnyUnit at_most) noexcept
        : otherwise_{otherwise}, at_most_{at_most} {
        BELAY_OPTION(at_most_.count() > 0, "OpenAsAsked: the bound must be > 0ns");
    }

    [[nodiscard]] constexpr Duration next(Random& bits) noexcept { return otherwise_.next(bits); }
    [[nodiscard]] constexpr Duration next(Random& bits, const Failure& why) noexcept {
        return at_least_asked(detail::next_wait(otherwise_, bits, why, {}), why);
    }
    [[nodiscard]] constexpr Duration next(Random& bits, const Failure& why,
                                          const CallCounts& seen) noexcept
        requires detail::HeedsCounts<OpenWait>
    {
        return at_least_asked(detail::next_wait(otherwise_, bits, why, seen), why);
    }
    /// Returns the longest wait if no peer requests a longer one; see link/bounds.hpp.
    template <detail::HasLongestWait Other = OpenWait>
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t openings) const noexcept {
        return otherwise_.longest_wait(openings);
    }

private:
    friend detail::GrowsHook<OpenAsAsked, true>;

    [[nodiscard]] constexpr Duration at_least_asked(Duration own,
                                                    const Failure& why) const noexcept {
        const Duration asked = why.retry_after < at_most_ ? why.retry_after : at_most_;
        return own > asked ? own : asked;
    }

    [[no_unique_address]] OpenWait otherwise_;
    Duration at_most_;
};

}}  // namespace belay
