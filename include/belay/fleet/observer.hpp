// SPDX-License-Identifier: MIT
/// \file belay/fleet/observer.hpp
/// The hook of a Fleet's observer, also without the fleet in front:
/// `on_network_suspect(auto& fleet, const NetworkSuspect&)`.
///
/// It runs on the home thread, may call every command of the fleet, and destroy it. What it throws
/// leaves the `advance` that ran it.
#pragma once

#include <belay/core/observer.hpp>
#include <belay/fleet/network_suspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

BELAY_DETAIL_HOOK(OnNetworkSuspect, on_network_suspect);

/// What a Fleet F tells.
template <class F>
struct FleetHooks {
    using Suspect = Hook<OnNetworkSuspect, F, const NetworkSuspect&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Suspect::template right<O>,
                      "Fleet: the observer's on_network_suspect must be 'on_network_suspect(const "
                      "belay::NetworkSuspect&)', or have 'auto& fleet' in front of that");
        static_assert(hears_any_of<O, Suspect>,
                      "Fleet: the observer hears nothing: it needs on_network_suspect; one that "
                      "may hear nothing derives from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
