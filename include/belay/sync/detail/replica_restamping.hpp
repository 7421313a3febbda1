// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_restamping.hpp
/// ReplicaRestamping: new stamps for edits that are too far ahead of the server's clock.
#pragma once

#include <algorithm>      // std::min
#include <cstddef>        // std::size_t
#include <functional>     // std::less
#include <map>            // std::map
#include <optional>       // std::optional
#include <set>            // std::set
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::exchange, std::move, std::pair
#include <vector>         // std::vector

#include <belay/sync/detail/replica_edits.hpp>
#include <belay/sync/hybrid_clock.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

/// Functions that return stamps of versions, as a Result.
/// - `version_of(element)`: of the server's version.
/// - `latest_of(element, seen)`: of a later version that this device cannot read, or `seen`.
/// - `lost_of(element)`: of a lost version.
template <class VersionOf, class LatestOf, class LostOf>
struct VersionStamps {
    VersionOf version_of;
    LatestOf latest_of;
    LostOf lost_of;
};
template <class VersionOf, class LatestOf, class LostOf>
VersionStamps(VersionOf, LatestOf, LostOf) -> VersionStamps<VersionOf, LatestOf, LostOf>;

/// Stamps anew the edits that a server has rejected as from_the_future, or as too_old if that is
/// wanted. It also stamps the later edits of their elements, which the server has not applied
/// either.
template <class Edits>
class ReplicaRestamping {
    using Edit = typename Edits::Edit;
    using Op = typename Edits::Op;

public:
    ReplicaRestamping(Edits& edits, Duration after) : edits_{edits}, after_{after} {
        std::unordered_set<std::string_view> elements;
        for (auto& [seq, edit] : edits_.all()) {
            const bool waits = edit.state == EditState::kept || edit.state == EditState::waiting ||
                               edit.is_unreadable();
            if (!waits) continue;
            const bool has_element = edit.operation.kind() != OperationKind::interaction;
            const std::string_view element = edit.operation.element();
            const bool ahead = edit.state == EditState::kept &&
                               edit.why == SyncErrc::from_the_future && edit.wait > after_;
            const bool too_old =
                edit.state == EditState::kept && edit.why == SyncErrc::too_old && edit.renews;
            if (!ahead && !too_old && (!has_element || elements.count(element) == 0)) continue;
            if (has_element) elements.insert(element);
            if (ahead) limit_ = std::min(limit_, earlier(edit.operation.stamp.wall, *edit.wait));
            found_.push_back(&edit);
        }
    }
    [[nodiscard]] bool is_due() const noexcept { return !found_.empty(); }

    /// Pre: is_due().
    template <class Log, class Clock, class Bits, class Report, class Stamps>
    [[nodiscard]] std::error_code run(Log& log, Clock& clock, Bits& bits, Report& report,
                                      Stamps stamps) {
        std::vector<Op> operations;
        for (const Edit* const edit : found_) operations.push_back(edit->operation);
        std::vector<Ahead> ahead;
        std::error_code error =
            forget_versions_ahead(operations, stamps.version_of, stamps.latest_of, ahead);
        if (error) return error;
        if (limit_ == WallTime::max()) {
            error = restamp(operations, clock, bits, stamps.lost_of);
        } else if (clock.wall_now() <= limit_) {
            // The wall clock was corrected.
            clock.restart();
            error = restamp(operations, clock, bits, stamps.lost_of);
            if (!error) error = detail::keep_note(log, clock);
        } else {
            HybridClock<LimitedWallClock<Clock>> limited{clock.origin(), {&clock, limit_}};
            error = restamp(operations, limited, bits, stamps.lost_of);
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
    /// Stamps operations anew, in the order in which they were made. The clock may be one that was
    /// set back, or that is limited to the time of an earlier sync.
    template <class Clock, class Bits, class LostOf>
    [[nodiscard]] std::error_code restamp(std::vector<Op>& operations, Clock& clock, Bits& bits,
                                          LostOf& lost_of) const {
        std::map<std::string, Stamp, std::less<>> known;  // of the elements so far
        const auto floor_of = [&](std::string_view element) -> Result<Stamp> {
            if (const auto at = known.find(element); at != known.end()) return at->second;
            const Result<Stamp> lost = lost_of(element);
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
    template <class VersionOf, class LatestOf>
    [[nodiscard]] std::error_code forget_versions_ahead(std::vector<Op>& operations,
                                                        VersionOf& version_of, LatestOf& latest_of,
                                                        std::vector<Ahead>& ahead) const {
        std::set<std::pair<std::string_view, Stamp>> earlier;
        for (std::size_t i = 0; i < operations.size(); ++i) {
            Op& one = operations[i];
            if (one.kind() == OperationKind::interaction) continue;
            earlier.emplace(one.element(), one.stamp);
            if (!one.saw || earlier.count({one.element(), *one.saw}) != 0) continue;
            const Result<Stamp> latest = latest_of(one.element(), *one.saw);
            if (!latest) return latest.error();
            if (*latest != *one.saw && latest->wall > limit_) {
                ahead.push_back({i, *latest, true});
                continue;
            }
            if (one.saw->wall <= limit_) continue;
            const Result<Stamp> there = version_of(one.element());
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
    Duration after_;
    WallTime limit_ = WallTime::max();  // the latest time that the server accepts
    std::vector<Edit*> found_{};
};

}}}  // namespace belay::detail
