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

/// What a pool shares with its leases; outlives it while there are any.
template <class Pool>
struct PoolRoot : Counted {
    explicit PoolRoot(Pool& p) noexcept : pool{&p} {}
    Pool* pool;  ///< null once it is gone
};

/// A connection of a pool, as it was lent once.
struct PoolLoan {
    std::size_t connection = 0;
    std::uint64_t ticket = 0;  ///< 0: none
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
        : root_{std::move(other.root_)}, loan_{std::exchange(other.loan_, {})} {}
    PoolLease& operator=(PoolLease&& other) noexcept {
        if (this != &other) {
            give_back();
            root_ = std::move(other.root_);
            loan_ = std::exchange(other.loan_, {});
        }
        return *this;
    }
    ~PoolLease() { give_back(); }

    /// Whether the connection is there, and still ours.   Complexity: O(1).
    [[nodiscard]] explicit operator bool() const noexcept { return connection() != nullptr; }
    /// Which of the pool's: what its observer is told with a message.
    [[nodiscard]] std::size_t index() const noexcept { return loan_.connection; }

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
        if (Pool* const pool = lender()) pool->take_back(loan_);
        loan_ = {};
        root_ = {};
    }

private:
    friend Pool;
    PoolLease(detail::Ref<detail::PoolRoot<Pool>> root, detail::PoolLoan loan) noexcept
        : root_{std::move(root)}, loan_{loan} {}

    [[nodiscard]] Pool* lender() const noexcept {
        return loan_.ticket != 0 && root_ ? root_->pool : nullptr;
    }
    [[nodiscard]] auto* connection() const noexcept {
        Pool* const pool = lender();
        return pool != nullptr ? pool->lent(loan_) : nullptr;
    }

    detail::Ref<detail::PoolRoot<Pool>> root_;
    detail::PoolLoan loan_{};
};

}}  // namespace belay
