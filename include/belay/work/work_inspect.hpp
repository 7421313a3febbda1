// SPDX-License-Identifier: MIT
/// \file belay/work/work_inspect.hpp
/// tool::inspect_work_queue, tool::is_work_queue: read a work queue's journal, damaged or not.
///
/// They are for tools and tests, and belay.hpp does not include them.
#pragma once

#include <map>       // std::map
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/journal/journal_inspect.hpp>
#include <belay/work/detail/work_items.hpp>
#include <belay/work/detail/work_replay.hpp>

namespace belay { inline namespace BELAY_ABI { namespace tool {

/// The result of `tool::inspect_work_queue`.
struct WorkReport {
    JournalReport journal;         ///< the report on the journal, whose operations are entries,
                                   ///< some of them items
    std::uint64_t living = 0;      ///< items that are not dead
    std::uint64_t delayed = 0;     ///< of these, items that may not be leased yet
    std::uint64_t dead = 0;        ///< dead letters that are kept in the queue and can be read
    std::uint64_t unreadable = 0;  ///< entries that cannot be read and may have been items
};

}}}  // namespace belay::tool

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the log's mark in an entry that names items; nothing for other entries and operations.
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

/// The entries of a damaged log that can be read, as a log that accepts nothing.
///
/// If no file's header can be read, the log's id is unknown. The mark in its entries is then
/// treated as its own.
class EntriesLeft {
public:
    EntriesLeft(const Id& journal, std::uint64_t acked) noexcept : id_{journal}, acked_{acked} {}

    /// Releases everything up to `acked`, which may be more than was known at first.
    void give_up(std::uint64_t acked) noexcept {
        acked_ = larger(acked_, acked);
        while (!entries_.empty() && entries_.begin()->first <= acked_) {
            entries_.erase(entries_.begin());
        }
        // Without the header of a file, the first number is unknown. Nothing before the first entry
        // is then treated as part of this log.
        if (id_ == no_id && !entries_.empty()) acked_ = entries_.begin()->first - 1;
    }

    /// Adds an entry.   Pre: numbers increase.   Throws: std::bad_alloc.
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
    std::optional<std::uint32_t> mark_;  // the mark of the entries, if the id is not known
    std::map<std::uint64_t, Bytes> entries_;
};

/// The readable part of a damaged work queue.
struct WorkLeft {
    tool::JournalReport inspection;
    std::unique_ptr<WorkItems<EntriesLeft>> items;
};

/// Reads the work queue in directory `path`, damaged or not.
///
/// Errors: as tool::inspect_work_queue.   Throws: std::bad_alloc.
template <FileSystemLike FileSystem>
[[nodiscard]] Result<WorkLeft, JournalError> read_work_left(FileSystem& fs, const std::string& path,
                                                            Moment moment) {
    // Reads twice, because the record of a release is after the entries that it covers.
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

/// Returns whether a journal, damaged or not, is that of a work queue.
///
/// It is, if it has an entry that names items of this journal. An operation that is not an entry
/// looks like one with a probability of at most 1 in 2^32.
///
/// A work queue may have no such entry that can be read; then it has only plain items and keys. The
/// function `salvage_journal` copies those as well. But the keys belong to the old journal, and
/// reject nothing any more.
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
    // A mark without a known id is only four bytes, so all other operations must be entries, too.
    return has_marked && (id_is_known || !has_others);
}

/// Reads a work queue, damaged or not, and reports all of its items.
///
/// It calls `on_item(const WorkItem&)` for each item that the queue in directory `path` still has.
/// The living items come first, by id, then the dead ones, by id. The body of an item that cannot
/// be read is empty.
///
/// It takes no lock and writes nothing, so you may inspect a queue that is open elsewhere. Changes
/// that are not durable there are missing here, and items leased there are not leased here.
///
/// Errors: those of inspect_journal; foreign_file, other_version, corrupt: an entry that does not
/// belong to a work queue of this journal. Damage is no error: see tool::WorkReport.
/// Throws: std::bad_alloc; what on_item throws.
/// Complexity: O(bytes), reads everything twice, and keeps the entries that wait in memory.
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
