// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool.hpp
/// Pool: several connections to one service, for borrowers, who get a PoolLease. PoolOptions,
/// PoolStatus: its options and its state.
#pragma once

#include <concepts>  // std::convertible_to, std::copy_constructible
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <utility>   // std::exchange, std::move
#include <vector>    // std::vector

#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/observer.hpp>
#include <belay/link/part.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Pool.
struct PoolOptions {
    /// The number of connections that the pool keeps at first, > 0; see Pool::resize().
    std::size_t size = 4;
    /// The options of each connection's supervisor.
    SupervisorOptions supervisor{};
};

/// The state of the connections of a Pool.
///
/// Thread safety: a plain value.
struct PoolStatus {
    std::size_t size = 0;       ///< connections that the pool keeps, or wants
    std::size_t connected = 0;  ///< connections that are connected
    std::size_t leased = 0;     ///< connected and leased
    std::size_t suspect = 0;    ///< connected, not leased, and perhaps dead
    std::size_t idle = 0;       ///< connected and ready to be leased
    std::size_t awaited = 0;    ///< calls of acquire() that found none, since on_idle was due last
    bool scouting = false;      ///< one connection dials again, and the others wait for it

    friend constexpr bool operator==(const PoolStatus&, const PoolStatus&) noexcept = default;
};

namespace detail {

/// The state that a pool shares with its leases. It outlives the pool while leases exist.
template <class Pool>
struct PoolRoot : Counted {
    explicit PoolRoot(Pool& p) noexcept : pool{&p} {}
    Pool* pool;  ///< null after the pool was destroyed
};

/// Identifies one lease of one connection of a pool.
struct PoolLeaseId {
    std::size_t connection = 0;
    std::uint64_t ticket = 0;  ///< 0: no lease
};

}  // namespace detail

/// One connection of a Pool, for one borrower at a time.
///
/// The lease becomes stale when the connection ends, or when the pool shrinks, stops or is
/// destroyed. A stale lease converts to false, and its functions have no effect. The destructor
/// gives the connection back.
///
/// Thread safety: the pool's home thread.
template <class Pool>
class [[nodiscard]] PoolLease {
public:
    using message_type = typename Pool::message_type;

    /// Makes a lease without a connection.
    PoolLease() noexcept = default;
    PoolLease(PoolLease&& other) noexcept
        : root_{std::move(other.root_)}, id_{std::exchange(other.id_, {})} {}
    PoolLease& operator=(PoolLease&& other) noexcept {
        if (this != &other) {
            give_back();
            root_ = std::move(other.root_);
            id_ = std::exchange(other.id_, {});
        }
        return *this;
    }
    ~PoolLease() { give_back(); }

    /// Returns whether the lease still has its connection.   Complexity: O(1).
    [[nodiscard]] explicit operator bool() const noexcept { return connection() != nullptr; }
    /// Returns the index of the connection in the pool, which the pool's observer gets with a
    /// message.
    [[nodiscard]] std::size_t index() const noexcept { return id_.connection; }

    /// Sends a message. Returns `down` if the lease is stale; a stale lease stays stale.
    /// Throws: nothing.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        auto* const c = connection();
        return c != nullptr ? c->send(message, lane) : SendResult::down;
    }
    /// Ends the connection because the borrower has found that it is dead. The pool does not lease
    /// it again, also if the lease gives it back before the end.
    void report_unhealthy(const Failure& failure = {}) {
        auto* const c = connection();
        if (c == nullptr) return;
        c->condemned = true;
        c->report_unhealthy(failure);
    }
    /// Gives the connection back before the lease ends.
    void give_back() noexcept {
        if (Pool* const pool = owner()) pool->take_back(id_);
        id_ = {};
        root_ = {};
    }

private:
    friend Pool;
    PoolLease(detail::Ref<detail::PoolRoot<Pool>> root, detail::PoolLeaseId id) noexcept
        : root_{std::move(root)}, id_{id} {}

    [[nodiscard]] Pool* owner() const noexcept {
        return id_.ticket != 0 && root_ ? root_->pool : nullptr;
    }
    [[nodiscard]] auto* connection() const noexcept {
        Pool* const pool = owner();
        return pool != nullptr ? pool->leased(id_) : nullptr;
    }

    detail::Ref<detail::PoolRoot<Pool>> root_;
    detail::PoolLeaseId id_{};
};

