// SPDX-License-Identifier: MIT
/// \file belay/queue/queue_observer.hpp
/// What an observer of a Queue learns.
///
/// It may have any of these hooks, and is called after the change:
///
/// - `on_pushed(std::size_t size)`: a value was taken; `size` wait now;
/// - `on_refused(const std::error_code& why)`: a push was not taken;
/// - `on_dropped(value)`: the overflow policy dropped a value, an old one or the one that was
///   pushed. Its only trace: the hook may move it away;
/// - `on_popped(std::size_t size) noexcept`: `pop` took a value; `size` are left;
/// - `on_drained(const DrainReport&) noexcept`: a drain has ended, also by an exception.
///
/// Hooks may ask the queue, and must not change it. What one throws leaves the call that ran it;
/// what had happened stays so. Two must not throw: `pop` would lose its value, and a drain may have
/// ended by an exception already.
#pragma once

#include <concepts>      // std::derived_from
#include <cstddef>       // std::size_t
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_reference_t
#include <utility>       // std::forward

#include <belay/core/no_observer.hpp>

namespace belay::inline BELAY_ABI {

/// What `Queue::drain` did.
struct DrainReport {
    /// Values that were executed, and removed without an error. Where that fails, one more was
    /// executed.
    std::size_t drained = 0;
    /// Why it stopped before the end; no error if it did not.
    std::error_code error;
};

namespace detail {

template <class O>
concept ObservesPush = requires(O& o, std::size_t size) { o.on_pushed(size); };
template <class O>
concept ObservesPushRefusal = requires(O& o, const std::error_code& why) { o.on_refused(why); };
template <class O, class V>
concept ObservesDrop = requires(O& o, V&& value) { o.on_dropped(static_cast<V&&>(value)); };
template <class O>
concept ObservesPop = requires(O& o, std::size_t size) { o.on_popped(size); };
template <class O>
concept ObservesDrain = requires(O& o, const DrainReport& result) { o.on_drained(result); };

/// Whether an observer is right for a queue of V; if not, says why.
template <class O, class V>
[[nodiscard]] consteval bool explain_queue_observer() {
    using Target = Unwrapped<O>;
    static_assert(std::derived_from<Target, NoObserver> || ObservesPush<Target> ||
                      ObservesPushRefusal<Target> || ObservesDrop<Target, V> ||
                      ObservesPop<Target> || ObservesDrain<Target>,
                  "Queue: the observer has no hook, see belay/queue/queue_observer.hpp; one that "
                  "sees nothing derives from NoObserver");
    // A hook that is no template and fits no call is a mistake that would stay silent.
    static_assert(
        ObservesPush<Target> || !requires { &Target::on_pushed; },
        "Queue: the observer's on_pushed must take a std::size_t");
    static_assert(
        ObservesPushRefusal<Target> || !requires { &Target::on_refused; },
        "Queue: the observer's on_refused must take a const std::error_code&");
    static_assert(
        ObservesDrop<Target, V> || !requires { &Target::on_dropped; },
        "Queue: the observer's on_dropped must take the queue's value_type");
    static_assert(
        ObservesPop<Target> || !requires { &Target::on_popped; },
        "Queue: the observer's on_popped must take a std::size_t");
    static_assert(
        ObservesDrain<Target> || !requires { &Target::on_drained; },
        "Queue: the observer's on_drained must take a const DrainReport&");
    if constexpr (ObservesPop<Target>) {
        static_assert(noexcept(std::declval<Target&>().on_popped(std::size_t{})),
                      "Queue: the observer's on_popped must be noexcept");
    }
    if constexpr (ObservesDrain<Target>) {
        static_assert(
            noexcept(std::declval<Target&>().on_drained(std::declval<const DrainReport&>())),
            "Queue: the observer's on_drained must be noexcept");
    }
    return true;
}

}  // namespace detail
}  // namespace belay::inline BELAY_ABI
