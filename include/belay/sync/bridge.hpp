// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge.hpp
/// Bridge: keeps local scenes and those of a remote server in step, through all outages.
#pragma once

#include <concepts>     // std::convertible_to
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/sync/detail/basic_bridge.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps the scenes of a LocalLike and those of a RemoteLike in step: what changes here is pushed,
/// what changes there is pulled; the later stamp wins.
///
///     Bridge bridge{std::ref(local), Remote{}, policies::bridge(), BridgeOptions{}, App{}};
///     loop.attach(bridge);
///     bridge.start();
///     bridge.changed("session-1");  // by the local side
///
/// Before a push, what is there is looked at: a change on both sides is told (`on_conflict`), and
/// the later one is kept. One call is bounded by the policy; a bridge goes on for ever, with
/// growing waits. See docs/bridge.md.
///
/// A Machine: attach it to a driver, which runs it on one thread, its home. Both sides are called
/// there, in its turns, and may call its commands, but not destroy it; hooks may do all of that.
/// Destruction is silent: nothing is pushed, nobody told.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
/// Complexity:    O(log sessions) for each change and each call; a pull of all is linear.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Bridge final : public detail::BasicBridge<Bridge<Local, Remote, Policy, Observer>, Local,
                                                Remote, Policy, Observer> {
    using Base = detail::BasicBridge<Bridge, Local, Remote, Policy, Observer>;

public:
    /// Each side by `std::ref`, or moved in: a named one is never copied. A remote that is a
    /// machine and is moved in is run by the bridge.
    /// Pre: the options are as each of them says; at least one half is enabled.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Bridge(L&& local, R&& remote, Policy policy, const BridgeOptions& options = {},
           Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy), options,
               std::move(observer)} {}
    template <class L, class R, class O>
        requires(!std::convertible_to<O, BridgeOptions>)
    Bridge(L&& local, R&& remote, Policy policy, const O&)
        : Bridge{std::forward<L>(local), std::forward<R>(remote), std::move(policy)} {
        static_assert(std::convertible_to<O, BridgeOptions>,
                      "Bridge: the fourth argument is belay::BridgeOptions, the observer comes "
                      "behind it");
    }

    /// The local side has a new scene of this session; one of Origin::remote needs nothing. What is
    /// told before start() counts, after stop() not.
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
template <class L, class R, class Policy, class O>
    requires(!std::convertible_to<O, BridgeOptions>)
Bridge(L&&, R&&, Policy, const O&)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy>;
template <class L, class R, class Policy, class Observer>
Bridge(L&&, R&&, Policy, BridgeOptions, Observer)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
