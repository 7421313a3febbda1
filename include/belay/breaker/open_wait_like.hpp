// SPDX-License-Identifier: MIT
/// \file belay/breaker/open_wait_like.hpp
/// OpenWaitLike: how long a breaker stays open.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay::inline BELAY_ABI {

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
// In any form that can be seen: another than the right one would be ignored in silence.
template <class W>
concept Grows = requires { &W::reset; } || requires(W& wait) { wait.reset(); };
template <class W>
concept GrowsSoundly = !Grows<W> || requires(W& wait) {
    { wait.reset() } noexcept;
};
}  // namespace detail

/// How long a breaker stays open; OpenFor and every Backoff are models.
///
/// - `next(Random& bits) -> Duration`: the wait of this opening, >= 0ns;
/// - optional `reset()`: the breaker has closed, waits start small again.
///
/// All noexcept.
template <class W>
concept OpenWaitLike = std::copyable<W> && detail::HasNext<W> && detail::NextIsDuration<W> &&
                       detail::NextIsNoexcept<W> && detail::GrowsSoundly<W>;

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
    static_assert(detail::GrowsSoundly<W>,
                  "OpenWaitLike: W::reset must be 'void reset() noexcept'");
    return OpenWaitLike<W>;
}

}  // namespace explain

}  // namespace belay::inline BELAY_ABI
