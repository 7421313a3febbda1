// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge_service.hpp
/// Lets a Fleet have a Bridge as a service.
///
///     auto& plan = fleet.add("plan", std::ref(board), Remote{}, policies::bridge(),
///                            BridgeOptions{}, App{});
///     plan.start();
///     plan.changed("session-1");
///
/// A type that stores the service writes `Bridge<Local, Remote, Policy, App>::Service*`.
#pragma once

#include <chrono>       // std::chrono::seconds
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/service_calls.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sync/bridge.hpp>
#include <belay/sync/detail/fleet_health.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A service of a Fleet: a Bridge with all its functions.
///
/// The fleet makes it. It is valid until it is removed. If it is removed in one of its own hooks,
/// or in a call of one of its sides, it is valid until the fleet's next turn.
///
/// The bridge has a connection, as every service has. Opening it calls the remote once. It is open
/// when the remote has answered, and it is lost when a call fails because of the remote. The wait
/// for the next attempt is BridgeOptions::outage_wait. Calls whose connection is lost are given up,
/// and made again on the next one. Without a call to make there is no dial, and the state is
/// LinkState::offline unless it is connected.
///
/// Thread safety: as Bridge.
template <class Local, class Remote, class Policy, class Observer>
class BridgeService : public BasicBridge<BridgeService<Local, Remote, Policy, Observer>, Local,
                                         Remote, Policy, ServiceObserver<Observer>, FleetHealth> {
    using Base =
        BasicBridge<BridgeService, Local, Remote, Policy, ServiceObserver<Observer>, FleetHealth>;

public:
    using Service = BridgeService;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        link_.attach(waker.nested(1));
        Base::attach(std::move(waker));
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (follows() || Base::engine().health().has_local_failure()) return always;
        return smaller(Base::deadline(), link_.deadline());
    }
    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        link_.advance(now);
        if (guard.gone()) return;
        Base::advance(now);
        if (guard.gone()) return;
        if (const auto failure = Base::engine().health().take_local_failure()) {
            link_.report_unhealthy(*failure);
        }
        // Last: stopping calls on_service, in which the fleet may be destroyed.
        if (follows()) follow();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Starts the bridge. Later calls have no effect: a bridge cannot start again after stop().
    void start() {
        if (Base::started()) return;
        Base::start();
        // With pulls there is a call to make at once.
        if (!pulls_) rest(true);
        link_.start();
    }
    /// Reports that the local side has a new scene of this session; see Bridge::changed.
    void changed(std::string_view session, Origin origin = Origin::local) {
        this->mark(session, origin);
    }
    /// Calls the remote now, instead of after the wait of an outage; see
    /// Supervisor::reconnect_now. It also does not wait while the network is suspect.
    Reconnect reconnect_now(bool force = false) {
        const Reconnect granted = link_.reconnect_now(force);
        let_pass(entry_, granted, link_.status());
        return granted;
    }

    // ---- observers -----------------------------------------------------------------------------

    [[nodiscard]] std::string_view name() const noexcept { return entry_.name; }
    /// Returns the state of the connection, as the fleet shows it.
    [[nodiscard]] const LinkStatus& status() const noexcept { return link_.status(); }
    [[nodiscard]] auto& observer() noexcept { return unwrap(Base::observer().user); }

protected:
    template <class L, class R>
    BridgeService(ServiceEntry& entry, L&& local, R&& remote, Policy policy,
                  const BridgeOptions& options, Observer observer)
        : Base{std::forward<L>(local), std::forward<R>(remote),
               std::move(policy),      options,
               FleetHealth{entry},     ServiceObserver<Observer>{&entry, std::move(observer)}},
          entry_{entry},
          pulls_{options.pull.enabled},
          link_{Transport{Calls{Base::engine().health(), Base::remote()}, entry},
                fleet_policy(Waits{options.outage_wait, ResetWhenStable::by_age(Duration{0}),
                                   AttemptTimeout{dial_limit(options.answer_within)}},
                             entry),
                link_options(), ServiceObserver<Tap>{&entry, Tap{this}}} {
        entry.priority = options.priority;
        entry.by_calls = true;
    }

    /// Returns the supervisor of the connection.
    [[nodiscard]] auto& link() noexcept { return link_; }
    [[nodiscard]] const auto& link() const noexcept { return link_; }
    /// Returns the number of sessions with edits that the remote has not confirmed.
    [[nodiscard]] std::size_t queued() const noexcept { return Base::engine().unconfirmed(); }
    /// Returns whether one of its turns is on the call stack.
    [[nodiscard]] bool in_turn() const noexcept { return lifetime_.in_turn(); }

