// SPDX-License-Identifier: MIT
/// \file belay/queue/detail/work_replay.hpp
/// WorkReplay: reads a log from its base on, and finds out what of it counts.
#pragma once

#include <belay/queue/detail/work_log.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Tells a WorkLog, which knows nothing yet, every entry of its log.
///
/// What an entry says about an item that is gone, or was given up with the log's front, is passed
/// over: acknowledgements of the log may be lost in a crash, and then its front is there again.
template <SequencedLike Log>
class WorkReplay {
public:
    WorkReplay(WorkLog<Log>& work, Moment moment) noexcept : work_{work}, moment_{moment} {}

    /// Errors: an entry that cannot be read or understood.   Throws: std::bad_alloc.
    [[nodiscard]] WorkError run() {
        const std::uint64_t last = work_.log().last();
        for (std::uint64_t number = work_.log().base(); number <= last; ++number) {
            const Result<BytesView> bytes = work_.log().read(number);
            if (!bytes) return {bytes.error(), number, "it cannot be read"};
            WorkEntry entry;
            if (const WorkError error = WorkDecoder{*bytes, number}.decode(entry)) return error;
            work_.positions.reserve();
            work_.slots.reserve();
            take(entry, number, WorkPositions::framed(bytes->size()));
        }
        forget_below();
        work_.release();
        return {};
    }

private:
    void take(const WorkEntry& entry, std::uint64_t number, std::size_t bytes) {
        switch (entry.kind) {
            case WorkKind::item:
                take_item(entry, number, bytes);
                break;
            case WorkKind::moved:
                forget(entry.id);
                work_.positions.add(bytes, true, false);
                know(work_.slots.add(entry.id, number), entry);
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

    void take_item(const WorkEntry& entry, std::uint64_t number, std::size_t bytes) {
        const bool delayed = remaining(entry) > Duration::zero();
        work_.positions.add(bytes, true, !delayed);
        if (delayed) know(work_.slots.add(number, number), entry);
        if (!entry.has_key || work_.keys.capacity() == 0) return;
        KeyPrint print = entry.print;
        print.content = crc32c(entry.tail);
        remember(print);
        work_.keep_for_key(number);
    }

    /// A window is taken when all parts of it have come in a row.
    void take_keys(const WorkEntry& entry, std::uint64_t number) {
        if (work_.keys.capacity() == 0) return;
        if (entry.part == 0) {
            window_.clear();
            window_first_ = number;
        } else if (number != window_first_ + entry.part || window_first_ == 0) {
            window_first_ = 0;
            return;
        }
        for (std::size_t i = 0; i < entry.tail.size() / print_bytes; ++i) {
            window_.push_back(load_print(entry.tail, i));
        }
        if (entry.part + 1 != entry.parts) return;
        work_.keys.clear();
        for (const KeyPrint& print : window_) remember(print);
        work_.keep_window(window_first_, number);
        window_first_ = 0;
    }
    void remember(const KeyPrint& print) noexcept {
        // A window that was smaller once may have let a key in twice.
        if (work_.keys.find(print) == KeyWindow::Answer::unknown) work_.keys.add(print);
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
        return work_.slots.add(id, id);
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
    std::uint64_t below_ = 0;  // no item is in an entry before this one
    std::vector<KeyPrint> window_;
    std::uint64_t window_first_ = 0;  // the entry with the first part; 0: none has come
};

}  // namespace belay::inline BELAY_ABI::detail
