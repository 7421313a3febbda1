// SPDX-License-Identifier: MIT
/// \file belay/room/detail/persistence_scheduler.hpp
/// PersistenceScheduler: schedules loads, flushes and saves of a manager, with deadlines.
#pragma once

#include <algorithm>     // std::find, std::find_if, std::lower_bound, std::none_of, std::sort
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <deque>         // std::deque
#include <exception>     // std::exception
#include <functional>    // std::less
#include <list>          // std::list
#include <map>           // std::map
#include <memory>        // std::make_unique, std::unique_ptr
#include <optional>      // std::nullopt, std::optional
#include <set>           // std::set
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move, std::pair
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/order.hpp>
#include <belay/room/detail/fair_queue.hpp>
#include <belay/room/detail/turn_context.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The persistence of a room server. An exception of a call would leave a turn in the middle, with
/// a change that is lost or a client that waits for nothing. So it becomes the error of that call:
/// RoomErrc::persistence_threw, or no answer where a Completion was passed. A call that has no
/// error is reported to `on_room_failed`. `take_exception_text` returns the text of the exception.
///
/// Thread safety: the manager's home thread.
template <class P>
class GuardedPersistence {
public:
    GuardedPersistence(TurnContext& context, P persistence)
        : context_{context}, inner_{std::move(persistence)} {}

    [[nodiscard]] P& inner() noexcept { return inner_; }
    /// Returns the text of the exception of the last call; empty if that call threw none.
    [[nodiscard]] std::string take_exception_text() { return std::exchange(what_, {}); }

    /// `change` is for a storage that several servers share.
    [[nodiscard]] std::error_code append(std::string_view id, BytesView update,
                                         const part::ChangeId& change) {
        return result([&] {
            if constexpr (FanoutLike<P>) return inner_.append(id, update, change);
            return inner_.append(id, update);
        });
    }
    [[nodiscard]] std::error_code reset(std::string_view id, const Id& epoch) {
        return result([&] { return inner_.reset(id, epoch); });
    }
    /// `again` is for a storage that several servers share.
    [[nodiscard]] std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        return result([&] {
            if constexpr (FanoutLike<P>) return inner_.begin(id, epoch, again);
            return inner_.reset(id, epoch);
        });
    }
    [[nodiscard]] std::error_code erase(std::string_view id) {
        return result([&] { return inner_.erase(id); });
    }
    [[nodiscard]] std::vector<std::string> rooms_to_save() {
        std::vector<std::string> rooms;
        if (call([&] { rooms = inner_.rooms_to_save(); })) report({});
        return rooms;
    }

    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        call([&] { inner_.load(id, std::move(done)); });
    }
    void flush(Completion<part::FlushedRooms> done) {
        call([&] { inner_.flush(std::move(done)); });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        call([&] { inner_.save(id, snapshot, covers, std::move(done)); });
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        call([&] { inner_.list(after, count, std::move(done)); });
    }
    void publish(std::string_view id, BytesView message) {
        if (call([&] { inner_.publish(id, message); })) report(std::string{id});
    }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        call([&] { inner_.subscribe(id, epoch, from, std::move(done)); });
    }

private:
    void report(const std::string& room_id) {
        context_.report_failure(room_id, {RoomErrc::persistence_threw, {}, take_exception_text()});
    }
    template <class F>
    [[nodiscard]] std::error_code result(F&& f) {
        std::error_code error;
        if (call([&] { error = f(); })) error = RoomErrc::persistence_threw;
        return error;
    }
    /// A Completion that was passed is destroyed with the exception, which answers it with "no".
    /// Returns: whether `f` threw.
    template <class F>
    bool call(F&& f) {
        what_.clear();
#if defined(__cpp_exceptions)
        try {
            f();
        } catch (const std::exception& error) {
            what_ = error.what();
            return true;
        } catch (...) {
            what_ = "an exception that is no std::exception";
            return true;
        }
#else
        f();
#endif
        return false;
    }

    TurnContext& context_;
    P inner_;
    std::string what_{};  // of the exception of the last call
};

using ErrorOfRoom = std::pair<std::string, std::error_code>;

