// SPDX-License-Identifier: MIT
/// \file belay/sync/sync_observer.hpp
/// The limits of a SyncProcessor, the hooks of its observer, and the values that they report.
///
/// - `on_operation(const OperationReport<Op>&)`
/// - `on_conflict(const ConflictReport<Op>&)`
/// - `on_progress(const part::SyncProgress&)`
///
/// They are called after the transaction, when the result is certain. A hook must not call the
/// processor.
#pragma once

#include <cstdint>       // std::uint8_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/observer.hpp>
#include <belay/sync/conflict.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The limits of a SyncProcessor.
struct SyncOptions {
    /// How far the stamp of an Add, Update or Remove without `saw` may be ahead of the processor's
    /// wall clock. Operations with later stamps are kept by their senders.
    Duration skew_max = std::chrono::minutes{5};
    /// The longest id of an element, in bytes.
    std::size_t element_id_bytes_max = 1024;
    /// Whether an update of an element that was never there waits for its Add. Otherwise it is a
    /// conflict that is decided against it.
    bool upsert_updates = false;
    /// The most pending operations, over all sessions. If a limit is reached, the next operation
    /// that would be pending is kept by its sender: `pending_full`.
    std::size_t pending_max = 10'000;
    /// The most pending operations of one session.
    std::size_t pending_of_session_max = 2'500;
    /// The most pending operations of one origin of stamps, over all sessions.
    std::size_t pending_of_origin_max = 1'000;
    /// How long an operation may be pending, by the wall clock. The next batch of any session
    /// removes an older one, and reports it to `on_operation`, with the error `pending_expired`.
    /// `forever` removes none.
    Duration pending_for = std::chrono::hours{24};
    /// The number of operations in one transaction of the store; at least 1. `on_progress` is
    /// called after each transaction.
    std::size_t transaction_operations = 1000;
};

namespace part {

/// The outcome of one try of an operation.
enum class OperationOutcome : std::uint8_t {
    applied,    ///< the store has changed, or had nothing left to change
    logged,     ///< an interaction: it is reported, and nothing else
    duplicate,  ///< it was decided before
    skipped,    ///< a conflict that was decided against the operation
    pending,    ///< a conflict that is not decided
    waiting,    ///< not applied yet: it failed, or an earlier one did; it may be tried again
    failed,     ///< not applied, and never will be
    kept        ///< not decided: the cause lies here, so the sender keeps it and sends it later
};

/// Returns the name of an outcome, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(OperationOutcome outcome) noexcept {
    constexpr std::string_view names[] = {"applied", "logged",  "duplicate", "skipped",
                                          "pending", "waiting", "failed",    "kept"};
    return detail::name_of(outcome, names);
}

}  // namespace part

namespace detail {
using part::OperationOutcome;
}  // namespace detail

/// One try of an operation; passed to `on_operation`.
template <OperationLike Op>
struct OperationReport {
    /// The session of the operation; both are valid during the call.
    std::string_view session;
    /// The operation as it came.
    const Op& operation;
    /// The outcome of this try; `waiting` and `pending` may be followed by another report.
    part::OperationOutcome outcome{};
    /// The reason why the operation waits or failed. An applied one, or a duplicate, has one if the
    /// version that it replaced cannot be read.
    std::error_code error{};
};

/// One decision about a conflict; passed to `on_conflict`.
///
/// Conflicts that ended with the operation being applied are reported, too.
template <OperationLike Op>
struct ConflictReport {
    /// The session of the operation; both are valid during the call.
    std::string_view session;
    /// The operation as it came.
    const Op& operation;
    /// Why it contradicts the store.
    ConflictReason reason{};
    /// The answer of the strategy, or of the table of conflicts where no strategy is asked.
    typename Resolution<typename Op::value_type>::Kind decision{};
    /// The version that the operation replaced; null if it was not applied, or if that version
    /// cannot be read.
    const part::ReplacedVersion<typename Op::value_type>* replaced = nullptr;
};

namespace part {

/// The progress of a batch; passed to `on_progress`.
struct SyncProgress {
    /// The operations of the batch that are decided.
    std::size_t decided = 0;
    /// All operations of the batch.
    std::size_t total = 0;
};

}  // namespace part

namespace detail {

BELAY_DETAIL_HOOK(OnOperation, on_operation);
BELAY_DETAIL_HOOK(OnProgress, on_progress);

/// The hooks that a SyncProcessor calls.
template <class Op>
struct SyncHooks {
    using OfOperation = Hook<OnOperation, const NoMachine, const OperationReport<Op>&>;
    using OfConflict = Hook<OnConflict, const NoMachine, const ConflictReport<Op>&>;
    using Progress = Hook<OnProgress, const NoMachine, const part::SyncProgress&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(OfOperation::template right<O>,
                      "SyncProcessor: the observer's on_operation must be 'on_operation(const "
                      "belay::OperationReport<Op>&)'");
        static_assert(OfConflict::template right<O>,
                      "SyncProcessor: the observer's on_conflict must be 'on_conflict(const "
                      "belay::ConflictReport<Op>&)'");
        static_assert(Progress::template right<O>,
                      "SyncProcessor: the observer's on_progress must be 'on_progress(const "
                      "belay::part::SyncProgress&)'");
        static_assert(
            has_any_hook_of<O, OfOperation, OfConflict, Progress>,
            "SyncProcessor: the observer has no hook: it needs one of on_operation, on_conflict, "
            "on_progress. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

}  // namespace detail

}}  // namespace belay
