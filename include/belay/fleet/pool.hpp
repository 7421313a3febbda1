// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool.hpp
/// Pool: several connections to one service, for borrowers.
#pragma once

#include <concepts>  // std::convertible_to, std::copy_constructible, std::same_as
#include <utility>   // std::move
#include <vector>    // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/endpoints_of.hpp>
#include <belay/fleet/detail/pool_member.hpp>
#include <belay/fleet/pool_lease.hpp>
#include <belay/fleet/pool_status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps several connections to one service open, and leases them to borrowers.
///
/// If connections are down, one of them, the scout, dials by its policy. The others wait until it
/// has connected. While a connection is open, dials that are under way are not aborted. While
/// one is open, a failure at one of several Endpoints also makes no other connection wait.
///
/// If a leased connection proves to be dead, idle connections without a later sign of life are
/// suspect. Suspect connections are not leased. They are opened anew when the scout is connected,
/// unless they have given a sign of life before.
///
/// It is a machine: attach it to a driver. Each connection has a copy of the transport and of the
/// policy. The observer may call everything in its hooks, and may destroy the pool.
///
/// Models:        MachineLike.
/// Thread safety: home thread only.   Complexity: O(size) for acquire() and a connection's end.
template <class Transport, class Policy, class Observer = NoObserver>
class Pool {
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(std::copy_constructible<Transport>,
                  "Pool: the transport must be copyable, because each connection has its own");

public:
    using message_type = typename Transport::message_type;
    using Lease = PoolLease<Pool>;

    explicit Pool(Transport transport, Policy policy, PoolOptions options = {},
                  Observer observer = {})
        : transport_{std::move(transport)},
          policy_{std::move(policy)},
          options_{options.supervisor},
          observer_{std::move(observer)},
          root_{detail::Ref<Root>::make(*this)} {
        static_assert(detail::explain_observer<Hooks, Observer>());
        BELAY_OPTION(options.size > 0, "PoolOptions: size must be > 0");
        resize(options.size);
    }
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, PoolOptions>)
    Pool(Transport transport, Policy policy, O&& observer)
        : Pool{std::move(transport), std::move(policy), PoolOptions{}, std::forward<O>(observer)} {}
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    /// Notifies no observer. Leases become stale.
    ~Pool() {
        root_->pool = nullptr;
        for (auto& member : members_) member->observer().pool = nullptr;
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        waker_ = std::move(waker);
        group_.attach(waker_.nested(0));
    }
    [[nodiscard]] Instant deadline() const noexcept {
        const bool is_due =
            !leaving_.empty() || (awaited_ != 0 && find_idle() != none) || must_report();
        return is_due ? always : group_.deadline();
    }
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Pool::advance: a hook must not call it");
        const driver::TurnGuard guard{lifetime_};
        leaving_.clear();
        if (!group_.advance(now)) return;
        if (awaited_ != 0 && find_idle() != none) {
            awaited_ = 0;
            detail::notify<typename Hooks::Idle>(observer_, *this);
            if (guard.gone()) return;
        }
        if (!must_report()) return;
        reported_ = status();
        detail::notify<typename Hooks::Leases>(observer_, *this, PoolStatus{reported_});
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Starts all connections.
    /// Throws: std::bad_alloc, and then call it again.
    void start() {
        if (running_) return;
        if (!members_.empty()) scout(0);
        for (auto& member : members_) member->start();
        running_ = true;
        // Some connections may be up already, from a call that ran out of memory.
        arrange();
    }
    /// Stops all connections, as Supervisor::stop() does. Leases become stale.
    void stop() {
        running_ = false;
        scout_ = none;
        const driver::TurnGuard guard{lifetime_};
        for (std::size_t i = 0; i < members_.size(); ++i) {
            members_[i]->stop();
            if (guard.gone()) return;
        }
        // If a hook has started the pool again, the connections stopped after that hook need a
        // start.
        if (running_) {
            for (auto& member : members_) member->start();
        }
    }
    /// Makes all connections that are not connected attempt now, as Supervisor::reconnect_now()
    /// does. One dials, and the others wait for it.
    void reconnect_now() {
        std::size_t first = none;
        for (std::size_t i = members_.size(); i-- != 0;) {
            if (!members_[i]->is_up()) first = i;
        }
        if (!running_ || first == none) return;
        scout(first);
        for (auto& member : members_) {
            if (!member->is_up()) static_cast<void>(member->reconnect_now());
        }
    }
    /// Passes new credentials to all connections, as Supervisor::credentials() does. If any of them
    /// is blocked for lack of credentials, one dials, and the others wait for it.
    template <class... A>
    void credentials(const A&... values) {
        std::size_t first = none;
        bool blocked = false;
        for (std::size_t i = members_.size(); i-- != 0;) {
            if (!members_[i]->is_up()) first = i;
            blocked = blocked || members_[i]->status().state == LinkState::blocked_auth;
        }
        if (running_ && blocked && scout_ == none) scout(first);
        // The call may run user code that changes the number of connections.
        for (std::size_t i = 0; i < members_.size(); ++i) members_[i]->credentials(values...);
    }
    /// Changes the number of connections. The last ones are removed first, leased or not; their
    /// leases become stale.
    /// Throws: std::bad_alloc, and then the pool keeps the connections that it could make.
    void resize(std::size_t size) {
        while (members_.size() > size) {
            // This may run in one of the connection's own hooks, so it is destroyed in the next
            // turn.
            leaving_.push_back(std::move(members_.back()));
            members_.pop_back();
            leaving_.back()->observer().pool = nullptr;
            leaving_.back()->stop();
        }
        while (members_.size() < size) {
            members_.push_back(group_.template make<Member>(transport_, policy_, options_,
                                                            MemberObserver{this, members_.size()}));
            if (!running_) continue;
            struct Undo {
                std::vector<driver::GroupedMachine<Member>>& members;
                bool armed = true;
                ~Undo() {
                    if (armed) members.pop_back();
                }
            } undo{members_};
            arrange();
            members_.back()->start();
            undo.armed = false;
        }
        arrange();
        waker_.touch();
    }
    /// Leases the idle connection with the latest sign of life.
    /// Returns: an empty lease if no connection is idle. on_idle then follows once, when there is
    /// one. PoolStatus::awaited counts these calls until then.
    Lease acquire() {
        const std::size_t i = find_idle();
        if (watches_leases()) waker_.touch();
        if (i == none) {
            ++awaited_;
            return {};
        }
        members_[i]->ticket = ++tickets_;
        return {root_, detail::PoolLeaseId{i, tickets_}};
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the numbers of connections and leases.   Complexity: O(size), without allocation.
    [[nodiscard]] PoolStatus status() const noexcept {
        PoolStatus all{.size = members_.size(), .awaited = awaited_, .scouting = scout_ != none};
        for (const auto& member : members_) {
            if (!member->is_up()) continue;
            ++all.connected;
            if (member->ticket != 0) {
                ++all.leased;
            } else {
                ++(is_suspect(*member) ? all.suspect : all.idle);
            }
        }
        return all;
    }
    /// Returns the state of one connection.   Pre: index < status().size.
    [[nodiscard]] const LinkStatus& status(std::size_t index) const noexcept {
        return members_[index]->status();
    }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }

