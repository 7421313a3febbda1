// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_edits.hpp
/// ReplicaEdits: the edits of a Replica that the server has not decided, in memory and in a log.
#pragma once

#include <algorithm>      // std::max, std::min, std::rotate
#include <concepts>       // std::same_as
#include <cstddef>        // std::size_t, std::ptrdiff_t
#include <cstdint>        // std::uint64_t
#include <map>            // std::map
#include <optional>       // std::optional
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_map>  // std::unordered_map
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::as_const, std::exchange, std::move, std::pair
#include <vector>         // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/detail/edit_list.hpp>
#include <belay/sync/detail/edit_record.hpp>
#include <belay/sync/detail/replaced_record.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A log with a note, in which a replica keeps the note of its clock.
template <class Log>
concept HasNote = requires(Log& log, const Log& same, BytesView note) {
    { log.keep(note) } -> std::same_as<std::error_code>;
    { same.kept() } -> std::same_as<BytesView>;
};

/// The edits in their order, and the last one of each element.
template <CodecLike Codec, class Log>
class ReplicaEdits {
public:
    using Record = EditRecord<Codec>;
    using Op = typename Record::Op;
    using Replaced = ReplacedVersions<DecodedBy<Codec>>;
    using Edit = UndecidedEdit<Op>;
    using Edits = EditList<Edit>;

    /// If an exception leaves a sync, its report is lost. The edits are then sent again, and the
    /// next report has the versions that this one would have listed.
    template <class Report>
    struct Interruption {
        // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of time
        Interruption(ReplicaEdits& of, Report& now, Report& next) noexcept
            : edits{&of}, report{now}, kept{next} {
            exchange();
        }
        Interruption(const Interruption&) = delete;
        Interruption& operator=(const Interruption&) = delete;
        ~Interruption() {
            if (edits == nullptr) return;
            exchange();
            edits->send_again(Decided::all);
        }
        void exchange() noexcept {
            report.replaced.swap(kept.replaced);
            report.overwrote.swap(kept.overwrote);
            report.rebased.swap(kept.rebased);
            report.restored.swap(kept.restored);
            report.lost.swap(kept.lost);
        }
        ReplicaEdits* edits;  // null: there is none
        Report& report;
        Report& kept;
    };

    explicit ReplicaEdits(Codec codec) : codec_{std::move(codec)} {}

