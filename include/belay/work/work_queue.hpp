// SPDX-License-Identifier: MIT
/// \file belay/work/work_queue.hpp
/// WorkQueue: work that is leased and acknowledged item by item, over any durable log.
#pragma once

#include <array>        // std::array
#include <concepts>     // std::same_as, std::default_initializable
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <memory>       // std::make_unique, std::unique_ptr
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_move_assignable_v
#include <utility>      // std::move

#include <belay/core/observer.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/work/detail/work_items.hpp>
#include <belay/work/detail/work_replay.hpp>
#include <belay/work/lease.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

BELAY_DETAIL_HOOK(OnDead, on_dead);

/// The hooks of a WorkQueue W.
template <class W>
struct WorkHooks {
    using Dead = Hook<OnDead, W, const DeadWork&>;
    using Dropped = Hook<OnDropped, W, const DeadWork&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Dead::template right<O>,
                      "WorkQueue: the observer's on_dead must be 'on_dead(const "
                      "belay::DeadWork&)', or have 'const auto& work' in front of that");
        static_assert(Dropped::template right<O>,
                      "WorkQueue: the observer's on_dropped must be 'on_dropped(const "
                      "belay::DeadWork&)', or have 'const auto& work' in front of that");
        static_assert(has_any_hook_of<O, Dead, Dropped>,
                      "WorkQueue: the observer has no hook: it needs on_dead or on_dropped. Derive "
                      "an observer without hooks from belay::NoObserver");
        return true;
    }
};

/// A storage for dead letters, and the observer of a WorkQueue.
template <class DeadLetters, class Observer>
class WorkDeadLetters {
    static_assert(DeadLetterStorage<DeadLetters>,
                  "WorkQueue: DeadLetters must be KeepDead or have 'try_push(Bytes&&)', which "
                  "returns bool or std::error_code");

public:
    WorkDeadLetters(DeadLetters storage, Observer observer)
        : storage_{std::move(storage)}, observer_{std::move(observer)} {}

    [[nodiscard]] DeadLetters& storage() noexcept { return storage_; }
    [[nodiscard]] auto& observer() noexcept { return unwrap(observer_); }

    struct Terms {
        bool stored;     // the storage has the letter, durably if it can
        bool must_note;  // in the log, at once
    };

    /// Pushes the letter of an item to the storage, unless an earlier call did.
    ///
    /// Returns: whether the storage has it, durably after a flush.
    /// Errors: those of the log.   Throws: std::bad_alloc; what the storage throws.
    template <class Log>
    [[nodiscard]] Result<bool> push(WorkItems<Log>& items, const WorkPlace& item,
                                    DeathCause cause) {
        if (std::same_as<DeadLetters, KeepDead> || cause == DeathCause::unreadable ||
            is_dropped(items, cause)) {
            return false;
        }
        items.slots().reserve();
        items.reserve_for_gone();
        WorkEntry entry;
        if (const std::error_code error = items.read(item.position, entry)) return error;
        WorkSlot& slot = items.slots()[items.table().slot_of(item)];
        slot.sent = slot.sent || push_dead_letter(storage_, entry.tail);
        return static_cast<bool>(slot.sent);
    }

    [[nodiscard]] bool flush() { return flush_dead_letters(storage_); }

