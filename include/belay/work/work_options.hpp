// SPDX-License-Identifier: MIT
/// \file belay/work/work_options.hpp
/// Moment, WorkOptions and PushOptions: when a WorkQueue is asked, its limits, and what a push
/// wants.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One moment on both time lines: waits go by `now`, what is stored goes by `wall`.
struct Moment {
    Instant now;
    WallTime wall;
};

/// What becomes of work that expired before it was done.
enum class Expired : std::uint8_t {
    bury,  ///< it becomes a dead letter
    drop   ///< it is removed, and the observer is told
};

/// How a WorkQueue is opened.
struct WorkOptions {
    /// How long a loan lasts unless it is extended.   > 0ns.
    Duration lease = std::chrono::seconds{30};
    /// How often an item is lent before it becomes a dead letter; `any_number`: always.   > 0.
    std::uint32_t deliveries_max = 5;
    /// Whether each delivery is noted durably before the item is lent, so that an item that kills
    /// its process reaches `deliveries_max` too. Costs a flush for each lease.
    bool count_before_lending = false;
    /// What becomes of expired items.
    Expired expired = Expired::bury;
    /// How many of the last idempotency keys are remembered; 0: none, and pushes have no keys.
    /// Takes 24 bytes each, at once. Opening with fewer forgets the older ones; a later opening
    /// with more knows those again that the log still has.   < 2^31.
    std::size_t keys = 0;
    /// How many items wait, are lent, delayed or dead at most.   > 0, < 2^32.
    std::size_t items_max = 1'000'000;
    /// How many bytes of the log these may take, with what the log adds to each, for a push to be
    /// taken. Items that are copied forward may pass it, by at most 40 bytes each.   > 0.
    std::size_t bytes_max = no_limit;
    /// The longest record that the log takes, or less; a body is at least 52 bytes shorter. A log
    /// that tells that it takes less, as a Journal does, is refused.   >= 128, < 2^32.
    std::size_t record_bytes_max = std::size_t{1} << 20;
    /// How many bytes of the log may be given up and still be there, beyond as many as live items
    /// take: then items at the front are copied to the end.
    std::size_t slack_bytes = std::size_t{16} << 20;

    static constexpr std::uint32_t any_number = ~std::uint32_t{0};
};

/// What a push wants beyond the body.
struct PushOptions {
    /// Names the work: of pushes with one key, among the last `WorkOptions::keys`, the first is
    /// taken. Empty: none. It is not stored, only a hash of it.
    std::string_view key{};
    /// How long it is not lent.   >= 0ns.
    Duration delay = Duration::zero();
    /// After which time, by the wall clock, it is not worth doing any more.   > 0ns.
    Duration expires_after = forever;
};

namespace detail {

[[nodiscard]] constexpr bool possible(const WorkOptions& o) noexcept {
    return o.lease.count() > 0 && o.deliveries_max > 0 && o.items_max > 0 && o.bytes_max > 0 &&
           o.record_bytes_max >= 128 && o.keys < (std::size_t{1} << 31) &&
           std::uint64_t{o.items_max} < (std::uint64_t{1} << 32) &&
           std::uint64_t{o.record_bytes_max} < (std::uint64_t{1} << 32);
}

}  // namespace detail
}}  // namespace belay
