// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_items.hpp
/// WorkItems: the items of a WorkQueue: which is next, all of them in order, and what is known of
/// one.
#pragma once

#include <belay/core/crc32c.hpp>
#include <belay/work/detail/work_log.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Where an item is; plain if it has no slot. Id 0: there is none.
struct WorkPlace {
    std::uint64_t id;
    std::uint64_t position;
    std::uint32_t slot;
};

/// A WorkLog, seen as items.
///
/// Thread safety: none of its own.
template <LogLike Log>
class WorkItems : public WorkLog<Log> {
public:
    using WorkLog<Log>::WorkLog;
    using WorkLog<Log>::clock;
    using WorkLog<Log>::failed;
    using WorkLog<Log>::keys;
    using WorkLog<Log>::options;
    using WorkLog<Log>::positions;
    using WorkLog<Log>::slots;

    // ---- taking and lending ---------------------------------------------------------------------

    /// Takes an item.   Errors: see WorkQueue::push.
    [[nodiscard]] Result<std::uint64_t> add(BytesView body, const PushOptions& with) {
        const Moment moment = clock;
        WorkEntry entry;
        entry.written = stamp_of(moment.wall);
        entry.delay = with.delay;
        entry.tail = body;
        if (with.expires_after != forever) {
            const Instant wall{moment.wall.time_since_epoch()};
            entry.expires = stamp_of(WallTime{after(wall, with.expires_after).time_since_epoch()});
        }
        if (!with.key.empty()) {
            entry.has_key = true;
            entry.print = detail::print_of(with.key, this->key_hash);
            keys.prefetch(entry.print);
            entry.print.content = crc32c(body);
            const detail::KeyWindow::Answer known = keys.find(entry.print);
            if (known == detail::KeyWindow::Answer::same)
                return make_error_code(QueueErrc::duplicate);
            if (known != detail::KeyWindow::Answer::unknown) {
                return make_error_code(QueueErrc::key_conflict);
            }
        }
        // So that it can be copied forward, with what may become known of it.
        const std::size_t bytes = body.size() + work_overhead_max;
        if (bytes > options.record_bytes_max) return make_error_code(QueueErrc::too_large);
        if (living() + slots.dead() >= options.items_max ||
            positions.held_bytes() + WorkPositions::framed(bytes) > options.bytes_max) {
            return make_error_code(QueueErrc::queue_full);
        }
        const bool delayed = with.delay > Duration::zero();
        if (delayed) slots.reserve();
        const Result<std::uint64_t> id = this->append(entry, true, !delayed);
        if (!id) return id;
        if (delayed) {
            slots.make_wait(slots.add({.id = *id, .position = *id}), WorkState::delayed,
                            after(moment.now, with.delay));
        }
        if (entry.has_key) {
            keys.add(entry.print);
            this->keep_for_key(*id);
        }
        return id;
    }

    /// Lends an item, of which `entry` was read.   Errors: those of the log.
    [[nodiscard]] Result<Lease> lend(const WorkPlace& item, WorkEntry& entry) {
        slots.reserve();
        const std::uint32_t i = slot_of(item);
        WorkSlot counted = slots[i];
        if (counted.deliveries != WorkOptions::any_number) ++counted.deliveries;
        if (options.count_before_lending) {
            std::error_code error = this->note(counted);
            if (!error) error = this->make_durable();
            if (!error) error = this->read(item.position, entry);
            if (error) return error;
        }
        slots[i].deliveries = counted.deliveries;
        slots[i].token = ++tokens_;
        slots[i].counted = options.count_before_lending;
        Lease lease;
        lease.id = item.id;
        lease.body = entry.tail;
        lease.delivery = counted.deliveries;
        lease.deadline = after(clock.now, options.lease);
        lease.pushed = time_of(entry.pushed);
        lease.slot = i;
        lease.opening = this->log().salt();
        lease.token = tokens_;
        slots.make_wait(i, WorkState::leased, lease.deadline);
        return lease;
    }

