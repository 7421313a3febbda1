// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_replay.hpp
/// WorkReplay: reads a log from its base on, and restores the items that it records.
#pragma once

#include <algorithm>  // std::binary_search, std::sort
#include <vector>     // std::vector

#include <belay/work/detail/work_items.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Passes every entry of the log to a new WorkItems.
///
/// It ignores what an entry records about an item that is finished, or that was released with the
/// front of the log. A crash may lose acknowledgements of the log, and then that front is there
/// again.
template <LogLike Log>
class WorkReplay {
public:
    explicit WorkReplay(WorkItems<Log>& items) noexcept : items_{items} {}

    /// Reads the log.   Errors: an entry that cannot be read or decoded.   Throws: std::bad_alloc.
    [[nodiscard]] WorkError run() {
        const std::uint64_t last = items_.log().last();
        for (std::uint64_t number = items_.log().base(); number <= last; ++number) {
            const Result<BytesView> bytes = items_.log().read(number);
            table_.reserve_entry();
            slots_.reserve();
            if (!bytes) {
                if (bytes.error() != QueueErrc::corrupt) {
                    return {bytes.error(), number, "the entry cannot be read"};
                }
                take_unreadable(number);
                continue;
            }
            WorkEntry entry;
            if (const WorkError error = items_.decode(*bytes, number, entry)) return error;
            take(entry, number, WorkPositions::framed(bytes->size()));
        }
        forget_below();
        make_unreadable_dead();
        free_keys();
        thin_out();
        window().clear();
        for (const KeyFingerprint& print : seen_) window().add(print);
        items_.trim();
        return {};
    }

private:
    [[nodiscard]] KeyWindow& window() noexcept { return items_.keys().window(); }

    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as the log gives them
    void take(const WorkEntry& entry, std::uint64_t number, std::size_t bytes) {
        if (entry.kind == WorkKind::moved) forget(entry.id);
        const bool is_plain = entry.kind == WorkKind::item && remaining(entry) == Duration::zero();
        const bool has_body = entry.kind == WorkKind::item || entry.kind == WorkKind::moved;
        table_.add_entry(bytes, is_plain ? Holds::plain : has_body ? Holds::body : Holds::nothing);
        switch (entry.kind) {
            case WorkKind::item:
                if (!is_plain) know(slots_.add({.id = number, .position = number}), entry);
                take_key(entry, number);
                break;
            case WorkKind::moved:
                know(slots_.add({.id = entry.id, .position = number}), entry);
                break;
            case WorkKind::done:
                below_ = larger(below_, entry.below);
                for (std::size_t i = 0; i < entry.tail.size(); i += 8) {
                    forget(load_le<std::uint64_t>(entry.tail.data() + i));
                }
                break;
            case WorkKind::note:
                if (const WorkPlace item = table_.find(entry.id); item.id != 0) {
                    know(table_.slot_of(item), entry);
                }
                break;
            case WorkKind::keys:
                take_keys(entry, number);
                break;
            case WorkKind::freed:
                for (std::size_t i = 0; i < entry.tail.size(); i += 8) {
                    freed_.push_back(load_le<std::uint64_t>(entry.tail.data() + i));
                }
                next_part_ = 0;
                break;
        }
    }

    /// Keeps a damaged entry as an item, because it may have been one. A later entry may record
    /// that the item is finished.
    void take_unreadable(std::uint64_t number) {
        unreadable_.push_back(number);
        table_.add_entry(WorkPositions::framed(0), Holds::body);
        slots_.add({.id = number, .position = number});
    }
    /// Makes unreadable items dead unless they were copied. Their notes do not matter.
    void make_unreadable_dead() noexcept {
        for (const std::uint64_t number : unreadable_) {
            const WorkPlace item = table_.find(number);
            if (item.slot == WorkSlots::none || item.position != number) continue;
            slots_[item.slot].cause = static_cast<std::uint8_t>(DeathCause::unreadable);
            slots_.make_dead(item.slot);
        }
    }

    void take_key(const WorkEntry& entry, std::uint64_t number) {
        if (!entry.has_key || window().capacity() == 0) return;
        KeyFingerprint print = entry.print;
        print.content = part::crc32c(entry.tail);
        print.item = number;
        seen_.push_back(print);
        if (seen_.size() / 2 > window().capacity()) thin_out();
        next_part_ = 0;
        items_.keys().keep(number);
    }

