// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_items.hpp
/// WorkItems: the items of a WorkQueue and their log. It appends, gives up and copies entries.
/// WorkKeys: the idempotency keys. show, revive, purge: the operations that need no lease.
#pragma once

#include <array>         // std::array
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/detail/memory.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/work/detail/work_entry.hpp>
#include <belay/work/detail/work_table.hpp>
#include <belay/work/work_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The last keys. The log has each key in its item's entry, or in the last copy of all keys. That
/// copy is a window whose parts are consecutive.
///
/// Thread safety: none of its own.   Allocates: only in the constructor.
class WorkKeys {
public:
    /// Throws: std::bad_alloc.
    WorkKeys(const WorkOptions& options, const Id& log)
        : window_{options.keys},
          hash_{log},
          per_entry_{(options.record_bytes_max - 2 * work_header_bytes) / print_bytes} {
        prints_.reserve(smaller(per_entry_, window_.capacity()) * print_bytes);
    }

    /// Computes the fingerprint of a key and its content.   Errors: duplicate, key_conflict.
    [[nodiscard]] std::error_code check(std::string_view key, BytesView body,
                                        KeyFingerprint& print) const noexcept {
        print = print_of(key, hash_);
        window_.prefetch(print);
        print.content = part::crc32c(body);
        const KeyWindow::Answer known = window_.find(print);
        if (known == KeyWindow::Answer::unknown) return {};
        return make_error_code(known == KeyWindow::Answer::same ? QueueErrc::duplicate
                                                                : QueueErrc::key_conflict);
    }
    /// Adds a fingerprint that came with an entry.   Pre: it is unknown.
    void add(KeyFingerprint print, std::uint64_t number) noexcept {
        print.item = number;
        window_.add(print);
        keep(number);
    }
    [[nodiscard]] KeyFingerprint print(std::string_view key) const noexcept {
        return print_of(key, hash_);
    }
    /// Frees a key, if it is that of `print.item`, or of any item if that is 0.
    /// Returns: its item; 0 if it is unknown, or that of another item.
    [[nodiscard]] std::uint64_t free(const KeyFingerprint& print) noexcept {
        const KeyFingerprint* const known = window_.get(print);
        if (known == nullptr) return 0;
        const std::uint64_t item = known->item;
        if (print.item != 0 && print.item != item) return 0;
        window_.remove(known);
        next_part_ = 0;  // a copy that was begun may have this key
        return item;
    }
    [[nodiscard]] KeyWindow& window() noexcept { return window_; }

    /// Returns the first entry that the keys need; the highest number if they need none.
    [[nodiscard]] std::uint64_t floor() const noexcept { return floor_; }
    /// Keeps the entry with this number for its key.
    void keep(std::uint64_t number) noexcept {
        floor_ = smaller(floor_, number);
        next_part_ = 0;  // a copy that was begun lacks this key
    }

    /// Records that the entries from `first` to `last` contain a copy of all keys.
    void keep_copy(std::uint64_t first, std::uint64_t last) noexcept {
        first_ = first;
        last_ = last;
    }
    /// Records what is durable. If a copy is durable, the keys do not need the entries before it.
    void settle(std::uint64_t durable) noexcept {
        if (last_ == 0 || durable < last_) return;
        floor_ = first_;
        last_ = 0;
    }
    /// Returns whether there is a copy that is not known to be durable.
    [[nodiscard]] bool copy_waits() const noexcept { return last_ != 0; }
    [[nodiscard]] std::size_t copy_bytes() const noexcept { return window_.size() * print_bytes; }
    /// Appends a copy of all keys with `append(const WorkEntry&)`, which returns what the log
    /// returns. It continues with the part for which there was no space the last time.
    ///
    /// Errors: those of the log.
    template <class Append>
    [[nodiscard]] std::error_code copy(WallTime now, Append&& append) {
        const std::size_t parts = (window_.size() + per_entry_ - 1) / per_entry_;
        std::uint64_t last = 0;
        while (next_part_ < parts) {
            const std::size_t from = next_part_ * per_entry_;
            const std::size_t count = smaller(per_entry_, window_.size() - from);
            prints_.resize(count * print_bytes);
            for (std::size_t i = 0; i < count; ++i) {
                store_print(window_.at(from + i), prints_.data() + i * print_bytes);
            }
            const Result<std::uint64_t> number =
                append(WorkEntry{.kind = WorkKind::keys,
                                 .written = stamp_of(now),
                                 .part = static_cast<std::uint32_t>(next_part_),
                                 .parts = static_cast<std::uint32_t>(parts),
                                 .tail = prints_});
            // A reader ignores parts without the last one.
            if (!number) return number.error();
            if (next_part_++ == 0) begun_ = *number;
            last = *number;
        }
        next_part_ = 0;
        keep_copy(begun_, last);
        return {};
    }

private:
    KeyWindow window_;
    KeyHash hash_;
    std::size_t per_entry_;  // how many fingerprints an entry holds
    Bytes prints_;           // of one part of a copy
    std::uint64_t floor_ = ~std::uint64_t{0};
    std::uint64_t first_ = 0;    // of a copy that is not known to be durable
    std::uint64_t last_ = 0;     // 0: there is none
    std::size_t next_part_ = 0;  // of a copy that was begun
    std::uint64_t begun_ = 0;    // the entry with its first part
};

