// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/work_log.hpp
/// WorkLog: the durable side of a WorkQueue: what is appended, what is given up, what is copied.
#pragma once

#include <array>    // std::array
#include <utility>  // std::exchange, std::move

#include <belay/core/order.hpp>
#include <belay/queue/detail/work_entry.hpp>
#include <belay/queue/detail/work_positions.hpp>
#include <belay/queue/detail/work_slots.hpp>
#include <belay/queue/sequenced_like.hpp>
#include <belay/queue/work_options.hpp>

namespace belay::inline BELAY_ABI::detail {

/// A log whose entries are facts about items, and what of them counts now.
///
/// Invariant: an entry is held if and only if it has the body of an item; that item is plain (then
/// the entry's number is its id, and it is marked ready) or has a slot with this position. Nothing
/// is given up in front of what is held, or of what is only held by entries that are not durable.
///
/// Thread safety: none of its own.
template <SequencedLike Log>
class WorkLog {
    Log log_;

public:
    /// Throws: std::bad_alloc.
    WorkLog(Log log, const WorkOptions& with)
        : log_{std::move(log)}, options{with}, positions{log_.base()}, keys{with.keys} {
        gone_.reserve(ids_per_entry);
    }
    WorkLog(const WorkLog&) = delete;
    WorkLog& operator=(const WorkLog&) = delete;

    const WorkOptions options;
    WorkPositions positions;
    WorkSlots slots;
    KeyWindow keys;

    // ---- reading --------------------------------------------------------------------------------

    [[nodiscard]] Log& log() noexcept { return log_; }
    [[nodiscard]] std::error_code failed() const noexcept { return log_.failed(); }

    /// The entry at a position; its tail is valid until the next call that changes the log.
    [[nodiscard]] std::error_code read(std::uint64_t position, WorkEntry& entry) {
        const Result<BytesView> bytes = log_.read(position);
        if (!bytes) return bytes.error();
        return WorkDecoder{*bytes, position}.decode(entry).code;
    }

    // ---- appending ------------------------------------------------------------------------------

    /// Appends an entry, and gives its number.
    ///
    /// Errors: too_large, those of the log; nothing has changed then.   Throws: std::bad_alloc,
    /// likewise.
    [[nodiscard]] Result<std::uint64_t> append(const WorkEntry& entry, bool held = false,
                                               bool ready = false) {
        encode(entry, scratch_);
        if (scratch_.size() > options.record_bytes_max)
            return make_error_code(QueueErrc::too_large);
        positions.reserve();
        const Result<std::uint64_t> number = log_.append(scratch_);
        if (!number) return number;
        BELAY_INVARIANT(*number == positions.end(), "WorkLog::append: nobody else may append");
        positions.add(WorkPositions::framed(scratch_.size()), held, ready);
        return number;
    }

    /// Notes what is known of a slot's item, which is then delayed by `delay`.
    [[nodiscard]] std::error_code note(const WorkSlot& slot, Duration delay, WallTime wall) {
        WorkEntry entry;
        entry.kind = WorkKind::note;
        entry.written = stamp_of(wall);
        entry.id = slot.id;
        entry.delay = delay;
        entry.deliveries = slot.deliveries;
        entry.cause = slot.cause;
        return append(entry).error();
    }

    // ---- giving up ------------------------------------------------------------------------------

    /// The item is gone. It becomes durable with the next `sync`.   Throws: std::bad_alloc; then
    /// nothing has changed.
    void finish(std::uint32_t slot) {
        make_room_for_gone();
        const WorkSlot gone = slots[slot];
        slots.remove(slot);
        give_up(gone.id, gone.position);
    }
    void finish_plain(std::uint64_t id) {
        make_room_for_gone();
        give_up(id, id);
    }

    /// Everything up to here becomes durable.
    [[nodiscard]] std::error_code sync() {
        release();
        // Without space for it, at least what was appended becomes durable.
        const std::error_code unnoted = note_gone();
        if (const std::error_code error = log_.sync()) return error;
        release();
        return unnoted;
    }

