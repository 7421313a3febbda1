// SPDX-License-Identifier: MIT
/// \file belay/work/work_options.hpp
/// Moment, WorkOptions, PushOptions: the time of a call, and the options of a WorkQueue.
/// WorkError: the reason why a log could not be opened as a WorkQueue, and the entry.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/instant.hpp>
#include <belay/core/text.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One moment on both time lines.
///
/// Waits use `now`; stored times use `wall`.
struct Moment {
    /// The time of the steady clock.
    Instant now;
    /// The time of the wall clock.
    WallTime wall;
};

/// The options for opening a WorkQueue.
struct WorkOptions {
    /// The treatment of work that expired before it was done.
    enum class Expired : std::uint8_t {
        dead_letter,  ///< it becomes a dead letter
        drop          ///< it is removed, and the observer is notified
    };

    /// How long a lease lasts unless it is extended.   > 0ns.
    Duration lease = std::chrono::seconds{30};
    /// How often an item is leased before it becomes a dead letter; `any_number`: no limit.   > 0.
    std::uint32_t deliveries_max = 5;
    /// Whether each delivery is recorded durably before the item is leased. An item that kills its
    /// process then reaches `deliveries_max`, too. It costs a flush for each lease.
    bool count_before_lease = false;
    /// The treatment of expired items.
    Expired expired = Expired::dead_letter;
    /// How many of the last idempotency keys are remembered; 0: none, and pushes have no keys. They
    /// take 32 bytes each, allocated at once. Opening with fewer forgets the older ones. A later
    /// opening with more restores those that the log still has.   < 2^31.
    std::size_t keys = 0;
    /// The maximum number of items that wait, are leased, delayed or dead.   > 0, < 2^32.
    std::size_t items_max = 1'000'000;
    /// The maximum number of bytes of the log that these items take, including the bytes that the
    /// log adds to each. A push that would exceed it is rejected. Items that are copied forward may
    /// exceed it, by at most 40 bytes each.   > 0.
    std::size_t bytes_max = no_limit;
    /// The maximum size of a record that the log accepts, or less; a body is at least 64 bytes
    /// shorter. A log that reports a smaller maximum, as a Journal does, is rejected.   >= 128, <=
    /// 2^32 - 64.
    std::size_t record_bytes_max = std::size_t{1} << 20;
    /// How many bytes of released entries may stay in the log, in addition to as many as live items
    /// take. Above that, items at the front are copied to the end.
    std::size_t slack_bytes = std::size_t{16} << 20;

    /// No limit of deliveries.
    static constexpr std::uint32_t any_number = ~std::uint32_t{0};

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        constexpr std::uint64_t limit = std::uint64_t{1} << 32;
        if (lease.count() <= 0) return "lease must be > 0ns";
        if (deliveries_max == 0) return "deliveries_max must be > 0";
        if (keys >= std::size_t{1} << 31) return "keys must be < 2^31";
        if (items_max == 0 || std::uint64_t{items_max} >= limit)
            return "items_max must be > 0 and < 2^32";
        if (bytes_max == 0) return "bytes_max must be > 0";
        // With its frame, a record's bytes are counted in 32 bits.
        if (record_bytes_max < 128 || std::uint64_t{record_bytes_max} > limit - 64)
            return "record_bytes_max must be >= 128 and <= 2^32 - 64";
        return {};
    }
};

/// The options of a push.
struct PushOptions {
    /// A name of the work, so that it is accepted only once. Among the last `WorkOptions::keys`
    /// keys, only the first push with a key is accepted. Empty: no key. Only a hash of the key is
    /// stored.
    std::string_view key{};
    /// How long the item is not leased.   >= 0ns.
    Duration delay = Duration::zero();
    /// After which time, by the wall clock, the item expires.   > 0ns.
    Duration expires_after = forever;
};

/// The reason why opening failed, and the entry. Nothing was changed in the log.
///
/// Thread safety: a plain value.
struct WorkError {
    /// The error.
    std::error_code code;
    /// The number of the log's entry that the error is about; 0 if it is not about one.
    std::uint64_t number = 0;
    /// A description of this case; a literal.
    std::string_view what{};
    /// WorkOptions::record_bytes_max, if the log's maximum is less; 0 for any other error.
    std::size_t record_bytes_wanted = 0;
    /// The log's maximum then.
    std::size_t record_bytes_taken = 0;

    /// Returns the error as a sentence: "entry 17: the stored data is damaged (a kind of entry that
    /// ...)".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text;
        if (number != 0) text += "entry " + std::to_string(number) + ": ";
        text += code.message();
        if (record_bytes_wanted != 0) {
            return text + " (WorkOptions::record_bytes_max is " +
                   std::to_string(record_bytes_wanted) + ", but the log accepts only " +
                   std::to_string(record_bytes_taken) +
                   ": open the log with at least as much, or lower the value of the queue)";
        }
        if (!what.empty()) text += " (" + std::string{what} + ")";
        if (code == QueueErrc::bad_options) text += ": see WorkOptions for the allowed values";
        return text;
    }

    /// Returns `code`.
    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

/// Returns the sentence of an error; see WorkError::message.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const WorkError& error) { return error.message(); }

namespace detail {
template <>
inline constexpr bool has_text<WorkError> = true;
}  // namespace detail

}}  // namespace belay