/// A log whose entries record facts about items, with the current state of those items.
///
/// The caller that decides about an item changes its slot with `table()`, and notes the change
/// here.
/// Invariant: the log gives up no entry before the first held one, or before the first that only
/// entries that are not yet durable replace.
///
/// Thread safety: none of its own.
template <LogLike Log>
class WorkItems {
public:
    /// Throws: std::bad_alloc.
    WorkItems(Log log, const WorkOptions& options, Moment moment)
        : log_{std::move(log)},
          mark_{log_mark(log_.journal_id())},
          options_{options},
          clock_{moment},
          table_{log_.base()},
          keys_{options, log_.journal_id()} {
        gone_.reserve(ids_per_entry + 1);
        freed_.reserve(ids_per_entry + 1);
        scratch_.reserve(done_bytes_max);
    }
    WorkItems(const WorkItems&) = delete;
    WorkItems& operator=(const WorkItems&) = delete;
    /// Appends what a `commit` would append, as far as that needs no memory.
    ~WorkItems() {
        if (!note_late(false) && !note_gone(false)) static_cast<void>(note_freed(false));
    }

    [[nodiscard]] Log& log() noexcept { return log_; }
    [[nodiscard]] std::error_code failed() const noexcept { return log_.failed(); }
    [[nodiscard]] const WorkOptions& options() const noexcept { return options_; }
    [[nodiscard]] WorkKeys& keys() noexcept { return keys_; }
    [[nodiscard]] WorkTable& table() noexcept { return table_; }
    [[nodiscard]] WorkSlots& slots() noexcept { return table_.slots(); }
    [[nodiscard]] std::size_t living() const noexcept { return table_.living(); }

    /// Returns the time that was last passed to set_clock().
    [[nodiscard]] const Moment& clock() const noexcept { return clock_; }
    void set_clock(Moment moment) noexcept { clock_ = moment; }

    /// Returns when an item may be leased; see WorkQueue::deadline.
    [[nodiscard]] Instant deadline() const noexcept {
        const Instant due = table_.deadline();
        return due < reads_.paused_until() ? reads_.paused_until() : due;
    }

    // ---- reading --------------------------------------------------------------------------------

    /// Reads the entry at a position. Its tail is valid until the next call that changes the log.
    [[nodiscard]] std::error_code read(std::uint64_t position, WorkEntry& entry) {
        const Result<BytesView> bytes = log_.read(position);
        if (!bytes) return bytes.error();
        const std::error_code error = decode(*bytes, position, entry).code;
        if (!error) reads_.succeeded(slots(), entry.kind == WorkKind::item ? position : entry.id);
        return error;
    }
    [[nodiscard]] WorkReads& reads() noexcept { return reads_; }
    [[nodiscard]] WorkError decode(BytesView bytes, std::uint64_t position,
                                   WorkEntry& entry) const noexcept {
        return WorkDecoder{bytes, position, mark_}.decode(entry);
    }

    // ---- appending ------------------------------------------------------------------------------

    /// Appends an entry and returns its number.
    ///
    /// Errors: those of the log; nothing has changed then.   Throws: std::bad_alloc, likewise.
    [[nodiscard]] Result<std::uint64_t> append(const WorkEntry& entry,
                                               Holds holds = Holds::nothing) {
        encode(entry, mark_, scratch_);
        table_.reserve_entry();
        const Result<std::uint64_t> number = log_.append(scratch_);
        if (!number) return number;
        BELAY_INVARIANT(*number == positions().end(),
                        "WorkItems::append: no other writer may append to the log");
        table_.add_entry(WorkPositions::framed(scratch_.size()), holds);
        return number;
    }

