// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_sender.hpp
/// ReplicaSender: sends the edits of a Replica, and notes the outcome of each. It stamps edits anew
/// that are too far ahead of the server's clock.
#pragma once

#include <algorithm>      // std::min
#include <cstddef>        // std::size_t
#include <functional>     // std::less
#include <map>            // std::map
#include <optional>       // std::optional
#include <set>            // std::set
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::exchange, std::move, std::pair
#include <vector>         // std::vector

#include <belay/core/random.hpp>
#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/hybrid_clock.hpp>
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

/// Stores the note of a clock. If that fails, the next note is due at once.
template <class Log, class Clock>
[[nodiscard]] std::error_code keep_note(Log& log, Clock& clock) {
    const std::error_code error = log.keep(clock.note());
    if (error) clock.forget_note();
    return error;
}

/// A wall clock that is never later than a limit.
template <class Clock>
struct LimitedWallClock {
    const Clock* clock;
    WallTime limit;
    [[nodiscard]] WallTime now() const noexcept { return std::min(clock->wall_now(), limit); }
};

/// Whether a clock may return a stamp that it, or one before it, has returned.
enum class StampRepeats : bool { no, yes };

/// A clock for edits, none of which gets the stamp of a lost version of its element.
///
/// `lost(element)` returns the latest stamp of such a version, as a Result. If the clock does not
/// repeat stamps, its time was in none before, but the next stamp above `seen` may have been. Lost
/// versions may be far ahead, so edits of other elements are not put above them.
template <class Clock, class LostOf>
class EditClock {
public:
    EditClock(Clock& clock, StampRepeats repeats, LostOf lost)
        : clock_{clock}, repeats_{repeats}, lost_{std::move(lost)} {}
    [[nodiscard]] Stamp stamp() noexcept { return clock_.stamp(); }
    [[nodiscard]] Result<Stamp> stamp_above(const Stamp& seen, std::string_view element) {
        const Result<Stamp> stamp = clock_.stamp_above(seen);
        if (!stamp) return stamp;
        const bool is_lifted = *stamp == detail::stamp_above(seen, clock_.origin());
        if (!is_lifted && repeats_ == StampRepeats::no) return stamp;
        const Result<Stamp> lost = lost_(element);
        if (!lost) return lost;
        return *lost < *stamp ? stamp : clock_.stamp_above(*lost);
    }

private:
    Clock& clock_;
    StampRepeats repeats_;
    LostOf lost_;
};

