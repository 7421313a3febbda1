// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/listener_hooks.hpp
/// ListenerHooks: the hooks that a beast::Listener or a beast::AnyListener calls.
#pragma once

#include <belay/adapter/beast_listener_counters.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The hooks that a listener calls.
struct ListenerHooks {
    using Refused = Hook<OnRefused, const NoMachine, const beast::RefusedUpgrade&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Refused::template right<O>,
                      "beast::Listener: the observer's on_refused must be 'on_refused(const "
                      "belay::beast::RefusedUpgrade&)'");
        static_assert(has_any_hook_of<O, Refused>,
                      "beast::Listener: the observer has no hook: it needs on_refused. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};

}}}  // namespace belay::detail