/// Whether the error `a` of a room is before `b`. If a storage names a room several times, an error
/// of its change is before the end of its history.
[[nodiscard]] inline bool is_before(const ErrorOfRoom& a, const ErrorOfRoom& b) noexcept {
    if (const int order = a.first.compare(b.first); order != 0) return order < 0;
    const bool a_ended = a.second == RoomErrc::history_reset;
    const bool b_ended = b.second == RoomErrc::history_reset;
    return a_ended != b_ended ? b_ended : a.second.value() < b.second.value();
}
/// Sorts errors by rooms.   Complexity: O(n log n).
inline void sort_errors(std::vector<ErrorOfRoom>& rooms) noexcept {
    std::sort(rooms.begin(), rooms.end(), is_before);
}
/// Returns the first error of one room; none if it is not named.   Complexity: O(log n).
///
/// Pre: `error.rooms` is sorted.
[[nodiscard]] inline PersistenceError error_of_room(const PersistenceError& error,
                                                    std::string_view id) {
    const auto found =
        std::lower_bound(error.rooms.begin(), error.rooms.end(), id,
                         [](const ErrorOfRoom& one, std::string_view i) { return one.first < i; });
    if (found == error.rooms.end() || found->first != id) return {};
    const std::error_code& code = found->second;
    if (code == error.code) return {code, error.where, error.what, error.cure};
    return {code, {}, {}};
}

/// Returns the position or the epoch of a room after a flush; 0 or no_id if it has none.
///
/// Complexity: O(log n).   Pre: `of_rooms` are sorted.
template <class V>
[[nodiscard]] V value_of_room(const std::vector<std::pair<std::string, V>>& of_rooms,
                              std::string_view id) {
    const auto found =
        std::lower_bound(of_rooms.begin(), of_rooms.end(), id,
                         [](const auto& one, std::string_view i) { return one.first < i; });
    return found != of_rooms.end() && found->first == id ? found->second : V{};
}

/// The rooms with changes, and the erases and resets, of one flush.
struct FlushBatch {
    [[nodiscard]] bool empty() const noexcept {
        return rooms.empty() && admin.empty() && begun.empty();
    }
    void clear() noexcept {
        rooms.clear();
        admin.clear();
        begun.clear();
    }

    std::vector<RoomBase*> rooms{};
    std::vector<PendingAdmin> admin{};
    /// The storage accepted the reset of these rooms, but not the change that began the history.
    std::set<std::string, std::less<>> begun{};
};
/// A flush that has ended: what the storage has answered, and for what.
struct EndedFlush {
    /// Whether nothing of it is durable. Then `later` are lost, too.
    [[nodiscard]] bool has_failed() const noexcept {
        return answer.error && answer.error.rooms.empty();
    }
    /// Whether all of it is durable.
    [[nodiscard]] bool has_succeeded() const noexcept {
        return !answer.error && answer.error.rooms.empty();
    }
    /// Returns why the changes, the erase or the reset of a room are not durable; no error if they
    /// are.   Complexity: O(log n).
    [[nodiscard]] PersistenceError error_of(std::string_view id) const {
        return has_failed() ? answer.error : error_of_room(answer.error, id);
    }
    /// Returns the history of a room whose changes are durable, and the position of the last one.
    [[nodiscard]] RoomHistory history_of(std::string_view id) const {
        return {value_of_room(answer.epochs, id), value_of_room(answer.positions, id)};
    }

    part::FlushedRooms answer{};  ///< sorted by rooms
    FlushBatch of{};
    /// The rooms with later changes that are uncertain, too: those that the error names, or all.
    std::vector<RoomBase*> later{};
};

/// A change of a room, which is appended to the storage.
struct AppendedUpdate {
    BytesView update;
    std::uint64_t author = 0;    ///< a client's id; 0: the server's own
    Ref<RoomAccount> account{};  ///< which holds it; null: none
    Id first = no_id;            ///< the id of a history that it begins, if set
    bool known = false;  ///< it is in the document already, so its length was accepted before
};
/// A load that waits for a place.
struct QueuedLoad {
    RoomBase* room;
    Instant ends;  ///< when it has waited for too long; all wait for the same time
};
/// The loads that wait, and those that are under way. Loads of rooms that the server opens are
/// those of one user. The load of a room that is evicted meanwhile counts until the storage
/// answers, or its time is over: the storage still works on it.
struct LimitedLoads {
    explicit LimitedLoads(std::size_t most) noexcept : queue{most} {}

