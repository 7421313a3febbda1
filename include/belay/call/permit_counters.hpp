// SPDX-License-Identifier: MIT
/// \file belay/call/permit_counters.hpp
/// PermitCounters: what a RateLimiter or a Bulkhead counts.
#pragma once

#include <atomic>   // std::atomic
#include <cstdint>  // std::uint64_t

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Counts what happened to the callers of a RateLimiter or a Bulkhead since it was made.
///
/// No number ever falls. Calls of `admit` are not counted. A `retry` and a Supervisor report an
/// attempt that was due, and that the check of a Shared rule rejected, by `rejected()`.
/// Thread safety: a plain value.
struct PermitCounters {
    std::uint64_t admitted = 0;  ///< callers that got what they requested
    std::uint64_t rejected = 0;  ///< callers that were rejected, some because the queue was full
    std::uint64_t waited = 0;    ///< callers that entered the queue
    std::uint64_t left = 0;      ///< callers that left the queue without a permit

    friend constexpr bool operator==(const PermitCounters&,
                                     const PermitCounters&) noexcept = default;
};

namespace detail {

/// The same counts for many threads.   Thread safety: any thread.
class AtomicPermitCounters {
public:
    void admit() noexcept { admitted_.fetch_add(1, std::memory_order_relaxed); }
    void reject() noexcept { rejected_.fetch_add(1, std::memory_order_relaxed); }
    void wait() noexcept { waited_.fetch_add(1, std::memory_order_relaxed); }
    void leave() noexcept { left_.fetch_add(1, std::memory_order_relaxed); }

    [[nodiscard]] PermitCounters read() const noexcept {
        return {admitted_.load(std::memory_order_relaxed),
                rejected_.load(std::memory_order_relaxed), waited_.load(std::memory_order_relaxed),
                left_.load(std::memory_order_relaxed)};
    }

private:
    std::atomic<std::uint64_t> admitted_{0};
    std::atomic<std::uint64_t> rejected_{0};
    std::atomic<std::uint64_t> waited_{0};
    std::atomic<std::uint64_t> left_{0};
};

}  // namespace detail

}}  // namespace belay
