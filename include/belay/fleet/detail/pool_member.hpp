// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/pool_member.hpp
/// PoolMember, PoolMemberObserver, PoolHooks: one connection of a pool, the events that the pool
/// receives from it, and the hooks that the pool calls.
#pragma once

#include <cstdint>  // std::uint64_t
#include <utility>  // std::move

#include <belay/core/observer.hpp>
#include <belay/fleet/pool_status.hpp>
#include <belay/link/supervisor.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail
