// SPDX-License-Identifier: MIT
/// \file belay/work/work_queue.hpp
/// WorkQueue: work that is lent and acknowledged item by item, over any durable log.
#pragma once

#include <concepts>     // std::default_initializable
#include <memory>       // std::make_unique, std::unique_ptr
#include <type_traits>  // std::is_move_assignable_v
#include <utility>      // std::move

#include <belay/core/observer.hpp>
#include <belay/journal/detail/keeps_note.hpp>
#include <belay/queue/flushable_like.hpp>
#include <belay/work/detail/work_dead_letters.hpp>
#include <belay/work/detail/work_leasing.hpp>
#include <belay/work/detail/work_limits.hpp>
#include <belay/work/detail/work_replay.hpp>
#include <belay/work/detail/work_view.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A durable queue with leases, delays, acknowledgement in any order, dead letters, expiry and
/// idempotency keys.
///
/// Every durable fact is an entry of the log (docs/work-queue-format.md), so that what the log
/// promises about crashes holds for all of it: each item that was durable is there again after one,
/// once, unless its `ack` was durable.
///
/// Items are lent in the order of their pushes, among those that can be lent; one that was given
/// back or whose loan timed out is at its place again. Loans live in memory: opening ends all.
///
/// `DeadLetters`: KeepDead, or a storage that takes Bytes; what it refuses is kept as by KeepDead.
/// A crash, or a `flush` or `commit` of it that fails, may leave a letter in both; none is lost.
/// `Observer`: `on_dead(const DeadWork&)`: not lent any more (not of what an opening finds damaged:
/// see `dead`); `on_dropped(const DeadWork&)`: expired and removed. They may ask the queue, and
/// must not change it.
///
/// Time comes with each call: waits go by `Moment::now`; what is stored goes by `Moment::wall`, so
/// that a wall clock that jumps can only shorten a stored delay; ahead, it expires work early.
///
/// Its end tells the log what is acknowledged, as far as it takes it; who must know calls `commit`
/// before.
///
/// Thread safety: one thread at a time.
/// Throws:        std::bad_alloc, and then nothing has changed, except where Errors: has
///                not_enough_memory; what the observer throws.
/// Allocates:     nothing in push, lease and ack, once it is as full as it ever was, but for the
///                body of an item that dies, if somebody wants it; beyond the log 4.25 bytes for
///                each of its entries, and 64 for each item that is lent, delayed, dead, was given
///                back or copied forward; room is for a power of two of them, and stays.
/// Blocks:        as the log; `commit` always; lease and nack when items or keys are copied.
/// Source:        leases and delivery counts as in Amazon SQS; fencing tokens: M. Kleppmann,
///                "How to do distributed locking" (2016); copying live entries forward:
///                M. Rosenblum, J. Ousterhout, "The Design and Implementation of a Log-Structured
///                File System" (1992).
template <LogLike Log, class DeadLetters = KeepDead, class Observer = NoObserver>
class WorkQueue {
    using Work = detail::WorkLeasing<Log>;
    using Letters = detail::WorkDeadLetters<DeadLetters, Observer>;

public:
    /// Reads the log, which nothing else may append to, and goes on where it ends.
    ///
    /// What the log calls damaged is taken for an item, and kept as a dead letter; a key in it is
    /// forgotten.
    /// Errors:     bad_options; foreign_file: the log was salvaged as a journal; an entry that
    ///             cannot be understood, with its number.
    /// Complexity: O(bytes) of the entries in the log; reads them all, each once.
    [[nodiscard]] static Result<WorkQueue, WorkError> open(Log log, DeadLetters dead,
                                                           const WorkOptions& options,
                                                           Moment moment,
                                                           Observer observer = Observer()) {
        if (WorkError error = detail::why_not_possible(options, log)) return error;
        auto work = std::make_unique<Work>(std::move(log), options, moment);
        if (WorkError error = detail::WorkReplay<Log>{work->items()}.run()) return error;
        return WorkQueue{std::move(work), {std::move(dead), std::move(observer)}};
    }
    /// The same without a place for dead letters; the type of the observer need not be named.
    template <class O = Observer, std::default_initializable D = DeadLetters>
    [[nodiscard]] static Result<WorkQueue<Log, D, O>, WorkError> open(Log log,
                                                                      const WorkOptions& options,
                                                                      Moment moment,
                                                                      O observer = O()) {
        return WorkQueue<Log, D, O>::open(std::move(log), D{}, options, moment,
                                          std::move(observer));
    }

    /// Does not compile: time is passed in.
    template <class... Without>
        requires(sizeof...(Without) == 0)
    static Result<WorkQueue, WorkError> open(Log, const WorkOptions&, Without...) {
        static_assert(sizeof...(Without) != 0,
                      "WorkQueue::open: the moment comes after the options: open(log, options, "
                      "Moment{now, wall})");
        return WorkError{};
    }

