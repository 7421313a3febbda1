// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_waits.hpp
/// OpenWaitLike and the open waits, which decide how long a breaker stays open: OpenFor, and
/// OpenAsAsked by what the peer asked for.
#pragma once

#include <concepts>      // std::copyable, std::same_as
#include <cstdint>       // std::uint64_t
#include <system_error>  // std::error_code

#include <belay/core/call_counts.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The hook that exists on a condition, for the probe of members.
struct ResetIsConditional {
    int reset;
};
BELAY_DETAIL_REQUIRED(Next, (R & r, Random& bits), Duration, r.next(bits));
template <class W>
concept HeedsFailure =
    requires(W& wait, Random& bits, const Failure& why) { wait.next(bits, why); };
// Forms of the overload that are near misses.
template <class W>
concept HeedsFailureOtherwise =
    !HeedsFailure<W> &&
    (
        requires(W& wait, Random& bits, Failure& why) { wait.next(bits, why); } ||
        requires(W& wait, Random& bits, Failure& why) { wait.next(why, bits); } ||
        requires(W& wait, Random& bits, const std::error_code& why) { wait.next(bits, why); });
template <class W>
concept HeedsFailureSoundly =
    !HeedsFailureOtherwise<W> &&
    (!HeedsFailure<W> || requires(W& wait, Random& bits, const Failure& why) {
        { wait.next(bits, why) } noexcept -> std::same_as<Duration>;
    });
template <class W>
concept HeedsCounts = requires(W& wait, Random& bits, const Failure& why, const CallCounts& seen) {
    wait.next(bits, why, seen);
};
template <class W>
concept HeedsCountsSoundly =
    !HeedsCounts<W> || requires(W& wait, Random& bits, const Failure& why, const CallCounts& seen) {
        { wait.next(bits, why, seen) } noexcept -> std::same_as<Duration>;
    };

/// Returns the wait of an opening after a failure, from the form of `next` that the type has.
template <class W>
[[nodiscard]] constexpr Duration next_wait(W& wait, Random& bits,
                                           [[maybe_unused]] const Failure& why,
                                           [[maybe_unused]] const CallCounts& seen) noexcept {
    if constexpr (HeedsCounts<W>) {
        return wait.next(bits, why, seen);
    } else if constexpr (HeedsFailure<W>) {
        return wait.next(bits, why);
    } else {
        return wait.next(bits);
    }
}
}  // namespace detail

/// Decides how long a breaker stays open; OpenFor and every Backoff are models.
///
/// - `next(Random& bits) -> Duration`: returns the wait of this opening, >= 0ns.
/// - optional `next(Random& bits, const Failure& why) -> Duration`: the same, with the failure that
///   opens the breaker. The failure is empty if it was reported without its reason. It is also
///   empty if a success opens the breaker: a slow one, or one that completed a rate's number of
///   calls. See OpenAsAsked.
/// - optional `next(Random& bits, const Failure& why, const CallCounts& seen) -> Duration`: the
///   same, with the calls that the trip had counted when it opened the breaker. If probes open it
///   again, they are the probes of that round. The trip must have `tripped_by`; see TripLike.
/// - optional `reset()`: the breaker has closed, so waits start small again.
///
/// All of them are noexcept.
template <class W>
concept OpenWaitLike = std::copyable<W> && detail::HasNext<W> && detail::NextGivesResult<W> &&
                       detail::NextIsNoexcept<W> && detail::HeedsFailureSoundly<W> &&
                       detail::HeedsCountsSoundly<W> && detail::ResetIsSound<W>;

namespace explain {

/// Names every requirement of OpenWaitLike that W lacks.
template <class W>
consteval bool open_wait_like() {
    static_assert(std::copyable<W>, "OpenWaitLike: W must be copyable");
    static_assert(detail::HasNext<W>,
                  "OpenWaitLike: W needs 'Duration next(Random&)', see docs/reference/breaker.md");
    if constexpr (detail::HasNext<W>) {
        static_assert(detail::NextGivesResult<W>,
                      "OpenWaitLike: W::next must return belay::Duration");
        static_assert(detail::NextIsNoexcept<W>, "OpenWaitLike: W::next must be noexcept");
    }
    static_assert(detail::HeedsFailureSoundly<W>,
                  "OpenWaitLike: W::next with the failure must be 'Duration next(Random&, const "
                  "belay::Failure&) noexcept'");
    static_assert(detail::HeedsCountsSoundly<W>,
                  "OpenWaitLike: W::next with the counts must be 'Duration next(Random&, const "
                  "belay::Failure&, const belay::CallCounts&) noexcept'");
    static_assert(detail::ResetIsSound<W>,
                  "OpenWaitLike: W::reset must be 'void reset() noexcept'");
    return OpenWaitLike<W>;
}

}  // namespace explain

/// An open wait that always has the same length.
///
/// If many clients watch one peer, use a Backoff instead, which spreads their probes.
///
/// Models:        OpenWaitLike.
/// Thread safety: a plain value.
class OpenFor {
public:
    /// Pre: wait > 0ns.
    constexpr explicit OpenFor(detail::AnyUnit wait) noexcept : wait_{wait} {
        BELAY_OPTION(wait_.count() > 0, "OpenFor: the wait must be > 0ns");
    }
    [[nodiscard]] constexpr Duration next(Random&) const noexcept { return wait_; }
    /// Returns the wait; see link/bounds.hpp.
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t) const noexcept { return wait_; }

private:
    Duration wait_;
};

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
class OpenAsAsked {
    static_assert(explain::open_wait_like<OpenWait>());

public:
    /// The hooks that exist on a condition.
    using ConditionalHooks = detail::ResetIsConditional;

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
    constexpr void reset() noexcept
        requires detail::HasReset<OpenWait>
    {
        // Clang 14 instantiates the member with its class also if it does not exist.
        if constexpr (detail::HasReset<OpenWait>) otherwise_.reset();
    }
    /// Returns the longest wait if no peer requests a longer one; see link/bounds.hpp.
    template <detail::HasLongestWait Other = OpenWait>
    [[nodiscard]] constexpr Duration longest_wait(std::uint64_t openings) const noexcept {
        return otherwise_.longest_wait(openings);
    }

private:
    [[nodiscard]] constexpr Duration at_least_asked(Duration own,
                                                    const Failure& why) const noexcept {
        const Duration asked = why.retry_after < at_most_ ? why.retry_after : at_most_;
        return own > asked ? own : asked;
    }

    [[no_unique_address]] OpenWait otherwise_;
    Duration at_most_;
};

}}  // namespace belay
