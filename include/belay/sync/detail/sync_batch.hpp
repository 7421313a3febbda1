// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_batch.hpp
/// SyncBatch: a batch under way, over all its attempts.
#pragma once

#include <algorithm>      // std::sort
#include <optional>       // std::optional
#include <span>           // std::span
#include <string_view>    // std::string_view
#include <unordered_map>  // std::unordered_map
#include <utility>        // std::move
#include <vector>         // std::vector

#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_observer.hpp>
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The rest of a batch, and the results of the operations that are decided.
template <OperationLike Op>
struct SyncBatch {
    struct Waiting {
        std::size_t index;
        std::error_code why;
    };

    SyncBatch(std::string_view of, std::span<const Op> given)
        : session{of}, operations{given}, waiting(given.size()) {
        for (std::size_t i = 0; i < given.size(); ++i) waiting[i].index = i;
    }

    [[nodiscard]] std::size_t decided() const noexcept {
        return result.synced_count + result.conflict_count + result.failed_count;
    }
    /// Lists an operation that failed for good, or is kept.
    template <class Outcome>
    void fail(std::size_t index, const Outcome& outcome) {
        const bool is_kept = outcome.outcome == OperationOutcome::kept;
        ++result.failed_count;
        failures.push_back({index, outcome.error, is_kept, outcome.wait, is_kept});
    }
    void overwrite(std::size_t index, const ConflictReason& reason,
                   part::ReplacedVersion<typename Op::value_type> replaced) {
        overwrites.push_back({index, reason, std::move(replaced)});
    }
    void conflict(std::size_t index, const ConflictReason& reason, bool resolved) {
        ++result.conflict_count;
        conflicts.push_back({index, reason, resolved});
    }
    /// Returns the most severe of the errors because of which operations wait; none if none waits.
    [[nodiscard]] std::error_code why_waiting() const noexcept {
        std::error_code why;
        for (const Waiting& one : waiting) {
            const bool held = one.why == SyncErrc::held_back;
            if (!held && cause_of(one.why) > cause_of(why)) why = one.why;
        }
        return why;
    }
    /// Ends the batch. Operations that still wait have failed, by `why` if they were not tried at
    /// all.
    [[nodiscard]] SyncResult<Op> finish(const std::error_code& why) {
        for (const Waiting& one : waiting) {
            ++result.failed_count;
            failures.push_back({one.index, one.why ? one.why : why, true, std::nullopt, false});
        }
        waiting.clear();
        const auto by_index = [](const auto& a, const auto& b) { return a.index < b.index; };
        std::sort(conflicts.begin(), conflicts.end(), by_index);
        std::sort(failures.begin(), failures.end(), by_index);
        std::sort(overwrites.begin(), overwrites.end(), by_index);
        result.conflicts.reserve(conflicts.size());
        for (const Contradicted& one : conflicts) {
            result.conflicts.push_back({operations[one.index], one.reason, one.resolved});
        }
        result.failed_operations.reserve(failures.size());
        for (const Failed& one : failures) {
            result.failed_operations.push_back(
                {operations[one.index], one.why, one.retryable, one.wait, one.kept});
        }
        result.overwrote.reserve(overwrites.size());
        for (Overwritten& one : overwrites) {
            result.overwrote.push_back(
                {operations[one.index], one.reason, std::move(one.replaced)});
        }
        result.success = result.failed_count == 0;
        return std::move(result);
    }

    struct Contradicted {
        std::size_t index;
        ConflictReason reason;
        bool resolved;
    };
    struct Overwritten {
        std::size_t index;
        ConflictReason reason;
        part::ReplacedVersion<typename Op::value_type> replaced;
    };
    struct Failed {
        std::size_t index;
        std::error_code why;
        bool retryable;
        std::optional<Duration> wait;
        bool kept;
    };

    std::string_view session;
    std::span<const Op> operations;
    std::vector<Waiting> waiting;  // in the order of the batch
    /// The elements of kept operations, and how long those wait. Later operations on such an
    /// element are kept, too.
    std::unordered_map<std::string_view, std::optional<Duration>> kept{};
    std::vector<Contradicted> conflicts{};
    std::vector<Failed> failures{};
    std::vector<Overwritten> overwrites{};
    SyncResult<Op> result{};
};

}}}  // namespace belay::detail