    /// Reads the log, and the versions in it that are not reported.
    ///
    /// An edit whose values the codec rejects is unreadable, and a later program may read it.
    /// Errors: corrupt: a record is not one of a Replica; those of the log.
    [[nodiscard]] std::error_code load(Log& log, Replaced& replaced) {
        std::map<Id, std::uint64_t> known;
        FormerStamps former_stamps;
        Places late;  // of the edits whose first record here is not that of the edit itself
        for (std::uint64_t number = log.base(); number <= log.last(); ++number) {
            const Result<BytesView> bytes = log.read(number);
            if (!bytes) return bytes.error();
            if (ReplacedRecord<DecodedBy<Codec>>::is_one(*bytes)) {
                if (!replaced.read(*bytes, number, codec_)) return QueueErrc::corrupt;
                continue;
            }
            std::optional<Record> record = Record::decode(*bytes, codec_);
            if (!record) return make_error_code(QueueErrc::corrupt);
            auto at = known.find(record->operation.id);
            if (record->state == EditState::dropped) {
                if (at == known.end()) continue;
                edits_.at(at->second).state = EditState::dropped;
                known.erase(at);
                known.erase(record->operation.formerly);
                continue;
            }
            // A kept edit is appended again before its earlier record is released, and so is one
            // that was stamped anew.
            const auto former = known.find(record->operation.formerly);
            if (former != known.end()) {
                former_stamps.add({former->second, number}, edits_.at(former->second).operation,
                                  record->operation.stamp);
                at = former;
            }
            const bool is_new = at == known.end();
            const bool is_made =
                record->state == EditState::waiting && record->operation.formerly == no_id;
            Edit& edit = is_new ? add(std::move(record->operation)) : edits_.at(at->second);
            bool readable = record->readable;
            if (!is_new) {
                if (!is_same_edit(edit, *record)) return make_error_code(QueueErrc::corrupt);
                // All records of an edit have the same values.
                if (!readable && !edit.is_unreadable()) {
                    record->operation.action = std::move(edit.operation.action);
                    readable = true;
                }
                // It may name another version than its record before, whose author had a new stamp.
                edit.operation = std::move(record->operation);
            }
            const std::uint64_t seq = is_new ? last_ : at->second;
            if (is_new && !is_made) late.insert(seq);
            known.emplace(edit.operation.id, seq);
            if (!is_no_id(edit.operation.formerly)) known.emplace(edit.operation.formerly, seq);
            edit.number = number;
            edit.state = edit.recorded = record->state;
            if (!readable) edit.state = EditState::unreadable;
            if (readable && edit.is_unreadable()) edit.state = EditState::waiting;
            edit.why = record->error != 0 ? make_error_code(static_cast<SyncErrc>(record->error))
                                          : std::error_code{};
        }
        forget_decided();
        order(former_stamps, late);
        return {};
    }
    /// Appends an edit to the log; it is durable after the next commit. `last` is the last_of() its
    /// element.
    [[nodiscard]] std::error_code append(Log& log, Op&& operation, std::uint64_t* last) {
        Edit& edit = add(std::move(operation), last);
        ScopeExit undo{[this] { forget_last(); }};  // also if the codec throws
        const std::error_code error = write(log, edit);
        if (!error) undo.release();
        return error;
    }
    /// Returns the place of the last edit of an element, until one is erased; null: it has none.
    [[nodiscard]] std::uint64_t* last_of(std::string_view element) noexcept {
        const auto last = last_of_.find(element);
        return last != last_of_.end() ? &last->second : nullptr;
    }
    /// Returns the edit whose effect an element shows, from its last_of(); null: that of the store.
    [[nodiscard]] const Edit* shown(const std::uint64_t* last) const {
        std::uint64_t at = last != nullptr ? *last : 0;
        while (at != 0) {
            const Edit& edit = edits_.at(at);
            const bool shows = edit.state != EditState::rejected && !edit.is_unreadable();
            if (shows && !edit.hidden) return &edit;
            at = edit.before;
        }
        return nullptr;
    }
    /// Calls `visit(element, edit)` for each element that shows one of the first `most` edits.
    /// `visit` may append edits. An element with such an edit is not visited after it.
    template <class Visit>
    void for_each_shown(std::size_t most, Visit visit) {
        auto at = std::as_const(edits_).begin();
        for (std::size_t i = 0; i != most; ++i, ++at) {
            const std::string_view element = at->second.operation.element();
            if (shown(last_of(element)) == &at->second) visit(element, at->second);
        }
    }

    enum class Decided : std::uint8_t {
        all,
        unconfirmed  ///< applied, and the local store does not have the results
    };
    /// Lets decided edits wait again. A server that has them knows their ids, and one that lost
    /// them applies them.
    void send_again(Decided which) noexcept {
        for (auto& [seq, edit] : edits_) {
            if (edit.state != EditState::dropped) continue;
            if (which == Decided::unconfirmed && edit.hidden) continue;
            edit.state = EditState::waiting;
            edit.hidden = false;
        }
    }
    /// The local store has the results of all decided edits.
    void hide_decided() noexcept {
        for (auto& [seq, edit] : edits_) edit.hidden = edit.state == EditState::dropped;
    }

