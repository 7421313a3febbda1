// SPDX-License-Identifier: MIT
/// \file belay/work/work_queue.hpp
/// WorkQueue: work that is leased and acknowledged item by item, over any durable log.
#pragma once

#include <concepts>     // std::default_initializable
#include <memory>       // std::make_unique, std::unique_ptr
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_move_assignable_v
#include <utility>      // std::move

#include <belay/core/observer.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/work/detail/work_dead_letters.hpp>
#include <belay/work/detail/work_leasing.hpp>
#include <belay/work/detail/work_replay.hpp>
#include <belay/work/detail/work_view.hpp>

namespace belay { inline namespace BELAY_ABI {

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
/// Blocks:        as the log; `commit` always; lease and nack when items or keys are copied.
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
    /// io_error for `WorkOptions::unreadable_after`, and none succeeded.
    ///
    /// Errors:     queue_empty: nothing can be leased before `deadline()`; those of the log, and
    ///             with `count_before_lease` of `commit`: after a crash, the delivery may then
    ///             count although nothing was leased.
    /// Complexity: O(length + log(leased and delayed)), amortized.
    [[nodiscard]] Result<Lease> lease(Moment moment) {
        auto letters = dead_letters_.of(*this);
        return work().lease(moment, letters);
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
        auto letters = dead_letters_.of(*this);
        return work().nack(lease, moment, delay, letters);
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
