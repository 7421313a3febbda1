// SPDX-License-Identifier: MIT
/// \file belay/work/work_inspect.hpp
/// inspect_work_queue and is_work_queue: a work queue's journal, damaged or not, item by item.
///
/// For tools and tests; belay.hpp does not include it.
#pragma once

#include <map>       // std::map
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/journal/journal_inspect.hpp>
#include <belay/work/detail/work_items.hpp>
#include <belay/work/detail/work_replay.hpp>
#include <belay/work/detail/work_view.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// What `tool::inspect_work_queue` found.
struct WorkReport {
    JournalReport journal;         ///< its operations are entries, some of them items
    std::uint64_t living = 0;      ///< items that are not dead
    std::uint64_t delayed = 0;     ///< of these, such as are not lent yet
    std::uint64_t dead = 0;        ///< dead letters that are kept in the queue, and can be read
    std::uint64_t unreadable = 0;  ///< entries that cannot be read, and may have been items
};

}}}  // namespace belay::tool

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The mark of the log in an entry that names items; nothing in other entries, and operations.
[[nodiscard]] inline std::optional<std::uint32_t> mark_in(std::uint64_t number,
                                                          BytesView operation) noexcept {
    if (operation.size() < work_header_bytes + 4) return std::nullopt;
    const auto mark = load_le<std::uint32_t>(operation.data() + work_header_bytes);
    WorkEntry entry;
    if (WorkDecoder{operation, number, mark}.decode(entry)) return std::nullopt;
    const bool names = entry.kind == WorkKind::moved || entry.kind == WorkKind::done ||
                       entry.kind == WorkKind::note;
    return names ? std::optional{mark} : std::nullopt;
}

/// The entries that can be read of a damaged log, as a log that takes nothing.
///
/// When no file's header can be read, nobody knows the log's id: the mark that its entries have is
/// taken for its own then.
class EntriesLeft {
public:
    EntriesLeft(const Id& journal, std::uint64_t acked) noexcept : id_{journal}, acked_{acked} {}

    /// Everything up to `acked` is given up: that may be more than was known at first.
    void give_up(std::uint64_t acked) noexcept {
        acked_ = larger(acked_, acked);
        while (!entries_.empty() && entries_.begin()->first <= acked_) {
            entries_.erase(entries_.begin());
        }
        // Without the header of a file nobody knows where it begins: what is in front of the first
        // entry is none of this log's, as far as can be told.
        if (id_ == no_id && !entries_.empty()) acked_ = entries_.begin()->first - 1;
    }

    /// Pre: numbers grow.   Throws: std::bad_alloc.
    void add(std::uint64_t number, BytesView body) {
        if (number <= acked_) return;
        Bytes& entry = entries_[number];
        entry.assign(body.begin(), body.end());
        if (id_ != no_id) return;
        const std::optional<std::uint32_t> mark = mark_in(number, body);
        if (!mark_) mark_ = mark;
        if (mark && mark == mark_) {
            store_le<std::uint32_t>(entry.data() + work_header_bytes, log_mark(id_));
        }
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
    [[nodiscard]] std::error_code commit() noexcept { return takes_nothing(); }
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
    std::optional<std::uint32_t> mark_;  // of the entries, if the id is not known
    std::map<std::uint64_t, Bytes> entries_;
};

/// A damaged work queue, as far as it can be read.
struct WorkLeft {
    tool::JournalReport inspection;
    std::unique_ptr<WorkItems<EntriesLeft>> items;
};

/// Errors: as tool::inspect_work_queue.   Throws: std::bad_alloc.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<WorkLeft, JournalError> read_work_left(FileSystem& fs, const std::string& path,
                                                            Moment moment) {
    // Twice: how far entries were given up is written behind them.
    auto inspection = tool::inspect_journal(fs, path, [](std::uint64_t, BytesView) {});
    if (!inspection) return inspection.error();
    EntriesLeft left{inspection->journal, inspection->acked};
    auto again = tool::inspect_journal(
        fs, path, [&left](std::uint64_t number, BytesView body) { left.add(number, body); });
    if (!again) return again.error();
    left.give_up(again->acked);
    auto items = std::make_unique<WorkItems<EntriesLeft>>(std::move(left), WorkOptions{}, moment);
    if (const WorkError error = WorkReplay<EntriesLeft>{*items}.run()) {
        return JournalError{error.code, path, 0, error.message()};
    }
    return WorkLeft{std::move(*again), std::move(items)};
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// Whether the journal in directory `path`, damaged or not, is a work queue's: whether it has an
/// entry that names items of this journal.
///
/// Of other operations one in 2^32 looks like one, at most. A work queue without any, as far as it
/// can be read, has only plain items and keys: `salvage_journal` copies those as well, but the keys
/// are of the old journal, and refuse nothing any more.
///
/// Errors: those of tool::inspect_journal.   Throws: std::bad_alloc.
/// Complexity: O(bytes), reads everything twice.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<bool, JournalError> is_work_queue(FileSystem& fs, const std::string& path) {
    const auto found = inspect_journal(fs, path, [](std::uint64_t, BytesView) {});
    if (!found) return found.error();
    const bool id_is_known = found->journal != no_id;
    std::optional<std::uint32_t> mark;
    if (id_is_known) mark = detail::log_mark(found->journal);
    bool has_marked = false;
    bool has_others = false;
    const auto again = inspect_journal(fs, path, [&](std::uint64_t number, BytesView operation) {
        const std::optional<std::uint32_t> own = detail::mark_in(number, operation);
        if (!mark) mark = own;
        has_marked = has_marked || (own && own == mark);
        detail::WorkEntry entry;
        has_others =
            has_others || detail::WorkDecoder{operation, number, mark.value_or(0)}.decode(entry);
    });
    if (!again) return again.error();
    // A mark that nothing vouches for is one of many four bytes: then all must be entries.
    return has_marked && (id_is_known || !has_others);
}

/// Reads the work queue whose journal is in directory `path`, damaged or not, and calls
/// `on_item(const WorkItem&)` for each item that is not gone: the living by id, then the dead by
/// id. The body of one that cannot be read is empty.
///
/// Takes no lock and writes nothing, so it may look while the queue is open elsewhere: what that
/// one has not made durable is missing here, and what it lends is not lent here.
///
/// Errors: those of inspect_journal; foreign_file, future_version, corrupt: an entry that is no
///         work queue's of this journal. Damage is no error: see tool::WorkReport.
/// Throws: std::bad_alloc; what on_item throws.   Complexity: O(bytes), reads everything twice, and
///         keeps the entries that wait in memory.
template <FileSystemLike FileSystem, class OnItem>
[[nodiscard]] Result<WorkReport, JournalError> inspect_work_queue(FileSystem& fs,
                                                                  const std::string& path,
                                                                  Moment moment, OnItem&& on_item) {
    auto left = detail::read_work_left(fs, path, moment);
    if (!left) return left.error();
    WorkReport found{std::move(left->inspection)};
    const auto show = [&](const WorkItem& item) {
        const bool dead = item.state == WorkItem::State::dead;
        ++(!dead                                  ? found.living
           : item.cause == DeathCause::unreadable ? found.unreadable
                                                  : found.dead);
        if (item.state == WorkItem::State::delayed) ++found.delayed;
        on_item(item);
    };
    std::error_code error = detail::show_living(*left->items, show);
    if (!error) error = detail::show_dead(*left->items, show);
    if (error) return JournalError{error, path, 0, {}};
    return found;
}

}}}  // namespace belay::tool
