// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool.hpp
/// Pool: several connections to one service, which are lent.
#pragma once

#include <concepts>  // std::copy_constructible
#include <utility>   // std::move
#include <vector>    // std::vector

#include <belay/core/machine_group.hpp>
#include <belay/fleet/detail/pool_member.hpp>
#include <belay/fleet/pool_lease.hpp>
#include <belay/fleet/pool_status.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Keeps connections to one service alive, and lends them.
///
/// Of those that are down one redials by its policy, the scout; the others wait until it has
/// connected. If a connection is found dead that was lent, those that are idle, and were last heard
/// of no later than it, are suspect: they are not lent, and are made anew when the scout is back,
/// unless they are heard of before.
///
/// A Machine: attach it to a driver. Each connection has a copy of the transport and of the policy.
/// The observer may do everything in its hooks, and destroy the pool.
///
/// Models:        MachineLike.
/// Thread safety: home thread only.   Complexity: O(size) for acquire() and a connection's end.
template <class Transport, class Policy, class Observer = NoObserver>
class Pool {
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(std::copy_constructible<Transport>,
                  "Pool: the transport must be copyable: each connection has its own");

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
        resize(options.size);
    }
    template <class O>
        requires(!std::convertible_to<O, PoolOptions>)
    Pool(Transport transport, Policy policy, const O&)
        : Pool{std::move(transport), std::move(policy)} {
        static_assert(std::convertible_to<O, PoolOptions>,
                      "Pool: the third argument is belay::PoolOptions, the observer comes behind "
                      "it");
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    /// Silent. Leases go stale.
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
        return !leaving_.empty() || (asked_ && find_idle() != none) ? always : group_.deadline();
    }
    void advance(Instant now) {
        BELAY_PRECONDITION(!line_.in_turn(), "Pool::advance: must not be called in a hook");
        const driver::TurnGuard guard{line_};
        leaving_.clear();
        if (!group_.advance(now)) return;
        if (!asked_ || find_idle() == none) return;
        asked_ = false;
        detail::notify<typename Hooks::Idle>(observer_, *this);
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Throws: std::bad_alloc, and then it is to be called again.
    void start() {
        if (running_) return;
        if (!members_.empty()) scout(0);
        for (auto& member : members_) member->start();
        running_ = true;
        // Some may be up, whom one that ran out of memory has started.
        arrange();
    }
    /// As Supervisor::stop(), of all. Leases go stale.
    void stop() {
        running_ = false;
        scout_ = none;
        const driver::TurnGuard guard{line_};
        for (std::size_t i = 0; i < members_.size(); ++i) {
            members_[i]->stop();
            if (guard.gone()) return;
        }
        // A hook has started it: those that were stopped behind that have not heard of it.
        if (running_) {
            for (auto& member : members_) member->start();
        }
    }
    /// As Supervisor::reconnect_now(), of all that are not connected: one dials, and the others
    /// wait for it.
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
    /// Supervisor::credentials() of all; where some had none, one dials, and others wait for it.
    template <class... A>
    void credentials(const A&... values) {
        std::size_t first = none;
        bool blocked = false;
        for (std::size_t i = members_.size(); i-- != 0;) {
            if (!members_[i]->is_up()) first = i;
            blocked = blocked || members_[i]->status().state == LinkState::blocked_auth;
        }
        if (running_ && blocked && scout_ == none) scout(first);
        // Who is told may change how many there are.
        for (std::size_t i = 0; i < members_.size(); ++i) members_[i]->credentials(values...);
    }
    /// Keeps so many from now on. The last ones go first, lent or not; their leases go stale.
    /// Throws: std::bad_alloc, and then it keeps those that it could make.
    void resize(std::size_t size) {
        while (members_.size() > size) {
            // Perhaps in one of its own hooks: it is destroyed in the next turn.
            leaving_.push_back(std::move(members_.back()));
            members_.pop_back();
            leaving_.back()->observer().pool = nullptr;
            leaving_.back()->stop();
        }
        while (members_.size() < size) {
            members_.push_back(group_.template make<Member>(transport_, policy_, options_,
                                                            Ear{this, members_.size()}));
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
    /// Borrows the idle connection that was heard of last.
    /// Returns: an empty lease if there is none; then on_idle follows once, when there is one.
    Lease acquire() {
        const std::size_t i = find_idle();
        if (i == none) {
            asked_ = true;
            return {};
        }
        members_[i]->ticket = ++tickets_;
        return {root_, detail::PoolLoan{i, tickets_}};
    }

    // ---- observers -----------------------------------------------------------------------------

    [[nodiscard]] PoolStatus status() const noexcept {
        PoolStatus all{.size = members_.size(), .scouting = scout_ != none};
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
    /// Where one of them stands.   Pre: index < status().size.
    [[nodiscard]] const LinkStatus& status(std::size_t index) const noexcept {
        return members_[index]->status();
    }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }

private:
    friend Lease;
    friend struct detail::PoolMemberObserver<Pool>;
    friend struct detail::LifelineOf;
    using Root = detail::PoolRoot<Pool>;
    using Ear = detail::PoolMemberObserver<Pool>;
    using Member = detail::PoolMember<Pool, Transport, Policy>;
    using Hooks = detail::PoolHooks<Pool, message_type>;
    static constexpr std::size_t none = ~std::size_t{0};

    // ---- for leases ----------------------------------------------------------------------------

    /// Null if it is not lent so any more.
    [[nodiscard]] Member* lent(const detail::PoolLoan& loan) const noexcept {
        if (loan.connection >= members_.size()) return nullptr;
        Member& member = *members_[loan.connection];
        return member.ticket == loan.ticket && member.is_up() ? &member : nullptr;
    }
    void take_back(const detail::PoolLoan& loan) noexcept {
        if (loan.connection >= members_.size()) return;
        Member& member = *members_[loan.connection];
        if (member.ticket != loan.ticket) return;
        member.ticket = 0;
        if (scout_ == none) renew_if_suspect(member);
        waker_.touch();
    }

    // ---- for connections -----------------------------------------------------------------------

    void hear_state(std::size_t i, const Transition& change) {
        Member& member = *members_[i];
        const Cause why = change.to.failure.cause;
        const LinkState to = change.to.state;
        if (to == LinkState::connected) {
            member.up_at = change.to.since;
            scout_ = none;
            renew_suspects();
        } else if (change.from == LinkState::connected || change.from == LinkState::connecting) {
            const bool lent = std::exchange(member.ticket, 0) != 0;
            const bool failed = why != Cause::none && why != Cause::planned &&
                                to != LinkState::stopped && to != LinkState::offline &&
                                to != LinkState::connecting;
            if (lent && failed) dead_proof_ = detail::larger(dead_proof_, member.proof());
            if (failed && scout_ == none) scout_ = i;
        }
        arrange();
        tell<typename Hooks::State>(i, change);
    }
    void hear_message(std::size_t i, message_type message) {
        tell<typename Hooks::Message>(i, std::move(message));
    }
    void hear_writable(std::size_t i, Lane lane) { tell<typename Hooks::Writable>(i, Lane{lane}); }

    template <class Hook, class... A>
    void tell(std::size_t i, A&&... what) {
        detail::notify<Hook>(observer_, *this, std::size_t{i}, static_cast<A&&>(what)...);
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
            member.report_unhealthy({.cause = Cause::planned});
        }
    }
    /// Nobody is waited for any more: who was suspect, and has said nothing since, is made anew.
    void renew_suspects() {
        for (auto& member : members_) renew_if_suspect(*member);
    }
    /// This one dials, and those that are down wait for it; none: nobody waits.
    void scout(std::size_t chosen) {
        scout_ = chosen;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            members_[i]->wait_for_scout(scout_ != none && i != scout_ && !members_[i]->is_up());
        }
    }
    /// While nobody is up there is a scout, and one that has given up has a successor.
    void arrange() {
        if (!running_) return;
        std::size_t seeking = none;
        bool is_up = false;
        for (std::size_t i = members_.size(); i-- != 0;) {
            if (members_[i]->seeks()) seeking = i;
            is_up = is_up || members_[i]->is_up();
        }
        const bool gave_up =
            scout_ != none && !(scout_ < members_.size() && members_[scout_]->seeks());
        if (gave_up && seeking == none) renew_suspects();
        scout(gave_up || (scout_ == none && !is_up) ? seeking : scout_);
    }

    Transport transport_;
    Policy policy_;
    const SupervisorOptions options_;
    [[no_unique_address]] Observer observer_;
    detail::Ref<Root> root_;
    Waker waker_;
    driver::Lifeline line_;
    driver::MachineGroup group_;
    std::vector<driver::GroupedMachine<Member>> members_;
    std::vector<driver::GroupedMachine<Member>> leaving_;
    std::size_t scout_ = none;
    std::uint64_t tickets_ = 0;
    Instant dead_proof_ = always;  ///< suspect is who was not heard of later
    bool running_ = false;
    bool asked_ = false;  ///< acquire() had none
};

template <class Transport, class Policy>
Pool(Transport, Policy) -> Pool<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class O>
    requires(!std::convertible_to<O, PoolOptions>)
Pool(Transport, Policy, const O&) -> Pool<Transport, Policy, NoObserver>;
template <class Transport, class Policy>
Pool(Transport, Policy, PoolOptions) -> Pool<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class Observer>
Pool(Transport, Policy, PoolOptions, Observer) -> Pool<Transport, Policy, Observer>;

}}  // namespace belay
