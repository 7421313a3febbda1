// SPDX-License-Identifier: MIT
/// \file belay/fleet/observer.hpp
/// The hooks of a Fleet's observer.
///
/// - `on_network_suspect(auto& fleet, const NetworkSuspect&)`
/// - `on_service(auto& fleet, std::string_view name, const Transition&)`: a service has changed its
///   state. The service's own observer was notified before. If that has removed the service, or has
///   thrown, the fleet's is not notified. The name is valid until the service is destroyed.
///
/// Each hook may leave out the fleet. Hooks run on the home thread. They may call every command of
/// the fleet, also remove(), and may destroy it. An exception from a hook leaves the call that ran
/// it.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/observer.hpp>
#include <belay/fleet/network_suspect.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnNetworkSuspect, on_network_suspect);
BELAY_DETAIL_HOOK(OnService, on_service);

/// The hooks of a Fleet F.
template <class F>
struct FleetHooks {
    using Suspect = Hook<OnNetworkSuspect, F, const NetworkSuspect&>;
    using Service = Hook<OnService, F, std::string_view, const Transition&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Suspect::template right<O>,
                      "Fleet: the observer's on_network_suspect must be 'on_network_suspect(const "
                      "belay::NetworkSuspect&)', or have 'auto& fleet' in front of that");
        static_assert(Service::template right<O>,
                      "Fleet: the observer's on_service must be 'on_service(std::string_view name, "
                      "const belay::Transition&)', or have 'auto& fleet' in front of that");
        static_assert(has_any_hook_of<O, Suspect, Service>,
                      "Fleet: the observer has no hook: it needs on_network_suspect or on_service. "
                      "Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