    /// Appends what says which items are gone, unless the log's base says it.
    [[nodiscard]] std::error_code note_gone() {
        while (!gone_.empty()) {
            WorkEntry entry;
            entry.kind = WorkKind::done;
            entry.below = positions.first_held();
            std::array<std::byte, 8 * ids_per_entry> ids;
            std::size_t count = 0;
            std::size_t left = gone_.size();
            const std::size_t most = smaller(ids_per_entry, (options.record_bytes_max - 16) / 8);
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
    void keep_for_key(std::uint64_t number) noexcept { floor_ = smaller(floor_, number); }
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
    void tidy(Moment moment) {
        const std::uint64_t to = positions.end();
        std::size_t budget = copied_per_call + 2 * std::exchange(given_up_bytes_, 0);
        while (budget != 0 && positions.first_held() < to && has_too_much_dead()) {
            const std::size_t moved = move_first(moment);
            if (moved == 0) break;
            budget -= smaller(budget, moved);
        }
        if (floor_ < positions.first_held() && window_last_ == 0 &&
            positions.idle_bytes() > larger(slack(), std::uint64_t{2} * window_bytes())) {
            copy_window(moment.wall);
        }
        const bool waits = copied_from_ != nothing || window_last_ != 0;
        if (waits && positions.idle_bytes() > slack()) static_cast<void>(log_.sync());
        if (waits) release();
    }

private:
    struct Gone {
        std::uint64_t id;
        std::uint64_t position;
    };

    static constexpr std::uint64_t nothing = ~std::uint64_t{0};
    static constexpr std::size_t ids_per_entry = 64;
    static constexpr std::size_t copied_per_call = std::size_t{64} << 10;

    void make_room_for_gone() {
        if (gone_.size() < ids_per_entry) return;
        // If it cannot be noted now, it is later.
        static_cast<void>(note_gone());
        if (gone_.size() == gone_.capacity()) gone_.reserve(2 * gone_.size());
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
        return positions.kept_bytes() - live > live + slack();
    }

    /// Copies the first item that is held. Returns the bytes it took; 0 if it could not be.
    [[nodiscard]] std::size_t move_first(Moment moment) {
        const std::uint64_t position = positions.first_held();
        WorkEntry entry;
        if (read(position, entry)) return 0;
        if (entry.kind == WorkKind::item) entry.id = position;
        slots.reserve();
        std::uint32_t slot = slots.find(entry.id);
        entry.kind = WorkKind::moved;
        entry.written = stamp_of(moment.wall);
        entry.has_key = false;
        entry.delay = Duration::zero();
        if (slot != WorkSlots::none) {
            const WorkSlot& known = slots[slot];
            entry.deliveries = known.deliveries;
            entry.cause = known.cause;
            // The delivery in progress has not failed yet, and is not noted either.
            if (known.state == WorkState::leased && !options.count_before_lending) {
                --entry.deliveries;
            }
            if (known.cause == cause_revived) entry.expires = no_expiry;
            if (known.state == WorkState::delayed) entry.delay = elapsed(moment.now, known.when);
        }
        const Result<std::uint64_t> number = append(entry, true);
        if (!number) return 0;
        if (slot == WorkSlots::none) {
            slot = slots.add(entry.id, *number);
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

    void copy_window(WallTime wall) {
        const std::size_t per_entry = prints_per_entry();
        const std::size_t parts = (keys.size() + per_entry - 1) / per_entry;
        const std::uint64_t first = positions.end();
        std::uint64_t last = 0;
        Bytes prints;
        for (std::size_t part = 0; part < parts; ++part) {
            const std::size_t from = part * per_entry;
            const std::size_t count = smaller(per_entry, keys.size() - from);
            prints.resize(count * print_bytes);
            for (std::size_t i = 0; i < count; ++i) {
                store_print(keys.at(from + i), prints.data() + i * print_bytes);
            }
            WorkEntry entry;
            entry.kind = WorkKind::keys;
            entry.written = stamp_of(wall);
            entry.part = static_cast<std::uint32_t>(part);
            entry.parts = static_cast<std::uint32_t>(parts);
            entry.tail = prints;
            const Result<std::uint64_t> number = append(entry);
            // Parts without the last one mean nothing to whoever reads them.
            if (!number) return;
            last = *number;
        }
        keep_window(first, last);
    }

    Bytes scratch_;
    std::vector<Gone> gone_;               // not noted yet, and not below the log's base
    std::size_t given_up_bytes_ = 0;       // since the last call of tidy
    std::uint64_t copied_from_ = nothing;  // the first entry of which only a copy counts, and
    std::uint64_t copied_to_ = 0;          // the last such copy, which is not known to be durable
    std::uint64_t floor_ = nothing;        // the first entry that is kept for the keys
    std::uint64_t window_first_ = 0;       // where keys were copied to; not known to be durable
    std::uint64_t window_last_ = 0;        // 0: they are, or never were copied
};

}  // namespace belay::inline BELAY_ABI::detail
