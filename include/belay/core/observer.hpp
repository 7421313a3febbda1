// SPDX-License-Identifier: MIT
/// \file belay/core/observer.hpp
/// NoObserver, and the one way in which every component of belay notifies an observer.
///
/// docs/reference/core.md describes what an observer is, and what the compiler rejects. For each
/// class with an observer, its component has one struct. It lists the hooks with their arguments
/// (`Hook`), and the compiler's messages for a wrong hook (`explain`); see link/supervisor.hpp.
#pragma once

#include <concepts>     // std::same_as, std::convertible_to
#include <type_traits>  // std::is_base_of_v, std::remove_reference_t
#include <utility>      // std::declval

#include <belay/core/assert.hpp>
#include <belay/core/detail/member_names.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An observer without hooks, which costs nothing.
///
/// An observer that may have no hook derives from it.
struct NoObserver {};

template <class... Os>
class Tee;

namespace detail {

/// A std::reference_wrapper, recognised by its shape, because its header is heavy.
template <class O>
concept Reference = requires(O& wrapper) {
    typename O::type;
    { wrapper.get() } -> std::same_as<typename O::type&>;
};

/// Returns the observer itself, also if it is inside a std::reference_wrapper.
template <class O>
[[nodiscard]] constexpr auto& unwrap(O& observer) noexcept {
    if constexpr (Reference<O>) {
        return observer.get();
    } else {
        return observer;
    }
}
template <class O>
using Unwrapped = std::remove_reference_t<decltype(unwrap(std::declval<O&>()))>;

// ---- names of hooks ----------------------------------------------------------------------------

// Several components call these hooks. Each other hook is defined in its component. `call` is the
// hook as an overload set. `is_plain` detects a hook that is public, and neither overloaded nor a
// template.
#define BELAY_DETAIL_HOOK(Name, hook)                                                           \
    struct Name {                                                                               \
        template <class O, class... A>                                                          \
        static constexpr auto call(O& o,                                                        \
                                   A&&... a) noexcept(noexcept(o.hook(static_cast<A&&>(a)...))) \
            -> decltype(o.hook(static_cast<A&&>(a)...)) {                                       \
            return o.hook(static_cast<A&&>(a)...);                                              \
        }                                                                                       \
        template <class O>                                                                      \
        static constexpr bool is_plain = requires { &O::hook; };                                \
    }
BELAY_DETAIL_HOOK(OnState, on_state);
BELAY_DETAIL_HOOK(OnMessage, on_message);
BELAY_DETAIL_HOOK(OnWritable, on_writable);
BELAY_DETAIL_HOOK(OnUnsent, on_unsent);
BELAY_DETAIL_HOOK(OnRejected, on_rejected);
BELAY_DETAIL_HOOK(OnPushed, on_pushed);
BELAY_DETAIL_HOOK(OnDropped, on_dropped);
BELAY_DETAIL_HOOK(OnConflict, on_conflict);
BELAY_DETAIL_HOOK(OnJournalReplaced, on_journal_replaced);

/// Returns whether an observer has a member of this name, in any form. For a final class, it
/// detects only what `is_plain` detects.
template <class Name, class O>
[[nodiscard]] consteval bool has_hook() {
    // Otherwise each observer would seem to have it.
    static_assert(Name::template is_plain<MemberNames>, "add the hook to MemberNames");
    if constexpr (Probed<O>) {
        return !Name::template is_plain<MemberProbe<std::remove_cv_t<O>>>;
    } else {
        return Name::template is_plain<O>;
    }
}

// ---- one observer ------------------------------------------------------------------------------

/// Stands for the machine where there is none.
struct NoMachine {};
inline constexpr NoMachine no_machine{};

template <class Name, class O, class... A>
concept Callable = requires(O& o, A&&... a) { Name::call(o, static_cast<A&&>(a)...); };

/// A hook of a machine and its arguments, with or without the machine as the first one.
template <class Name, class Machine, class... A>
struct Hook {
    template <class O>
    [[nodiscard]] static consteval bool takes_machine() {
        if constexpr (std::same_as<Machine, const NoMachine>) {
            return false;
        } else {
            return Callable<Name, O, Machine&, A...>;
        }
    }
    template <class O>
    static constexpr bool callable_on = takes_machine<O>() || Callable<Name, O, A...>;
    /// Whether a hook that is callable returns void. A hook of this name that fits no call is
    /// wrong, because it would never be called.
    template <class O>
    [[nodiscard]] static consteval bool is_right() {
        if constexpr (takes_machine<O>()) {
            return explain_result<decltype(Name::call(std::declval<O&>(), std::declval<Machine&>(),
                                                      std::declval<A>()...))>();
        } else if constexpr (callable_on<O>) {
            return explain_result<decltype(Name::call(std::declval<O&>(), std::declval<A>()...))>();
        } else {
            return !has_hook<Name, O>();
        }
    }
    template <class O>
    static constexpr bool right = is_right<O>();

