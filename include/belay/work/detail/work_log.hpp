// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_log.hpp
/// WorkLog: the durable side of a WorkQueue: what is appended, what is given up, what is copied.
#pragma once

#include <array>    // std::array
#include <new>      // std::bad_alloc
#include <utility>  // std::exchange, std::move

#include <belay/core/order.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/work/detail/work_entry.hpp>
#include <belay/work/detail/work_positions.hpp>
#include <belay/work/detail/work_slots.hpp>
#include <belay/work/work_options.hpp>

namespace belay::inline BELAY_ABI::detail {

/// A log whose entries are facts about items, and what of them counts now.
///
/// Invariant: an entry is held if and only if it has the body of an item; that item is plain (then
/// the entry's number is its id, and it is marked ready) or has a slot with this position. Nothing
/// is given up in front of what is held, or of what is only held by entries that are not durable.
///
/// Thread safety: none of its own.
template <LogLike Log>
class WorkLog {
    Log log_;
    const std::uint32_t mark_;

public:
    /// Throws: std::bad_alloc.
    WorkLog(Log log, const WorkOptions& with, Moment moment)
        : log_{std::move(log)},
          mark_{log_mark(log_.journal_id())},
          options{with},
          positions{log_.base()},
          keys{with.keys},
          key_hash{log_.journal_id()},
          clock{moment} {
        gone_.reserve(ids_per_entry + 1);
        scratch_.reserve(done_bytes_max);
        prints_.reserve(smaller(prints_per_entry(), keys.capacity()) * print_bytes);
    }
    WorkLog(const WorkLog&) = delete;
    WorkLog& operator=(const WorkLog&) = delete;

    const WorkOptions options;
    WorkPositions positions;
    WorkSlots slots;
    detail::KeyWindow keys;
    const KeyHash key_hash;
    Moment clock;  // of the last call that told the time

    // ---- reading --------------------------------------------------------------------------------

    [[nodiscard]] Log& log() noexcept { return log_; }
    [[nodiscard]] std::error_code failed() const noexcept { return log_.failed(); }

    /// The entry at a position; its tail is valid until the next call that changes the log.
    [[nodiscard]] std::error_code read(std::uint64_t position, WorkEntry& entry) {
        const Result<BytesView> bytes = log_.read(position);
        if (!bytes) return bytes.error();
        return decode(*bytes, position, entry).code;
    }
    [[nodiscard]] WorkError decode(BytesView bytes, std::uint64_t position,
                                   WorkEntry& entry) const noexcept {
        return WorkDecoder{bytes, position, mark_}.decode(entry);
    }

    // ---- appending ------------------------------------------------------------------------------

    /// Appends an entry, and gives its number.
    ///
    /// Errors: those of the log; nothing has changed then.   Throws: std::bad_alloc, likewise.
    [[nodiscard]] Result<std::uint64_t> append(const WorkEntry& entry, bool held = false,
                                               bool ready = false) {
        encode(entry, mark_, scratch_);
        positions.reserve();
        const Result<std::uint64_t> number = log_.append(scratch_);
        if (!number) return number;
        BELAY_INVARIANT(*number == positions.end(), "WorkLog::append: nobody else may append");
        positions.add(WorkPositions::framed(scratch_.size()), held, ready);
        return number;
    }

    /// Notes what is known of a slot's item, which is then delayed by `delay`.
    [[nodiscard]] std::error_code note(const WorkSlot& slot, Duration delay = Duration::zero()) {
        WorkEntry entry;
        entry.kind = WorkKind::note;
        entry.written = stamp_of(clock.wall);
        entry.id = slot.id;
        entry.delay = delay;
        entry.deliveries = slot.deliveries;
        entry.cause = slot.cause;
        return append(entry).error();
    }
    /// As `note`; what cannot be noted now is at the next `commit`.   Throws: std::bad_alloc.
    void note_soon(WorkSlot& slot) {
        slot.unnoted = static_cast<bool>(note(slot));
        some_unnoted_ = some_unnoted_ || slot.unnoted;
    }

    // ---- giving up ------------------------------------------------------------------------------

    /// Makes room to finish one item, which may have two names.   Throws: std::bad_alloc; then
    /// nothing has changed.
    void make_room_for_gone() {
        if (gone_.size() < ids_per_entry) return;
        // If it cannot be noted now, it is later.
        static_cast<void>(note_gone(true));
        if (gone_.size() + 2 > gone_.capacity()) gone_.reserve(2 * gone_.size());
    }
    /// The item is gone. It becomes durable with the next `commit`.   Pre: there is room.
    void finish(std::uint32_t slot) noexcept {
        const WorkSlot gone = slots[slot];
        slots.remove(slot);
        // If its copy is damaged, now or later, it tells no opening whose it is: there it is an
        // item by its own number.
        if (gone.position != gone.id) gone_.push_back({gone.position, gone.position});
        give_up(gone.id, gone.position);
    }
    void finish_plain(std::uint64_t id) noexcept { give_up(id, id); }

