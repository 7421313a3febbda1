// SPDX-License-Identifier: MIT
/// \file belay/link/detail/link_user.hpp
/// LinkUser: what the machines that contain one Supervisor share. DrainLimit: whether a drain()
/// runs, and when it is over.
#pragma once

#include <utility>  // std::exchange, std::forward, std::move

#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Records the calls of drain() until the drain ends. The earliest end of several calls counts.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.   Complexity: O(1) each, without allocation.
class DrainLimit {
public:
    /// A drain() is called. A time below 0ns counts as 0ns. If `now` is `always`, there is no time
    /// yet, because there was no driver and no turn: `within` then begins in the next turn.
    constexpr void begin(Instant now, Duration within) noexcept {
        const Duration rest = larger(within, Duration::zero());
        runs_ = true;
        if (now == always) {
            rest_ = smaller(rest_, rest);
        } else {
            ends_ = smaller(ends_, after(now, rest));
        }
    }
    /// A turn begins.
    constexpr void on_turn(Instant now) noexcept {
        if (rest_ != forever) ends_ = smaller(ends_, after(now, std::exchange(rest_, forever)));
    }
    constexpr void end() noexcept { *this = DrainLimit{}; }

    [[nodiscard]] constexpr bool runs() const noexcept { return runs_; }
    /// Returns the deadline: `never` if no drain runs, or if it has no limit.
    [[nodiscard]] constexpr Instant ends() const noexcept { return ends_; }

private:
    bool runs_ = false;
    Duration rest_ = forever;  // of a drain() before there was a time
    Instant ends_ = never;
};

/// The time, the drain and the order of hooks of a machine that contains one Supervisor of messages
/// M.
///
/// The machine `Me` derives from it, and has these members:
/// - `link_`: the Supervisor, whose observer is `Tap{this}`;
/// - `Hooks`: the hooks of its own observer;
/// - `on_state(const Transition&)`: changes the machine, and then calls notify_state();
/// - `on_message(M&&, Lane)`.
///
/// Thread safety: home thread.
template <class Me, class M, class Observer>
class LinkUser {
protected:
    /// Receives the supervisor's events. The user's observer is notified when the machine is
    /// consistent.
    struct Tap {
        Me* me;
        void on_state(const Transition& change) {
            if (change.to.state == LinkState::stopped) me->drain_.end();
            me->on_state(change);
        }
        void on_message(M message, Lane lane) { me->on_message(std::move(message), lane); }
        void on_writable(Lane lane) {
            if (lane == 0) me->busy_ = false;
        }
    };

    explicit LinkUser(Observer observer) : observer_{std::move(observer)} {}
    LinkUser(const LinkUser&) = delete;
    LinkUser& operator=(const LinkUser&) = delete;
    ~LinkUser() = default;

    void attach_link(Waker waker) {
        link().attach(waker.nested(0));
        waker_ = std::move(waker);
    }
    void begin_drain(Duration within) {
        // A start() that waits for the next turn is drained, too.
        const bool waits = link().deadline() == always;
        if (link().status().state == LinkState::stopped && !waits) return;
        drain_.begin(time(), within);
        waker_.touch();
    }

    /// Returns the time of the turn in progress, or else that of the driver.
    [[nodiscard]] Instant time() const noexcept { return larger(now_, waker_.now()); }

    /// Runs the supervisor's turn.   Returns: false if the machine was destroyed.
    bool advance_link(Instant now, const driver::TurnGuard& guard) {
        now_ = larger(now_, now);
        drain_.on_turn(now_);
        // Left over after a hook threw. They precede the changes of this turn.
        if (!notify_deferred(guard)) return false;
        link().advance(now_);
        if (guard.gone()) return false;
        // The command that waited for this turn was no start().
        if (link().status().state == LinkState::stopped) drain_.end();
        return true;
    }

    /// Calls a hook, and then on_state for each change of the connection that the hook has caused.
    /// Returns: false if the machine was destroyed.
    template <class Hook, class... A>
    bool call(const driver::TurnGuard& guard, A&&... a) {
        {
            const auto notifying = mark_notifying(guard);
            notify<Hook>(observer_, me(), std::forward<A>(a)...);
        }
        return notify_deferred(guard);
    }
    /// Notifies the observer of a transition. If stop() was called inside a hook, on_state waits
    /// until that hook has returned.
    void notify_state(const Transition& change) {
        if (notifying_) return deferred_.push(Transition{change});
        notify<typename Me::Hooks::State>(observer_, me(), change);
    }
    /// Calls on_state for the changes that waited.   Returns: false if the machine was destroyed.
    bool notify_deferred(const driver::TurnGuard& guard) {
        while (!guard.gone() && !deferred_.empty()) {
            const auto notifying = mark_notifying(guard);
            const Transition change = deferred_.pop();
            notify<typename Me::Hooks::State>(observer_, me(), change);
        }
        return !guard.gone();
    }
    /// Marks that a hook, or a function of the user, runs.
    [[nodiscard]] auto mark_notifying(const driver::TurnGuard& guard) noexcept {
        notifying_ = true;
        return ScopeExit{[this, &guard] {
            if (!guard.gone()) notifying_ = false;
        }};
    }

    [[no_unique_address]] Observer observer_;
    driver::LifetimeFlag lifetime_;
    Waker waker_;
    DrainLimit drain_;
    EventRing<Transition> deferred_;  // of the connection, while a hook runs
    Instant now_ = always;
    bool busy_ = false;
    bool notifying_ = false;

private:
    [[nodiscard]] Me& me() noexcept { return static_cast<Me&>(*this); }
    [[nodiscard]] auto& link() noexcept { return me().link_; }
};

}}}  // namespace belay::detail
