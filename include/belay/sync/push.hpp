// SPDX-License-Identifier: MIT
/// \file belay/sync/push.hpp
/// Push: the half of a Bridge that brings local changes to a remote server.
#pragma once

#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/sync/detail/basic_bridge.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Brings local changes to a remote server, which nobody else changes: it never looks at what is
/// there. A Bridge whose pulls are not enabled, with the usual options for all but the debounce.
/// Keeps some 200 bytes of each session that it was ever told of.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Push final : public detail::BasicBridge<Push<Local, Remote, Policy, Observer>, Local, Remote,
                                              Policy, Observer> {
    using Base = detail::BasicBridge<Push, Local, Remote, Policy, Observer>;

public:
    /// As of a Bridge.   Pre: options.enabled; options.debounce >= 0ns.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Push(L&& local, R&& remote, Policy policy, const BridgePushOptions& options = {},
         Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgeOptions{.pull = {.enabled = false}, .push = options}, std::move(observer)} {}
    template <class L, class R, class O>
        requires(!std::convertible_to<O, BridgePushOptions>)
    Push(L&& local, R&& remote, Policy policy, const O&)
        : Push{std::forward<L>(local), std::forward<R>(remote), std::move(policy)} {
        static_assert(std::convertible_to<O, BridgePushOptions>,
                      "Push: the fourth argument is belay::BridgePushOptions, the observer comes "
                      "behind it");
    }

    /// As of a Bridge.   Throws: std::bad_alloc.
    void changed(std::string_view session, Origin origin = Origin::local) {
        this->mark(session, origin);
    }
};

template <class L, class R, class Policy>
Push(L&&, R&&, Policy) -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy>
Push(L&&, R&&, Policy, BridgePushOptions)
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class O>
    requires(!std::convertible_to<O, BridgePushOptions>)
Push(L&&, R&&, Policy, const O&) -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class Observer>
Push(L&&, R&&, Policy, BridgePushOptions, Observer)
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