    /// Writes the state of an edit, which is durable after the next commit.
    [[nodiscard]] std::error_code write(Log& log, Edit& edit) {
        const typename Record::Status status{edit.state, edit.why};
        if (edit.is_unreadable()) {
            const Result<BytesView> former = log.read(edit.number);
            if (!former) return former.error();
            if (!Record::encode_again(*former, edit.operation, status, record_)) {
                return QueueErrc::corrupt;
            }
        } else if (!Record::encode(edit.operation, status, codec_, record_, scratch_)) {
            return SyncErrc::bad_operation;
        }
        const Result<std::uint64_t> number = log.append(record_);
        if (!number) return number.error();
        edit.number = *number;
        edit.recorded = edit.state;
        edit.outdated = false;
        return {};
    }
    /// Gives edits the ids and stamps of other operations, durably, so that they are sent as those.
    ///
    /// Errors: those of the log's append; all edits are then as they were. Those of its commit.
    template <class Stamped>
    [[nodiscard]] std::error_code replace(Log& log, std::span<Edit* const> edits,
                                          std::span<Op> operations, Stamped on_each) {
        // All or none, because an edit names the new stamp of the edit before it.
        std::vector<Edit> made;
        made.reserve(edits.size());
        for (std::size_t i = 0; i < edits.size(); ++i) {
            Edit& edit = made.emplace_back(*edits[i]);
            edit.operation = std::move(operations[i]);
            if (!edit.is_unreadable()) edit.state = EditState::waiting;
            edit.why = {};
            edit.wait.reset();
            edit.renews = false;
            if (const std::error_code error = write(log, edit)) return error;
        }
        for (std::size_t i = 0; i < edits.size(); ++i) {
            on_each(edits[i]->operation.id);
            *edits[i] = std::move(made[i]);
        }
        return log.commit();
    }
    /// Forgets the decided edits and the reported versions, and releases their records. Kept edits
    /// in front of others are appended again first, so that they do not hold the front of the log.
    [[nodiscard]] std::error_code release(Log& log, Replaced& replaced) {
        forget_decided();
        keep_held_back();
        if (const std::error_code error = renew(log)) return error;
        std::uint64_t until = log.last();
        for (const auto& [seq, edit] : edits_) {
            if (edit.state == EditState::waiting) until = std::min(until, edit.number - 1);
        }
        if (const std::error_code error = replaced.forget(log, until)) return error;
        std::uint64_t listed = 0;
        bool is_new = false;
        for (const auto& [seq, edit] : edits_) {
            if (edit.state == EditState::waiting) continue;
            listed += edit.number <= until ? 1 : 0;
            is_new = is_new || edit.recorded != edit.state;
        }
        const std::uint64_t released = until + 1 - log.base();
        if (!is_new && released == listed) return {};
        if (is_new || listed != 0) {
            // All of them, so that those of one element stay in their order.
            for (auto& [seq, edit] : edits_) {
                if (edit.state == EditState::waiting) continue;
                if (const std::error_code error = write(log, edit)) return error;
            }
            if (const std::error_code error = log.commit()) return error;
        }
        if (const std::error_code error = log.ack(until)) return error;
        return log.commit();
    }
    /// Forgets an edit.   Complexity: linear in the edits of its element, and in the later ones.
    void erase(const typename Edits::iterator& edit) {
        unlink(edit->first, edit->second);
        edits_.erase(edit);
    }

    /// Counts the kept edits, except those that cannot be read; call it after a change of states.
    void count_kept() noexcept {
        kept_ = 0;
        for (const auto& [seq, edit] : edits_) {
            kept_ += edit.is_kept() && !edit.is_unreadable() ? 1U : 0U;
        }
    }
    /// Returns the number of kept edits at the last count.
    [[nodiscard]] std::size_t kept() const noexcept { return kept_; }

