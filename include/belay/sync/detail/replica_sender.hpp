// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_sender.hpp
/// ReplicaSender: sends the edits of a Replica, and notes the outcome of each.
#pragma once

#include <cstddef>        // std::size_t
#include <map>            // std::map
#include <optional>       // std::optional
#include <set>            // std::set
#include <span>           // std::span
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::exchange, std::move
#include <vector>         // std::vector

#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Whether a server that rejects an operation may take those of other elements.
template <class Op>
[[nodiscard]] bool concerns_its_element(const FailedOperation<Op>& one) noexcept {
    if (one.wait || one.error == SyncErrc::from_the_future || one.error == SyncErrc::too_old ||
        one.error == SyncErrc::pending_full) {
        return true;
    }
    return one.kept && one.error != SyncErrc::store_closed &&
           one.error != SyncErrc::unknown_session && one.error != SyncErrc::held_back;
}
/// Whether each operation of the batch has one outcome, and nothing else has one.
template <class Op, class Edit>
[[nodiscard]] bool accounts_for(const SyncResult<Op>& result, const std::map<Id, Edit*>& batch) {
    std::unordered_set<const Edit*> seen;
    const auto is_new = [&](const Id& id) {
        const auto at = batch.find(id);
        return at != batch.end() && seen.insert(at->second).second;
    };
    for (const auto& one : result.failed_operations) {
        if (!is_new(one.operation.id)) return false;
    }
    for (const auto& one : result.conflicts) {
        if (!is_new(one.operation.id)) return false;
    }
    return result.failed_count == result.failed_operations.size() &&
           result.conflict_count == result.conflicts.size() &&
           result.synced_count + seen.size() == batch.size();
}

/// Stores the note of a clock, if one is due. If that fails, the next note is due at once.
template <class Log, class Clock>
[[nodiscard]] std::error_code keep_note(Log& log, Clock& clock) {
    if (!clock.note_is_due()) return {};
    const std::error_code error = log.keep(clock.note());
    if (error) clock.forget_note();
    return error;
}

/// Sends the edits that are due, in batches.
template <class Edits>
class ReplicaSender {
    using Edit = typename Edits::Edit;
    using Op = typename Edits::Op;

public:
    ReplicaSender(Edits& edits, std::size_t batch_operations) noexcept
        : edits_{edits}, batch_operations_{batch_operations} {}

    template <class Server, class Report>
    void send(Server& server, Report& report) {
        std::vector<Edit*> batch;
        std::unordered_set<std::string_view> blocked;  // by a kept edit
        std::unordered_set<std::string_view> failed;   // the store may take it later
        // A report that was not read lists them, and so does a server that gets the edits again.
        overwrote_.clear();
        for (const auto& one : report.overwrote) overwrote_.insert(one.operation.id);
        int batches_without_effect = 0;
        auto at = edits_.all().begin();
        // One element that always fails must not stop the others, but a server that takes nothing
        // is not sent everything.
        while (at != edits_.all().end() && batches_without_effect < 2) {
            batch.clear();
            for (; at != edits_.all().end() && batch.size() < batch_operations_; ++at) {
                Edit& edit = at->second;
                const std::string_view element = edit.operation.element();
                const bool of_element = edit.operation.kind() != OperationKind::interaction;
                if (edit.state == EditState::dropped || edit.state == EditState::rejected ||
                    (of_element && failed.count(element) != 0)) {
                    continue;
                }
                const bool is_held = of_element && blocked.count(element) != 0;
                if (!is_held && edit.is_due()) {
                    batch.push_back(&edit);
                    continue;
                }
                if (edit.state == EditState::waiting) {
                    keep(edit, SyncErrc::held_back, std::nullopt, report);
                }
                if (of_element) blocked.insert(element);
            }
            if (batch.empty()) break;
            if (!send_batch(server, batch, report)) break;
            bool has_effect = false;
            for (const Edit* const edit : batch) {
                has_effect = has_effect || edit->state != EditState::waiting;
                if (edit->operation.kind() == OperationKind::interaction) continue;
                const std::string_view element = edit->operation.element();
                if (edit->state == EditState::kept) blocked.insert(element);
                if (edit->state == EditState::waiting) failed.insert(element);
            }
            batches_without_effect = has_effect ? 0 : batches_without_effect + 1;
        }
        for (; at != edits_.all().end(); ++at) keep_if_blocked(at->second, blocked, report);
        edits_.count_kept();
    }

private:
    /// Later edits of an element must not come before a kept one after a restart.
    template <class Report>
    static void keep_if_blocked(Edit& edit, const std::unordered_set<std::string_view>& blocked,
                                Report& report) {
        if (edit.state != EditState::waiting ||
            edit.operation.kind() == OperationKind::interaction) {
            return;
        }
        if (blocked.count(edit.operation.element()) != 0) {
            keep(edit, SyncErrc::held_back, std::nullopt, report);
        }
    }
    template <class Report>
    static void keep(Edit& edit, const std::error_code& why, std::optional<Duration> wait,
                     Report& report) {
        const bool is_new = edit.state == EditState::waiting;
        edit.state = EditState::kept;
        edit.why = why;
        edit.wait = wait;
        if (is_new) report.kept.push_back(edit.failed());
    }

