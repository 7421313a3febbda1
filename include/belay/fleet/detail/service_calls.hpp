// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/service_calls.hpp
/// FleetPolicy: the rules that a fleet adds to the policies of its services.
/// ServiceObserver: observes a service for its fleet, and forwards events to the observer of the
/// user. ServiceCalls: how the fleet calls it.
#pragma once

#include <string>   // std::string
#include <utility>  // std::exchange, std::move

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/dial_scheduler.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Permits no attempt while the network is suspect, except those of scouts.
struct NetworkWait {
    static constexpr std::string_view name = "network suspect";

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        const DialScheduler& scheduler = *entry->scheduler;
        if (!scheduler.suspect || entry->passes) return Advice::go();
        // The scout dials at `wait_until`. The others ask again when its result may be known; if it
        // is good, the fleet resumes them sooner.
        return Advice::wait_at_least(
            after(larger(scheduler.wait_until, now), scheduler.options.suspect_wait));
    }
    /// Returns whether a service waits for nothing but the network.
    [[nodiscard]] static bool holds(const LinkStatus& status) noexcept {
        return status.state == LinkState::cooldown && status.decided_by == name;
    }
    ServiceEntry* entry;
};

/// Wraps a service's policy so that it receives events with the times at which they happened. A
/// failure has the time at which the connection failed, not the time of the fleet's decision. The
/// limit on attempts runs from the dial.
template <class Policy>
class ScheduledTime {
public:
    /// The hooks that exist on a condition.
    using ConditionalHooks = WantedIsConditional;

    ScheduledTime(Policy policy, ServiceEntry& entry) noexcept
        : policy_{std::move(policy)}, entry_{&entry} {}

    void wanted(Turn& turn) noexcept
        requires HasWanted<Policy>
    {
        policy_.wanted(turn);
    }
    [[nodiscard]] Advice admit(Instant now) const noexcept { return policy_.admit(now); }
    Advice begin(Turn& turn) noexcept {
        if (!std::exchange(entry_->keeps_rank, false)) entry_->asked_at = turn.now;
        entry_->span = policy_.attempt_limit();
        return policy_.begin(turn);
    }
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        // The loss of a connection is no failed dial.
        if (entry_->counted == LinkState::connecting) entry_->was_connected = false;
        Turn then = at_its_time(turn);
        return policy_.failed(failure, then);
    }
    [[nodiscard]] Advice lost(const Failure& failure, Turn& turn) noexcept {
        Turn then = at_its_time(turn);
        return policy_.lost(failure, then);
    }
    void succeeded(Turn& turn) noexcept {
        Turn then = at_its_time(turn);
        policy_.succeeded(then);
    }
    void abandoned(Turn& turn) noexcept { policy_.abandoned(turn); }
    void rejected(Turn& turn) noexcept { policy_.rejected(turn); }
    void reset() noexcept {
        entry_->keeps_rank = false;
        policy_.reset();
    }

    /// A connection that has ended must not become stable while the fleet decides.
    [[nodiscard]] Duration stable_window() const noexcept {
        const Duration window = policy_.stable_window();
        return entry_->was_held ? part::saturating_add(window, entry_->span) : window;
    }
    [[nodiscard]] bool stable_by_age() const noexcept { return policy_.stable_by_age(); }
    /// Returns no limit: ScheduledTransport enforces it, from the dial on.
    [[nodiscard]] Duration attempt_limit() const noexcept { return forever; }

private:
    [[nodiscard]] Turn at_its_time(Turn& turn) const noexcept {
        return {entry_->was_held ? entry_->at : turn.now, turn.bits};
    }

    Policy policy_;
    ServiceEntry* entry_;
};

template <class P>
using FleetPolicy = Policy<NetworkWait, ScheduledTime<AsPolicy<P>>>;

template <class P>
[[nodiscard]] FleetPolicy<P> fleet_policy(P policy, ServiceEntry& entry) {
    return FleetPolicy<P>{NetworkWait{&entry},
                          ScheduledTime<AsPolicy<P>>{as_policy(std::move(policy)), entry}};
}

