// SPDX-License-Identifier: MIT
/// \file belay/work/work_salvage.hpp
/// tool::salvage_work_queue: copies the readable part of a damaged work queue into a new journal.
///
/// It is for tools, and belay.hpp does not include it.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move

#include <belay/journal/journal_salvage.hpp>
#include <belay/work/work_inspect.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// The result of `tool::salvage_work_queue`.
struct WorkSalvageReport {
    JournalReport inspection;      ///< the inspection of the damaged journal
    std::uint64_t copied = 0;      ///< items copied into the new journal, durably; dead ones
                                   ///< included
    std::uint64_t unreadable = 0;  ///< entries that cannot be read and may have been items
};

/// Copies the readable items of a damaged work queue into a new journal in directory `to`.
///
/// It copies the kept note, and all items that can be read and are not gone, in their order. They
/// keep their known state and the rest of their delays. WorkQueue::open then opens the new journal.
/// The old one is not changed.
///
/// The items have new ids, and idempotency keys are forgotten, because both belong to the old
/// journal. If the entry that removed an item cannot be read, the item is there again.
///
/// Do not use `salvage_journal` for a work queue's journal: it numbers operations anew, and entries
/// name items by number. WorkQueue::open rejects such a copy, unless it has only plain items.
///
/// Errors: those of inspect_work_queue, of opening and writing; file_exists if `to` holds a journal
/// already. After an error `to` may hold a part.
/// Throws: std::bad_alloc.
/// Complexity: O(bytes), reads everything twice, and keeps the entries that wait in memory.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<WorkSalvageReport, JournalError> salvage_work_queue(
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): `to` must be empty
    FileSystem& fs, const std::string& from, const std::string& to, Moment moment,
    const JournalOptions& options = {}) {
    auto left = detail::read_work_left(fs, from, moment);
    if (!left) return left.error();
    detail::WorkItems<detail::EntriesLeft>& work = *left->items;
    auto journal = detail::open_salvaged(fs, to, options, left->inspection.longest);
    if (!journal) return journal.error();
    WorkSalvageReport done{std::move(left->inspection)};
    std::error_code error;
    Bytes bytes;
    const auto append = [&](const detail::WorkEntry& entry) {
        detail::encode(entry, detail::log_mark(journal->journal_id()), bytes);
        const Result<std::uint64_t> number = journal->append(bytes);
        if (!number) error = number.error();
        return number;
    };
    const auto copy = [&](const WorkItem& shown) {
        if (error) return;
        const detail::WorkPlace place = work.table().find(shown.id);
        detail::WorkEntry item;
        if (work.read(place.position, item)) {
            ++done.unreadable;
            return;
        }
        // The note below has the delay. The time of the push becomes the time of writing.
        item.kind = detail::WorkKind::item;
        item.written = item.pushed;
        item.delay = Duration::zero();
        item.has_key = false;
        const Result<std::uint64_t> id = append(item);
        if (!id) return;
        ++done.copied;
        if (place.slot != detail::WorkSlots::none) {
            const detail::WorkSlot& known = work.slots()[place.slot];
            const bool waits = known.state == WorkItem::State::delayed;
            if (!append({.kind = detail::WorkKind::note,
                         .written = detail::stamp_of(moment.wall),
                         .id = *id,
                         .delay = waits ? elapsed(moment.now, known.when) : Duration::zero(),
                         .deliveries = known.deliveries,
                         .cause = known.cause})) {
                return;
            }
        }
        // The buffer of the new journal is bounded; the number of items in the old one is not.
        if (done.copied % 1024 == 0) error = journal->commit();
    };
    if (const std::error_code unread = detail::show_living(work, copy)) error = unread;
    if (const std::error_code unread = detail::show_dead(work, copy)) error = unread;
    if (!error && !done.inspection.note.empty()) error = journal->keep(done.inspection.note);
    if (!error) error = journal->commit();
    if (error) return JournalError{error, to, 0, {}};
    return done;
}

}}}  // namespace belay::tool