    [[nodiscard]] Codec& codec() noexcept { return codec_; }
    [[nodiscard]] Edits& all() noexcept { return edits_; }
    [[nodiscard]] const Edits& all() const noexcept { return edits_; }

private:
    /// The stamps that edits had before they were stamped anew. A crash may leave the new record of
    /// an edit without those of the later edits of its element.
    class FormerStamps {
    public:
        /// An edit that was stamped anew, and the number of the record that notes it.
        struct Change {
            std::uint64_t seq;
            std::uint64_t number;
        };
        void add(Change change, const Op& before, const Stamp& now) {
            if (before.stamp == now) return;
            changes_[{std::string{before.element()}, before.stamp}] = change;
            latest_[change.seq] = now;
        }
        /// Lets an operation that names the former stamp of another edit name its latest one. A
        /// record after the change has the right one; a stamp equal to a former one is then another
        /// version.
        ///
        /// Returns: whether it did that.
        [[nodiscard]] bool correct(Edit& edit) const {
            if (!edit.operation.saw || latest_.empty()) return false;
            const auto at =
                changes_.find({std::string{edit.operation.element()}, *edit.operation.saw});
            if (at == changes_.end() || at->second.number < edit.number) return false;
            edit.operation.saw = latest_.at(at->second.seq);
            return true;
        }

    private:
        std::map<std::pair<std::string, Stamp>, Change> changes_{};
        std::map<std::uint64_t, Stamp> latest_{};
    };
    using Places = std::unordered_set<std::uint64_t>;
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    using LastOf = std::unordered_map<std::string, std::uint64_t, TextHash, std::equal_to<>>;
    /// The entry of an element's last edit. It erases the one that it added, if that is not used.
    struct NewLast {
        [[nodiscard]] std::uint64_t& find_or_add(std::string_view element) {
            at = all.find(element);
            if (at == all.end()) {
                at = all.emplace(element, 0).first;
                is_new = true;
            }
            return at->second;
        }
        ~NewLast() {
            if (is_new && !is_used) all.erase(at);
        }
        LastOf& all;
        typename LastOf::iterator at{};
        bool is_new = false;
        bool is_used = false;
    };

