// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/service_observer.hpp
/// ServiceObserver: observes a service for its fleet, and forwards events to the user's observer.
#pragma once

#include <belay/fleet/detail/dial_scheduler.hpp>
#include <belay/link/observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The observer of a service's supervisor. After a service is removed, it notifies no observer.
///
/// Thread safety: the fleet's home thread.
template <class O>
struct ServiceObserver {
    template <class H, class Machine, class... A>
    void notify_of(Machine& machine, A&&... a) {
        if (entry->removed) return;
        if constexpr (requires(const Transition& t) { take_state(a...); }) {
            take_state(a...);
            if (entry->scheduler->watch.call != nullptr) [[unlikely]] {
                return notify_both<H>(machine, a...);
            }
        }
        notify<H>(user, machine, static_cast<A&&>(a)...);
    }
    /// Notifies the user's observer, and then the fleet's. Not inlined, because a service whose
    /// fleet has no hook would pay for its stack frame.
    template <class H, class Machine>
    [[gnu::noinline]] void notify_both(Machine& machine, const Transition& t) {
        // The user's observer may remove the service, or destroy it together with the fleet.
        const auto of_machine = LifetimeFlagOf::guard(machine);
        notify<H>(user, machine, t);
        if (of_machine.gone() || entry->removed) return;
        const FleetWatch watch = entry->scheduler->watch;
        watch.call(watch.fleet, *entry, t);
    }
    void take_state(const Transition& t) noexcept { entry->scheduler->moved(*entry, t.to.state); }

    ServiceEntry* entry;
    [[no_unique_address]] O user;
};

template <class H>
inline constexpr bool is_state_hook = false;
template <class Machine>
inline constexpr bool is_state_hook<Hook<OnState, Machine, const Transition&>> = true;

template <class O>
struct ObserverTraits<ServiceObserver<O>> {
    static constexpr bool is_tee = true;
    template <class H>
    static constexpr bool has_hook_of = is_state_hook<H> || detail::has_hook_of<H, O>;
    template <class Hooks>
    [[nodiscard]] static consteval bool explain() {
        return explain_observer<Hooks, O>();
    }
};

}}}  // namespace belay::detail