    /// Everything up to here becomes durable.
    ///
    /// Errors: those of the log; not_enough_memory. What could not be noted is by a later call.
    [[nodiscard]] std::error_code make_durable() noexcept {
        release();
        // Without space or memory for it, at least what was appended becomes durable.
        std::error_code unnoted = unless_no_memory([this] {
            const std::error_code late = note_late(true);
            return late ? late : note_gone(true);
        });
        const std::uint64_t base = log_.base();
        if (const std::error_code error = log_.commit()) return error;
        if constexpr (TellsDurableAck<Log>) {
            if (!unnoted && log_.acked_durable() + 1 < base) {
                unnoted = std::make_error_code(std::errc::no_space_on_device);
            }
        }
        release();
        return unnoted;
    }
    /// Copies what is due, and makes all durable; says why what is due can never be copied, or for
    /// lack of memory not now.
    [[nodiscard]] std::error_code commit() noexcept {
        const std::error_code uncopied = unless_no_memory([this] {
            tidy();
            return stuck_;
        });
        const std::error_code error = make_durable();
        return error ? error : uncopied;
    }
    /// Appends what a `commit` would, as far as that takes no memory.
    void note_at_end() noexcept {
        if (!note_late(false)) static_cast<void>(note_gone(false));
    }
    /// Whether something is known here only, until a `commit`; also what the log was told is gone,
    /// if it says so.
    [[nodiscard]] bool has_unnoted() const noexcept {
        if constexpr (TellsDurableAck<Log>) {
            if (log_.acked_durable() + 1 < log_.base()) return true;
        }
        return some_unnoted_ || !gone_.empty();
    }
    /// How often the item was lent, as far as the log may know: a delivery in progress has not
    /// failed yet, unless it counted before.
    [[nodiscard]] static std::uint32_t ended_deliveries(const WorkSlot& slot) noexcept {
        const bool counts = slot.state != WorkState::leased || slot.counted;
        return slot.deliveries - (counts ? 0U : 1U);
    }