    [[nodiscard]] Edit& add(Op&& operation, std::uint64_t* last = nullptr) {
        const bool shows = operation.kind() != OperationKind::interaction;
        const std::uint64_t seq = last_ + 1;
        // First the memory for all, so that an edit that throws is not in the list.
        NewLast made{last_of_};
        if (shows && last == nullptr) last = &made.find_or_add(operation.element());
        Edit& edit = edits_.push_back(seq, std::move(operation));
        made.is_used = true;
        last_ = seq;
        if (shows) edit.before = std::exchange(*last, seq);
        return edit;
    }
    void unlink(std::uint64_t seq, const Edit& edit) {
        const auto last = last_of_.find(edit.operation.element());
        if (last == last_of_.end()) return;
        std::uint64_t* link = &last->second;
        while (*link != 0 && *link != seq) link = &edits_.at(*link).before;
        if (*link != 0) *link = edit.before;
        if (last->second == 0) last_of_.erase(last);
    }
    void forget_last() {
        unlink(last_, edits_.back());
        edits_.pop_back();
    }
    [[nodiscard]] static bool is_same_edit(const Edit& a, const Record& b) noexcept {
        const bool same_kind = a.operation.kind() == b.operation.kind();
        return (same_kind || a.is_unreadable() || !b.readable) &&
               a.operation.element() == b.operation.element();
    }
    /// The version that the server makes of an edit if it has the one that its author saw.
    [[nodiscard]] static Stamp version_of(const Edit& edit) noexcept {
        const Op& operation = edit.operation;
        const bool is_lifted = operation.saw && !(*operation.saw < operation.stamp);
        return is_lifted ? stamp_above(*operation.saw, operation.stamp.origin) : operation.stamp;
    }
    /// Puts what the log has into the order in which it was made.
    void order(const FormerStamps& former_stamps, const Places& late) {
        for (auto& [seq, edit] : edits_) edit.outdated = former_stamps.correct(edit);
        for (const auto& [element, last] : last_of_) order_by_versions(last, late);
        std::unordered_set<std::string_view> outdated;
        for (auto& [seq, edit] : edits_) {
            const std::string_view element = edit.operation.element();
            if (edit.outdated) outdated.insert(element);
            // The later ones, too, so that their records stay in their order.
            edit.outdated = !outdated.empty() && outdated.count(element) != 0;
        }
    }
    /// Puts the edits of an element into the order in which they were made, from the last one back.
    ///
    /// A kept edit is appended again. If another element's edit then holds the front of the log,
    /// the first record of the kept one may be released before that of a later edit of its element.
    /// The order of the records is then another one. A record is released after all before it. So
    /// an edit whose first record is released was made before those whose first record is there.
    /// Beyond that, an edit names the one before it.
    void order_by_versions(std::uint64_t last, const Places& late) {
        std::vector<std::uint64_t> places;
        for (std::uint64_t at = last; at != 0; at = edits_.at(at).before) {
            // A rejected one is in no order with the others, whose authors did not see it.
            if (edits_.at(at).state != EditState::rejected) places.push_back(at);
        }
        const std::vector<std::uint64_t> recorded{places.rbegin(), places.rend()};
        std::vector<std::uint64_t> order = recorded;
        sort_stably(
            order, [&](std::uint64_t a, std::uint64_t b) { return late.count(a) > late.count(b); });
        std::size_t moves = 0;
        while (moves <= order.size() && puts_one_behind_what_it_saw(order)) ++moves;
        if (order == recorded) return;
        std::vector<std::uint64_t> before;
        for (const std::uint64_t at : places) before.push_back(edits_.at(at).before);
        std::vector<Edit> moved;
        moved.reserve(order.size());
        for (const std::uint64_t at : order) moved.push_back(std::move(edits_.at(at)));
        for (std::size_t i = 0; i < places.size(); ++i) {
            Edit& edit = edits_.at(places[i]);
            edit = std::move(moved[places.size() - 1 - i]);
            edit.before = before[i];
        }
    }
    /// Moves one edit that stands before the one whose version it names behind that one.
    ///
    /// Returns: whether there was one.
    [[nodiscard]] bool puts_one_behind_what_it_saw(std::vector<std::uint64_t>& order) const {
        std::map<Stamp, std::size_t> made_by;
        for (std::size_t i = order.size(); i-- != 0;) {
            const Edit& edit = edits_.at(order[i]);
            const auto found =
                edit.operation.saw ? made_by.find(*edit.operation.saw) : made_by.end();
            if (found != made_by.end()) {
                const auto first = order.begin() + static_cast<std::ptrdiff_t>(i);
                const auto end = order.begin() + static_cast<std::ptrdiff_t>(found->second) + 1;
                std::rotate(first, first + 1, end);
                return true;
            }
            made_by[edit.operation.stamp] = i;
            made_by[version_of(edit)] = i;
        }
        return false;
    }
    /// An edit that was made during a sync must not come before a kept one of its element, whose
    /// record is appended again.
    void keep_held_back() {
        std::unordered_set<std::string_view> kept;
        for (auto& [seq, edit] : edits_) {
            if (edit.operation.kind() == OperationKind::interaction) continue;
            if (edit.state == EditState::kept || edit.is_unreadable()) {
                kept.insert(edit.operation.element());
            }
            if (edit.state != EditState::waiting) continue;
            if (kept.empty() || kept.count(edit.operation.element()) == 0) continue;
            edit.state = EditState::kept;
            edit.why = SyncErrc::held_back;
        }
    }
    /// Appends the outdated records again, before the record of the edit before them is released.
    [[nodiscard]] std::error_code renew(Log& log) {
        bool any = false;
        for (auto& [seq, edit] : edits_) {
            if (!edit.outdated) continue;
            if (const std::error_code error = write(log, edit)) return error;
            any = true;
        }
        return any ? log.commit() : std::error_code{};
    }
    /// In one pass, because erase() is linear for each. It allocates nothing, so that it cannot end
    /// between the list and the last edits of the elements.
    void forget_decided() {
        const auto decided = [](const auto& one) { return one.second.state == EditState::dropped; };
        if (edits_.erase_if(decided) == 0) return;
        for (auto& [element, last] : last_of_) last = 0;
        for (auto& [seq, edit] : edits_) {
            if (edit.operation.kind() == OperationKind::interaction) continue;
            edit.before = std::exchange(last_of_.find(edit.operation.element())->second, seq);
        }
        std::erase_if(last_of_, [](const auto& one) { return one.second == 0; });
    }