    /// Appends a note with the state of a slot's item, which is then delayed by `delay`.
    [[nodiscard]] std::error_code note(const WorkSlot& slot, Duration delay = Duration::zero()) {
        return append({.kind = WorkKind::note,
                       .written = stamp_of(clock_.wall),
                       .id = slot.id,
                       .delay = delay,
                       .deliveries = slot.deliveries,
                       .cause = slot.cause})
            .error();
    }
    /// The same; a note that fails now is appended at the next `commit`.   Throws: std::bad_alloc.
    void note_soon(WorkSlot& slot, Duration delay = Duration::zero()) {
        slot.unnoted = static_cast<bool>(note(slot, delay));
        slot.ahead = false;
        some_unnoted_ = some_unnoted_ || slot.unnoted;
    }

    /// Makes everything appended so far durable.
    ///
    /// Errors: those of the log; not_enough_memory. A later call appends the notes that failed.
    [[nodiscard]] std::error_code make_durable() noexcept {
        trim();
        // If there is no space or memory for notes, at least the appended entries become durable.
        std::error_code unnoted = unless_no_memory([this] {
            std::error_code late = note_late(true);
            if (!late) late = note_gone(true);
            return late ? late : note_freed(true);
        });
        const std::uint64_t base = log_.base();
        if (const std::error_code error = log_.commit()) return error;
        if constexpr (HasDurableAck<Log>) {
            if (!unnoted && log_.acked_durable() + 1 < base) {
                unnoted = std::make_error_code(std::errc::no_space_on_device);
            }
        }
        trim();
        return unnoted;
    }
    /// Copies what is due, and makes everything durable. Returns why what is due can never be
    /// copied, or cannot be copied now for lack of memory.
    [[nodiscard]] std::error_code commit() noexcept {
        const std::error_code uncopied = unless_no_memory([this] {
            tidy();
            return stuck_;
        });
        const std::error_code error = make_durable();
        return error ? error : uncopied;
    }
    /// Returns whether some state is only in memory until a `commit`. This includes
    /// acknowledgements of the log that are not durable, if the log reports that.
    [[nodiscard]] bool has_unnoted() const noexcept {
        if constexpr (HasDurableAck<Log>) {
            if (log_.acked_durable() + 1 < log_.base()) return true;
        }
        return some_unnoted_ || !gone_.empty() || !freed_.empty();
    }

    // ---- giving up ------------------------------------------------------------------------------

    /// Reserves capacity to finish one item, which may have two numbers, and to free its key.
    /// Throws: std::bad_alloc; then nothing has changed.
    void reserve_for_gone() {
        if (gone_.size() < ids_per_entry && freed_.size() < ids_per_entry) return;
        // If this fails now, a later call notes it.
        if (!note_gone(true)) static_cast<void>(note_freed(true));
        if (gone_.size() + 2 > gone_.capacity()) gone_.reserve(2 * gone_.size());
        if (freed_.size() == freed_.capacity()) freed_.reserve(2 * freed_.size());
    }
    /// Frees the key of an item that is not leased any more, if its entry can be read. This becomes
    /// durable with the next `commit`.   Pre: capacity is reserved.
    void free_key(const WorkPlace& item) {
        WorkEntry entry;
        if (keys_.window().size() == 0 || read(item.position, entry) || !entry.has_key) return;
        entry.print.item = item.id;
        free_key(entry.print);
    }
    /// Frees a key; see WorkKeys::free.
    void free_key(const KeyFingerprint& print) noexcept {
        if (const std::uint64_t id = keys_.free(print)) freed_.push_back(id);
    }
    /// Finishes an item. This becomes durable with the next `commit`.   Pre: capacity is reserved.
    void finish(const WorkPlace& item) noexcept {
        // If the copy of the item is damaged, now or later, an opening cannot read whose copy it
        // is. The opening then treats the copy as an item with the number of its entry.
        if (item.position != item.id) gone_.push_back({item.position, item.position});
        gone_.push_back({item.id, item.position});
        given_up_bytes_ += positions().bytes_at(item.position);
        table_.remove(item);
        trim();
    }

