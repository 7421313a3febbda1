// SPDX-License-Identifier: MIT
/// \file belay/queue/queue_observer.hpp
/// The events that an observer of a Queue receives.
///
/// The observer may have any of these hooks, each also with `const auto& queue` as the first
/// parameter. The queue calls a hook after the change:
///
/// - `on_pushed(std::size_t size)`: a value was taken; `size` wait now.
/// - `on_rejected(const std::error_code& why)`: a push was rejected.
/// - `on_dropped(value)`: the overflow policy dropped a value, an old one or the pushed one. The
///   value exists nowhere else; the hook may move it away.
/// - `on_popped(std::size_t size) noexcept`: `pop` took a value; `size` are left.
/// - `on_drained(const DrainReport&) noexcept`: a drain has ended, also by an exception.
/// - `on_released(std::size_t count, std::size_t size)`: code that works on the storage itself,
///   such as a Session, is done with the first `count` values; `size` are left.
///
/// Hooks may read the queue, and must not change it. An exception of a hook leaves the call that
/// ran it; the change before it remains. Two hooks must not throw: `pop` would lose its value, and
/// a drain may have ended by an exception already.
#pragma once

#include <concepts>      // std::constructible_from
#include <cstddef>       // std::size_t
#include <system_error>  // std::error_code

#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The result of `Queue::drain`.
struct DrainReport {
    /// Values that were executed, and removed without an error. If a removal fails, one more was
    /// executed.
    std::size_t drained = 0;
    /// Why it stopped before the end; no error if it did not.
    std::error_code error{};
};

namespace detail {

BELAY_DETAIL_HOOK(OnPopped, on_popped);
BELAY_DETAIL_HOOK(OnDrained, on_drained);
BELAY_DETAIL_HOOK(OnReleased, on_released);

/// The hook on_dropped receives the dropped value: a stored one, or the pushed one. The pushed one
/// is passed as it was pushed, if the observer accepts that.
template <class Q, class V>
struct DroppedHook : Hook<OnDropped, Q, V> {
    using Stored = Hook<OnDropped, Q, V>;
    template <class O, class B>
    static constexpr void call(O& o, Q& queue, B&& dropped) {
        using AsPushed = Hook<OnDropped, Q, B>;
        if constexpr (AsPushed::template callable_on<O>) {
            AsPushed::call(o, queue, static_cast<B&&>(dropped));
        } else if constexpr (std::constructible_from<V, B>) {
            Stored::call(o, queue, V(dropped));
        } else if constexpr (requires { V(dropped.begin(), dropped.end()); }) {
            Stored::call(o, queue, V(dropped.begin(), dropped.end()));
        } else {
            Stored::call(o, queue, static_cast<B&&>(dropped));
        }
    }
};

/// The hooks that a queue Q of V calls.
template <class Q, class V>
struct QueueHooks {
    using Pushed = Hook<OnPushed, Q, std::size_t>;
    using Rejected = Hook<OnRejected, Q, const std::error_code&>;
    using Dropped = DroppedHook<Q, V>;
    using Popped = Hook<OnPopped, Q, std::size_t>;
    using Drained = Hook<OnDrained, Q, const DrainReport&>;
    using Released = Hook<OnReleased, Q, std::size_t, std::size_t>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Pushed::template right<O>,
                      "Queue: the observer's on_pushed must be 'on_pushed(std::size_t)', or have "
                      "'const auto& queue' in front of that");
        static_assert(Rejected::template right<O>,
                      "Queue: the observer's on_rejected must be 'on_rejected(const "
                      "std::error_code&)', or have 'const auto& queue' in front of that");
        static_assert(Dropped::template right<O>,
                      "Queue: the observer's on_dropped must be 'on_dropped(value_type)', or have "
                      "'const auto& queue' in front of that");
        static_assert(Popped::template right<O>,
                      "Queue: the observer's on_popped must be 'on_popped(std::size_t) noexcept', "
                      "or have 'const auto& queue' in front of that");
        static_assert(Popped::template never_throws<O>(),
                      "Queue: the observer's on_popped must be noexcept");
        static_assert(Drained::template right<O>,
                      "Queue: the observer's on_drained must be 'on_drained(const "
                      "belay::DrainReport&) noexcept', or have 'const auto& queue' in front of "
                      "that");
        static_assert(Drained::template never_throws<O>(),
                      "Queue: the observer's on_drained must be noexcept");
        static_assert(Released::template right<O>,
                      "Queue: the observer's on_released must be 'on_released(std::size_t count, "
                      "std::size_t size)', or have 'const auto& queue' in front of that");
        static_assert(has_any_hook_of<O, Pushed, Rejected, Dropped, Popped, Drained, Released>,
                      "Queue: the observer has no hook: it needs one of on_pushed, on_rejected, "
                      "on_dropped, on_popped, on_drained, on_released. Derive an observer without "
                      "hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail
}}  // namespace belay