    /// Sends a batch, and notes the outcome of each of its edits.
    ///
    /// Returns: false if the outcome is unknown.
    template <class Server, class Report>
    [[nodiscard]] bool send_batch(Server& server, std::span<Edit* const> batch, Report& report) {
        std::vector<Op> operations;
        operations.reserve(batch.size());
        for (const Edit* const edit : batch) operations.push_back(edit->operation);
        auto result = server.send(std::span<const Op>{operations});
        std::map<Id, Edit*> of_id;
        for (Edit* const edit : batch) of_id.emplace(edit->operation.id, edit);
        if (!result || !accounts_for(*result, of_id)) {
            report.error = result ? make_error_code(SyncErrc::store_disagrees) : result.error();
            return false;
        }
        std::unordered_set<std::string_view> kept;
        for (const auto& one : result->failed_operations) {
            Edit& edit = *std::exchange(of_id[one.operation.id], nullptr);
            const std::string_view element = edit.operation.element();
            const bool is_held = one.error == SyncErrc::held_back && kept.count(element) != 0;
            if (!one.retryable) {
                edit.state = EditState::rejected;
                edit.why = one.error;
                report.kept.push_back(edit.failed());
            } else if (is_held || concerns_its_element(one)) {
                keep(edit, one.error, one.wait, report);
                if (edit.operation.kind() != OperationKind::interaction) kept.insert(element);
            } else {
                // The state of the server is the cause, so the same sync later may succeed.
                edit.state = EditState::waiting;
                if (!report.error || report.error == SyncErrc::held_back) report.error = one.error;
            }
        }
        for (auto& conflict : result->conflicts) {
            Edit& edit = *std::exchange(of_id[conflict.operation.id], nullptr);
            if (conflict.resolved) {
                edit.state = EditState::dropped;
                edit.hidden = true;
                report.conflicts.push_back(std::move(conflict));
            } else {
                // It is pending in the memory of the server, so it is still this replica's.
                keep(edit, {}, std::nullopt, report);
            }
        }
        for (const auto& [id, edit] : of_id) {
            if (edit == nullptr) continue;
            edit->state = EditState::dropped;
            ++report.synced;
        }
        for (auto& one : result->overwrote) {
            if (!overwrote_.insert(one.operation.id).second) continue;
            report.overwrote.push_back(std::move(one));
        }
        return true;
    }

    Edits& edits_;
    std::size_t batch_operations_;
    std::set<Id> overwrote_{};  // those of the report
};

}}}  // namespace belay::detail