/// The observer of a service's supervisor. After a service is removed, it notifies no observer.
///
/// Thread safety: the fleet's home thread.
template <class O>
struct ServiceObserver {
    template <class H, class Machine, class... A>
    void notify_of(Machine& machine, A&&... a) {
        if (entry->removed) return;
        if constexpr (requires(const Transition& t) { take_state(a...); }) {
            take_state(a...);
            if (entry->scheduler->watch.call != nullptr) [[unlikely]] {
                return notify_both<H>(machine, a...);
            }
        }
        notify<H>(user, machine, static_cast<A&&>(a)...);
    }
    /// Notifies the user's observer, and then the fleet's. Not inlined, because a service whose
    /// fleet has no hook would pay for its stack frame.
    template <class H, class Machine>
    [[gnu::noinline]] void notify_both(Machine& machine, const Transition& t) {
        // The user's observer may remove the service, or destroy it together with the fleet.
        const auto of_machine = LifetimeFlagOf::guard(machine);
        notify<H>(user, machine, t);
        if (of_machine.gone() || entry->removed) return;
        const FleetWatch watch = entry->scheduler->watch;
        watch.call(watch.fleet, *entry, t);
    }
    void take_state(const Transition& t) noexcept { entry->scheduler->moved(*entry, t.to.state); }

    ServiceEntry* entry;
    [[no_unique_address]] O user;
};

template <class H>
inline constexpr bool is_state_hook = false;
template <class Machine>
inline constexpr bool is_state_hook<Hook<OnState, Machine, const Transition&>> = true;

template <class O>
struct ObserverTraits<ServiceObserver<O>> {
    static constexpr bool is_tee = true;
    template <class H>
    static constexpr bool has_hook_of = is_state_hook<H> || detail::has_hook_of<H, O>;
    template <class Hooks>
    [[nodiscard]] static consteval bool explain() {
        return explain_observer<Hooks, O>();
    }
};

/// The name of a new service, and its fleet.
struct NewService {
    Ref<DialScheduler> scheduler;
    std::string name;
};

/// After a manual reconnect: the next dial does not wait for the network.
inline void let_pass(ServiceEntry& entry, const Reconnect& granted,
                     const LinkStatus& status) noexcept {
    // A live connection is opened anew now or not at all.
    const bool waits = granted.until != never && status.state != LinkState::connected;
    if (granted.granted || waits) entry.passes = true;
}

/// The calls of a fleet to a service S, of which this is a friend, or whose members are public. S
/// derives from ServiceEntry, and has
/// start(), stop(), reconnect_now(), queued(), in_turn(), link(), which returns the supervisor of
/// its connection, and self_.
template <class S>
struct ServiceCalls {
    static S& of(ServiceEntry& entry) noexcept { return static_cast<S&>(entry); }
    static const S& of(const ServiceEntry& entry) noexcept { return static_cast<const S&>(entry); }
    /// Lets a service own itself, until `end`.
    static void keep(driver::GroupedMachine<S> child) noexcept {
        S& service = *child;
        service.self_ = std::move(child);
    }
    static ServiceEntry& entry_of(S& service) noexcept { return service; }
    static constexpr ServiceOps make_table() noexcept {
        using Entry = ServiceEntry;
        return {
            .status = [](const Entry& s) noexcept -> const LinkStatus& {
                return of(s).link().status();
            },
            .queued = [](const Entry& s) { return static_cast<std::size_t>(of(s).queued()); },
            .in_turn = [](const Entry& s) noexcept { return of(s).in_turn(); },
            .start = [](Entry& s) { of(s).start(); },
            .stop = [](Entry& s) { of(s).stop(); },
            .reconnect = [](Entry& s, bool force) { return of(s).reconnect_now(force); },
            .may_attempt =
                [](const Entry& s, Instant now) noexcept {
                    return of(s).link().core().manual_attempt_at(now, false) <= now;
                },
            .resume = [](Entry& s) { of(s).link().reconnect_now(); },
            .unhealthy = [](Entry& s, const Failure& why) { of(s).link().report_unhealthy(why); },
            .dial =
                [](Entry& s) {
                    if (auto* const c = of(s).link().transport().live()) c->dial();
                },
            .close =
                [](Entry& s, const Failure& why, bool withdrawn) {
                    if (auto* const c = of(s).link().transport().live()) c->end(why, withdrawn);
                },
            .end =
                [](Entry& s) noexcept {
                    // The service is first moved out of itself, and then destroyed.
                    auto self = std::move(of(s).self_);
                    self.reset();
                }};
    }
    static const ServiceOps table;
};

template <class S>
constinit const ServiceOps ServiceCalls<S>::table = ServiceCalls<S>::make_table();

/// The service that Fleet::add makes for such options. The component of the options specialises it,
/// with `template <class First, class Second, class Third, class Observer> using Made`. That type
/// is or derives from its member type `Service`, which the user gets.
template <class Options>
struct ServiceKind {
    static constexpr bool is_known = false;
    struct Unknown {
        using Service = Unknown;
    };
    template <class First, class Second, class Policy, class Observer>
    using Made = Unknown;
};

}}}  // namespace belay::detail
