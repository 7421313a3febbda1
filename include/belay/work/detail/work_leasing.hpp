// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_leasing.hpp
/// WorkLeasing: how the items of a WorkQueue are pushed, leased and finished.
#pragma once

#include <utility>  // std::move

#include <belay/work/detail/work_items.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The leases of the items, which it owns. `dead_letters` is a WorkDeadLetters, which takes the
/// dead items.
///
/// Thread safety: none of its own.
template <LogLike Log>
class WorkLeasing {
public:
    /// Throws: std::bad_alloc.
    WorkLeasing(Log log, const WorkOptions& options, Moment moment)
        : items_{std::move(log), options, moment} {}

    [[nodiscard]] WorkItems<Log>& items() noexcept { return items_; }

    /// See WorkQueue::push.
    [[nodiscard]] Result<std::uint64_t> push(BytesView body, Moment moment,
                                             const PushOptions& with) {
        if (const std::error_code error = items_.failed()) return error;
        items_.set_clock(moment);
        WorkEntry entry{.written = stamp_of(moment.wall), .delay = with.delay, .tail = body};
        if (with.expires_after != forever) {
            const Instant wall{moment.wall.time_since_epoch()};
            entry.expires = stamp_of(WallTime{after(wall, with.expires_after).time_since_epoch()});
        }
        if (!with.key.empty()) {
            entry.has_key = true;
            const std::error_code known = items_.keys().check(with.key, body, entry.print);
            if (known) return known;
        }
        // The limit leaves space to copy the item later with its state.
        const std::size_t bytes = body.size() + work_overhead_max;
        if (bytes > options().record_bytes_max) return make_error_code(QueueErrc::too_large);
        if (items_.living() + slots().dead() >= options().items_max ||
            table().positions().held_bytes() + WorkPositions::framed(bytes) > options().bytes_max) {
            return make_error_code(QueueErrc::queue_full);
        }
        const bool delayed = with.delay > Duration::zero();
        if (delayed) slots().reserve();
        const Result<std::uint64_t> id = items_.append(entry, delayed ? Holds::body : Holds::plain);
        if (!id) return id;
        if (delayed) {
            slots().make_wait(slots().add({.id = *id, .position = *id}), WorkItem::State::delayed,
                              after(moment.now, with.delay));
        }
        if (entry.has_key) items_.keys().add(entry.print, *id);
        return id;
    }

    /// See WorkQueue::lease.
    template <class DeadLetters>
    [[nodiscard]] Result<Lease> lease(Moment moment, DeadLetters& dead_letters) {
        items_.set_clock(moment);
        items_.tidy();
        make_due_ready();
        for (;;) {
            if (const std::error_code error = items_.failed()) return error;
            const WorkPlace item = table().first_ready();
            if (item.id == 0 || items_.reads().is_paused(moment.now))
                return make_error_code(QueueErrc::queue_empty);
            WorkEntry entry;
            const std::error_code error = items_.read(item.position, entry);
            if (error && !is_unreadable(item, error)) return error;
            const DeathCause cause = error ? DeathCause::unreadable : why_dead(item, entry);
            if (cause == DeathCause::none) return start_lease(item, entry);
            if (const std::error_code lost = dead_letters.make_dead(items_, item, cause, false))
                return lost;
        }
    }

    /// See WorkQueue::ack.
    [[nodiscard]] std::error_code ack(const Lease& lease) {
        if (const std::error_code error = check(lease)) return error;
        items_.reserve_for_gone();
        items_.finish(table().place_of(lease.slot));
        return items_.failed();
    }

    /// See WorkQueue::nack.
    template <class DeadLetters>
    [[nodiscard]] std::error_code nack(const Lease& lease, Moment moment, Duration delay,
                                       DeadLetters& dead_letters) {
        if (const std::error_code error = check(lease)) return error;
        items_.set_clock(moment);
        items_.tidy();
        WorkSlot& slot = slots()[lease.slot];
        if (is_spent(slot)) {
            return dead_letters.make_dead(items_, table().place_of(lease.slot), DeathCause::failed,
                                          true);
        }
        WorkSlot noted = slot;
        if (const std::error_code error = items_.note(noted, delay)) return error;
        noted.unnoted = false;
        put_back(lease.slot, noted, delay);
        return {};
    }

    /// See WorkQueue::release.
    [[nodiscard]] std::error_code release(const Lease& lease, Moment moment, Duration delay) {
        if (const std::error_code error = check(lease)) return error;
        items_.set_clock(moment);
        items_.tidy();
        WorkSlot before = slots()[lease.slot];
        if (before.deliveries != WorkOptions::any_number) --before.deliveries;
        // Without space the lease must not continue: the delivery would count at its deadline.
        items_.note_soon(before, delay);
        if (const std::error_code error = items_.failed()) return error;
        put_back(lease.slot, before, delay);
        return {};
    }