    Codec codec_;
    Edits edits_{};
    LastOf last_of_{};
    std::uint64_t last_ = 0;
    std::size_t kept_ = 0;
    Bytes record_{};
    Bytes scratch_{};
};

/// Calls `visit(edit)` for each edit of an element, from its last_of(), the last one first.
template <class Edits, class Visit>
void for_each_of_element(const Edits& edits, const std::uint64_t* last, Visit visit) {
    for (std::uint64_t at = last != nullptr ? *last : 0; at != 0;) {
        const auto& edit = edits.all().at(at);
        visit(edit);
        at = edit.before;
    }
}

/// Returns the stamp of the last edit that is not rejected, from its element's last_of(). That edit
/// may not be shown, and be sent again to a restored server. Stamp{} if there is none.
template <class Edits>
[[nodiscard]] Stamp last_stamp(const Edits& edits, const std::uint64_t* last) {
    std::uint64_t at = last != nullptr ? *last : 0;
    while (at != 0) {
        const auto& edit = edits.all().at(at);
        if (edit.state != EditState::rejected) return edit.operation.stamp;
        at = edit.before;
    }
    return {};
}

/// Finds the edits of an element whose stamps may be the next ones above other stamps, so that a
/// later edit may get them again. Such a stamp is no later in time than the version that its author
/// saw, another edit of the element, or `other`. That is the latest version of the element that is
/// lost, that is unreadable, or that is a removal later than the server's. An edit that was stamped
/// anew has such a stamp, too: its clock may have been set back, or have stood still for several
/// syncs.
class LiftedStamps {
public:
    /// `last` is the last_of() of the element.   Complexity: linear in the edits of the element.
    template <class Edits>
    LiftedStamps(const Edits& edits, const std::uint64_t* last, const Stamp& other)
        : other_{other.wall} {
        for_each_of_element(edits, last, [&](const auto& edit) { ++edits_at_[time_of(edit)]; });
    }
    /// Pre: the edit is one of the element.
    template <class Edit>
    [[nodiscard]] bool has(const Edit& edit) const {
        const WallTime wall = edit.operation.stamp.wall;
        const auto& saw = edit.operation.saw;
        return edit.operation.formerly != no_id || (saw && wall <= saw->wall) || wall <= other_ ||
               edits_at_.at(time_of(edit)) > 1;
    }

private:
    template <class Edit>
    [[nodiscard]] static WallTime::rep time_of(const Edit& edit) noexcept {
        return edit.operation.stamp.wall.time_since_epoch().count();
    }

    WallTime other_;
    std::unordered_map<WallTime::rep, std::size_t> edits_at_{};
};
/// Returns the latest such stamp of the rejected edits of an element, from its last_of().
/// Stamp{} if there is none.
template <class Edits>
[[nodiscard]] Stamp last_rejected(const Edits& edits, const std::uint64_t* last,
                                  const Stamp& other) {
    const auto is_rejected = [](const auto& edit) { return edit.state == EditState::rejected; };
    bool any = false;
    for_each_of_element(edits, last, [&](const auto& edit) { any = any || is_rejected(edit); });
    Stamp latest;
    if (!any) return latest;
    const LiftedStamps lifted{edits, last, other};
    for_each_of_element(edits, last, [&](const auto& edit) {
        if (is_rejected(edit) && lifted.has(edit)) {
            latest = std::max(latest, edit.operation.stamp);
        }
    });
    return latest;
}

}}}  // namespace belay::detail
