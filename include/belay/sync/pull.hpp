// SPDX-License-Identifier: MIT
/// \file belay/sync/pull.hpp
/// Pull: the half of a Bridge that brings new scenes from a remote server.
#pragma once

#include <concepts>  // std::constructible_from, std::convertible_to, std::same_as
#include <utility>   // std::forward, std::move

#include <belay/sync/detail/basic_bridge.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Brings new scenes from a remote server to the local side, and never changes the remote.
///
/// Equal to a Bridge with pushes disabled, and with default options for everything except the
/// pulls.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Pull final : public detail::BasicBridge<Pull<Local, Remote, Policy, Observer>, Local, Remote,
                                              Policy, Observer> {
    using Base = detail::BasicBridge<Pull, Local, Remote, Policy, Observer>;

public:
    /// Constructs a Pull like a Bridge.   Pre: options.enabled; options.interval > 0ns.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Pull(L&& local, R&& remote, Policy policy, const BridgePullOptions& options = {},
         Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgeOptions{.pull = options, .push = {.enabled = false}}, std::move(observer)} {}
    /// With the usual options.
    template <class L, class R, detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, BridgePullOptions>)
    Pull(L&& local, R&& remote, Policy policy, O&& observer)
        : Pull{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgePullOptions{}, std::forward<O>(observer)} {}
};

template <class L, class R, class Policy>
Pull(L&&, R&&, Policy) -> Pull<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy>
Pull(L&&, R&&, Policy, BridgePullOptions)
    -> Pull<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class Observer>
    requires(!std::convertible_to<Observer, BridgePullOptions>)
Pull(L&&, R&&, Policy, Observer)
    -> Pull<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;
template <class L, class R, class Policy, class Observer>
Pull(L&&, R&&, Policy, BridgePullOptions, Observer)
    -> Pull<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
