// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_replay.hpp
/// WorkReplay: reads a log from its base on, and finds out what of it counts.
#pragma once

#include <belay/work/detail/work_log.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Tells a WorkLog, which knows nothing yet, every entry of its log.
///
/// What an entry says about an item that is gone, or was given up with the log's front, is passed
/// over: acknowledgements of the log may be lost in a crash, and then its front is there again.
template <LogLike Log>
class WorkReplay {
public:
    explicit WorkReplay(WorkLog<Log>& work) noexcept : work_{work}, moment_{work.clock} {}

    /// Errors: an entry that cannot be read or understood.   Throws: std::bad_alloc.
    [[nodiscard]] WorkError run() {
        const std::uint64_t last = work_.log().last();
        for (std::uint64_t number = work_.log().base(); number <= last; ++number) {
            const Result<BytesView> bytes = work_.log().read(number);
            work_.positions.reserve();
            work_.slots.reserve();
            if (!bytes) {
                if (bytes.error() != QueueErrc::corrupt) {
                    return {bytes.error(), number, "it cannot be read"};
                }
                take_unreadable(number);
                continue;
            }
            WorkEntry entry;
            if (const WorkError error = work_.decode(*bytes, number, entry)) return error;
            take(entry, number, WorkPositions::framed(bytes->size()));
        }
        forget_below();
        bury_unreadable();
        thin_out();
        work_.keys.clear();
        for (const detail::KeyPrint& print : seen_) work_.keys.add(print);
        work_.release();
        return {};
    }

private:
    void take(const WorkEntry& entry, std::uint64_t number, std::size_t bytes) {
        switch (entry.kind) {
            case WorkKind::item:
                take_item(number, entry, bytes);
                break;
            case WorkKind::moved:
                forget(entry.id);
                work_.positions.add(bytes, true, false);
                know(work_.slots.add({.id = entry.id, .position = number}), entry);
                break;
            case WorkKind::done:
                work_.positions.add(bytes, false, false);
                below_ = larger(below_, entry.below);
                for (std::size_t i = 0; i < entry.tail.size(); i += 8) {
                    forget(load_le<std::uint64_t>(entry.tail.data() + i));
                }
                break;
            case WorkKind::note:
                work_.positions.add(bytes, false, false);
                if (const std::uint32_t slot = slot_of(entry.id); slot != WorkSlots::none) {
                    know(slot, entry);
                }
                break;
            case WorkKind::keys:
                work_.positions.add(bytes, false, false);
                take_keys(entry, number);
                break;
        }
    }

    /// An entry that is damaged may have been an item: it is kept as one, unless a later entry says
    /// that it is gone.
    void take_unreadable(std::uint64_t number) {
        unreadable_.push_back(number);
        work_.positions.add(WorkPositions::framed(0), true, false);
        work_.slots.add({.id = number, .position = number});
    }
    /// Whatever was noted of them, what cannot be read is dead, unless it was copied.
    void bury_unreadable() noexcept {
        for (const std::uint64_t number : unreadable_) {
            const std::uint32_t slot = work_.slots.find(number);
            if (slot == WorkSlots::none || work_.slots[slot].position != number) continue;
            work_.slots[slot].cause = static_cast<std::uint8_t>(DeathCause::unreadable);
            work_.slots.make_dead(slot);
        }
    }

    void take_item(std::uint64_t number, const WorkEntry& entry, std::size_t bytes) {
        const bool delayed = remaining(entry) > Duration::zero();
        work_.positions.add(bytes, true, !delayed);
        if (delayed) know(work_.slots.add({.id = number, .position = number}), entry);
        if (!entry.has_key || work_.keys.capacity() == 0) return;
        detail::KeyPrint print = entry.print;
        print.content = crc32c(entry.tail);
        remember(print);
        work_.keep_for_key(number);
    }

    /// A window is taken when all parts of it have come, and no other key between them.
    void take_keys(const WorkEntry& entry, std::uint64_t number) {
        if (work_.keys.capacity() == 0) return;
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
        work_.keep_window(window_first_, number);
        next_part_ = 0;
    }
    void remember(const detail::KeyPrint& print) {
        seen_.push_back(print);
        if (seen_.size() / 2 > work_.keys.capacity()) thin_out();
        next_part_ = 0;
    }
    /// Leaves the last keys that were seen, each where it was seen last: a window that was smaller
    /// once may have let a key in twice.
    void thin_out() noexcept {
        detail::KeyWindow& newest = work_.keys;
        newest.clear();
        for (std::size_t i = seen_.size(); i-- != 0 && newest.size() != newest.capacity();) {
            if (newest.find(seen_[i]) == detail::KeyWindow::Answer::unknown) newest.add(seen_[i]);
        }
        seen_.resize(newest.size());
        for (std::size_t i = 0; i < newest.size(); ++i) {
            seen_[newest.size() - 1 - i] = newest.at(i);
        }
    }

    /// What an entry says about a slot's item.
    void know(std::uint32_t slot, const WorkEntry& entry) noexcept {
        work_.slots[slot].deliveries = entry.deliveries;
        work_.slots[slot].cause = static_cast<std::uint8_t>(entry.cause);
        const Duration wait = remaining(entry);
        if (entry.cause != cause_none && entry.cause <= cause_dead_max) {
            work_.slots.make_dead(slot);
        } else if (wait > Duration::zero()) {
            work_.slots.make_wait(slot, WorkState::delayed, after(moment_.now, wait));
        } else {
            work_.slots.make_ready(slot);
        }
    }
    /// What is left of a delay, by the wall clock: nothing if that jumped ahead, all if it jumped
    /// back.
    [[nodiscard]] Duration remaining(const WorkEntry& entry) const noexcept {
        const Duration passed = elapsed_between(time_of(entry.written), moment_.wall);
        return passed < entry.delay ? entry.delay - passed : Duration::zero();
    }

    /// The slot of an item, a new one if it was plain; none if it is gone.   Pre: room for one.
    [[nodiscard]] std::uint32_t slot_of(std::uint64_t id) noexcept {
        const std::uint32_t slot = work_.slots.find(id);
        if (slot != WorkSlots::none || !work_.positions.is_ready(id)) return slot;
        work_.positions.clear_ready(id);
        return work_.slots.add({.id = id, .position = id});
    }
    void forget(std::uint64_t id) noexcept {
        const std::uint32_t slot = work_.slots.find(id);
        if (slot != WorkSlots::none) {
            work_.positions.let_go(work_.slots[slot].position);
            work_.slots.remove(slot);
        } else if (work_.positions.is_ready(id)) {
            work_.positions.let_go(id);
        }
    }
    void forget_below() noexcept {
        for (std::uint32_t i = 0; i < work_.slots.end(); ++i) {
            if (work_.slots[i].id != 0 && work_.slots[i].position < below_) {
                forget(work_.slots[i].id);
            }
        }
        while (work_.positions.first_held() < below_) {
            work_.positions.let_go(work_.positions.first_held());
        }
    }

    WorkLog<Log>& work_;
    Moment moment_;
    std::uint64_t below_ = 0;                // no item is in an entry before this one
    std::vector<std::uint64_t> unreadable_;  // the entries that are damaged
    std::vector<detail::KeyPrint> seen_;     // the keys that were seen, the oldest first
    std::vector<detail::KeyPrint> window_;   // the parts of a window that have come
    std::uint64_t window_first_ = 0;         // the entry with the first of them
    std::uint32_t window_parts_ = 0;         // how many there are
    std::uint32_t next_part_ = 0;            // which must come next; 0: a first one
};

}  // namespace belay::inline BELAY_ABI::detail