private:
    friend Lease;
    friend struct detail::PoolMemberObserver<Pool>;
    friend struct detail::LifetimeFlagOf;
    using Root = detail::PoolRoot<Pool>;
    using MemberObserver = detail::PoolMemberObserver<Pool>;
    using Member = detail::PoolMember<Pool, Transport, Policy>;
    using Hooks = detail::PoolHooks<Pool, message_type>;
    static constexpr std::size_t none = ~std::size_t{0};

    // ---- for leases ----------------------------------------------------------------------------

    /// Returns the connection of a lease, or null if the lease is over.
    [[nodiscard]] Member* leased(const detail::PoolLeaseId& id) const noexcept {
        if (id.connection >= members_.size()) return nullptr;
        Member& member = *members_[id.connection];
        return member.ticket == id.ticket && member.is_up() ? &member : nullptr;
    }
    void take_back(const detail::PoolLeaseId& id) noexcept {
        if (id.connection >= members_.size()) return;
        Member& member = *members_[id.connection];
        // A connection that was reported dead counts as leased until it has ended.
        if (member.ticket != id.ticket || member.condemned) return;
        member.ticket = 0;
        if (scout_ == none) renew_if_suspect(member);
        waker_.touch();
    }

    // ---- for connections -----------------------------------------------------------------------

    void take_state(std::size_t i, const Transition& change) {
        Member& member = *members_[i];
        const Cause why = change.to.failure.cause;
        const LinkState to = change.to.state;
        if (to == LinkState::connected) {
            member.up_at = change.to.since;
            scout_ = none;
            renew_suspects();
        } else if (change.from == LinkState::connected || change.from == LinkState::connecting) {
            const bool leased = std::exchange(member.ticket, 0) != 0;
            member.condemned = false;
            const bool failed = !change.to.withdrawn && why != Cause::none &&
                                why != Cause::planned && to != LinkState::stopped &&
                                to != LinkState::offline && to != LinkState::connecting;
            if (leased && failed) dead_proof_ = detail::larger(dead_proof_, member.proof());
            if (failed && scout_ == none && !tries_another_endpoint(change)) scout_ = i;
        }
        arrange();
        notify<typename Hooks::State>(i, change);
    }
    void take_message(std::size_t i, message_type message, Lane lane) {
        detail::notify<typename Hooks::Message>(observer_, *this, Lane{lane}, std::size_t{i},
                                                std::move(message));
    }
    void take_writable(std::size_t i, Lane lane) {
        notify<typename Hooks::Writable>(i, Lane{lane});
    }

    template <class Hook, class... A>
    void notify(std::size_t i, A&&... what) {
        detail::notify<Hook>(observer_, *this, std::size_t{i}, static_cast<A&&>(what)...);
    }

    [[nodiscard]] static constexpr bool watches_leases() noexcept {
        return detail::has_hook_of<typename Hooks::Leases, Observer>;
    }
    /// Returns whether the numbers differ from those that the observer was last notified of.
    [[nodiscard]] bool must_report() const noexcept {
        if constexpr (watches_leases()) return !(status() == reported_);
        return false;
    }
    [[nodiscard]] bool is_suspect(const Member& member) const noexcept {
        return member.proof() <= dead_proof_;
    }
    [[nodiscard]] std::size_t find_idle() const noexcept {
        std::size_t best = none;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            const Member& member = *members_[i];
            if (!member.is_up() || member.ticket != 0 || is_suspect(member)) continue;
            if (best == none || member.proof() > members_[best]->proof()) best = i;
        }
        return best;
    }
    void renew_if_suspect(Member& member) {
        if (member.is_up() && member.ticket == 0 && is_suspect(member)) {
            member.renew();
        }
    }
    /// Opens anew the connections that are suspect and have given no sign of life since. Called
    /// when no scout is awaited.
    void renew_suspects() {
        for (auto& member : members_) renew_if_suspect(*member);
    }
    /// Returns whether a failed dial shows only that one endpoint fails, so that no connection has
    /// to wait for this one. Otherwise each connection in turn would fail at that endpoint.
    [[nodiscard]] bool tries_another_endpoint(const Transition& change) {
        // A connection that was stable leaves no attempt.
        const bool is_attempt = change.from == LinkState::connecting || change.to.attempt != 0;
        return is_attempt && is_any_up() && change.to.attempt < detail::endpoints_of(transport_);
    }
    /// Makes one connection the scout; the others that are down wait for it. With `none`, none
    /// waits.
    ///
    /// While a connection is up, a dial under way is not aborted. An aborted dial counts as none,
    /// so an Endpoints would begin with its first endpoint again, one connection after the other.
    void scout(std::size_t chosen) {
        scout_ = chosen;
        const bool is_reachable = is_any_up();
        for (std::size_t i = 0; i < members_.size(); ++i) {
            Member& member = *members_[i];
            const bool dials = member.status().state == LinkState::connecting;
            const bool goes_on = member.is_up() || (is_reachable && dials);
            member.wait_for_scout(scout_ != none && i != scout_ && !goes_on);
        }
    }
    [[nodiscard]] bool is_any_up() const noexcept {
        for (const auto& member : members_) {
            if (member->is_up()) return true;
        }
        return false;
    }
    /// Ensures that there is a scout while no connection is up, and that a scout that gave up has a
    /// successor.
    void arrange() {
        if (!running_) return;
        std::size_t seeking = none;
        for (std::size_t i = members_.size(); i-- != 0;) {
            if (members_[i]->seeks()) seeking = i;
        }
        const bool gave_up =
            scout_ != none && !(scout_ < members_.size() && members_[scout_]->seeks());
        if (gave_up && seeking == none) renew_suspects();
        scout(gave_up || (scout_ == none && !is_any_up()) ? seeking : scout_);
    }

    Transport transport_;
    Policy policy_;
    const SupervisorOptions options_;
    [[no_unique_address]] Observer observer_;
    detail::Ref<Root> root_;
    Waker waker_;
    driver::LifetimeFlag lifetime_;
    driver::MachineGroup group_;
    std::vector<driver::GroupedMachine<Member>> members_;
    std::vector<driver::GroupedMachine<Member>> leaving_;
    std::size_t scout_ = none;
    std::uint64_t tickets_ = 0;
    Instant dead_proof_ = always;  ///< connections without a later sign of life are suspect
    std::size_t awaited_ = 0;      ///< calls of acquire() that found no idle connection
    PoolStatus reported_{};        ///< the numbers of which on_leases was last notified
    bool running_ = false;
};

template <class Transport, class Policy>
Pool(Transport, Policy) -> Pool<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class Observer>
    requires(!std::convertible_to<Observer, PoolOptions>)
Pool(Transport, Policy, Observer) -> Pool<Transport, Policy, Observer>;
template <class Transport, class Policy>
Pool(Transport, Policy, PoolOptions) -> Pool<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class Observer>
Pool(Transport, Policy, PoolOptions, Observer) -> Pool<Transport, Policy, Observer>;

}}  // namespace belay
