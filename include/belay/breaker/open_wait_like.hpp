// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_wait_like.hpp
/// OpenWaitLike: decides how long a breaker stays open.
#pragma once

#include <concepts>      // std::copyable, std::same_as
#include <system_error>  // std::error_code

#include <belay/core/call_counts.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class W>
concept HasNext = requires(W& wait, Random& bits) { wait.next(bits); };
template <class W>
concept NextIsDuration = requires(W& wait, Random& bits) {
    { wait.next(bits) } -> std::same_as<Duration>;
};
template <class W>
concept NextIsNoexcept = requires(W& wait, Random& bits) {
    { wait.next(bits) } noexcept;
};
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
// Any form that can be detected. A form other than the right one would be ignored silently.
template <class W>
concept Grows = has_reset<W>() || requires(W& wait) { wait.reset(); };
template <class W>
concept GrowsSoundly = !Grows<W> || requires(W& wait) {
    { wait.reset() } noexcept;
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
concept OpenWaitLike = std::copyable<W> && detail::HasNext<W> && detail::NextIsDuration<W> &&
                       detail::NextIsNoexcept<W> && detail::HeedsFailureSoundly<W> &&
                       detail::HeedsCountsSoundly<W> && detail::GrowsSoundly<W>;

namespace explain {

/// Names every requirement of OpenWaitLike that W lacks.
template <class W>
consteval bool open_wait_like() {
    static_assert(std::copyable<W>, "OpenWaitLike: W must be copyable");
    static_assert(detail::HasNext<W>,
                  "OpenWaitLike: W needs 'Duration next(Random&)', see docs/breaker.md");
    if constexpr (detail::HasNext<W>) {
        static_assert(detail::NextIsDuration<W>,
                      "OpenWaitLike: W::next must return belay::Duration");
        static_assert(detail::NextIsNoexcept<W>, "OpenWaitLike: W::next must be noexcept");
    }
    static_assert(detail::HeedsFailureSoundly<W>,
                  "OpenWaitLike: W::next with the failure must be 'Duration next(Random&, const "
                  "belay::Failure&) noexcept'");
    static_assert(detail::HeedsCountsSoundly<W>,
                  "OpenWaitLike: W::next with the counts must be 'Duration next(Random&, const "
                  "belay::Failure&, const belay::CallCounts&) noexcept'");
    static_assert(detail::GrowsSoundly<W>,
                  "OpenWaitLike: W::reset must be 'void reset() noexcept'");
    return OpenWaitLike<W>;
}

}  // namespace explain

}}  // namespace belay