    /// Gives up the entries that the log need not keep.
    void trim() noexcept {
        const std::uint64_t durable = log_.durable();
        if (durable >= copied_to_) copied_from_ = nothing;
        keys_.settle(durable);
        const std::uint64_t keep =
            smaller(positions().first_held(), smaller(copied_from_, keys_.floor()));
        if (keep <= log_.base()) return;
        // Either this succeeds, or the log has failed and reports it. A file that cannot be deleted
        // now is deleted later.
        static_cast<void>(log_.ack(keep - 1));
        if (log_.base() < keep) return;
        table_.drop_before(keep);
        for (std::size_t i = gone_.size(); i-- != 0;) {
            if (gone_[i].position >= keep) continue;
            gone_[i] = gone_.back();
            gone_.pop_back();
        }
    }

    // ---- copying --------------------------------------------------------------------------------

    /// Copies items from the front to the end while too many bytes after them are dead. Copies the
    /// keys if the log is kept for them only. It copies at least one item, and otherwise at most 64
    /// KiB plus twice the bytes given up since the last call.
    ///
    /// The next call retries what fails now.   Throws: std::bad_alloc.
    void tidy() {
        stuck_ = {};
        const std::uint64_t to = positions().end();
        std::size_t budget = copied_per_call + 2 * std::exchange(given_up_bytes_, 0);
        while (budget != 0 && positions().first_held() < to && has_too_much_dead()) {
            const std::size_t moved = move_first();
            if (moved == 0) break;
            budget -= smaller(budget, moved);
        }
        const std::uint64_t slack = options_.slack_bytes;
        // The log may have been full when it should give up what an earlier copy replaces.
        if (must_copy_keys()) trim();
        if (must_copy_keys()) {
            // The copy lacks the keys that are free: it follows the ends of their items.
            std::error_code error = note_gone(true);
            if (!error) error = note_freed(true);
            if (!error) {
                error = keys_.copy(clock_.wall,
                                   [this](const WorkEntry& entry) { return append(entry); });
            }
            stick(error);
        }
        const bool waits = copied_from_ != nothing || keys_.copy_waits();
        if (waits && positions().idle_bytes() > slack) static_cast<void>(log_.commit());
        if (waits) trim();
    }

private:
    struct Gone {
        std::uint64_t id;
        std::uint64_t position;
    };

    static constexpr std::uint64_t nothing = ~std::uint64_t{0};
    static constexpr std::size_t ids_per_entry = 64;
    static constexpr std::size_t ids_bytes_max = 8 * ids_per_entry;
    static constexpr std::size_t done_bytes_max = work_header_bytes + 4 + 8 + ids_bytes_max;
    static constexpr std::size_t copied_per_call = std::size_t{64} << 10;

    [[nodiscard]] const WorkPositions& positions() const noexcept { return table_.positions(); }

    /// Returns the result of the call, or an error if there is no memory. The lack of memory must
    /// leave everything consistent.
    template <class Call>
    [[nodiscard]] static std::error_code unless_no_memory(Call&& call) noexcept {
        std::error_code error;
        const bool done = has_memory_for([&] { error = call(); });
        return done ? error : std::make_error_code(std::errc::not_enough_memory);
    }

    /// Returns how often the item was leased, as far as the log may record it. A delivery in
    /// progress has not failed yet, so it counts only if it was counted before.
    [[nodiscard]] static std::uint32_t ended_deliveries(const WorkSlot& slot) noexcept {
        const bool counts = slot.state != WorkItem::State::leased || slot.counted;
        return slot.deliveries - (counts ? 0U : 1U) + (slot.ahead ? 1U : 0U);
    }
    /// Returns the rest of the delay of an item, as the log records it. It does not record the wait
    /// for another read.
    [[nodiscard]] Duration delay_of(const WorkSlot& slot) const noexcept {
        const bool is_delayed = slot.state == WorkItem::State::delayed && slot.failed_reads == 0;
        return is_delayed ? elapsed(clock_.now, slot.when) : Duration::zero();
    }
    /// Appends the notes that failed before.
    [[nodiscard]] std::error_code note_late(bool may_grow) {
        if (!some_unnoted_) return {};
        for (std::uint32_t i = 0; i < slots().end(); ++i) {
            if (!slots()[i].unnoted) continue;
            if (!may_grow && !positions().has_space()) return {};
            WorkSlot known = slots()[i];
            known.deliveries = ended_deliveries(known);
            if (const std::error_code error = note(known, delay_of(known))) return error;
            slots()[i].unnoted = false;
        }
        some_unnoted_ = false;
        return {};
    }
    /// Appends entries that list the finished items, except those that the log's base already
    /// covers.
    [[nodiscard]] std::error_code note_gone(bool may_grow) {
        while (!gone_.empty()) {
            if (!may_grow && !positions().has_space()) return {};
            WorkEntry entry{.kind = WorkKind::done, .below = positions().first_held()};
            std::array<std::byte, ids_bytes_max> ids;
            std::size_t count = 0;
            std::size_t left = gone_.size();
            const std::size_t most = ids_max();
            while (left != 0 && count < most) {
                const Gone& gone = gone_[--left];
                if (gone.position < entry.below) continue;
                store_le<std::uint64_t>(ids.data() + 8 * count++, gone.id);
            }
            entry.tail = BytesView{ids}.first(8 * count);
            if (const std::error_code error = append(entry).error()) return error;
            gone_.resize(left);
        }
        return {};
    }

