// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_view.hpp
/// The operations of a WorkQueue that need no lease: show, revive and purge items.
#pragma once

#include <vector>  // std::vector

#include <belay/work/detail/work_items.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
