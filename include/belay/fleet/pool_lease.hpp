// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool_lease.hpp
/// PoolLease: a connection that was borrowed from a Pool.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <utility>  // std::exchange, std::move

#include <belay/core/detail/intrusive.hpp>
#include <belay/link/event.hpp>

namespace belay { inline namespace BELAY_ABI {

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

}}  // namespace belay