/// Sends the edits that are due, in batches, and stamps those anew that are too far ahead of the
/// server's clock.
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

    /// Finds the edits that the server has rejected as from_the_future, or as too_old if a new
    /// stamp is wanted. With them come the later edits of their elements, which the server has not
    /// applied either.
    ///
    /// Returns: whether there are any, for restamp().
    [[nodiscard]] bool needs_stamps(Duration after) {
        std::unordered_set<std::string_view> elements;
        for (auto& [seq, edit] : edits_.all()) {
            const bool waits = edit.state == EditState::kept || edit.state == EditState::waiting ||
                               edit.is_unreadable();
            if (!waits) continue;
            const bool has_element = edit.operation.kind() != OperationKind::interaction;
            const std::string_view element = edit.operation.element();
            const bool ahead = edit.state == EditState::kept &&
                               edit.why == SyncErrc::from_the_future && edit.wait > after;
            const bool too_old =
                edit.state == EditState::kept && edit.why == SyncErrc::too_old && edit.renews;
            if (!ahead && !too_old && (!has_element || elements.count(element) == 0)) continue;
            if (has_element) elements.insert(element);
            if (ahead) limit_ = std::min(limit_, earlier(edit.operation.stamp.wall, *edit.wait));
            found_.push_back(&edit);
        }
        return !found_.empty();
    }
    /// Stamps these edits anew.
    template <class Log, class Clock, class Copy, class Report>
    [[nodiscard]] std::error_code restamp(Log& log, Clock& clock, Random& bits, Copy copy,
                                          Report& report) {
        std::vector<Op> operations;
        for (const Edit* const edit : found_) operations.push_back(edit->operation);
        std::vector<Ahead> ahead;
        std::error_code error = forget_versions_ahead(operations, copy, ahead);
        if (error) return error;
        if (limit_ == WallTime::max()) {
            error = restamp_all(operations, clock, bits, copy);
        } else if (clock.wall_now() <= limit_) {
            // The wall clock was corrected.
            clock.restart();
            error = restamp_all(operations, clock, bits, copy);
            if (!error) error = keep_note(log, clock);
        } else {
            HybridClock<LimitedWallClock<Clock>> limited{clock.origin(), {&clock, limit_}};
            error = restamp_all(operations, limited, bits, copy);
        }
        if (error) return error;
        for (const Ahead& one : ahead) follow(operations, one, clock.origin());
        error = edits_.replace(log, found_, operations, [&](const Id& before) {
            std::erase_if(report.kept, [&](const auto& one) { return one.operation.id == before; });
        });
        edits_.count_kept();
        return error;
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

    /// Stamps operations anew, in the order in which they were made. The clock may be one that was
    /// set back, or that is limited to the time of an earlier sync.
    template <class Clock, class Copy>
    [[nodiscard]] std::error_code restamp_all(std::vector<Op>& operations, Clock& clock,
                                              Random& bits, Copy& copy) const {
        std::map<std::string, Stamp, std::less<>> known;  // of the elements so far
        const auto floor_of = [&](std::string_view element) -> Result<Stamp> {
            if (const auto at = known.find(element); at != known.end()) return at->second;
            const Result<Stamp> lost = copy.lost_of(edits_, element);
            if (!lost) return lost;
            // The server accepts no stamp above that one.
            const Stamp floor = lost->wall > limit_ ? Stamp{} : *lost;
            known.emplace(element, floor);
            return floor;
        };
        EditClock edit_clock{clock, StampRepeats::yes, floor_of};
        return Op::restamp(operations, edit_clock, bits);
    }
    /// An operation that changes a version that is ahead of the server's clock.
    struct Ahead {
        std::size_t index;
        Stamp saw;
        bool is_there;  // the server has that version
    };

    /// Lets the operations that saw a version ahead of the server's clock name none, since no stamp
    /// above such a version is accepted.
    ///
    /// It is one of two kinds:
    /// - an edit that the server never gets, because it was dropped or rejected;
    /// - the version of the server, whose clock was ahead.
    ///
    /// `ahead` lists the operations that get it back: those of the second kind, and removals. A
    /// restored server lacks the version that a removal saw, and may get it again. If it has an
    /// earlier removal meanwhile, it must distinguish the two.
    ///
    /// An edit replaces a version that this device cannot read. If that is ahead of the clock, a
    /// later stamp cannot show this, so the operation names that version.
    template <class Copy>
    [[nodiscard]] std::error_code forget_versions_ahead(std::vector<Op>& operations, Copy& copy,
                                                        std::vector<Ahead>& ahead) const {
        std::set<std::pair<std::string_view, Stamp>> earlier;
        for (std::size_t i = 0; i < operations.size(); ++i) {
            Op& one = operations[i];
            if (one.kind() == OperationKind::interaction) continue;
            earlier.emplace(one.element(), one.stamp);
            if (!one.saw || earlier.count({one.element(), *one.saw}) != 0) continue;
            const Result<Stamp> latest = copy.latest_of(one.element(), *one.saw);
            if (!latest) return latest.error();
            if (*latest != *one.saw && latest->wall > limit_) {
                ahead.push_back({i, *latest, true});
                continue;
            }
            if (one.saw->wall <= limit_) continue;
            const Result<Stamp> there = copy.version_of(one.element());
            if (!there) return there.error();
            const bool is_there = *there == *one.saw;
            if (is_there || one.kind() == OperationKind::remove) {
                ahead.push_back({i, *one.saw, is_there});
            }
            one.saw = Stamp{};
        }
        return {};
    }
    /// Gives an operation its version back. If the server has that version, the operations that
    /// follow get the versions that the server will make. It raises the stamp of an operation above
    /// the version that it replaces.
    static void follow(std::vector<Op>& operations, const Ahead& one, const Id& origin) {
        Stamp made = operations[one.index].stamp;
        Stamp lifted = stamp_above(one.saw, origin);
        operations[one.index].saw = one.saw;
        if (!one.is_there) return;
        const std::string_view element = operations[one.index].element();
        for (std::size_t i = one.index + 1; i < operations.size(); ++i) {
            Op& next = operations[i];
            if (next.saw != made || next.element() != element) continue;
            next.saw = std::exchange(lifted, stamp_above(lifted, origin));
            made = next.stamp;
        }
    }

    Edits& edits_;
    std::size_t batch_operations_;
    std::set<Id> overwrote_{};          // those of the report
    WallTime limit_ = WallTime::max();  // the latest time that the server accepts
    std::vector<Edit*> found_{};        // to be stamped anew
};

}}}  // namespace belay::detail