    /// Accepts a window when all its parts were read, with no other key between them.
    void take_keys(const WorkEntry& entry, std::uint64_t number) {
        if (window().capacity() == 0) return;
        if (entry.part == 0) {
            window_.clear();
            window_first_ = number;
            window_parts_ = entry.parts;
        } else if (entry.part != next_part_ || entry.parts != window_parts_) {
            next_part_ = 0;
            return;
        }
        for (std::size_t i = 0; i < entry.tail.size() / print_bytes; ++i) {
            window_.push_back(load_print(entry.tail, i));
        }
        next_part_ = entry.part + 1;
        if (next_part_ != entry.parts) return;
        seen_.swap(window_);
        items_.keys().keep_copy(window_first_, number);
        next_part_ = 0;
    }
    /// Removes the keys that are free, of which each has been that of one item only.
    void free_keys() noexcept {
        std::sort(freed_.begin(), freed_.end());
        for (KeyFingerprint& print : seen_) {
            if (std::binary_search(freed_.begin(), freed_.end(), print.item)) print = {};
        }
    }
    /// Keeps the last keys, each at its latest occurrence. Another item had a key before if the key
    /// was freed, or if the window was once smaller. The place of the earlier one stays.
    void thin_out() noexcept {
        KeyWindow& newest = window();
        newest.clear();
        for (std::size_t i = seen_.size(); i-- != 0 && newest.size() != newest.capacity();) {
            newest.add(newest.get(seen_[i]) == nullptr ? seen_[i] : KeyFingerprint{});
        }
        seen_.resize(newest.size());
        for (std::size_t i = 0; i < newest.size(); ++i) {
            seen_[newest.size() - 1 - i] = newest.at(i);
        }
    }

    /// Applies the state that an entry records to a slot's item.
    void know(std::uint32_t slot, const WorkEntry& entry) noexcept {
        slots_[slot].deliveries = entry.deliveries;
        slots_[slot].cause = static_cast<std::uint8_t>(entry.cause);
        const Duration wait = remaining(entry);
        if (entry.cause != cause_none && entry.cause <= cause_dead_max) {
            slots_.make_dead(slot);
        } else if (wait > Duration::zero()) {
            slots_.make_wait(slot, WorkItem::State::delayed, after(items_.clock().now, wait));
        } else {
            slots_.make_ready(slot);
        }
    }
    /// Returns the rest of a delay by the wall clock: zero if that clock jumped ahead, all of it if
    /// the clock jumped back.
    [[nodiscard]] Duration remaining(const WorkEntry& entry) const noexcept {
        const Duration passed = elapsed_between(time_of(entry.written), items_.clock().wall);
        return passed < entry.delay ? entry.delay - passed : Duration::zero();
    }

    void forget(std::uint64_t id) noexcept {
        if (const WorkPlace item = table_.find(id); item.id != 0) table_.remove(item);
    }
    void forget_below() noexcept {
        for (std::uint32_t i = 0; i < slots_.end(); ++i) {
            if (slots_[i].id != 0 && slots_[i].position < below_) table_.remove(table_.place_of(i));
        }
        for (;;) {
            const std::uint64_t plain = table_.positions().first_held();
            if (plain >= below_) return;
            table_.remove({plain, plain, WorkSlots::none});
        }
    }

    WorkItems<Log>& items_;
    WorkTable& table_ = items_.table();
    WorkSlots& slots_ = table_.slots();
    std::uint64_t below_ = 0;                // no item is in an entry before this one
    std::vector<std::uint64_t> unreadable_;  // the entries that are damaged
    std::vector<std::uint64_t> freed_;       // items whose keys are free
    std::vector<KeyFingerprint> seen_;       // the keys that were read, the oldest first
    std::vector<KeyFingerprint> window_;     // the parts of a window read so far
    std::uint64_t window_first_ = 0;         // the entry with the first of them
    std::uint32_t window_parts_ = 0;         // how many parts the window has
    std::uint32_t next_part_ = 0;            // the next expected part; 0: a first one
};

}}}  // namespace belay::detail
