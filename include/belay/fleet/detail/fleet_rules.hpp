// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/fleet_rules.hpp
/// NetworkWait, ScheduledTime, FleetPolicy: the rules that a fleet adds to its services' policies.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/fleet/detail/dial_scheduler.hpp>
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
class ScheduledTime : public WantedHook<ScheduledTime<Policy>, HasWanted<Policy>> {
public:
    ScheduledTime(Policy policy, ServiceEntry& entry) noexcept
        : policy_{std::move(policy)}, entry_{&entry} {}

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
    void rejected(Turn& turn) noexcept { detail::reject(policy_, turn); }
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
    template <class, bool>
    friend struct WantedHook;
    void notify_wanted(Turn& turn) noexcept { policy_.wanted(turn); }

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

}}}  // namespace belay::detail