    /// Ends the lease of an item that is dead. If its death must be noted and noting fails, nothing
    /// changes. The observer may query `queue`.
    ///
    /// Errors: those of the log.   Throws: std::bad_alloc; what the observer throws.
    template <class W, class Log>
    [[nodiscard]] std::error_code make_dead(const W& queue, WorkItems<Log>& items,
                                            const WorkPlace& item, DeathCause cause, Terms terms) {
        using Hooks = WorkHooks<const W>;
        constexpr bool body_is_wanted = has_hook_of<typename Hooks::Dead, Observer> ||
                                        has_hook_of<typename Hooks::Dropped, Observer>;
        Bytes body;
        if (cause != DeathCause::unreadable && body_is_wanted) {
            WorkEntry entry;
            if (const std::error_code error = items.read(item.position, entry)) return error;
            body.assign(entry.tail.begin(), entry.tail.end());
        }
        WorkSlots& slots = items.slots();
        slots.reserve();
        items.reserve_for_gone();
        const std::uint32_t i = items.table().slot_of(item);
        const DeadWork dead{item.id, body, cause, slots[i].deliveries};
        if (is_dropped(items, cause)) {
            items.free_key(items.table().place_of(i));
            items.finish(items.table().place_of(i));
            notify<typename Hooks::Dropped>(observer_, queue, dead);
            return items.failed();
        }
        if (terms.stored) {
            // The item is finished only now, so a crash before this entry is durable leaves it in
            // both places.
            items.free_key(items.table().place_of(i));
            items.finish(items.table().place_of(i));
        } else {
            WorkSlot noted = slots[i];
            noted.cause = static_cast<std::uint8_t>(cause);
            noted.token = 0;
            noted.unnoted = noted.ahead = noted.sent = false;
            if (!terms.must_note) {
                items.note_soon(noted);
            } else if (const std::error_code error = items.note(noted)) {
                return error;
            }
            slots[i] = noted;
            slots.make_dead(i);
            if (cause == DeathCause::expired) items.free_key(items.table().place_of(i));
        }
        notify<typename Hooks::Dead>(observer_, queue, dead);
        return items.failed();
    }

private:
    template <class Log>
    [[nodiscard]] static bool is_dropped(const WorkItems<Log>& items, DeathCause cause) noexcept {
        return cause == DeathCause::expired &&
               items.options().expired == WorkOptions::Expired::drop;
    }

    [[no_unique_address]] DeadLetters storage_;
    [[no_unique_address]] Observer observer_;
};