    /// Appends what could not be noted before.
    [[nodiscard]] std::error_code note_late(bool may_grow) {
        if (!some_unnoted_) return {};
        for (std::uint32_t i = 0; i < slots.end(); ++i) {
            if (!slots[i].unnoted) continue;
            if (!may_grow && !positions.has_room()) return {};
            WorkSlot known = slots[i];
            known.deliveries = ended_deliveries(known);
            if (const std::error_code error = note(known)) return error;
            slots[i].unnoted = false;
        }
        some_unnoted_ = false;
        return {};
    }
    /// Appends what says which items are gone, unless the log's base says it.
    [[nodiscard]] std::error_code note_gone(bool may_grow) {
        while (!gone_.empty()) {
            if (!may_grow && !positions.has_room()) return {};
            WorkEntry entry;
            entry.kind = WorkKind::done;
            entry.below = positions.first_held();
            std::array<std::byte, ids_bytes_max> ids;
            std::size_t count = 0;
            std::size_t left = gone_.size();
            const std::size_t most = smaller(
                ids_per_entry, (options.record_bytes_max - (done_bytes_max - ids_bytes_max)) / 8);
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

    /// From here on the entry with this number is kept for its key.
    void keep_for_key(std::uint64_t number) noexcept {
        floor_ = smaller(floor_, number);
        window_part_ = 0;  // what was copied of the window lacks it
    }
    /// The window of keys is in the entries from `first` to `last`.
    void keep_window(std::uint64_t first, std::uint64_t last) noexcept {
        window_first_ = first;
        window_last_ = last;
    }

    /// Gives up what the log need not keep.
    void release() noexcept {
        const std::uint64_t durable = log_.durable();
        if (durable >= copied_to_) copied_from_ = nothing;
        if (window_last_ != 0 && durable >= window_last_) {
            floor_ = window_first_;
            window_last_ = 0;
        }
        const std::uint64_t keep = smaller(positions.first_held(), smaller(copied_from_, floor_));
        if (keep <= log_.base()) return;
        // It stands, or the log has failed, and says so; a file that could not be deleted is
        // deleted later.
        static_cast<void>(log_.ack(keep - 1));
        if (log_.base() < keep) return;
        positions.drop_before(keep);
        for (std::size_t i = gone_.size(); i-- != 0;) {
            if (gone_[i].position >= keep) continue;
            gone_[i] = gone_.back();
            gone_.pop_back();
        }
    }

    // ---- copying --------------------------------------------------------------------------------

    /// Copies items at the front to the end while too much behind them is dead, and the keys when
    /// only they keep the log. Of items at most 64 KiB and twice what was given up since the last
    /// call, but at least one.
    ///
    /// What cannot be done now is tried again at the next call.   Throws: std::bad_alloc.
    void tidy() {
        stuck_ = {};
        const std::uint64_t to = positions.end();
        std::size_t budget = copied_per_call + 2 * std::exchange(given_up_bytes_, 0);
        while (budget != 0 && positions.first_held() < to && has_too_much_dead()) {
            const std::size_t moved = move_first();
            if (moved == 0) break;
            budget -= smaller(budget, moved);
        }
        if (floor_ < positions.first_held() && window_last_ == 0 &&
            positions.idle_bytes() > larger(slack(), std::uint64_t{2} * window_bytes())) {
            copy_window();
        }
        const bool waits = copied_from_ != nothing || window_last_ != 0;
        if (waits && positions.idle_bytes() > slack()) static_cast<void>(log_.commit());
        if (waits) release();
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

    /// What the call answers; its lack of memory, which must leave everything whole, as an error.
    template <class Call>
    [[nodiscard]] static std::error_code unless_no_memory(Call&& call) noexcept {
#if defined(__cpp_exceptions)
        try {
            return call();
        } catch (const std::bad_alloc&) {
            return std::make_error_code(std::errc::not_enough_memory);
        }
#else
        return call();
#endif
    }

    void give_up(std::uint64_t id, std::uint64_t position) noexcept {
        given_up_bytes_ += positions.bytes_at(position);
        gone_.push_back({id, position});
        positions.let_go(position);
        release();
    }

    [[nodiscard]] std::uint64_t slack() const noexcept { return options.slack_bytes; }
    [[nodiscard]] bool has_too_much_dead() const noexcept {
        const std::uint64_t live = positions.held_bytes();
        const std::uint64_t dead = positions.kept_bytes() - live;
        return dead > live && dead - live > slack();
    }

    /// Copies the first item that is held. Returns the bytes it took; 0 if it could not be.
    [[nodiscard]] std::size_t move_first() {
        const std::uint64_t position = positions.first_held();
        WorkEntry entry;
        if (read(position, entry)) return 0;
        if (entry.kind == WorkKind::item) entry.id = position;
        slots.reserve();
        std::uint32_t slot = slots.find(entry.id);
        entry.kind = WorkKind::moved;
        entry.written = stamp_of(clock.wall);
        entry.has_key = false;
        entry.delay = Duration::zero();
        if (slot != WorkSlots::none) {
            const WorkSlot& known = slots[slot];
            entry.deliveries = ended_deliveries(known);
            entry.cause = known.cause;
            if (known.cause == cause_revived) entry.expires = no_expiry;
            if (known.state == WorkState::delayed) entry.delay = elapsed(clock.now, known.when);
        }
        const Result<std::uint64_t> number = append(entry, true);
        if (!number) {
            if (number.error() == QueueErrc::too_large) stuck_ = number.error();
            return 0;
        }
        if (slot == WorkSlots::none) {
            slot = slots.add({.id = entry.id, .position = *number});
        } else {
            slots[slot].position = *number;
        }
        positions.let_go(position);
        copied_from_ = smaller(copied_from_, position);
        copied_to_ = *number;
        return positions.bytes_at(*number);
    }

    [[nodiscard]] std::size_t prints_per_entry() const noexcept {
        return (options.record_bytes_max - 2 * work_header_bytes) / print_bytes;
    }
    [[nodiscard]] std::size_t window_bytes() const noexcept { return keys.size() * print_bytes; }

    /// Goes on with the part that had no space the last time.
    void copy_window() {
        const std::size_t per_entry = prints_per_entry();
        const std::size_t parts = (keys.size() + per_entry - 1) / per_entry;
        std::uint64_t last = 0;
        while (window_part_ < parts) {
            const std::size_t from = window_part_ * per_entry;
            const std::size_t count = smaller(per_entry, keys.size() - from);
            prints_.resize(count * print_bytes);
            for (std::size_t i = 0; i < count; ++i) {
                store_print(keys.at(from + i), prints_.data() + i * print_bytes);
            }
            WorkEntry entry;
            entry.kind = WorkKind::keys;
            entry.written = stamp_of(clock.wall);
            entry.part = static_cast<std::uint32_t>(window_part_);
            entry.parts = static_cast<std::uint32_t>(parts);
            entry.tail = prints_;
            const Result<std::uint64_t> number = append(entry);
            // Parts without the last one mean nothing to whoever reads them.
            if (!number) return;
            if (window_part_++ == 0) window_begun_ = *number;
            last = *number;
        }
        window_part_ = 0;
        keep_window(window_begun_, last);
    }

    Bytes scratch_;
    Bytes prints_;                         // of a part of the window
    std::error_code stuck_;                // why the first item cannot be copied
    bool some_unnoted_ = false;            // a slot may be
    std::vector<Gone> gone_;               // not noted yet, and not below the log's base
    std::size_t given_up_bytes_ = 0;       // since the last call of tidy
    std::uint64_t copied_from_ = nothing;  // the first entry of which only a copy counts, and
    std::uint64_t copied_to_ = 0;          // the last such copy, which is not known to be durable
    std::uint64_t floor_ = nothing;        // the first entry that is kept for the keys
    std::uint64_t window_first_ = 0;       // where keys were copied to; not known to be durable
    std::uint64_t window_last_ = 0;        // 0: they are, or never were copied
    std::size_t window_part_ = 0;          // the next part to copy, of a copy that was begun
    std::uint64_t window_begun_ = 0;       // with this entry
};

}  // namespace belay::inline BELAY_ABI::detail