namespace detail {

BELAY_DETAIL_HOOK(OnIdle, on_idle);
BELAY_DETAIL_HOOK(OnLeases, on_leases);

/// The hooks of a Pool P of messages M.
template <class P, class M>
struct PoolHooks {
    using State = Hook<OnState, P, std::size_t, const Transition&>;
    using Message = MessageHook<P, std::size_t, M>;
    using Writable = Hook<OnWritable, P, std::size_t, Lane>;
    using Idle = Hook<OnIdle, P>;
    using Leases = Hook<OnLeases, P, const PoolStatus&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Pool: the observer's on_state must be 'on_state(std::size_t connection, "
                      "const belay::Transition&)', or have 'auto& pool' in front of that");
        static_assert(Message::template right<O>,
                      "Pool: the observer's on_message must be 'on_message(std::size_t "
                      "connection, message_type)', or have 'auto& pool' in front of that, a "
                      "'belay::Lane' after it, or both");
        static_assert(Writable::template right<O>,
                      "Pool: the observer's on_writable must be 'on_writable(std::size_t "
                      "connection, belay::Lane)', or have 'auto& pool' in front of that");
        static_assert(Idle::template right<O>,
                      "Pool: the observer's on_idle must be 'on_idle()', or 'on_idle(auto& pool)'");
        static_assert(Leases::template right<O>,
                      "Pool: the observer's on_leases must be 'on_leases(const "
                      "belay::PoolStatus&)', or have 'auto& pool' in front of that");
        static_assert(
            has_any_hook_of<O, State, Message, Writable, Idle, Leases>,
            "Pool: the observer has no hook: it needs one of on_state, on_message, on_writable, "
            "on_idle, on_leases. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

/// Passes the events of one connection to its pool. A connection that has left the pool passes
/// none.
template <class Pool>
struct PoolMemberObserver {
    Pool* pool;  ///< null after the connection has left the pool, or the pool is destroyed
    std::size_t index;

    void on_state(const Transition& change) {
        if (pool != nullptr) pool->take_state(index, change);
    }
    void on_message(typename Pool::message_type message, Lane lane) {
        if (pool != nullptr) pool->take_message(index, std::move(message), lane);
    }
    void on_writable(Lane lane) {
        if (pool != nullptr) pool->take_writable(index, lane);
    }
};

/// One connection of a pool.   Models: MachineLike.
template <class Pool, class Transport, class Policy>
struct PoolMember : Supervisor<Transport, Policy, PoolMemberObserver<Pool>> {
    using Base = Supervisor<Transport, Policy, PoolMemberObserver<Pool>>;
    using Base::Base;

    [[nodiscard]] bool is_up() const noexcept {
        return this->status().state == LinkState::connected;
    }
    /// Returns whether the connection is down and will dial, if it may.
    [[nodiscard]] bool seeks() const noexcept {
        const LinkState state = this->status().state;
        return state != LinkState::connected && state != LinkState::failed &&
               state != LinkState::blocked_auth;
    }
    /// Returns the last sign of life of the connection that is up, or was up last.
    [[nodiscard]] Instant proof() const noexcept { return larger(up_at, this->received_at()); }
    /// Ends the connection so that it is opened anew, which is no failure.
    void renew() noexcept { this->give_up({}, true); }
    void wait_for_scout(bool yes) {
        // The last of the gates that are reserved for users.
        constexpr Gate gate{1U << 31};
        if (waits == yes) return;
        if (yes) {
            this->shut(gate);
        } else {
            this->open(gate);
        }
        waits = yes;
    }

    std::uint64_t ticket = 0;  ///< of the lease; 0: none
    Instant up_at = always;    ///< when it last connected
    bool waits = false;        ///< whether its gate is shut
    bool condemned = false;    ///< reported dead by its borrower; it ends in the next turn
};

}  // namespace detail

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
/// policy. The observer may call everything in its hooks, and may destroy the pool. It may have
/// these hooks, each of which may leave out the pool:
/// - `on_state(auto& pool, std::size_t connection, const Transition&)`: after every transition of a
///   connection.
/// - `on_message(auto& pool, std::size_t connection, message_type [, Lane])`: a message. Compare
///   `connection` with PoolLease::index().
/// - `on_writable(auto& pool, std::size_t connection, Lane)`: a connection accepts messages again
///   after `busy`.
/// - `on_idle(auto& pool)`: once after acquire() found no idle connection, as soon as there is one.
/// - `on_leases(auto& pool, const PoolStatus&)`: at the end of the first turn, and of each turn in
///   which the numbers of status() differ from those of the last call.
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
    /// A connection of the pool, for one user at a time.
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
            detail::ScopeExit undo{[this] { members_.pop_back(); }};
            arrange();
            members_.back()->start();
            undo.release();
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

template <class Transport, class Policy, class Observer>
    requires(!std::convertible_to<Observer, PoolOptions>)
Pool(Transport, Policy, Observer) -> Pool<Transport, Policy, Observer>;

}}  // namespace belay
