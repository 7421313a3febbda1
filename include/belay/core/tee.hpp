// SPDX-License-Identifier: MIT
/// \file belay/core/tee.hpp
/// Tee: an observer that is several.
#pragma once

#include <concepts>     // std::copy_constructible
#include <cstddef>      // std::size_t
#include <tuple>        // std::tuple, std::get
#include <type_traits>  // std::is_lvalue_reference_v
#include <utility>      // std::as_const, std::index_sequence, std::move

#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Feeds several observers of one part, in order: `Tee{LinkLog{sink}, std::ref(app)}`.
///
/// For any part that has observers. Each of them is what it would be alone: it has any of the
/// part's hooks, a wrong one does not compile, and one that may hear nothing derives from
/// NoObserver. What is handed over (a message, a dropped value) is copied for all but the last that
/// hears of it, or shown as const to them, if it cannot be copied. What a hook throws ends the
/// round.
///
/// Thread safety: as its observers; their hooks run where the part tells.
template <class... Os>
class Tee final {
    static_assert(sizeof...(Os) != 0, "Tee: needs an observer");

public:
    explicit Tee(Os... observers) : observers_{std::move(observers)...} {}

    /// The observer at index I, also behind a std::ref.
    template <std::size_t I>
    [[nodiscard]] auto& get() noexcept {
        return detail::unwrap(std::get<I>(observers_));
    }

private:
    template <class H, class O, class Machine, class... A>
    friend constexpr void detail::notify(O& wrapped, Machine& machine, A&&... a);

    /// Moves with the Tee as a fresh one: a Tee moves only before it is in use.
    struct Life : driver::Lifeline {
        Life() noexcept = default;
        Life(const Life&) noexcept : driver::Lifeline{} {}
        Life& operator=(const Life&) noexcept { return *this; }
    };

    template <class H, class Machine, class... A>
    void tell(Machine& machine, A&&... a) {
        tell_each<H>(std::index_sequence_for<Os...>{}, machine, static_cast<A&&>(a)...);
    }
    template <class H, std::size_t... I, class Machine, class... A>
    void tell_each(std::index_sequence<I...>, Machine& machine, A&&... a) {
        constexpr std::size_t last = last_that_hears<H>();
        // A hook may destroy the machine, and this with it or not: nobody else is told then.
        const driver::TurnGuard of_tee{life_};
        const auto of_machine = detail::LifelineOf::guard(machine);
        const auto ends = [&] { return of_tee.gone() || of_machine.gone(); };
        static_cast<void>(
            ((tell_one<H, I == last>(std::get<I>(observers_), machine, static_cast<A&&>(a)...),
              !ends()) &&
             ...));
    }
    template <class H, bool is_last, class O, class Machine, class... A>
    static void tell_one(O& observer, Machine& machine, A&&... a) {
        if constexpr (is_last) {
            detail::notify<H>(observer, machine, static_cast<A&&>(a)...);
        } else if constexpr (detail::hears<H, O>) {
            detail::notify<H>(observer, machine, spare<A>(a)...);
        }
    }
    /// What others than the last are told: the same, or a copy of what is handed over.
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
    [[nodiscard]] static consteval std::size_t last_that_hears() {
        std::size_t last = 0;
        std::size_t i = 0;
        ((detail::hears<H, Os> ? last = i++ : i++), ...);
        return last;
    }

    std::tuple<Os...> observers_;
    Life life_;
};

template <class... Os>
Tee(Os...) -> Tee<Os...>;

}}  // namespace belay