    void remove_ended(Instant now) noexcept {
        std::erase_if(of_evicted, [&](const auto& one) {
            const bool ended = one.second->has_ended(now);
            if (ended) queue.remove(one.first);
            return ended;
        });
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (queue.has_next()) return always;
        Instant next = queue.empty() ? never : queue.oldest()->ends;
        for (const auto& [number, call] : of_evicted) next = smaller(next, call->deadline());
        return next;
    }

    FairQueue<QueuedLoad> queue;
    std::map<std::uint64_t, std::unique_ptr<LoadCall>> of_evicted{};  // by their numbers
};
/// The rooms whose save waits, and the saves that are under way.
struct LimitedSaves {
    [[nodiscard]] std::size_t under_way() const noexcept { return of_rooms + of_evicted.size(); }
    /// Returns the first room of the queue whose save may begin. One that was evicted during its
    /// save, and is loaded again, waits for the end of that save.
    [[nodiscard]] auto next() const {
        return std::find_if(queue.begin(), queue.end(), [&](const RoomBase* room) {
            return std::none_of(of_evicted.begin(), of_evicted.end(),
                                [&](const auto& one) { return one->room_id == room->id; });
        });
    }

    std::deque<RoomBase*> queue{};
    std::size_t of_rooms = 0;  ///< under way, of rooms in memory
    /// Under way when their rooms were evicted, as after a failed reload.
    std::vector<std::unique_ptr<SaveCall>> of_evicted{};
};
/// The number of saves that are under way at a time. A flush may have to wait for them, and each
/// writes a whole document, whereas a client waits for a load. One that hangs stops no others.
[[nodiscard]] constexpr std::size_t saves_max(const RoomOptions& options) noexcept {
    return larger(options.loads_max / 16, smaller(options.loads_max, std::size_t{4}));
}

/// The rooms that the storage has requested to be saved. At most `saves_max` of them, but no more
/// than half of loads_max, are loaded and saved at a time. So their loads leave the other half to
/// clients, also if they hang. After its load or its save has ended, a room is not taken for
/// RoomCore::retry_min. So one that cannot be loaded is not loaded after every flush, and one that
/// stays in the log is not saved without end. Rooms that were not taken yet go before it, so a room
/// whose loads hang delays each other one once.
///
/// Thread safety: the manager's home thread.
class RequestedSaves {
public:
    /// A flush or a save has ended: the storage may request other rooms now.
    void note_change() noexcept { changed_ = true; }
    [[nodiscard]] bool take_change() noexcept { return std::exchange(changed_, false); }

    /// Returns the rooms of `requested` that may be taken: first those that were not taken before,
    /// in their order, and then those whose time is over, the longest first. Forgets rooms whose
    /// time is over, and which are not requested.
    [[nodiscard]] std::vector<std::string> prune_and_order(std::vector<std::string> requested,
                                                           Instant now) {
        std::erase_if(rooms_, [&](const auto& entry) {
            return entry.second && *entry.second <= now &&
                   std::find(requested.begin(), requested.end(), entry.first) == requested.end();
        });
        std::erase_if(requested, [&](const std::string& id) { return until(id) > now; });
        sort_stably(requested, [&](const std::string& a, const std::string& b) {
            return until(a) < until(b);
        });
        return requested;
    }
    /// Whether another room may be taken.
    [[nodiscard]] bool takes_another(const RoomOptions& options) const noexcept {
        std::size_t under_way = 0;
        for (const auto& [id, until] : rooms_) under_way += until ? 0U : 1U;
        return under_way <
               smaller(saves_max(options), larger(options.loads_max / 2, std::size_t{1}));
    }
    void add(const std::string& id) { rooms_.insert_or_assign(id, std::nullopt); }
    /// Neither the load nor the save of a room is queued or under way now. It may be taken again
    /// at `until`.
    void end(const std::string& id, Instant until) noexcept {
        const auto found = rooms_.find(id);
        if (found == rooms_.end() || found->second) return;
        found->second = until;
        changed_ = true;
    }

private:
    [[nodiscard]] Instant until(const std::string& id) const {
        const auto found = rooms_.find(id);
        return found != rooms_.end() ? found->second.value_or(never) : always;
    }

