// SPDX-License-Identifier: MIT
/// \file belay/queue/work_salvage.hpp
/// salvage_work_queue: what can still be read of a work queue's damaged journal, in a new one.
///
/// For tools; belay.hpp does not include it.
#pragma once

#include <map>      // std::map
#include <string>   // std::string
#include <utility>  // std::move

#include <belay/queue/detail/work_items.hpp>
#include <belay/queue/detail/work_replay.hpp>
#include <belay/queue/journal_salvage.hpp>

namespace belay::inline BELAY_ABI {

/// What `salvage_work_queue` did.
struct WorkSalvage {
    JournalInspection inspection;  ///< of the damaged one
    std::uint64_t copied = 0;      ///< items that are in the new one, durably; also dead ones
    std::uint64_t unreadable = 0;  ///< entries that cannot be read, and may have been items
};

namespace detail {

/// The entries that can be read of a damaged log, as a log that takes nothing.
class EntriesLeft {
public:
    EntriesLeft(const Id& journal, std::uint64_t acked) noexcept : id_{journal}, acked_{acked} {}

    /// Pre: numbers grow.   Throws: std::bad_alloc.
    void add(std::uint64_t number, BytesView body) {
        if (number > acked_) entries_.emplace(number, Bytes(body.begin(), body.end()));
    }

    [[nodiscard]] const Id& journal_id() const noexcept { return id_; }
    [[nodiscard]] std::uint32_t run() const noexcept { return 0; }
    [[nodiscard]] std::uint32_t salt() const noexcept { return 0; }
    [[nodiscard]] const Id& store_pin() const noexcept { return no_id; }
    [[nodiscard]] std::error_code pin_store(const Id&) noexcept { return takes_nothing(); }
    [[nodiscard]] std::uint64_t base() const noexcept { return acked_ + 1; }
    [[nodiscard]] std::uint64_t last() const noexcept {
        return entries_.empty() ? acked_ : entries_.rbegin()->first;
    }
    [[nodiscard]] std::uint64_t durable() const noexcept { return last(); }
    [[nodiscard]] Result<std::uint64_t> append(BytesView) noexcept { return takes_nothing(); }
    [[nodiscard]] std::error_code sync() noexcept { return takes_nothing(); }
    [[nodiscard]] Result<BytesView> read(std::uint64_t number) {
        const auto found = entries_.find(number);
        if (found == entries_.end()) return make_error_code(QueueErrc::corrupt);
        return BytesView{found->second};
    }
    [[nodiscard]] std::uint32_t salt_of(std::uint64_t) const noexcept { return 0; }
    [[nodiscard]] Result<std::uint64_t> check(std::uint64_t) { return takes_nothing(); }
    [[nodiscard]] std::error_code ack(std::uint64_t) noexcept { return takes_nothing(); }
    [[nodiscard]] std::error_code failed() const noexcept { return {}; }

private:
    [[nodiscard]] static std::error_code takes_nothing() noexcept {
        return std::make_error_code(std::errc::read_only_file_system);
    }

    Id id_;
    std::uint64_t acked_;
    std::map<std::uint64_t, Bytes> entries_;
};

}  // namespace detail

/// Copies all items that can be read and are not gone, in their order, with what is known of them
/// and what is left of their delays, into a new journal in directory `to`, which WorkQueue::open
/// then opens. The old one is not changed.
///
/// The items have new ids, and idempotency keys are forgotten: both are of the old journal. Where
/// what said that an item is gone cannot be read, the item is there again.
///
/// `salvage_journal` is not for a work queue's journal: it numbers anew, and entries name items by
/// number. WorkQueue::open refuses the copy.
/// Errors: those of inspect_journal, of opening and writing; foreign_file, future_version, corrupt:
///         an entry that is no work queue's of this journal; file_exists if `to` holds a journal
///         already. After an error `to` may hold a part.
/// Throws: std::bad_alloc.   Complexity: O(bytes), reads everything twice, and keeps the entries
///         that wait in memory.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<WorkSalvage, JournalError> salvage_work_queue(
    FileSystem& fs, const std::string& from, const std::string& to, Moment moment,
    const JournalOptions& options = {}) {
    // Twice: how far entries were given up is written behind them.
    auto inspection = inspect_journal(fs, from, [](std::uint64_t, BytesView) {});
    if (!inspection) return inspection.error();
    detail::EntriesLeft left{inspection->journal, inspection->acked};
    const auto again = inspect_journal(
        fs, from, [&left](std::uint64_t number, BytesView body) { left.add(number, body); });
    if (!again) return again.error();
    detail::WorkItems<detail::EntriesLeft> work{std::move(left), WorkOptions{}, moment};
    if (const WorkError error = detail::WorkReplay<detail::EntriesLeft>{work}.run()) {
        return JournalError{error.code, from, 0, error.message()};
    }

    auto journal = detail::open_salvaged(fs, to, options, inspection->longest);
    if (!journal) return journal.error();
    WorkSalvage done{std::move(*inspection)};
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
        const detail::WorkPlace place = work.find(shown.id);
        detail::WorkEntry item;
        if (work.read(place.position, item)) {
            ++done.unreadable;
            return;
        }
        // What it says of a delay is said below; when it was pushed is when it was written.
        item.kind = detail::WorkKind::item;
        item.written = item.pushed;
        item.delay = Duration::zero();
        item.has_key = false;
        const Result<std::uint64_t> id = append(item);
        if (!id) return;
        ++done.copied;
        if (place.slot != detail::WorkSlots::none) {
            const detail::WorkSlot& known = work.slots[place.slot];
            detail::WorkEntry note;
            note.kind = detail::WorkKind::note;
            note.id = *id;
            note.written = detail::stamp_of(moment.wall);
            if (known.state == WorkState::delayed) note.delay = elapsed(moment.now, known.when);
            note.deliveries = known.deliveries;
            note.cause = known.cause;
            if (!append(note)) return;
        }
        // The buffer of the new journal is bounded, what waits in the old one is not.
        if (done.copied % 1024 == 0) error = journal->sync();
    };
    if (const std::error_code unread = work.show_living(copy)) error = unread;
    if (const std::error_code unread = work.show_dead(copy)) error = unread;
    if (!error) error = journal->sync();
    if (error) return JournalError{error, to, 0, {}};
    return done;
}

}  // namespace belay::inline BELAY_ABI