    /// Appends entries that list the items whose keys are free. They follow those that list the
    /// finished items: no key is free while its item is there.
    [[nodiscard]] std::error_code note_freed(bool may_grow) {
        while (!freed_.empty()) {
            if (!may_grow && !positions().has_space()) return {};
            std::array<std::byte, ids_bytes_max> ids;
            const std::size_t count = smaller(ids_max(), freed_.size());
            for (std::size_t i = 0; i < count; ++i) {
                store_le<std::uint64_t>(ids.data() + 8 * i, freed_[freed_.size() - 1 - i]);
            }
            const auto tail = BytesView{ids}.first(8 * count);
            const auto number = append({.kind = WorkKind::freed, .tail = tail});
            if (!number) return number.error();
            freed_.resize(freed_.size() - count);
        }
        return {};
    }
    /// Returns how many ids an entry lists.
    [[nodiscard]] std::size_t ids_max() const noexcept {
        return smaller(ids_per_entry,
                       (options_.record_bytes_max - (done_bytes_max - ids_bytes_max)) / 8);
    }

    [[nodiscard]] bool must_copy_keys() const noexcept {
        const std::uint64_t idle_max =
            larger(std::uint64_t{options_.slack_bytes}, std::uint64_t{2} * keys_.copy_bytes());
        return keys_.floor() < positions().first_held() && !keys_.copy_waits() &&
               positions().idle_bytes() > idle_max;
    }
    [[nodiscard]] bool has_too_much_dead() const noexcept {
        const std::uint64_t live = positions().held_bytes();
        const std::uint64_t dead = positions().kept_bytes() - live;
        return dead > live && dead - live > options_.slack_bytes;
    }
    void stick(const std::error_code& error) noexcept {
        if (error == QueueErrc::too_large) stuck_ = error;
    }
    /// Copies the first held item. Returns the number of bytes copied, or 0 on failure.
    [[nodiscard]] std::size_t move_first() {
        const std::uint64_t position = positions().first_held();
        WorkEntry entry;
        if (read(position, entry)) return 0;
        if (entry.kind == WorkKind::item) entry.id = position;
        const WorkPlace item = table_.find(entry.id);
        // The entry was damaged at the opening and is readable now, but its content was not
        // replayed.
        if (item.position != position) return 0;
        slots().reserve();
        entry.kind = WorkKind::moved;
        entry.written = stamp_of(clock_.wall);
        entry.delay = Duration::zero();
        if (item.slot != WorkSlots::none) {
            const WorkSlot& known = slots()[item.slot];
            entry.deliveries = ended_deliveries(known);
            entry.cause = known.cause;
            if (known.cause == cause_revived) entry.expires = no_expiry;
            entry.delay = delay_of(known);
        }
        const Result<std::uint64_t> number = append(entry, Holds::body);
        if (!number) {
            stick(number.error());
            return 0;
        }
        table_.move(item, *number);
        copied_from_ = smaller(copied_from_, position);
        copied_to_ = *number;
        return positions().bytes_at(*number);
    }

    Log log_;
    const std::uint32_t mark_;
    const WorkOptions options_;
    Moment clock_;
    WorkTable table_;
    WorkKeys keys_;
    WorkReads reads_;
    Bytes scratch_;
    std::error_code stuck_;                // why the first item, or the keys, cannot be copied
    bool some_unnoted_ = false;            // whether any slot may be unnoted
    std::vector<Gone> gone_;               // finished, not noted yet, and not below the log's base
    std::vector<std::uint64_t> freed_;     // items whose keys are free, not noted yet
    std::size_t given_up_bytes_ = 0;       // since the last call of tidy
    std::uint64_t copied_from_ = nothing;  // the first entry that only a copy replaces
    std::uint64_t copied_to_ = 0;          // the last such copy; it may not be durable yet
};

