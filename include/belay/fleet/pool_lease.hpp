// SPDX-License-Identifier: MIT
/// \file belay/fleet/pool_lease.hpp
/// PoolLease: a connection that was borrowed from a Pool.
#pragma once

#include <cstdint>  // std::uint64_t
#include <utility>  // std::exchange, std::move

#include <belay/core/detail/intrusive.hpp>
#include <belay/link/event.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {

/// What a pool shares with its leases; outlives it while there are any.
template <class Pool>
struct PoolRoot : Counted {
    explicit PoolRoot(Pool& p) noexcept : pool{&p} {}
    Pool* pool;  ///< null once it is gone
};

}  // namespace detail

/// One connection of a Pool, for one borrower at a time. It goes stale when the connection ends,
/// when the pool shrinks, stops, or is gone; then it says so, and does no harm. Its end gives the
/// connection back.
///
/// Thread safety: the pool's home thread.
template <class Pool>
class [[nodiscard]] PoolLease {
public:
    using message_type = typename Pool::message_type;

    /// No connection.
    PoolLease() noexcept = default;
    PoolLease(PoolLease&& other) noexcept
        : root_{std::move(other.root_)},
          connection_{other.connection_},
          ticket_{std::exchange(other.ticket_, 0)} {}
    PoolLease& operator=(PoolLease&& other) noexcept {
        if (this != &other) {
            give_back();
            root_ = std::move(other.root_);
            connection_ = other.connection_;
            ticket_ = std::exchange(other.ticket_, 0);
        }
        return *this;
    }
    ~PoolLease() { give_back(); }

    /// Whether the connection is there, and still ours.   Complexity: O(1).
    [[nodiscard]] explicit operator bool() const noexcept { return connection() != nullptr; }
    /// Which of the pool's: what its observer is told with a message.
    [[nodiscard]] std::size_t index() const noexcept { return connection_; }

    /// Sends; `down` if it is stale, which it stays.   Throws: nothing.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        auto* const c = connection();
        return c != nullptr ? c->send(message, lane) : SendResult::down;
    }
    /// Ends the connection, which the borrower has found dead.
    void report_unhealthy(const Failure& failure = {}) {
        if (auto* const c = connection()) c->report_unhealthy(failure);
    }
    /// Gives it back before its end.
    void give_back() noexcept {
        if (ticket_ != 0 && root_ && root_->pool != nullptr) {
            root_->pool->take_back(connection_, ticket_);
        }
        ticket_ = 0;
        root_ = {};
    }

private:
    friend Pool;
    PoolLease(detail::Ref<detail::PoolRoot<Pool>> root, std::size_t connection,
              std::uint64_t ticket) noexcept
        : root_{std::move(root)}, connection_{connection}, ticket_{ticket} {}

    [[nodiscard]] auto* connection() const noexcept {
        Pool* const pool = ticket_ != 0 && root_ ? root_->pool : nullptr;
        return pool != nullptr ? pool->leased(connection_, ticket_) : nullptr;
    }

    detail::Ref<detail::PoolRoot<Pool>> root_;
    std::size_t connection_ = 0;
    std::uint64_t ticket_ = 0;
};

}  // namespace belay::inline BELAY_ABI
