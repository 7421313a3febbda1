// SPDX-License-Identifier: MIT
/// \file belay/core/tee.hpp
/// Tee: an observer that consists of several observers.
#pragma once

#include <concepts>     // std::copy_constructible
#include <cstddef>      // std::size_t
#include <tuple>        // std::tuple, std::get
#include <type_traits>  // std::is_lvalue_reference_v
#include <utility>      // std::as_const, std::index_sequence, std::move

#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Notifies several observers of one object, in order: `Tee{LinkLog{sink}, std::ref(app)}`.
///
/// Use it for any class of belay that has an observer. Each observer follows the rules that it
/// would follow alone: it may have any of the hooks, and a wrong hook does not compile. An observer
/// that may have no hook derives from NoObserver.
///
/// A value that is handed over (a message, a dropped value) goes to the last observer that has the
/// hook. The others receive a copy, or a const reference if it cannot be copied. If a hook throws,
/// the observers after it are not notified.
///
/// Thread safety: that of its observers; their hooks run where the object notifies.
template <class... Os>
class Tee final {
    static_assert(sizeof...(Os) != 0, "Tee: pass at least one observer");

public:
    explicit Tee(Os... observers) : observers_{std::move(observers)...} {}

    /// Returns the observer at index I, also if it is inside a std::ref.
    template <std::size_t I>
    [[nodiscard]] auto& get() noexcept {
        return detail::unwrap(std::get<I>(observers_));
    }

private:
    template <class H, class O, class Machine, class... A>
    friend constexpr void detail::notify(O& wrapped, Machine& machine, A&&... a);

    /// Starts anew when the Tee moves, because a Tee moves only before it is in use.
    struct Life : driver::LifetimeFlag {
        Life() noexcept = default;
        Life(const Life&) noexcept : driver::LifetimeFlag{} {}
        Life& operator=(const Life&) noexcept { return *this; }
    };

    template <class H, class Machine, class... A>
    void notify_of(Machine& machine, A&&... a) {
        notify_each<H>(std::index_sequence_for<Os...>{}, machine, static_cast<A&&>(a)...);
    }
    template <class H, std::size_t... I, class Machine, class... A>
    void notify_each(std::index_sequence<I...>, Machine& machine, A&&... a) {
        constexpr std::size_t last = last_with<H>();
        // A hook may destroy the machine, with or without this Tee: the others are not notified
        // then.
        const driver::TurnGuard of_tee{life_};
        const auto of_machine = detail::LifetimeFlagOf::guard(machine);
        const auto ends = [&] { return of_tee.gone() || of_machine.gone(); };
        static_cast<void>(
            ((notify_one<H, I == last>(std::get<I>(observers_), machine, static_cast<A&&>(a)...),
              !ends()) &&
             ...));
    }
    template <class H, bool is_last, class O, class Machine, class... A>
    static void notify_one(O& observer, Machine& machine, A&&... a) {
        if constexpr (is_last) {
            detail::notify<H>(observer, machine, static_cast<A&&>(a)...);
        } else if constexpr (detail::has_hook_of<H, O>) {
            detail::notify<H>(observer, machine, spare<A>(a)...);
        }
    }
    /// Returns what an observer before the last one receives.
    ///
    /// It is the same argument, or a copy of what is handed over, or a const reference if that
    /// cannot be copied.
    template <class A>
    static decltype(auto) spare(std::remove_reference_t<A>& a) {
        if constexpr (std::is_lvalue_reference_v<A>) {
            return (a);
        } else if constexpr (std::copy_constructible<A>) {
            return A(a);
        } else {
            return std::as_const(a);
        }
    }
    template <class H>
    [[nodiscard]] static consteval std::size_t last_with() {
        std::size_t last = 0;
        std::size_t i = 0;
        ((detail::has_hook_of<H, Os> ? last = i++ : i++), ...);
        return last;
    }

    std::tuple<Os...> observers_;
    Life life_;
};

template <class... Os>
Tee(Os...) -> Tee<Os...>;

}}  // namespace belay