/// Passes an item to `visitor(const WorkItem&)`. An unreadable item has an empty body.
///
/// Errors: those of the log.
template <class Log, class Visitor>
[[nodiscard]] std::error_code show(WorkItems<Log>& items, const WorkPlace& item, Visitor& visitor) {
    WorkEntry entry;
    const std::error_code error = items.read(item.position, entry);
    WorkItem shown;
    shown.id = item.id;
    if (!error) {
        shown.body = entry.tail;
        shown.pushed = time_of(entry.pushed);
    }
    if (item.slot != WorkSlots::none) {
        const WorkSlot& slot = items.slots()[item.slot];
        shown.state = slot.state;
        shown.deliveries = slot.deliveries;
        if (slot.state == WorkItem::State::dead) shown.cause = static_cast<DeathCause>(slot.cause);
    }
    // If the item is dead because it is unreadable, the error is known and must not hide other
    // items.
    const bool is_known = error == std::errc::io_error && shown.cause == DeathCause::unreadable;
    if (error && error != QueueErrc::corrupt && !is_known) return error;
    visitor(static_cast<const WorkItem&>(shown));
    return {};
}

/// Shows all items that are not dead, by id.   Errors: those of the log.   Throws: std::bad_alloc.
template <class Log, class Visitor>
[[nodiscard]] std::error_code show_living(WorkItems<Log>& items, Visitor& visitor) {
    const WorkPositions& positions = items.table().positions();
    const std::vector<std::uint32_t> known = items.slots().in_order(false);
    std::size_t next_known = 0;
    std::uint64_t plain = positions.next_ready(0);
    for (;;) {
        WorkPlace item{plain, plain, WorkSlots::none};
        const bool has_plain = plain != positions.end();
        if (next_known != known.size() &&
            (!has_plain || items.slots()[known[next_known]].id < plain)) {
            item = items.table().place_of(known[next_known++]);
        } else if (has_plain) {
            plain = positions.next_ready(plain + 1);
        } else {
            return {};
        }
        if (const std::error_code error = show(items, item, visitor)) return error;
    }
}
/// Shows all dead items, by id.   Errors: those of the log.   Throws: std::bad_alloc.
template <class Log, class Visitor>
[[nodiscard]] std::error_code show_dead(WorkItems<Log>& items, Visitor& visitor) {
    for (const std::uint32_t i : items.slots().in_order(true)) {
        const std::error_code error = show(items, items.table().place_of(i), visitor);
        if (error) return error;
    }
    return {};
}

/// See WorkQueue::oldest.
template <class Log>
[[nodiscard]] Result<Duration> oldest(WorkItems<Log>& items, WallTime now) {
    const WorkPlace oldest = items.table().first_living();
    if (oldest.id == 0) return Duration::zero();
    WorkEntry entry;
    if (const std::error_code error = items.read(oldest.position, entry)) return error;
    return elapsed_between(time_of(entry.pushed), now);
}

/// Revives a dead item.   Errors: unknown_number; those of the log.
template <class Log>
[[nodiscard]] std::error_code revive(WorkItems<Log>& items, std::uint64_t id) {
    const std::uint32_t i = items.slots().find(id);
    if (i == WorkSlots::none || items.slots()[i].state != WorkItem::State::dead) {
        return make_error_code(QueueErrc::unknown_number);
    }
    WorkSlot revived = items.slots()[i];
    revived.deliveries = 0;
    revived.cause = cause_revived;
    revived.unnoted = false;
    revived.failed_reads = 0;
    if (const std::error_code error = items.note(revived)) return error;
    items.slots()[i] = revived;
    items.slots().make_ready(i);
    return {};
}

/// Removes the dead items, or those that are not dead.   Errors: the error of `failed`.
template <class Log>
[[nodiscard]] std::error_code purge(WorkItems<Log>& items, bool dead) {
    const auto finish = [&items](const WorkPlace& item) {
        items.reserve_for_gone();
        items.free_key(item);
        items.finish(item);
    };
    WorkTable& table = items.table();
    for (std::uint32_t i = 0; i < table.slots().end() && !items.failed(); ++i) {
        const WorkSlot& slot = table.slots()[i];
        if (slot.id != 0 && (slot.state == WorkItem::State::dead) == dead)
            finish(table.place_of(i));
    }
    while (!dead && table.positions().ready() != 0 && !items.failed()) finish(table.first_plain());
    return items.failed();
}

}}}  // namespace belay::detail