    /// When a room may be taken again; nothing while its load or its save is queued or under way.
    std::map<std::string, std::optional<Instant>> rooms_{};
    bool changed_ = false;
};

/// Loads, appends, flushes and saves. RoomCore decides when a room is loaded and saved; this part
/// decides when the call of the storage begins. One flush is under way at a time, for all rooms:
/// later changes wait for the next one. At most `saves_max` saves and RoomOptions::loads_max loads
/// run at a time, so that they do not delay a flush, and each one can end before its deadline.
///
/// It calls no part of the rooms: RoomManager::run_turn hands on what a flush has stored.
///
/// Thread safety: the manager's home thread.
template <PersistenceLike Persistence>
class PersistenceScheduler {
public:
    PersistenceScheduler(TurnContext& context, Persistence persistence)
        : context_{context},
          persistence_{context, std::move(persistence)},
          loads_{context.options.loads_max} {}
    PersistenceScheduler(const PersistenceScheduler&) = delete;
    PersistenceScheduler& operator=(const PersistenceScheduler&) = delete;

    void attach(const Waker& waker) {
        flush_.attach(waker);
        for (const auto& [number, call] : loads_.of_evicted) call->attach(waker);
        for (const auto& one : saves_.of_evicted) one->call.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (!saves_.queue.empty() && may_save() && saves_.next() != saves_.queue.end())
            return always;
        if (!flush_.waits() && !next_.empty()) return always;
        Instant next = smaller(flush_.deadline(), loads_.deadline());
        for (const auto& one : saves_.of_evicted) next = smaller(next, one->call.deadline());
        return next;
    }
    /// Returns the storage; `inner()` is the user's own object.
    [[nodiscard]] GuardedPersistence<Persistence>& persistence() noexcept { return persistence_; }

    // ---- loads ----------------------------------------------------------------------------------

    /// Begins a load, or queues it in the turns of this user and of the room's clients. A load that
    /// is queued gets the turns of this user, too. One that is under way is begun again: its answer
    /// may be older than the request.
    void begin_load(RoomBase& room, Ref<Account> user = {}) {
        std::uint64_t& number = room.calls.load_number;
        if (room.calls.load_waits()) return loads_.queue.share(number, user);
        room.calls.load_rejected = false;
        if (room.calls.load) return load(room);
        if (!user) user = room.calls.loads_for;
        if (loads_.queue.empty() && loads_.queue.may_begin(user)) {
            number = loads_.queue.begin(user);
            return load(room);
        }
        const Instant ends = after(answer_ends(), context_.options.answer_within);
        number = loads_.queue.push({&room, ends}, user);
        for (const auto* const clients : {&room.after_load.clients, &room.clients}) {
            for (const RoomClient* const client : *clients)
                loads_.queue.share(number, client->rights.account->of_user());
        }
        if (!room.after_load.imports.empty())
            loads_.queue.share(number, context_.accounts.server());
    }
    /// Whether the load is over. Sets `error`, or `found` to the stored room.
    bool take_load(RoomBase& room, PersistenceError& error, std::optional<StoredRoom>& found) {
        if (std::exchange(room.calls.load_rejected, false)) {
            error = {RoomErrc::storage_busy,
                     {},
                     "the load waited for loads_max for twice answer_within",
                     "find out why the storage loads slowly, or raise these limits of RoomOptions"};
            ++context_.counters.loads_rejected;
            context_.report_failure(room.id, error);
            return true;
        }
        if (!room.calls.load) return false;
        std::optional<part::LoadedRoom> answer = room.calls.load->take(context_.now, "load");
        if (!answer) return false;
        context_.counters.loading.add(elapsed(room.calls.load->begun(), context_.now));
        room.calls.load.reset();
        loads_.queue.remove(std::exchange(room.calls.load_number, 0));
        if (!answer->has_value()) {
            error = answer->error();
        } else {
            found = std::move(**answer);
            if (found && found->loss) context_.report_failure(room.id, found->loss);
        }
        if (error) context_.report_failure(room.id, error);
        return true;
    }