/// The leases of the items, which it owns. `letters` is a WorkDeadLetters, which takes the dead
/// items of `queue`.
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
    template <class Letters, class W>
    [[nodiscard]] Result<Lease> lease(Moment moment, Letters& letters, const W& queue) {
        items_.set_clock(moment);
        items_.tidy();
        make_due_ready();
        for (;;) {
            Dying dying;
            Result<Lease> next = lease_next(letters, queue, dying);
            if (dying.count == 0) return next;
            // One flush for all letters: one for each would block for minutes when many expire.
            const bool stored = letters.flush();
            for (std::size_t i = 0; i < dying.count; ++i) {
                const WorkPlace item = table().place_of(dying.slots[i]);
                const std::error_code lost =
                    letters.make_dead(queue, items_, item, dying.causes[i], {stored, false});
                if (lost) return lost;
            }
            if (next.error() != QueueErrc::queue_empty) return next;
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
    template <class Letters, class W>
    [[nodiscard]] std::error_code nack(const Lease& lease, Moment moment, Duration delay,
                                       Letters& letters, const W& queue) {
        if (const std::error_code error = check(lease)) return error;
        items_.set_clock(moment);
        items_.tidy();
        WorkSlot& slot = slots()[lease.slot];
        if (is_spent(slot)) {
            const WorkPlace item = table().place_of(lease.slot);
            const Result<bool> pushed = letters.push(items_, item, DeathCause::failed);
            if (!pushed) return pushed.error();
            const bool stored = *pushed && letters.flush();
            return letters.make_dead(queue, items_, item, DeathCause::failed, {stored, true});
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

    /// Items whose letters were pushed, and are not flushed. They are delayed until the time of
    /// this call, so that the next one continues if this one ends early.
    struct Dying {
        static constexpr std::size_t max = 256;
        std::array<std::uint32_t, max> slots;
        std::array<DeathCause, max> causes;
        std::size_t count = 0;
    };
    /// Leases the first item, unless items before it are dying.
    ///
    /// Errors: queue_empty, also if items are dying; those of the log.
    template <class Letters, class W>
    [[nodiscard]] Result<Lease> lease_next(Letters& letters, const W& queue, Dying& dying) {
        while (dying.count != Dying::max) {
            if (const std::error_code error = items_.failed()) return error;
            const WorkPlace item = table().first_ready();
            if (item.id == 0 || items_.reads().is_paused(items_.clock().now)) break;
            WorkEntry entry;
            const std::error_code error = items_.read(item.position, entry);
            if (error && !is_unreadable(item, error)) return error;
            const DeathCause cause = error ? DeathCause::unreadable : why_dead(item, entry);
            if (cause == DeathCause::none) {
                if (dying.count != 0) break;
                return start_lease(item, entry);
            }
            const Result<bool> pushed = letters.push(items_, item, cause);
            if (!pushed) return pushed.error();
            const WorkPlace place = table().find(item.id);
            if (*pushed) {
                slots().make_wait(place.slot, WorkItem::State::delayed, items_.clock().now);
                dying.slots[dying.count] = place.slot;
                dying.causes[dying.count++] = cause;
            } else if (const std::error_code lost =
                           letters.make_dead(queue, items_, place, cause, {false, false})) {
                return lost;
            }
        }
        return make_error_code(QueueErrc::queue_empty);
    }

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

}  // namespace detail

/// A durable queue whose items are leased, and acknowledged in any order.
///
/// It has leases, delays, dead letters, expiry and idempotency keys. Every durable fact is an entry
/// of the log (docs/reference/formats/work-queue.md), so the log's promises about crashes hold for
/// all of them. After a crash, each item that was durable is there again, once, unless its `ack`
/// was durable.
///
/// Items are leased in the order of their pushes, among those that can be leased. An item that was
/// returned, or whose lease timed out, is at its old place again. Leases are kept only in memory:
/// opening ends all of them.
///
/// - `DeadLetters` is KeepDead, or a storage that accepts Bytes. A letter that the storage rejects
///   is kept as by KeepDead. A crash, or a `flush` or `commit` of the storage that fails, may leave
///   a letter in both; none is lost.
/// - `Observer` has the hook `on_dead(const DeadWork&)`: an item is not leased any more. It is not
///   called for what an opening finds damaged: see `dead`. Its hook `on_dropped(const DeadWork&)`
///   reports an item that expired and was removed. Hooks may query the queue, but must not change
///   it.
///
/// Each call gets the time. Waits use `Moment::now`, and stored times use `Moment::wall`. A wall
/// clock that jumps can therefore only shorten a stored delay; if it jumps ahead, work expires
/// early.
///
/// The destructor gives the acknowledgements to the log, as far as the log accepts them. To be
/// sure, call `commit` before.
///
/// Thread safety: one thread at a time.
/// Throws:        std::bad_alloc, and then nothing has changed, except where Errors: has
///                not_enough_memory, and in lease, purge and purge_dead: items that these had
///                removed, or made available or dead, stay so, and another call continues; what the
///                observer throws.
/// Allocates:     nothing in push, lease and ack, once it is as full as it ever was, except for the
///                body of an item that dies, if an observer or a storage for dead letters receives
///                it.
/// Memory:        in addition to the log, 4.25 bytes for each of its entries, and 64 for each item
///                that is leased, delayed, dead, was returned or copied forward. The capacity is a
///                power of two of them, and never shrinks.
/// Blocks:        as the log; `commit` always; lease, release and nack when items or keys are
///                copied; lease with count_before_lease.
/// Source:        leases and delivery counts as in Amazon SQS; fencing tokens: M. Kleppmann, "How
///                to do distributed locking" (2016); copying live entries forward: M. Rosenblum, J.
///                Ousterhout, "The Design and Implementation of a Log-Structured File System"
///                (1992).
template <LogLike Log, class DeadLetters = KeepDead, class Observer = NoObserver>
class WorkQueue {
    using Work = detail::WorkLeasing<Log>;
    using Letters = detail::WorkDeadLetters<DeadLetters, Observer>;

public:
    /// Opens a queue: reads the log, to which nothing else may append, and continues at its end.
    ///
    /// An entry that the log reports as damaged is treated as an item, and kept as a dead letter. A
    /// key in it is forgotten.
    /// Errors:     bad_options; foreign_file: the log was salvaged as a journal; an entry that
    ///             cannot be understood, with its number.
    /// Complexity: O(bytes) of the entries in the log; reads all of them, each once.
    [[nodiscard]] static Result<WorkQueue, WorkError> open(Log log, DeadLetters dead,
                                                           const WorkOptions& options,
                                                           Moment moment,
                                                           Observer observer = Observer()) {
        if (WorkError error = why_not_possible(options, log)) return error;
        auto work = std::make_unique<Work>(std::move(log), options, moment);
        if (WorkError error = detail::WorkReplay<Log>{work->items()}.run()) return error;
        return WorkQueue{std::move(work), {std::move(dead), std::move(observer)}};
    }
    /// Opens a queue without a storage for dead letters; the type of the observer need not be
    /// named.
    template <class O = Observer, std::default_initializable D = DeadLetters>
    [[nodiscard]] static Result<WorkQueue<Log, D, O>, WorkError> open(Log log,
                                                                      const WorkOptions& options,
                                                                      Moment moment,
                                                                      O observer = O()) {
        return WorkQueue<Log, D, O>::open(std::move(log), D{}, options, moment,
                                          std::move(observer));
    }

    /// Does not compile, because the time is missing.
    template <class... Without>
        requires(sizeof...(Without) == 0)
    static Result<WorkQueue, WorkError> open(Log, const WorkOptions&, Without...) {
        static_assert(sizeof...(Without) != 0,
                      "WorkQueue::open: pass the moment after the options: open(log, options, "
                      "Moment{now, wall})");
        return WorkError{};
    }

    // ---- work -----------------------------------------------------------------------------------

    /// Adds an item and returns its id; ids increase. The item is durable after the next `commit`.
    ///
    /// Errors:     bad_argument: delay < 0ns, expires_after <= 0ns, or a key although the queue has
    ///             no window of keys; duplicate, key_conflict: of the key; queue_full: items_max or
    ///             bytes_max is reached; too_large; those of the log. Nothing was added then.
    /// Complexity: O(length), amortized.
    [[nodiscard]] Result<std::uint64_t> push(BytesView body, Moment moment,
                                             const PushOptions& with = {}) {
        const bool keyed = !with.key.empty();
        if (with.delay.count() < 0 || with.expires_after.count() <= 0 ||
            (keyed && items().options().keys == 0)) {
            return make_error_code(QueueErrc::bad_argument);
        }
        return work().push(body, moment, with);
    }
    /// Adds a text as bytes.
    template <detail::TextForBytes<Bytes> T>
    [[nodiscard]] Result<std::uint64_t> push(const T& text, Moment moment,
                                             const PushOptions& with = {}) {
        return push(as_bytes(std::string_view{text}), moment, with);
    }

    /// Makes everything durable that was pushed, acknowledged, returned, revived, purged and kept
    /// before. Call it once for all calls of a turn: the cost is the same.
    ///
    /// Errors: those of the log; after a lack of space you may call it again, and nothing is lost.
    /// - too_large: everything is durable. An item that must be copied forward, or a part of the
    ///   keys, is too long for the log, so the log grows.
    /// - not_enough_memory: pushes are durable; ends may not be, or copies are due. A later call
    ///   continues.
    [[nodiscard]] std::error_code commit() noexcept { return items().commit(); }
    /// Makes everything durable as `commit` does, and on the medium, in every mode of the log.
    template <FlushableLike L = Log>
    [[nodiscard]] std::error_code flush() noexcept {
        const std::error_code error = commit();
        // Appended entries are flushed even if others could not be appended.
        const std::error_code of_log = items().log().flush();
        return error ? error : of_log;
    }
    /// Returns whether `flush` has something to make durable. Ends that the log already has count
    /// if the log reports which of them are durable: `acked_durable()`.
    template <FlushableLike L = Log>
    [[nodiscard]] bool unflushed() const noexcept {
        return items().has_unnoted() || log().unflushed();
    }

    /// Leases the first item that can be leased, for `WorkOptions::lease`.
    ///
    /// Before that, items whose lease is past its deadline become available. Items that are
    /// expired, unreadable or were leased too often become dead letters. An item is unreadable if
    /// the log reports it as damaged. If the log cannot read an item, and has not failed, the item
    /// is delayed, and the call returns the error. The item is unreadable after its reads returned
    /// io_error for a minute, and none succeeded.
    ///
    /// Errors:     queue_empty: nothing can be leased before `deadline()`; those of the log, and
    ///             with `count_before_lease` of `commit`: after a crash, the delivery may then
    ///             count although nothing was leased.
    /// Complexity: O(length + log(leased and delayed)), amortized.
    [[nodiscard]] Result<Lease> lease(Moment moment) {
        return work().lease(moment, dead_letters_, *this);
    }

    /// Acknowledges that the work is done, and removes the item.
    ///
    /// It is also valid after the deadline, until the item is leased again or dead.
    /// Errors: lease_ended; the error of `failed`.   Complexity: O(log(leased and delayed)).
    [[nodiscard]] std::error_code ack(const Lease& lease) { return work().ack(lease); }

    /// Returns an item whose work could not be done.
    ///
    /// The item can be leased again after `delay`, at its old place. If it was leased as often as
    /// allowed, it becomes a dead letter instead, which stays here if `DeadLetters` rejects it.
    ///
    /// Errors: bad_argument: delay < 0ns; lease_ended; those of the log. The lease then continues,
    /// unless it had ended.
    [[nodiscard]] std::error_code nack(const Lease& lease, Moment moment,
                                       Duration delay = Duration::zero()) {
        if (delay.count() < 0) return make_error_code(QueueErrc::bad_argument);
        return work().nack(lease, moment, delay, dead_letters_, *this);
    }
    /// Returns an item of whose work nothing was done. The delivery does not count.
    ///
    /// For example, a breaker or a limit of this program has rejected the call. With `nack`, an
    /// outage would use up all deliveries without a call. The item can be leased again after
    /// `delay`, at its old place, however often it is released. `PushOptions::expires_after` limits
    /// this. It needs no space in the log: what cannot be recorded now is recorded by a later
    /// `commit`. Without a delay, a worker that does not wait leases the same item again at once.
    ///
    /// Errors: bad_argument: delay < 0ns; lease_ended; the error of `failed`. If this never
    /// becomes durable, the delivery may count, and the delay may be forgotten.
    [[nodiscard]] std::error_code release(const Lease& lease, Moment moment, Duration delay) {
        if (delay.count() < 0) return make_error_code(QueueErrc::bad_argument);
        return work().release(lease, moment, delay);
    }

    /// Extends a lease until `duration` from now.
    ///
    /// It is also valid after the deadline, until the item is leased again or dead.
    /// Errors: bad_argument: duration <= 0ns, and the lease is as it was; lease_ended; the error of
    /// `failed`.
    [[nodiscard]] std::error_code extend(Lease& lease, Moment moment, Duration duration) {
        if (duration.count() <= 0) return make_error_code(QueueErrc::bad_argument);
        return work().extend(lease, after(moment.now, duration));
    }

    /// Returns the body of an item that is not gone, valid until the next call that is not const.
    ///
    /// Errors: unknown_number; corrupt; those of the log.
    [[nodiscard]] Result<BytesView> read(std::uint64_t id) {
        const detail::WorkPlace item = items().table().find(id);
        if (item.id == 0) return make_error_code(QueueErrc::unknown_number);
        detail::WorkEntry entry;
        if (const std::error_code error = items().read(item.position, entry)) return error;
        return entry.tail;
    }

    /// Removes everything that is not dead, including what is leased.
    ///
    /// Errors: the error of `failed`.   Complexity: O(items).
    [[nodiscard]] std::error_code purge() { return detail::purge(items(), false); }

    /// Frees a key: the next push with it is accepted. An unknown key is free already. This becomes
    /// durable with the next `commit`.
    ///
    /// A key is freed without a call if its item ends without `ack`: it expires, is purged, or is
    /// moved to the storage of dead letters. The key of an item that was acknowledged, or of a dead
    /// letter that is kept here and did not expire, is not free until `keys` others have followed.
    ///
    /// Errors: the error of `failed`.   Complexity: O(length).
    [[nodiscard]] std::error_code forget_key(std::string_view key) {
        items().reserve_for_gone();
        items().free_key(items().keys().print(key));
        return failed();
    }

    // ---- dead letters that are kept here --------------------------------------------------------

    /// Makes a dead letter available again, as if it had never been leased. It does not expire any
    /// more.
    ///
    /// Errors: unknown_number: no dead letter has this id; those of the log.
    [[nodiscard]] std::error_code revive(std::uint64_t id, Moment moment) {
        items().set_clock(moment);
        return detail::revive(items(), id);
    }
    /// Removes all dead letters.   Errors: the error of `failed`.   Complexity: O(slots).
    [[nodiscard]] std::error_code purge_dead() { return detail::purge(items(), true); }
    /// Passes all dead letters, by id, to `visitor(const WorkItem&)`, which must not call the
    /// queue. The body of an unreadable one is empty.
    ///
    /// Errors: those of the log.   Allocates: 4 bytes for each.
    template <class Visitor>
    [[nodiscard]] std::error_code for_each_dead(Visitor&& visitor) {
        return detail::show_dead(items(), visitor);
    }

    // ---- a note next to the work, if the log keeps one ------------------------------------------

    /// Stores a note next to the work, which replaces the note before, as `Journal::keep` does.
    ///
    /// The note is, for example, the history of a policy. A note without bytes is no note. It is
    /// durable after the next `commit`, and stays when finished items are released.
    ///
    /// Errors: those of the log: too_large, no space, the error of `failed`. The note was not
    /// stored then.
    /// Complexity: O(length).
    template <detail::KeepsNote L = Log>
    [[nodiscard]] std::error_code keep(BytesView note) noexcept {
        return items().log().keep(note);
    }
    /// Returns the kept note, valid until the next `keep`; no bytes if there is none.
    template <detail::KeepsNote L = Log>
    [[nodiscard]] BytesView kept() const noexcept {
        return log().kept();
    }

    // ---- observers ------------------------------------------------------------------------------

    /// Returns the item that would be leased now, valid until the next call that is not const. It
    /// does not consider what `lease` finds first: delays and leases that have ended, and items
    /// that are expired or unreadable.
    ///
    /// Errors: queue_empty; those of the log.
    [[nodiscard]] Result<WorkItem> peek() {
        const detail::WorkPlace item = items().table().first_ready();
        if (item.id == 0) return make_error_code(QueueErrc::queue_empty);
        WorkItem shown;
        const auto keep = [&shown](const WorkItem& it) { shown = it; };
        if (const std::error_code error = detail::show(items(), item, keep)) return error;
        return shown;
    }
    /// Passes all items that are not dead, by id, to `visitor(const WorkItem&)`, which must not
    /// call the queue.
    ///
    /// Errors: those of the log.   Allocates: 4 bytes for each slot.
    template <class Visitor>
    [[nodiscard]] std::error_code for_each(Visitor&& visitor) {
        return detail::show_living(items(), visitor);
    }

    /// Returns when there may be an item to lease: `always` if there is one now, `never` if nothing
    /// is leased or delayed. After an item could not be read, it is the time of the next read,
    /// unless another item can be leased. Use it as the deadline of the machine that works the
    /// queue off.
    [[nodiscard]] Instant deadline() const noexcept { return items().deadline(); }
    /// Returns how many items wait, are leased or delayed.
    [[nodiscard]] std::size_t size() const noexcept { return items().living(); }
    /// Returns whether nothing waits or is leased.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Returns how many items are leased now.
    [[nodiscard]] std::size_t leased() const noexcept { return items().slots().leased(); }
    /// Returns how many are delayed, or wait for another read.
    [[nodiscard]] std::size_t delayed() const noexcept { return items().slots().delayed(); }
    /// Returns how many dead letters are kept here.
    [[nodiscard]] std::size_t dead() const noexcept { return items().slots().dead(); }
    /// Returns the bytes that items, including dead ones, take in the log.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return items().table().positions().held_bytes();
    }
    /// Returns the age of the oldest item that is not dead, by the wall clock. It is 0ns if there
    /// is none, or if the clock went back.
    ///
    /// Errors: those of the log.   Complexity: O(slots).
    [[nodiscard]] Result<Duration> oldest(WallTime now) { return detail::oldest(items(), now); }
    /// Returns the failure of the log after which nothing more is accepted, leased or acknowledged.
    [[nodiscard]] std::error_code failed() const noexcept { return log().failed(); }
    /// Returns the log, for its numbers and its id. Only the queue may append and acknowledge.
    [[nodiscard]] const Log& log() const noexcept { return items().log(); }
    /// Returns the storage for dead letters. Do not replace it: it may have letters of items that
    /// are still in the queue.
    [[nodiscard]] DeadLetters& dead_letters() noexcept { return dead_letters_.storage(); }
    [[nodiscard]] auto& observer() noexcept { return dead_letters_.observer(); }

    WorkQueue(WorkQueue&&) = default;
    /// Assigns by moving. A queue moved to itself stays unchanged, even if the storage for dead
    /// letters would not.
    WorkQueue& operator=(WorkQueue&& other) noexcept(std::is_nothrow_move_assignable_v<Letters>)
        requires std::is_move_assignable_v<Letters>
    {
        if (this == &other) return *this;
        work_ = std::move(other.work_);
        dead_letters_ = std::move(other.dead_letters_);
        return *this;
    }
    ~WorkQueue() = default;

private:
    /// Returns why a queue cannot be opened with these options over this log. If the log accepted
    /// only shorter records than the queue may write, it could reject copies of items and keys, and
    /// would then grow.
    [[nodiscard]] static WorkError why_not_possible(const WorkOptions& o, const Log& log) noexcept {
        const std::error_code bad = make_error_code(QueueErrc::bad_options);
        if (const std::string_view wrong = o.check(); !wrong.empty()) return {bad, 0, wrong};
        if constexpr (detail::HasRecordLimit<Log>) {
            const std::size_t most = log.record_bytes_max();
            if (o.record_bytes_max > most) return {bad, 0, {}, o.record_bytes_max, most};
        }
        return {};
    }

    WorkQueue(std::unique_ptr<Work> work, Letters letters)
        : work_{std::move(work)}, dead_letters_{std::move(letters)} {
        static_assert(detail::explain_observer<detail::WorkHooks<const WorkQueue>, Observer>());
    }

    [[nodiscard]] Work& work() const noexcept {
        BELAY_PRECONDITION(work_ != nullptr,
                           "WorkQueue: the queue must not be used after it was moved from");
        return *work_;
    }
    [[nodiscard]] detail::WorkItems<Log>& items() const noexcept { return work().items(); }

    std::unique_ptr<Work> work_;
    [[no_unique_address]] Letters dead_letters_;
};

namespace detail {

template <class Log>
struct LogOfOpened {
    static_assert(!sizeof(Log),
                  "WorkQueue: a queue is opened, because that reads its log and may fail: "
                  "WorkQueue<Log>::open(std::move(log), options, moment); see "
                  "docs/how-to/job-queue.md");
    using Type = Log;
};

}  // namespace detail

/// Does not compile, because a queue is opened.
template <class Log, class... More>
    requires LogLike<std::remove_cvref_t<Log>>
WorkQueue(Log&&, More&&...)
    -> WorkQueue<typename detail::LogOfOpened<std::remove_cvref_t<Log>>::Type>;

}}  // namespace belay