    // ---- work -----------------------------------------------------------------------------------

    /// Takes work, and gives its id; ids grow. It is durable after the next `commit`.
    ///
    /// Errors:     duplicate, key_conflict: of the key; queue_full: items_max or bytes_max is
    ///             reached; too_large; those of the log. Nothing was taken then.
    /// Pre:        delay >= 0ns, expires_after > 0ns; a key only if the queue has a window of keys.
    /// Complexity: O(length), amortized.
    [[nodiscard]] Result<std::uint64_t> push(BytesView body, Moment moment,
                                             const PushOptions& with = {}) {
        BELAY_PRECONDITION(with.delay.count() >= 0 && with.expires_after.count() > 0,
                           "WorkQueue::push: delay must be >= 0ns, expires_after > 0ns");
        BELAY_PRECONDITION(with.key.empty() || items().options().keys != 0,
                           "WorkQueue::push: keys need WorkOptions::keys");
        return work().push(body, moment, with);
    }

    /// Makes durable what was pushed, acknowledged, given back, revived, purged and kept before.
    /// Once for all that a turn did: it costs the same.
    ///
    /// Errors: those of the log; without space it may be called again, and nothing is lost.
    ///         too_large: all is durable, but an item that must be copied forward, or a part of
    ///         the keys, is too long for the log, which grows. not_enough_memory: what was pushed
    ///         is durable; ends may not be, or copies are due. A later call goes on.
    [[nodiscard]] std::error_code commit() noexcept { return items().commit(); }
    /// As `commit`, and onto the medium, whatever the mode of the log.
    template <FlushableLike L = Log>
    [[nodiscard]] std::error_code flush() noexcept {
        const std::error_code error = commit();
        // What was appended does not wait for what could not be.
        const std::error_code of_log = items().log().flush();
        return error ? error : of_log;
    }
    /// Whether `flush` has something to make durable. Ends of which the log was told count if it
    /// tells whether they are: `acked_durable()`.
    template <FlushableLike L = Log>
    [[nodiscard]] bool unflushed() const noexcept {
        return items().has_unnoted() || log().unflushed();
    }

    /// Lends the first item that can be lent, for `WorkOptions::lease`.
    ///
    /// On the way, loans whose time is over end, and items that are expired, unreadable or were
    /// lent often enough become dead letters. An item is unreadable if the log says it is damaged,
    /// or at the second answer io_error while the log has not failed.
    ///
    /// Errors:     queue_empty: nothing can be lent before `deadline()`; those of the log, and
    ///             with `count_before_lending` of `commit`: the delivery may count then, unlent.
    /// Complexity: O(length + log(lent and delayed)), amortized.
    [[nodiscard]] Result<Lease> lease(Moment moment) {
        auto letters = dead_letters_.of(*this);
        return work().lease(moment, letters);
    }

    /// The work is done: the item is gone.
    ///
    /// Also after the deadline, until the item is lent again or dead.
    /// Errors: lease_ended; what `failed` says.   Complexity: O(log(lent and delayed)).
    [[nodiscard]] std::error_code ack(const Lease& lease) { return work().ack(lease); }

    /// The work could not be done: the item can be lent again after `delay`, at its place; or it
    /// becomes a dead letter, if it was lent as often as it may be: here, if `DeadLetters` refuses
    /// it.
    ///
    /// Errors: lease_ended; those of the log: the loan goes on then.   Pre: delay >= 0ns.
    [[nodiscard]] std::error_code nack(const Lease& lease, Moment moment,
                                       Duration delay = Duration::zero()) {
        BELAY_PRECONDITION(delay.count() >= 0, "WorkQueue::nack: delay must be >= 0ns");
        auto letters = dead_letters_.of(*this);
        return work().nack(lease, moment, delay, letters);
    }

    /// The loan lasts until `duration` from now.
    ///
    /// Also after the deadline, until the item is lent again or dead.
    /// Errors: lease_ended; what `failed` says.   Pre: duration > 0ns.
    [[nodiscard]] std::error_code extend(Lease& lease, Moment moment, Duration duration) {
        BELAY_PRECONDITION(duration.count() > 0, "WorkQueue::extend: duration must be > 0ns");
        return work().extend(lease, after(moment.now, duration));
    }

    /// The body of an item that is not gone, until the next call that is not const.
    ///
    /// Errors: unknown_number; corrupt; those of the log.
    [[nodiscard]] Result<BytesView> read(std::uint64_t id) {
        const detail::WorkPlace item = items().table().find(id);
        if (item.id == 0) return make_error_code(QueueErrc::unknown_number);
        detail::WorkEntry entry;
        if (const std::error_code error = items().read(item.position, entry)) return error;
        return entry.tail;
    }