    /// Whether a lease counts still.   Errors: lease_ended; what `failed` says.
    [[nodiscard]] std::error_code check(const Lease& lease) noexcept {
        if (const std::error_code error = failed()) return error;
        // Tokens count from 1 in each opening, whose salt tells it from others.
        const bool counts = lease.opening == this->log().salt() && lease.token != 0 &&
                            lease.slot < slots.end() && slots[lease.slot].token == lease.token;
        return counts ? std::error_code{} : make_error_code(QueueErrc::lease_ended);
    }

    // ---- which ----------------------------------------------------------------------------------

    [[nodiscard]] WorkPlace place_of(std::uint32_t slot) const noexcept {
        return {slots[slot].id, slots[slot].position, slot};
    }
    /// The first that can be lent.
    [[nodiscard]] WorkPlace first_ready() noexcept {
        const WorkPlace plain = first_plain();
        const std::uint32_t slot = slots.first_ready();
        if (slot == WorkSlots::none) return plain;
        return plain.id != 0 && plain.id < slots[slot].id ? plain : place_of(slot);
    }
    /// The first that is not dead.   Complexity: O(slots).
    [[nodiscard]] WorkPlace first_living() noexcept {
        WorkPlace first = first_plain();
        for (std::uint32_t i = 0; i < slots.end(); ++i) {
            if (slots[i].id == 0 || slots[i].state == WorkState::dead) continue;
            if (first.id == 0 || slots[i].id < first.id) first = place_of(i);
        }
        return first;
    }
    [[nodiscard]] WorkPlace find(std::uint64_t id) const noexcept {
        const std::uint32_t slot = slots.find(id);
        if (slot != WorkSlots::none) return place_of(slot);
        return {positions.is_ready(id) ? id : 0, id, slot};
    }
    /// The slot of an item, a new one if it was plain.   Pre: there is room for one.
    [[nodiscard]] std::uint32_t slot_of(const WorkPlace& item) noexcept {
        if (item.slot != WorkSlots::none) return item.slot;
        positions.clear_ready(item.id);
        return slots.add({.id = item.id, .position = item.position});
    }
    /// How many there are that are not dead.
    [[nodiscard]] std::size_t living() const noexcept {
        return positions.ready() + slots.size() - slots.dead();
    }

    // ---- what is known of one -------------------------------------------------------------------

    /// Whether an item that was lent so often is not lent again.
    [[nodiscard]] bool spent(std::uint32_t deliveries) const noexcept {
        return options.deliveries_max != WorkOptions::any_number &&
               deliveries >= options.deliveries_max;
    }
    /// Why an item, of which `entry` was read, is not lent any more; `none` if it is.
    [[nodiscard]] DeathCause why_dead(const WorkPlace& item,
                                      const WorkEntry& entry) const noexcept {
        const bool known = item.slot != WorkSlots::none;
        const bool can_expire = !known || slots[item.slot].cause != cause_revived;
        if (can_expire && entry.expires != no_expiry && time_of(entry.expires) <= clock.wall) {
            return DeathCause::expired;
        }
        return known && spent(slots[item.slot].deliveries) ? DeathCause::failed : DeathCause::none;
    }
    /// Whether an item that could not be read is passed by. What may be better a moment later is
    /// told first: one bad sector must not hold up all others, nor a bad moment bury an item.
    [[nodiscard]] bool means_unreadable(const std::error_code& error, std::uint64_t id) noexcept {
        if (error == QueueErrc::corrupt) return true;
        return error == std::errc::io_error && !failed() && std::exchange(unread_, id) == id;
    }
    /// Shows an item to `visitor(const WorkItem&)`; the body of one that is unreadable is empty.
    template <class Visitor>
    [[nodiscard]] std::error_code show(Visitor& visitor, const WorkPlace& item) {
        WorkEntry entry;
        const std::error_code error = this->read(item.position, entry);
        WorkItem shown;
        shown.id = item.id;
        if (!error) {
            shown.body = entry.tail;
            shown.pushed = time_of(entry.pushed);
        }
        if (item.slot != WorkSlots::none) {
            const WorkSlot& slot = slots[item.slot];
            shown.state = slot.state;
            shown.deliveries = slot.deliveries;
            if (slot.state == WorkState::dead) shown.cause = static_cast<DeathCause>(slot.cause);
        }
        // Of one that died of it this is no news, and must not hide the others.
        const bool is_known = error == std::errc::io_error && shown.cause == DeathCause::unreadable;
        if (error && error != QueueErrc::corrupt && !is_known) return error;
        visitor(static_cast<const WorkItem&>(shown));
        return {};
    }

