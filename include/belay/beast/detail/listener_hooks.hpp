// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/listener_hooks.hpp
/// ListenerHooks: the hooks that a beast::Listener or a beast::AnyListener calls.
#pragma once

#include <belay/beast/listener_counters.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The hooks that a listener calls.
struct ListenerHooks {
    using Rejected = Hook<OnRejected, const NoMachine, const beast::RejectedUpgrade&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Rejected::template right<O>,
                      "beast::Listener: the observer's on_rejected must be 'on_rejected(const "
                      "belay::beast::RejectedUpgrade&)'");
        static_assert(has_any_hook_of<O, Rejected>,
                      "beast::Listener: the observer has no hook: it needs on_rejected. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
