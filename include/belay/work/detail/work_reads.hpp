// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_reads.hpp
/// WorkReads: when a WorkQueue reads an item again whose read failed, and when it gives up.
#pragma once

#include <cstdint>  // std::uint8_t, std::uint32_t, std::uint64_t

#include <belay/work/detail/work_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The reads that failed, by the items whose entries they were to read.
///
/// Only time distinguishes a bad sector from a medium that fails for a while. The evidence of other
/// reads is of no use, because caches may serve them. So an item waits after each failed read, each
/// time twice as long, while other items can be leased. The waits together are the span after which
/// the item is unreadable.
///
/// After the first reads of `failures_max` items failed, and no other read succeeded in between, no
/// item is read until the first wait has passed. A medium that reads nothing then takes little
/// time, and few slots. Later reads of an item do not count for this, so they cannot keep out
/// items that were not read yet.
///
/// Thread safety: none of its own.
class WorkReads {
public:
    explicit WorkReads(Duration span) noexcept
        : wait_{(span - Duration{1}) / waits_sum + Duration{1}} {}

    /// Records that the entry of an item was read.
    void succeeded(WorkSlots& slots, std::uint64_t id) noexcept {
        failures_ = 0;
        if (!some_failed_) return;
        const std::uint32_t i = slots.find(id);
        if (i != WorkSlots::none) slots[i].failed_reads = 0;
    }
    /// Records that the entry of a slot's item could not be read. Returns whether the item is
    /// unreadable. Otherwise it waits for the next read.
    [[nodiscard]] bool failed(WorkSlots& slots, std::uint32_t i, Instant now, bool may_die) {
        some_failed_ = true;
        std::uint8_t& count = slots[i].failed_reads;
        if (count == 0 && ++failures_ == failures_max) {
            failures_ = 0;
            paused_until_ = after(now, wait_);
        }
        if (may_die && count == waits) return true;
        if (count < waits) ++count;
        slots.make_wait(i, WorkItem::State::delayed, after(now, wait_ * (1 << (count - 1))));
        return false;
    }
    /// Returns whether no item may be read yet.
    [[nodiscard]] bool is_paused(Instant now) noexcept {
        if (now < paused_until_) return true;
        paused_until_ = always;
        return false;
    }
    /// Returns the time from which on items may be read.
    [[nodiscard]] Instant paused_until() const noexcept { return paused_until_; }

private:
    static constexpr std::uint8_t waits = 6;
    static constexpr int waits_sum = (1 << waits) - 1;
    static constexpr std::uint32_t failures_max = 128;

    Duration wait_;  // the first one
    Instant paused_until_ = always;
    std::uint32_t failures_ = 0;  // of first reads, since a successful read or a pause
    bool some_failed_ = false;    // ever
};

}}}  // namespace belay::detail
