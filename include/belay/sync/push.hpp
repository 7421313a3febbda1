// SPDX-License-Identifier: MIT
/// \file belay/sync/push.hpp
/// Push: the half of a Bridge that brings local changes to a remote server.
#pragma once

#include <concepts>     // std::constructible_from, std::convertible_to, std::same_as
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/sync/detail/basic_bridge.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Brings local changes to a remote server that no other client changes.
///
/// It never fetches the scene of the remote. Equal to a Bridge with pulls disabled, and with
/// default options for everything except the debounce. Stores about 400 bytes for each session that
/// was ever reported to it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Push final : public detail::BasicBridge<Push<Local, Remote, Policy, Observer>, Local, Remote,
                                              Policy, Observer> {
    using Base = detail::BasicBridge<Push, Local, Remote, Policy, Observer>;

public:
    /// Constructs a Push like a Bridge.   Pre: options.enabled; options.debounce >= 0ns.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Push(L&& local, R&& remote, Policy policy, const BridgePushOptions& options = {},
         Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgeOptions{.pull = {.enabled = false}, .push = options}, std::move(observer)} {}
    /// With the usual options.
    template <class L, class R, detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, BridgePushOptions>)
    Push(L&& local, R&& remote, Policy policy, O&& observer)
        : Push{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgePushOptions{}, std::forward<O>(observer)} {}

    /// Reports a local change, like Bridge::changed.   Throws: std::bad_alloc.
    void changed(std::string_view session, Origin origin = Origin::local) {
        this->mark(session, origin);
    }
};

template <class L, class R, class Policy>
Push(L&&, R&&, Policy) -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy>
Push(L&&, R&&, Policy, BridgePushOptions)
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class Observer>
    requires(!std::convertible_to<Observer, BridgePushOptions>)
Push(L&&, R&&, Policy, Observer)
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;
template <class L, class R, class Policy, class Observer>
Push(L&&, R&&, Policy, BridgePushOptions, Observer)
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
