// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge.hpp
/// Bridge: keeps local scenes and those of a remote server equal, through all outages.
#pragma once

#include <concepts>     // std::constructible_from, std::convertible_to, std::same_as
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/sync/detail/basic_bridge.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps the scenes of a LocalLike and those of a RemoteLike equal.
///
/// It pushes local changes and pulls remote changes. If both sides have changed a scene, the later
/// stamp wins.
///
///     Bridge bridge{std::ref(local), Remote{}, policies::bridge(), BridgeOptions{}, App{}};
///     loop.attach(bridge);
///     bridge.start();
///     bridge.changed("session-1");  // by the local side
///
/// The bridge fetches the remote scene before it pushes, unless pulls are disabled. It reports a
/// change on both sides (`on_conflict`) and keeps the later one. The policy limits each call. The
/// bridge itself never gives up: it continues with growing waits. See docs/explanation/bridges.md.
///
/// A bridge is a machine: attach it to a driver, which runs it on one thread, the home thread. The
/// bridge calls both sides on that thread, in its turns. The sides may call the commands of the
/// bridge, but must not destroy it. Hooks may do both. The destructor pushes nothing and calls no
/// hook.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
/// Complexity:    O(log sessions) for each change and each call; a pull of all is linear.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Bridge final : public detail::BasicBridge<Bridge<Local, Remote, Policy, Observer>, Local,
                                                Remote, Policy, Observer> {
    using Base = detail::BasicBridge<Bridge, Local, Remote, Policy, Observer>;

public:
    /// Constructs a bridge over two sides, each given by `std::ref` or moved in.
    ///
    /// A named side is never copied. The bridge runs a remote that is a machine and is moved in.
    /// Pre: each option is in the range that its comment states; push or pull is enabled.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Bridge(L&& local, R&& remote, Policy policy, const BridgeOptions& options = {},
           Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy), options,
               std::move(observer)} {}
    /// With the usual options.
    template <class L, class R, detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, BridgeOptions>)
    Bridge(L&& local, R&& remote, Policy policy, O&& observer)
        : Bridge{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
                 BridgeOptions{}, std::forward<O>(observer)} {}

    /// Reports that the local side has a new scene of this session.
    ///
    /// A call with Origin::remote has no effect, because the remote has that scene. A change that
    /// is reported before start() counts; one after stop() is ignored.
    /// Throws: std::bad_alloc.
    void changed(std::string_view session, Origin origin = Origin::local) {
        this->mark(session, origin);
    }
};

template <class L, class R, class Policy>
Bridge(L&&, R&&, Policy) -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy>
Bridge(L&&, R&&, Policy, BridgeOptions)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class Observer>
    requires(!std::convertible_to<Observer, BridgeOptions>)
Bridge(L&&, R&&, Policy, Observer)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;
template <class L, class R, class Policy, class Observer>
Bridge(L&&, R&&, Policy, BridgeOptions, Observer)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