    /// See WorkQueue::extend.
    [[nodiscard]] std::error_code extend(Lease& lease, Instant until) noexcept {
        if (const std::error_code error = check(lease)) return error;
        lease.deadline = until;
        slots().make_wait(lease.slot, WorkItem::State::leased, until);
        return {};
    }

private:
    [[nodiscard]] const WorkOptions& options() const noexcept { return items_.options(); }
    [[nodiscard]] WorkTable& table() noexcept { return items_.table(); }
    [[nodiscard]] WorkSlots& slots() noexcept { return items_.slots(); }

    /// Makes the items available whose lease is past its deadline, or whose delay is over.
    void make_due_ready() {
        for (;;) {
            const std::uint32_t i = slots().next_due();
            if (i == WorkSlots::none || items_.failed()) return;
            WorkSlot& slot = slots()[i];
            if (slot.when > items_.clock().now) return;
            if (slot.state == WorkItem::State::leased && !slot.counted) {
                items_.note_soon(slot);
                slot.counted = true;
            }
            slots().make_ready(i);
        }
    }

    /// Ends the lease of an item, which then has the state of `noted`.
    void put_back(std::uint32_t i, const WorkSlot& noted, Duration delay) noexcept {
        WorkSlot& slot = slots()[i];
        slot.deliveries = noted.deliveries;
        slot.unnoted = noted.unnoted;
        slot.ahead = false;
        slot.token = 0;
        if (delay > Duration::zero()) {
            slots().make_wait(i, WorkItem::State::delayed, after(items_.clock().now, delay));
        } else {
            slots().make_ready(i);
        }
    }

    /// Returns whether an item is unreadable, whose entry could not be read with `error`. Otherwise
    /// it waits for another read, unless the log has failed. Only an I/O error is evidence of a bad
    /// sector.
    [[nodiscard]] bool is_unreadable(const WorkPlace& item, const std::error_code& error) {
        if (error == QueueErrc::corrupt) return true;
        if (items_.failed()) return false;
        slots().reserve();
        return items_.reads().failed(slots(), table().slot_of(item), items_.clock().now,
                                     error == std::errc::io_error);
    }

    /// Leases an item whose entry was read.   Errors: those of the log.
    [[nodiscard]] Result<Lease> start_lease(const WorkPlace& item, WorkEntry& entry) {
        slots().reserve();
        const std::uint32_t i = table().slot_of(item);
        WorkSlot counted = slots()[i];
        if (counted.deliveries != WorkOptions::any_number) ++counted.deliveries;
        if (options().count_before_lease) {
            // After a commit that found no space, the log has the note already. Another one for
            // each call would make the log grow.
            std::error_code error = counted.ahead ? std::error_code{} : items_.note(counted);
            if (error) return error;
            slots()[i].ahead = counted.deliveries != slots()[i].deliveries;
            error = items_.make_durable();
            if (error) return error;
            // If this read fails, the note waits for the delivery, as it does without space.
            error = items_.read(item.position, entry);
            if (error) {
                static_cast<void>(is_unreadable(table().place_of(i), error));
                return error;
            }
        }
        WorkSlot& slot = slots()[i];
        slot.deliveries = counted.deliveries;
        slot.ahead = false;
        slot.token = ++tokens_;
        slot.counted = options().count_before_lease;
        const Instant until = after(items_.clock().now, options().lease);
        slots().make_wait(i, WorkItem::State::leased, until);
        return Lease{.id = item.id,
                     .body = entry.tail,
                     .delivery = slot.deliveries,
                     .deadline = until,
                     .pushed = time_of(entry.pushed),
                     .slot = i,
                     .opening = items_.log().salt(),
                     .token = tokens_};
    }

    /// Checks whether a lease is still valid.   Errors: lease_ended; the error of `failed`.
    [[nodiscard]] std::error_code check(const Lease& lease) noexcept {
        if (const std::error_code error = items_.failed()) return error;
        // Tokens count from 1 in each opening. The salt identifies the opening.
        const bool counts = lease.opening == items_.log().salt() && lease.token != 0 &&
                            lease.slot < slots().end() && slots()[lease.slot].token == lease.token;
        return counts ? std::error_code{} : make_error_code(QueueErrc::lease_ended);
    }

    /// Returns whether an item has reached its maximum number of deliveries.
    [[nodiscard]] bool is_spent(const WorkSlot& slot) const noexcept {
        return options().deliveries_max != WorkOptions::any_number &&
               slot.deliveries >= options().deliveries_max;
    }
    /// Returns why an item whose entry was read is not leased any more, or `none` if it is leased.
    [[nodiscard]] DeathCause why_dead(const WorkPlace& item, const WorkEntry& entry) noexcept {
        const WorkSlot known = item.slot != WorkSlots::none ? slots()[item.slot] : WorkSlot{};
        if (known.cause != cause_revived && entry.expires != no_expiry &&
            time_of(entry.expires) <= items_.clock().wall) {
            return DeathCause::expired;
        }
        return is_spent(known) ? DeathCause::failed : DeathCause::none;
    }

    WorkItems<Log> items_;
    std::uint64_t tokens_ = 0;  // of the last lease
};

}}}  // namespace belay::detail