    /// Begins queued loads, up to loads_max. After a failed flush, many rooms are loaded again.
    void begin_loads() {
        loads_.remove_ended(context_.now);
        while (loads_.queue.has_next()) load(*loads_.queue.take_next().room);
        while (!loads_.queue.empty() && loads_.queue.oldest()->ends <= context_.now) {
            RoomBase& oldest = *loads_.queue.oldest()->room;
            loads_.queue.remove(std::exchange(oldest.calls.load_number, 0));
            oldest.calls.load_rejected = true;
            oldest.waker.touch();
        }
    }

    // ---- changes --------------------------------------------------------------------------------

    /// Begins to make a change durable.
    /// Errors: the storage's; not_durable of too many; too_many_of_user above the share of its
    /// owner; update_too_large of one that would not fit alone.
    [[nodiscard]] LimitedError append(RoomBase& room, const AppendedUpdate& change) {
        if (!change.known) {
            if (const LimitedError e = why_not_pending(room, change)) return e;
        }
        const bool begins = room.history.epoch == no_id ||
                            (room.replication && room.replication->begin == HistoryBegin::missing);
        Id epoch = room.history.epoch;
        if (epoch == no_id) epoch = change.first != no_id ? change.first : make_id(context_.bits);
        if (begins) {
            const bool again = room.history.epoch != no_id;
            if (reported(room.id, persistence_.begin(room.id, epoch, again)))
                return RoomErrc::not_durable;
        }
        ++context_.last_change.sequence;
        context_.last_change.epoch = epoch;
        if (reported(room.id, persistence_.append(room.id, change.update, context_.last_change))) {
            if (room.replication) room.replication->own.forget(context_.last_change.sequence);
            // In a shared storage, the epoch of such a history is checked.
            if (begins && !room.replication) next_.begun.insert(room.id);
            return RoomErrc::not_durable;
        }
        // Not earlier: a failed flush also drops the reset, and reports that to its caller.
        room.history.epoch = epoch;
        if (begins && room.replication) room.replication->begin = HistoryBegin::unconfirmed;
        room.pending.add(
            {.update = {change.update.begin(), change.update.end()},
             .sequence = context_.last_change.sequence,
             .author = change.author,
             .in_document = change.known,
             .since = context_.now,
             .share = {change.account, &Holdings::unflushed_bytes, change.update.size()}});
        if (room.pending.queue()) next_.rooms.push_back(&room);
        return {};
    }

    /// Removes a room, whose changes are lost, from the next flush.
    void unqueue(RoomBase& room) {
        if (room.pending.unqueue()) std::erase(next_.rooms, &room);
    }
    /// Whether a flush is answered.
    [[nodiscard]] bool has_answer() const noexcept { return flush_.answered(); }
    /// Begins a flush of all that was appended since the last one, if none is under way.
    void begin_flush() {
        if (flush_.waits() || next_.empty()) return;
        Completion<part::FlushedRooms> done = flush_.begin(context_.now, answer_ends());
        std::swap(flushing_, next_);
        for (RoomBase* const room : flushing_.rooms) room->pending.begin_flush();
        ++context_.counters.flushes;
        persistence_.flush(std::move(done));
        flush_.note_exception(persistence_.take_exception_text());
    }
    /// Returns the flush that has ended, until the next call; null if there is none. Reports its
    /// failure.
    [[nodiscard]] EndedFlush* take_flush() {
        std::optional<part::FlushedRooms> answer = flush_.take(context_.now, "flush");
        if (!answer) return nullptr;
        context_.counters.flushing.add(elapsed(flush_.begun(), context_.now));
        sort_errors(answer->error.rooms);
        const auto by_room = [](const auto& a, const auto& b) { return a.first < b.first; };
        sort_stably(answer->positions, by_room);
        sort_stably(answer->epochs, by_room);
        ended_.answer = *std::move(answer);
        ended_.later.clear();
        std::swap(ended_.of, flushing_);
        flushing_.clear();
        if (!ended_.has_failed()) {
            requested_.note_change();
            if (ended_.has_succeeded()) return &ended_;
            for (RoomBase* const room : next_.rooms)
                if (ended_.error_of(room->id)) ended_.later.push_back(room);
            return &ended_;
        }
        context_.report_failure({}, ended_.answer.error);
        std::swap(ended_.later, next_.rooms);
        ended_.of.begun.merge(next_.begun);
        next_.begun.clear();
        for (RoomBase* const room : ended_.later) static_cast<void>(room->pending.unqueue());
        for (PendingAdmin& pending : std::exchange(next_.admin, {}))
            ended_.of.admin.push_back(std::move(pending));
        return &ended_;
    }

