// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_result.hpp
/// SyncResult: the outcome of every operation of a batch.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An operation that was neither applied nor decided.
template <OperationLike Op>
struct FailedOperation {
    /// The operation as it came, to be sent again if `retryable` or `kept` is set.
    Op operation;
    /// The reason: a SyncErrc, or a code of the store's own category.
    std::error_code error;
    /// Whether it may succeed when it is sent again.
    bool retryable = false;
    /// The time until it may succeed, if it is known. Without it, a retryable operation that is not
    /// sent again by process_with_retry needs more than time; see `error`.
    std::optional<Duration> wait{};
    /// Whether the processor did not decide it, because of its own clock, its limits or its store.
    /// The sender keeps the operation. A receiver that serves several senders does not wait for it.
    bool kept = false;

    /// Calls `f(name, field)` for each field.
    static constexpr void each_field(auto& self, auto&& f) {
        f("operation", self.operation), f("code", self.error), f("retryable", self.retryable);
        f("kept?", self.kept), f("wait_ms?", self.wait);
    }
    friend bool operator==(const FailedOperation&, const FailedOperation&) = default;
};

/// The outcome of every operation of a batch.
///
/// synced_count + conflict_count + failed_count is the number of operations.
///
/// Thread safety: a plain value.
template <OperationLike Op>
struct SyncResult {
    /// An operation that was applied in spite of a conflict.
    struct Overwrite {
        /// The operation as it came. A merged value is not in it, only in the store.
        Op operation;
        /// Why it was a conflict.
        ConflictReason reason{};
        /// The version that was there before, which the author of the operation had not seen.
        part::ReplacedVersion<typename Op::value_type> replaced{};

        /// Calls `f(name, field)` for each field.
        static constexpr void each_field(auto& self, auto&& f) {
            f("operation", self.operation), f("reason", self.reason);
            f("replaced", self.replaced);
        }
        friend bool operator==(const Overwrite&, const Overwrite&) = default;
    };

    /// Whether no operation failed; a conflict is not a failure.
    bool success = true;
    /// The operations that were applied, known from before, or logged.
    std::size_t synced_count = 0;
    /// The operations that were not applied because of the state of the store; each is in
    /// `conflicts`.
    std::size_t conflict_count = 0;
    /// The operations that failed; each is in `failed_operations`.
    std::size_t failed_count = 0;
    /// In the order of the batch: those that were decided against, and the pending ones.
    std::vector<Conflict<Op>> conflicts{};
    /// In the order of the batch, as `conflicts` are.
    std::vector<FailedOperation<Op>> failed_operations{};
    /// The operations that were applied in spite of a conflict, each with the version that it
    /// replaced. They are in `synced_count`. An operation that is sent again is listed again, if
    /// the store has `replaced` and still remembers the version. None is listed if the store cannot
    /// read the value of that version; the observer gets the error.
    std::vector<Overwrite> overwrote{};
    /// The time of all tries and waits, by the sleeper; without a sleeper, by the wall clock.
    Duration duration{};
    /// The time at which the batch ended.
    WallTime timestamp{};
    /// The number of times that the batch was tried again.
    std::uint64_t retry_attempts = 0;

    /// Calls `f(name, field)` for each field.
    static constexpr void each_field(auto& self, auto&& f) {
        f("success", self.success), f("synced_count", self.synced_count);
        f("conflict_count", self.conflict_count), f("failed_count", self.failed_count);
        f("conflicts", self.conflicts), f("failed_operations", self.failed_operations);
        f("overwrote?", self.overwrote), f("duration_ms", self.duration);
        f("timestamp", self.timestamp), f("retry_attempts", self.retry_attempts);
    }
    friend bool operator==(const SyncResult&, const SyncResult&) = default;
};

/// Returns a line for logs: "sync: 3 synced, 1 conflict, 0 failed, 2 retries, 700 ms".
///
/// Allocates; throws std::bad_alloc.
template <OperationLike Op>
[[nodiscard]] std::string to_string(const SyncResult<Op>& result) {
    const auto counted = [](std::uint64_t count, const char* one, const char* many) {
        return std::to_string(count) + (count == 1 ? one : many);
    };
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(result.duration);
    return "sync: " + counted(result.synced_count, " synced, ", " synced, ") +
           counted(result.conflict_count, " conflict, ", " conflicts, ") +
           counted(result.failed_count, " failed, ", " failed, ") +
           counted(result.retry_attempts, " retry, ", " retries, ") +
           std::to_string(milliseconds.count()) + " ms";
}

}}  // namespace belay