private:
    /// Receives the events of the supervisor.
    struct Tap {
        BridgeService* me;
        void on_state(const Transition& change) { me->moved(change.to); }
    };
    using Calls = RemoteCalls<Unwrapped<Remote>>;
    using Transport = ScheduledTransport<Calls>;
    using Waits = belay::Policy<OutageWait, ResetWhenStable, AttemptTimeout>;
    using Link = Supervisor<Transport, FleetPolicy<Waits>, ServiceObserver<Tap>>;
    /// Shut while there is no call to make.
    static constexpr Gate calls_gate = Gate::custom;

    /// A dial is a call, so it must not end before the call does.
    [[nodiscard]] static Duration dial_limit(Duration answer_within) noexcept {
        return larger(default_attempt_limit,
                      part::saturating_add(answer_within, std::chrono::seconds{1}));
    }
    [[nodiscard]] static SupervisorOptions link_options() noexcept {
        SupervisorOptions options;
        // The credentials are the remote's own.
        options.core.recycle = false;
        return options;
    }
    void moved(const LinkStatus& status) {
        // The remote takes its credentials anew for each call, so it is tried again without a
        // command if they were rejected.
        if (status.state == LinkState::connecting) link_.credentials();
        if (Base::engine().health().moved(status)) {
            Base::engine().pending_events().state(Base::connectivity());
        }
    }
    /// Returns whether the connection has to follow what the bridge does.
    [[nodiscard]] bool follows() const noexcept {
        if (Base::ended()) return link_.status().state != LinkState::stopped;
        const bool has_work = Base::engine().has_work();
        return rests_ ? has_work : !has_work && Base::engine().health().dials();
    }
    void follow() {
        if (Base::ended()) return link_.stop();
        rest(!rests_);
    }
    void rest(bool rests) {
        rests_ = rests;
        if (rests) return link_.shut(calls_gate);
        link_.open(calls_gate);
        // At once: only gates of computers open for all at one instant.
        link_.reconnect_now();
    }

    ServiceEntry& entry_;
    const bool pulls_;
    bool rests_ = false;  // the gate is shut, or will be in the next turn
    driver::LifetimeFlag lifetime_;
    Link link_;
};

/// A BridgeService as its fleet owns it.
template <class Local, class Remote, class Policy, class Observer>
struct OwnedBridgeService final : ServiceEntry, BridgeService<Local, Remote, Policy, Observer> {
    using Base = BridgeService<Local, Remote, Policy, Observer>;
    using Base::in_turn;
    using Base::link;
    using Base::queued;

    template <class L, class R>
    OwnedBridgeService(NewService service, L&& local, R&& remote, Policy policy,
                       const BridgeOptions& options, Observer observer)
        : ServiceEntry{ServiceCalls<OwnedBridgeService>::table, std::move(service.scheduler),
                       std::move(service.name)},
          Base{static_cast<ServiceEntry&>(*this),
               std::forward<L>(local),
               std::forward<R>(remote),
               std::move(policy),
               options,
               std::move(observer)} {}

    driver::GroupedMachine<OwnedBridgeService> self_;
};

template <>
struct ServiceKind<BridgeOptions> {
    static constexpr bool is_known = true;
    template <class Local, class Remote, class Policy, class Observer>
    using Made = OwnedBridgeService<Local, Remote, Policy, Observer>;
};

}}}  // namespace belay::detail
