// SPDX-License-Identifier: MIT
/// \file belay/fleet/observer.hpp
/// The hook of a Fleet's observer: `on_network_suspect(auto& fleet, const NetworkSuspect&)`.
///
/// The hook may leave out the fleet. It runs on the home thread. It may call every command of the
/// fleet, and may destroy it. An exception from it leaves the `advance` that ran it.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/fleet/network_suspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnNetworkSuspect, on_network_suspect);

/// The hooks of a Fleet F.
template <class F>
struct FleetHooks {
    using Suspect = Hook<OnNetworkSuspect, F, const NetworkSuspect&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Suspect::template right<O>,
                      "Fleet: the observer's on_network_suspect must be 'on_network_suspect(const "
                      "belay::NetworkSuspect&)', or have 'auto& fleet' in front of that");
        static_assert(has_any_hook_of<O, Suspect>,
                      "Fleet: the observer has no hook: it needs on_network_suspect. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
