// SPDX-License-Identifier: MIT
/// \file belay/link/observer.hpp
/// Observers: structs with the hooks that somebody cares about, and how belay calls them.
///
/// An observer of a Supervisor may have any of these, each also without the machine in front:
/// `on_state(auto& link, const Transition&)`, `on_message(auto& link, message_type [, Lane])`,
/// `on_writable(auto& link, Lane)`, `on_unsent(auto& link, message_type, Lane)`.
/// Hooks run on the home thread, one at a time, never under a lock; they may call every command of
/// the machine, and destroy it. What they throw leaves the `advance` that ran them.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_reference_t
#include <utility>      // std::forward

#include <belay/core/no_observer.hpp>
#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {

// One struct per hook: `call` is the hook as an overload set, `exists` sees hooks that are no
// templates.
struct OnState {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_state(std::forward<decltype(a)>(a)...)) {
        return o.on_state(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_state; };
};
struct OnMessage {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_message(std::forward<decltype(a)>(a)...)) {
        return o.on_message(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_message; };
};
struct OnWritable {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_writable(std::forward<decltype(a)>(a)...)) {
        return o.on_writable(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_writable; };
};
struct OnUnsent {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_unsent(std::forward<decltype(a)>(a)...)) {
        return o.on_unsent(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_unsent; };
};

template <class Hook, class... A>
concept Callable = requires(A&&... a) { Hook::call(std::forward<A>(a)...); };

/// Calls a hook with the machine first, or without it, or not at all if the observer has none.
///
/// A hook that exists and fits no form is a mistake that would otherwise stay silent.
template <class Hook, class O, class S, class... A>
void notify(O& wrapped, S& machine, A&&... a) {
    auto& o = unwrap(wrapped);
    using Target = std::remove_reference_t<decltype(o)>;
    if constexpr (Callable<Hook, Target&, S&, A...>) {
        Hook::call(o, machine, std::forward<A>(a)...);
    } else if constexpr (Callable<Hook, Target&, A...>) {
        Hook::call(o, std::forward<A>(a)...);
    } else {
        static_assert(
            !Hook::template exists<Target>,
            "observer: a hook has the wrong parameters, see docs/link.md for their forms");
    }
}

/// on_message may leave out the lane too.
template <class O, class S, class M>
void notify_message(O& wrapped, S& machine, M&& message, Lane lane) {
    using Target = Unwrapped<O>;
    if constexpr (Callable<OnMessage, Target&, S&, M, Lane> ||
                  Callable<OnMessage, Target&, M, Lane>) {
        notify<OnMessage>(wrapped, machine, std::forward<M>(message), static_cast<Lane>(lane));
    } else {
        notify<OnMessage>(wrapped, machine, std::forward<M>(message));
    }
}

/// Whether an observer has a hook, with these arguments, with the machine in front or without.
template <class Hook, class O, class S, class... A>
[[nodiscard]] consteval bool hears() {
    using Target = Unwrapped<O>;
    return Callable<Hook, Target&, S&, A...> || Callable<Hook, Target&, A...>;
}

template <class O>
inline constexpr bool is_no_observer = std::same_as<Unwrapped<O>, NoObserver>;

/// Whether an observer of a supervisor has any hook at all.
template <class O, class S, class M>
[[nodiscard]] consteval bool observes_link() {
    return is_no_observer<O> || hears<OnState, O, S, const Transition&>() ||
           hears<OnMessage, O, S, M, Lane>() || hears<OnMessage, O, S, M>() ||
           hears<OnWritable, O, S, Lane>() || hears<OnUnsent, O, S, M, Lane>();
}

}  // namespace detail
}  // namespace belay::inline BELAY_ABI