    /// Removes everything that is not dead, also what is lent.
    ///
    /// Errors: what `failed` says.   Complexity: O(items).
    [[nodiscard]] std::error_code purge() { return detail::purge(items(), false); }

    // ---- dead letters that are kept here --------------------------------------------------------

    /// A dead letter can be lent again, as if it had never been, and does not expire any more.
    ///
    /// Errors: unknown_number: no dead letter has this id; those of the log.
    [[nodiscard]] std::error_code revive(std::uint64_t id, Moment moment) {
        items().tell(moment);
        return detail::revive(items(), id);
    }
    /// Removes all dead letters.   Errors: what `failed` says.   Complexity: O(slots).
    [[nodiscard]] std::error_code purge_dead() { return detail::purge(items(), true); }
    /// Shows all dead letters, by id, to `visitor(const WorkItem&)`, which must not call the queue.
    /// The body of one that is unreadable is empty.
    ///
    /// Errors: those of the log.   Allocates: 4 bytes for each.
    template <class Visitor>
    [[nodiscard]] std::error_code for_each_dead(Visitor&& visitor) {
        return detail::show_dead(items(), visitor);
    }

    // ---- a note beside the work, if the log keeps one -------------------------------------------

    /// Keeps a note beside the work, instead of the one before, as `Journal::keep`: the history of
    /// a policy, say. No bytes: no note. It is durable after the next `commit`, and stays when what
    /// is done is given up.
    ///
    /// Errors: those of the log: too_large, no space, what `failed` says. It was not taken then.
    /// Complexity: O(length).
    template <detail::KeepsNote L = Log>
    [[nodiscard]] std::error_code keep(BytesView note) noexcept {
        return items().log().keep(note);
    }
    /// The kept note, until the next `keep`; no bytes if there is none.
    template <detail::KeepsNote L = Log>
    [[nodiscard]] BytesView kept() const noexcept {
        return log().kept();
    }

    // ---- observers ------------------------------------------------------------------------------

    /// Shows the item that would be lent now, but for what `lease` finds on its way: delays and
    /// loans that have ended, and items that are expired or unreadable. Valid until the next call
    /// that is not const.
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
    /// Shows all items that are not dead, by id, to `visitor(const WorkItem&)`, which must not call
    /// the queue.
    ///
    /// Errors: those of the log.   Allocates: 4 bytes for each slot.
    template <class Visitor>
    [[nodiscard]] std::error_code for_each(Visitor&& visitor) {
        return detail::show_living(items(), visitor);
    }

    /// When there may be something to lend: `always` if there is now, `never` if nothing is lent or
    /// delayed. The deadline of whoever works the queue off.
    [[nodiscard]] Instant deadline() const noexcept { return items().table().deadline(); }
    /// How many items wait, are lent or delayed.
    [[nodiscard]] std::size_t size() const noexcept { return items().living(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::size_t leased() const noexcept { return items().slots().leased(); }
    [[nodiscard]] std::size_t delayed() const noexcept { return items().slots().delayed(); }
    /// How many dead letters are kept here.
    [[nodiscard]] std::size_t dead() const noexcept { return items().slots().dead(); }
    /// The bytes that items, also dead ones, take in the log.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return items().table().positions().held_bytes();
    }
    /// The age of the oldest item that is not dead, by the wall clock; 0ns if there is none, or the
    /// clock went back.
    ///
    /// Errors: those of the log.   Complexity: O(slots).
    [[nodiscard]] Result<Duration> oldest(WallTime now) { return detail::oldest(items(), now); }
    /// The failure of the log after which nothing more is taken, lent or acknowledged.
    [[nodiscard]] std::error_code failed() const noexcept { return log().failed(); }
    /// For its numbers and its id; appending and acknowledging are the queue's alone.
    [[nodiscard]] const Log& log() const noexcept { return items().log(); }
    /// It may have taken letters of items that are here still: another must not take its place.
    [[nodiscard]] DeadLetters& dead_letters() noexcept { return dead_letters_.storage(); }
    [[nodiscard]] auto& observer() noexcept { return dead_letters_.observer(); }

    WorkQueue(WorkQueue&&) = default;
    /// Moved to itself it stays as it is, whatever the place for dead letters would make of that.
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
    WorkQueue(std::unique_ptr<Work> work, Letters letters)
        : work_{std::move(work)}, dead_letters_{std::move(letters)} {
        static_assert(detail::explain_observer<detail::WorkHooks<const WorkQueue>, Observer>());
    }

    [[nodiscard]] Work& work() const noexcept {
        BELAY_PRECONDITION(work_ != nullptr, "WorkQueue: must not be used after it was moved from");
        return *work_;
    }
    [[nodiscard]] detail::WorkItems<Log>& items() const noexcept { return work().items(); }

    std::unique_ptr<Work> work_;
    [[no_unique_address]] Letters dead_letters_;
};

}}  // namespace belay