    // ---- histories ------------------------------------------------------------------------------

    /// Errors: the storage's; nothing has changed then.
    [[nodiscard]] std::error_code erase(const std::string& room_id) {
        return reported(room_id, persistence_.erase(room_id));
    }
    [[nodiscard]] std::error_code reset(const std::string& room_id, const Id& epoch) {
        return reported(room_id, persistence_.reset(room_id, epoch));
    }
    /// Registers an erase or a reset for the next flush.
    void await(PendingAdmin&& pending) { next_.admin.push_back(std::move(pending)); }
    /// Whether a flush is going to end a history of this room, in favour of one without changes.
    [[nodiscard]] bool begins_without_change(std::string_view room_id) const {
        return flushing_.begun.contains(room_id) || next_.begun.contains(room_id);
    }
    /// Calls `f` with each erase and reset that a flush has not answered yet.
    template <class F>
    void each_awaited(F&& f) {
        for (FlushBatch* const batch : {&flushing_, &next_})
            for (PendingAdmin& pending : batch->admin) f(pending);
    }

    // ---- saves ----------------------------------------------------------------------------------

    /// Queues a save, of the room as it is when the save begins.
    void queue_save(RoomBase& room) { saves_.queue.push_back(&room); }
    /// Returns the next room whose save may begin now: null if there is none. At most `saves_max`
    /// are under way. A storage may reject more at a time, also in a stop.
    [[nodiscard]] RoomBase* take_next_save() {
        std::erase_if(saves_.of_evicted,
                      [&](const auto& one) { return one->call.has_ended(context_.now); });
        const auto next = may_save() ? saves_.next() : saves_.queue.end();
        if (next == saves_.queue.end()) return nullptr;
        RoomBase* const room = *next;
        saves_.queue.erase(next);
        return room;
    }
    void begin_save(RoomBase& room, std::span<const Bytes> snapshot) {
        auto save = std::make_unique<SaveCall>(room.id);
        save->call.attach(room.waker);
        Completion<PersistenceError> done = save->call.begin(context_.now, answer_ends());
        room.calls.save = std::move(save);
        ++saves_.of_rooms;
        ++context_.counters.saves;
        if (room.replication) room.replication->progress.saving = room.history;
        persistence_.save(room.id, snapshot, room.history.position, std::move(done));
        room.calls.save->call.note_exception(persistence_.take_exception_text());
        room.waker.touch();
    }
    /// Whether the save is over. Sets `error`, also to stale_snapshot.
    bool take_save(RoomBase& room, PersistenceError& error) {
        if (!room.calls.save) return false;
        StorageCall<PersistenceError>& call = room.calls.save->call;
        std::optional<PersistenceError> answer = call.take(context_.now, "save");
        if (!answer) return false;
        context_.counters.saving.add(elapsed(call.begun(), context_.now));
        error = std::move(*answer);
        room.calls.save.reset();
        --saves_.of_rooms;
        const bool fails = error && error.code != RoomErrc::stale_snapshot;
        if (fails)
            context_.report_failure(room.id, error);
        else
            requested_.note_change();
        end_requested_save(room.id);
        return true;
    }
    /// Returns the rooms that the storage requests to be saved, in their order, if that may have
    /// changed.
    [[nodiscard]] std::vector<std::string> take_requests() {
        if constexpr (HasRoomsToSave<Persistence>) {
            if (requested_.take_change() && context_.runs())
                return requested_.prune_and_order(persistence_.rooms_to_save(), context_.now);
        }
        return {};
    }
    /// The rooms that the storage requests are taken again in the next turn.
    void repeat_requests() noexcept { requested_.note_change(); }
    /// Whether another requested room may be loaded and saved.
    [[nodiscard]] bool takes_request() const noexcept {
        return requested_.takes_another(context_.options);
    }
    void begin_requested_save(const std::string& id) { requested_.add(id); }
    /// Neither the load nor the save of a room, which the storage may have requested, is queued or
    /// under way.
    void end_requested_save(const std::string& id) noexcept {
        requested_.end(id, after(context_.now, timeline::RoomCore::retry_min));
    }