    template <class O, class... B>
    static constexpr void call(O& o, Machine& machine, B&&... b) {
        constexpr bool fits =
            takes_machine<O>() ? Callable<Name, O, Machine&, B...> : Callable<Name, O, B...>;
        static_assert(fits,
                      "Tee: the argument of this hook cannot be copied; only the last observer may "
                      "take it by value, and the others must take it as const&");
        if constexpr (takes_machine<O>() && fits) {
            static_assert(
                explain_result<decltype(Name::call(o, machine, static_cast<B&&>(b)...))>());
            static_cast<void>(Name::call(o, machine, static_cast<B&&>(b)...));
        } else if constexpr (fits) {
            static_assert(explain_result<decltype(Name::call(o, static_cast<B&&>(b)...))>());
            static_cast<void>(Name::call(o, static_cast<B&&>(b)...));
        }
    }
    template <class Answer>
    [[nodiscard]] static consteval bool explain_result() {
        static_assert(std::is_void_v<Answer>,
                      "observer: a hook must return void, because a result would be ignored and a "
                      "coroutine would never run");
        return std::is_void_v<Answer>;
    }
    template <class O>
    [[nodiscard]] static consteval bool never_throws() {
        if constexpr (takes_machine<O>()) {
            return noexcept(
                Name::call(std::declval<O&>(), std::declval<Machine&>(), std::declval<A>()...));
        } else if constexpr (callable_on<O>) {
            return noexcept(Name::call(std::declval<O&>(), std::declval<A>()...));
        } else {
            return true;
        }
    }
};

/// False for an observer without hooks that does not derive from NoObserver: a hook is misspelt.
/// A hook that fits no call counts, because it has an error of its own.
template <class O, class... Hooks>
inline constexpr bool has_any_hook_of =
    std::is_base_of_v<NoObserver, O> ||
    ((Hooks::template callable_on<O> || !Hooks::template right<O>) || ...);

// ---- one, or several in a Tee ------------------------------------------------------------------

template <class O>
struct ObserverTraits {
    static constexpr bool is_tee = false;
    template <class H>
    static constexpr bool has_hook_of = H::template callable_on<O>;
    template <class Hooks>
    [[nodiscard]] static consteval bool explain() {
        return Hooks::template explain<O>();
    }
};
template <class... Os>
struct ObserverTraits<Tee<Os...>> {
    static constexpr bool is_tee = true;
    template <class H>
    static constexpr bool has_hook_of =
        (ObserverTraits<Unwrapped<Os>>::template has_hook_of<H> || ...);
    template <class Hooks>
    [[nodiscard]] static consteval bool explain() {
        return (ObserverTraits<Unwrapped<Os>>::template explain<Hooks>() && ...);
    }
};

/// Whether an observer, or any observer of a Tee, has a hook.
template <class H, class O>
inline constexpr bool has_hook_of = ObserverTraits<Unwrapped<O>>::template has_hook_of<H>;

/// Returns whether an observer is right for these hooks. If not, compile errors give the reasons.
template <class Hooks, class O>
[[nodiscard]] consteval bool explain_observer() {
    return ObserverTraits<Unwrapped<O>>::template explain<Hooks>();
}

/// The argument of a constructor that takes an observer alone. An object of a derived class is
/// rejected, because the copy of its base would not have its hooks.
template <class O, class Observer>
concept ObserverArgument =
    std::convertible_to<O, Observer> && (std::same_as<std::remove_cvref_t<O>, Observer> ||
                                         !std::is_base_of_v<Observer, std::remove_cvref_t<O>>);

/// Calls a hook if the observer has it. explain_observer has checked the observer before.
/// Throws: what the hook throws.
template <class H, class O, class Machine, class... A>
constexpr void notify(O& wrapped, Machine& machine, A&&... a) {
    if constexpr (has_hook_of<H, O>) {
        auto& observer = unwrap(wrapped);
        if constexpr (ObserverTraits<Unwrapped<O>>::is_tee) {
            observer.template notify_of<H>(machine, static_cast<A&&>(a)...);
        } else {
            H::call(observer, machine, static_cast<A&&>(a)...);
        }
    }
}

}  // namespace detail
}}  // namespace belay