    // ---- all of them ----------------------------------------------------------------------------

    /// Ends the loans and the delays whose time is over.
    void wake() {
        for (;;) {
            const std::uint32_t i = slots.next_due();
            if (i == WorkSlots::none || slots[i].when > clock.now || failed()) return;
            if (slots[i].state == WorkState::leased && !slots[i].counted) {
                this->note_soon(slots[i]);
                slots[i].counted = true;
            }
            slots.make_ready(i);
        }
    }
    /// Removes the items with a slot that are dead, or those that are not.
    void finish_slots(bool dead) {
        for (std::uint32_t i = 0; i < slots.end() && !failed(); ++i) {
            if (slots[i].id == 0 || (slots[i].state == WorkState::dead) != dead) continue;
            this->make_room_for_gone();
            this->finish(i);
        }
    }
    void finish_plain() {
        while (positions.ready() != 0 && !failed()) {
            this->make_room_for_gone();
            WorkLog<Log>::finish_plain(positions.first_ready());
        }
    }
    /// Shows all that are not dead, by id.
    template <class Visitor>
    [[nodiscard]] std::error_code show_living(Visitor& visitor) {
        const std::vector<std::uint32_t> known = slots.in_order(false);
        std::size_t next_known = 0;
        std::uint64_t plain = positions.next_ready(0);
        for (;;) {
            WorkPlace item{plain, plain, WorkSlots::none};
            const bool has_plain = plain != positions.end();
            if (next_known != known.size() && (!has_plain || slots[known[next_known]].id < plain)) {
                item = place_of(known[next_known++]);
            } else if (has_plain) {
                plain = positions.next_ready(plain + 1);
            } else {
                return {};
            }
            if (const std::error_code error = show(visitor, item)) return error;
        }
    }
    template <class Visitor>
    [[nodiscard]] std::error_code show_dead(Visitor& visitor) {
        for (const std::uint32_t i : slots.in_order(true)) {
            if (const std::error_code error = show(visitor, place_of(i))) return error;
        }
        return {};
    }

    /// A dead item lives again.   Errors: unknown_number; those of the log.
    [[nodiscard]] std::error_code revive(std::uint64_t id) {
        const std::uint32_t i = slots.find(id);
        if (i == WorkSlots::none || slots[i].state != WorkState::dead) {
            return make_error_code(QueueErrc::unknown_number);
        }
        WorkSlot revived = slots[i];
        revived.deliveries = 0;
        revived.cause = cause_revived;
        if (const std::error_code error = this->note(revived)) return error;
        slots[i].unnoted = false;
        slots[i].deliveries = 0;
        slots[i].cause = cause_revived;
        slots.make_ready(i);
        return {};
    }

private:
    [[nodiscard]] WorkPlace first_plain() noexcept {
        if (positions.ready() == 0) return {0, 0, WorkSlots::none};
        const std::uint64_t id = positions.first_ready();
        return {id, id, WorkSlots::none};
    }

    std::uint64_t tokens_ = 0;  // of the last loan
    std::uint64_t unread_ = 0;  // the item that last could not be read
};

}  // namespace belay::inline BELAY_ABI::detail