    /// Removes an evicted room from all queues. Its load and its save count until they have ended.
    void forget(RoomBase& room) {
        std::erase(next_.rooms, &room);
        std::erase(flushing_.rooms, &room);
        std::erase(saves_.queue, &room);
        end_requested_save(room.id);
        if (room.calls.save) {
            room.calls.save->call.attach(context_.waker);
            saves_.of_evicted.push_back(std::move(room.calls.save));
            --saves_.of_rooms;
        }
        const std::uint64_t load = std::exchange(room.calls.load_number, 0);
        if (!room.calls.load) return loads_.queue.remove(load);
        room.calls.load->attach(context_.waker);
        loads_.of_evicted.emplace(load, std::move(room.calls.load));
    }

private:
    /// Returns why a change may not wait for a flush. If no other change of its user waits in the
    /// room, it must only fit.
    [[nodiscard]] LimitedError why_not_pending(const RoomBase& room,
                                               const AppendedUpdate& change) const noexcept {
        const RoomOptions& options = context_.options;
        const std::size_t bytes = change.update.size();
        if (bytes > options.unflushed_bytes_max)
            return {RoomErrc::update_too_large, "unflushed_bytes_max"};
        std::size_t own = 0;
        if (change.account) {
            const std::string_view limit =
                exceeded_limit(*change.account, &Holdings::unflushed_bytes, bytes, options);
            if (!limit.empty()) return {RoomErrc::too_many_of_user, limit};
            own = change.account->held.unflushed_bytes;
        }
        if (may_take({options.unflushed_bytes_max, room.pending.bytes()}, own, bytes)) return {};
        return {own != 0 ? RoomErrc::too_many_of_user : RoomErrc::not_durable,
                "unflushed_bytes_max"};
    }
    void load(RoomBase& room) {
        if (!room.calls.load) {
            room.calls.load = std::make_unique<LoadCall>();
            room.calls.load->attach(room.waker);
        }
        LoadCall& call = *room.calls.load;
        ++context_.counters.loads;
        persistence_.load(room.id, call.begin(context_.now, answer_ends()));
        call.note_exception(persistence_.take_exception_text());
        room.waker.touch();
    }
    [[nodiscard]] bool may_save() const noexcept {
        return saves_.under_way() < saves_max(context_.options);
    }
    [[nodiscard]] Instant answer_ends() const noexcept {
        return after(context_.now, context_.options.answer_within);
    }
    /// Returns the error of a change of a room, which it reports.
    std::error_code reported(const std::string& room_id, const std::error_code& error) {
        if (error)
            context_.report_failure(room_id, {error, {}, persistence_.take_exception_text()});
        return error;
    }
    TurnContext& context_;
    GuardedPersistence<Persistence> persistence_;
    StorageCall<part::FlushedRooms> flush_;
    FlushBatch next_;      // waits for a flush
    FlushBatch flushing_;  // waits for the flush that is under way
    EndedFlush ended_;     // its memory is used again
    LimitedLoads loads_;   // within loads_max
    LimitedSaves saves_;   // within saves_max
    RequestedSaves requested_;
};

}}}  // namespace belay::detail
