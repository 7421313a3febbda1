// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_state.hpp
/// RoomBase and RoomState: one room of a RoomManager. StorageCall: what it waits for.
/// ReplicationState: its progress in the changes of other servers.
#pragma once

#include <chrono>        // std::chrono::milliseconds
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <list>          // std::list
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/core/random.hpp>
#include <belay/room/detail/room_awareness.hpp>
#include <belay/room/detail/room_client.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/room_core.hpp>
#include <belay/room/room_stats.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The delay after a failure, which starts again after RoomCore::retry_max without one.
struct RoomPause {
    [[nodiscard]] Duration next(Instant now, Random& bits) noexcept {
        if (after(until, timeline::RoomCore::retry_max) < now) failures = 0;
        if (failures < 32) ++failures;
        const Duration wait = timeline::RoomCore::retry_wait(failures, bits);
        until = after(now, wait);
        return wait;
    }
    Instant until = always;
    unsigned failures = 0;
};

/// The history of a room, and how much of it the document has.
struct RoomHistory {
    Id epoch{};                  ///< its id; no_id: the room has none
    std::uint64_t position = 0;  ///< all changes up to it are in the document
};
/// How much of the history was loaded, read and saved.
struct RoomProgress {
    std::uint64_t loaded = 0;  ///< the position of the last load
    std::uint64_t read = 0;    ///< position of the last entry that was read
    RoomHistory saving{};      ///< what the last save that began covers
};

/// Which changes of this server a room's document has for certain: those with the numbers after
/// `after` and up to `last`. An entry with one of them need not be compared with the document.
struct OwnChanges {
    /// No change up to this number is certain: it may be stored, and may be lost.
    void forget(std::uint64_t number) noexcept { after = last = number; }
    [[nodiscard]] bool has(std::uint64_t number) const noexcept {
        return after < number && number <= last;
    }

    std::uint64_t after = 0;
    std::uint64_t last = 0;
};

/// Whether the storage has the beginning of a room's history.
///
/// | state       | event                              | next        |
/// |-------------|------------------------------------|-------------|
/// | any         | a load finds nothing stored        | missing     |
/// | any         | a change begins the history        | unconfirmed |
/// | unconfirmed | the change is lost                 | missing     |
/// | any         | the storage reports the epoch      | known       |
enum class HistoryBegin : std::uint8_t {
    known,       ///< the storage has it, or there is no history
    missing,     ///< the next change must begin it again, under its epoch
    unconfirmed  ///< the storage has not confirmed it
};

/// How changes that the storage has lost are stored again.
enum class Restore : std::uint8_t {
    none,
    storing,  ///< lost changes are being stored again
    waiting,  ///< likewise; the storage has another history, which waits for that
    adopting  ///< they are stored: the room adopts the stored history
};
enum class RestoreEvent : std::uint8_t {
    loaded,          ///< a load has merged the document and the stored room
    loaded_nothing,  ///< a load has found nothing, and the document has changes
    loaded_other,    ///< a load has found another history, and the document has changes
    reported_other,  ///< a subscription has reported another history
    confirmed,       ///< a subscription has reported the room's history
    stored,          ///< a change is stored again
    lost             ///< pending changes are lost again
};

/// Returns whether lost changes are being stored again.
[[nodiscard]] constexpr bool is_restoring(Restore state) noexcept {
    return state == Restore::storing || state == Restore::waiting;
}

/// Returns the state after an event.
///
/// | state   | event          | next     |
/// |---------|----------------|----------|
/// | any     | loaded         | none     |
/// | any     | loaded_nothing | storing  |
/// | any     | loaded_other   | waiting  |
/// | storing | reported_other | waiting  |
/// | storing | confirmed      | none     |
/// | storing | stored         | none     |
/// | waiting | stored         | adopting |
/// | storing | lost           | none     |
/// | waiting | lost           | none     |
///
/// Other pairs change nothing.
[[nodiscard]] constexpr Restore after_event(Restore state, RestoreEvent event) noexcept {
    const bool restores = is_restoring(state);
    switch (event) {
        case RestoreEvent::loaded:
            return Restore::none;
        case RestoreEvent::loaded_nothing:
            return Restore::storing;
        case RestoreEvent::loaded_other:
            return Restore::waiting;
        case RestoreEvent::reported_other:
            return restores ? Restore::waiting : state;
        case RestoreEvent::confirmed:
            return state == Restore::storing ? Restore::none : state;
        case RestoreEvent::stored:
            if (state == Restore::waiting) return Restore::adopting;
            return restores ? Restore::none : state;
        case RestoreEvent::lost:
            return restores ? Restore::none : state;
    }
    return state;
}

/// The part of a room that the storage may have lost.
struct StorageLoss {
    /// Whether the storage may lack changes of the document, so that this may be the last copy.
    [[nodiscard]] bool is_possible() const noexcept {
        return unstored || needs_load || gap || uncertain;
    }
    /// Whether statuses of changes were held, and need not be any more.
    [[nodiscard]] bool frees_statuses() const noexcept { return holds_statuses && !is_possible(); }
    [[nodiscard]] bool take_held_statuses() noexcept {
        return frees_statuses() && std::exchange(holds_statuses, false);
    }

    bool needs_load = false;  ///< the storage has lost changes of the document: load it
    bool gap = false;         ///< a gap was reported, and no load has succeeded since
    bool unstored = false;    ///< the document has changes that no entry has: no snapshot covers it
    bool uncertain = false;   ///< the storage was away, or rejected a save
    bool keeps_room = false;  ///< the room is in memory for this reason only
    bool holds_statuses = false;  ///< a client or an import waits, because the document has it
};

/// The awareness of the clients of a room that other servers have not received yet. A message has
/// the whole state of a client, so the last one suffices.
///
/// It is published in rounds. A round has the clients whose states have changed before it began,
/// and then those that had left by then. It takes several publications if it is long. So each
/// client has its turn, however often others change, and the end of a client follows all states
/// that came before. ClientBacklog::awareness_round marks the clients whose state has changed.
struct UnpublishedAwareness {
    /// The minimum time between two publications of a room. The first change after that time is
    /// published in its turn.
    static constexpr Duration every = std::chrono::milliseconds{100};
    /// About the most bytes of the states in one publication, unless one client has more.
    static constexpr std::size_t bytes_max = std::size_t{256} << 10;

    /// Something is to be published as soon as `every` allows.
    void request(Instant now) noexcept { due = smaller(due, larger(now, next)); }
    /// Adds a client to the next round, if it is in none.
    void mark(std::uint32_t& round_of_client) const noexcept {
        if (round_of_client == 0) round_of_client = round + 1;
    }
    [[nodiscard]] bool is_in_round(std::uint32_t round_of_client) const noexcept {
        return round_of_client != 0 && round_of_client <= round;
    }
    /// Begins a publication, and a round unless one is under way.
    void begin(Instant now) noexcept {
        due = never;
        next = after(now, every);
        if (std::exchange(under_way, true)) return;
        ++round;
        left_in_round = left.size();
    }
    /// Ends the round.   Returns: how many of `left` are in it.
    [[nodiscard]] std::size_t end_round() noexcept {
        under_way = false;
        return std::exchange(left_in_round, 0);
    }

    std::vector<std::uint64_t> left{};  ///< the clients that have left, in this order
    std::size_t left_in_round = 0;
    Instant due = never;      ///< the next publication
    Instant next = always;    ///< the earliest time of the next one
    std::uint32_t round = 0;  ///< the last one that began; there are ten in a second
    bool under_way = false;
};

/// Thread safety: the manager's home thread.
struct ReplicationState {
    [[nodiscard]] Instant deadline() const noexcept {
        if (loss.frees_statuses()) return always;
        return smaller(subscription.deadline(), again_at);
    }
    /// Whether a load is due at `again_at`.
    [[nodiscard]] bool waits_to_load() const noexcept {
        return loss.needs_load && again_at != never;
    }
    void note(RestoreEvent event) noexcept { restore = after_event(restore, event); }
    /// Whether a snapshot of the document has exactly what the entries that were read have. Another
    /// server could replace it with one that lacks the rest.
    [[nodiscard]] bool covers_entries() const noexcept { return !frozen && !loss.unstored; }

    driver::Question<Result<part::FanoutBatch, PersistenceError>> subscription;
    std::string threw{};           ///< the text of the exception of the last subscription
    Instant again_at = never;      ///< the next subscription, or load
    Instant recovers_at = always;  ///< the earliest next load after a gap
    RoomPause failed{};            ///< the delay after a failure
    RoomProgress progress{};
    OwnChanges own{};
    HistoryBegin begin = HistoryBegin::known;
    Restore restore = Restore::none;
    StorageLoss loss{};
    bool frozen = false;  ///< an entry is not in the document: no snapshot covers it
};

/// One load, flush or save of a room server. V is made of a PersistenceError.
///
/// Thread safety: the manager's home thread.
template <class V>
class StorageCall {
public:
    void attach(const Waker& waker) noexcept { question_.attach(waker); }
    /// Begins a call, which has failed if there is no answer before `ends`.
    /// Returns: the function for the answer.
    [[nodiscard]] Completion<V> begin(Instant now, Instant ends) {
        Completion<V> done = question_.ask();
        begun_ = now;
        ends_ = ends;
        return done;
    }
    /// Notes the text of an exception of the call, for the error; it may be empty.
    void note_exception(std::string what) noexcept { what_ = std::move(what); }
    [[nodiscard]] bool waits() const noexcept { return question_.waits(); }
    /// Returns when the last call began.
    [[nodiscard]] Instant begun() const noexcept { return begun_; }
    [[nodiscard]] bool answered() const noexcept { return question_.answered(); }
    [[nodiscard]] Instant deadline() const noexcept { return smaller(question_.deadline(), ends_); }
    /// Returns whether the call is answered or too late, or there is none.
    [[nodiscard]] bool has_ended(Instant now) const noexcept {
        return !question_.waits() || question_.answered() || ends_ <= now;
    }

    /// Takes the answer. It is no_answer if the storage dropped the call, or is too late. `name`
    /// names the call in the error.   Returns: nothing while the call waits, or if there is none.
    [[nodiscard]] std::optional<V> take(Instant now, const char* name) {
        std::optional<V> answer;
        if (!question_.waits()) return answer;
        if (question_.answered()) {
            answer = question_.take();
            const bool threw = !what_.empty();
            if (!answer)
                answer.emplace(threw ? no_answer("the persistence threw: ", what_.c_str())
                                     : no_answer("the persistence dropped the ", name));
        } else if (ends_ <= now) {
            question_.drop();
            answer.emplace(no_answer("the ", name, " took longer than allowed"));
        } else {
            return answer;
        }
        ends_ = never;
        return answer;
    }

private:
    [[nodiscard]] static PersistenceError no_answer(const char* before, const char* name,
                                                    const char* behind = "") {
        return {RoomErrc::no_answer, {}, std::string{before} + name + behind};
    }

    driver::Question<V> question_;
    Instant begun_ = always;
    Instant ends_ = never;
    std::string what_{};
};

/// The origin of an update of a room.
///
/// Thread safety: a plain value.
struct UpdateOrigin {
    std::uint64_t author = 0;  ///< a client's id; 0: the server, or another one
    Instant since = never;     ///< when it arrived; never: at another server
};

/// Returns an id as hexadecimal text; empty for no_id.
[[nodiscard]] inline std::string epoch_text(const Id& epoch) {
    return epoch == no_id ? std::string{} : hex_of(epoch);
}

/// A change that is not durable yet.
struct PendingUpdate {
    Bytes update;
    std::uint64_t sequence;      ///< of its part::ChangeId
    std::uint64_t author;        ///< a client's id; 0: the server's own
    std::uint32_t statuses = 0;  ///< acknowledgements that its author expects
    /// Called when it is durable.
    std::optional<Completion<PersistenceError>> done{};
    bool in_document = false;  ///< the document has it; the storage had lost it
    Instant since = always;    ///< when it arrived
    Holding share{};           ///< what its author holds while it is pending
};
/// The changes of a room that are not durable yet, in the order of the storage.
class PendingUpdates {
public:
    void add(PendingUpdate&& change) {
        bytes_ += change.update.size();
        restored_ += change.in_document ? 1U : 0U;
        updates_.push_back(std::move(change));
    }
    /// Begins a flush of all of them.
    void begin_flush() noexcept {
        awaits_flush_ = false;
        flushing_ = updates_.size();
    }
    /// Returns the number of changes in the flush; they are the first ones.
    [[nodiscard]] std::size_t flushing() const noexcept { return flushing_; }
    /// Whether this change of the server is the first one.
    [[nodiscard]] bool begins_with(std::uint64_t sequence) const noexcept {
        return !updates_.empty() && updates_.front().sequence == sequence;
    }
    /// Removes the first change.   Pre: size() != 0.
    [[nodiscard]] PendingUpdate take_first() {
        PendingUpdate change = std::move(updates_.front());
        updates_.pop_front();
        if (flushing_ != 0) --flushing_;
        change.share.release();
        bytes_ -= change.update.size();
        restored_ -= change.in_document ? 1U : 0U;
        return change;
    }
    /// Removes all of them.
    [[nodiscard]] std::list<PendingUpdate> take_all() noexcept {
        bytes_ = flushing_ = restored_ = 0;
        for (PendingUpdate& change : updates_) change.share.release();
        return std::exchange(updates_, {});
    }
    /// Queues the room for the next flush.   Returns: whether it was not queued before.
    [[nodiscard]] bool queue() noexcept { return !std::exchange(awaits_flush_, true); }
    /// Removes the room from that queue.   Returns: whether it was queued.
    [[nodiscard]] bool unqueue() noexcept { return std::exchange(awaits_flush_, false); }

    [[nodiscard]] std::list<PendingUpdate>& all() noexcept { return updates_; }
    [[nodiscard]] std::size_t size() const noexcept { return updates_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    /// Whether changes of the document, which the storage had lost, are being stored again.
    [[nodiscard]] bool restores() const noexcept { return restored_ != 0; }

private:
    std::list<PendingUpdate> updates_;  // without memory while it is empty, as most are
    std::size_t bytes_ = 0;
    std::size_t flushing_ = 0;   ///< the number of changes in the current flush
    std::size_t restored_ = 0;   ///< the number of changes that are in the document
    bool awaits_flush_ = false;  ///< queued for a flush
};

/// An import that waits for the load.
struct RoomImport {
    StoredRoom content;
    Completion<PersistenceError> done;
};
/// Everything that waits until a room is loaded.
struct AfterLoad {
    std::vector<RoomClient*> clients{};  ///< those that have not joined yet, also after the load
    std::vector<RoomImport> imports{};
    std::size_t import_bytes = 0;  ///< the bytes of the imports
    /// The answers of imports that the document has, and that a shared storage may have lost: they
    /// wait until the two are compared.
    std::vector<Completion<PersistenceError>> known_imports{};
    std::optional<Bytes> vector_before{};  ///< the state of the clients before a second load
    bool save = false;                     ///< save it when it is loaded
};
using LoadCall = StorageCall<part::LoadedRoom>;
/// A save, with the id of its room, because it may end after the room.
struct SaveCall {
    explicit SaveCall(std::string id) noexcept : room_id{std::move(id)} {}

    const std::string room_id;
    StorageCall<PersistenceError> call{};
};
/// The calls of the storage for one room.
struct RoomCalls {
    void attach(const Waker& waker) noexcept {
        if (load) load->attach(waker);
        if (save) save->call.attach(waker);
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (load_rejected) return always;
        return smaller(load ? load->deadline() : never, save ? save->call.deadline() : never);
    }
    /// Whether a load waits or is under way.
    [[nodiscard]] bool loads() const noexcept { return load_number != 0; }
    /// Whether a load waits for RoomOptions::loads_max.
    [[nodiscard]] bool load_waits() const noexcept { return load_number != 0 && !load; }

    std::unique_ptr<LoadCall> load{};  ///< null: no load is under way
    std::unique_ptr<SaveCall> save{};  ///< null: no save is under way
    std::error_code save_error{};      ///< of the last save
    std::uint64_t load_number = 0;     ///< in the queue of loads; 0: it neither waits nor begins
    bool load_rejected = false;        ///< it has waited for too long; the room was not notified
    /// In whose turns the room is loaded again: of the user that opened it, or else of the first
    /// client, or else of the server. It is null if only the storage used the room.
    Ref<Account> loads_for{};
};
/// The next load after a failed flush. The first one is made at once. Further ones wait for
/// RoomCore::retry_min, doubled up to four times of it: clients wait for them.
struct RoomReload {
    /// A flush has failed.
    void schedule(Instant now) noexcept {
        if (after(last, timeline::RoomCore::retry_max) < now) times = 0;
        const Duration wait = times == 0 ? Duration{}
                                         : part::saturating_multiply(timeline::RoomCore::retry_min,
                                                                     1U << (times - 1));
        if (times < 3) ++times;
        at = last = after(now, wait);
    }

    Instant at = never;
    Instant last = always;
    unsigned times = 0;
};
/// The notifications about one room, of the observer and of other servers.
struct RoomNotifications {
    bool loaded = false;        ///< the observer was notified of the load
    bool change_waits = false;  ///< the observer was not notified of the last changes
    bool save_waits = false;    ///< other servers, which need not save then, await the next save
    UnpublishedAwareness awareness{};  ///< for other servers
};

/// A room without its document.
///
/// Thread safety: the manager's home thread.
struct RoomBase {
    RoomBase(std::string name, Instant started, const RoomOptions& options, Instant now)
        : id{std::move(name)}, core{started, options, now}, awareness{options} {}
    RoomBase(const RoomBase&) = delete;
    RoomBase& operator=(const RoomBase&) = delete;

    [[nodiscard]] Instant deadline() const noexcept {
        if (evicted) return never;
        const Instant others = replication ? replication->deadline() : never;
        return smaller(smaller(smaller(core.deadline(), awareness.deadline()),
                               smaller(others, calls.deadline())),
                       smaller(notifications.awareness.due, reload.at));
    }

    const std::string id;
    timeline::RoomCore core;
    RoomAwareness awareness;
    RoomCalls calls{};
    Waker waker{};
    std::vector<RoomClient*> clients{};  ///< those that have joined
    AfterLoad after_load{};
    PendingUpdates pending{};
    RoomHistory history{};
    std::unique_ptr<ReplicationState> replication{};  ///< null if the storage is not shared
    RoomNotifications notifications{};
    RoomReload reload{};
    Holding opened{};  ///< of the user that opened it
    /// Its last activity when it was listed for evictions, and how it is listed.
    Instant idle_since = never;
    timeline::RoomCore::Evictable evictable = timeline::RoomCore::Evictable::no;
    bool evicted = false;  ///< destroyed at the end of the turn
};

/// With its document.
template <class Document>
struct RoomState : RoomBase {
    RoomState(std::string name, const Document& empty, Instant started, const RoomOptions& options,
              Instant now)
        : RoomBase{std::move(name), started, options, now}, document{empty} {}
    Document document;
};

/// A room as a machine of a group: its turn is `rooms.run(room)`.
template <class Rooms, class Document>
struct RoomMachine {
    template <class... A>
    explicit RoomMachine(Rooms& owner, A&&... args)
        : rooms{owner}, room{std::forward<A>(args)...} {}

    void attach(Waker waker) {
        room.waker = std::move(waker);
        room.calls.attach(room.waker);
        if (room.replication) room.replication->subscription.attach(room.waker);
    }
    [[nodiscard]] Instant deadline() const noexcept { return room.deadline(); }
    void advance(Instant) { rooms.run(room); }

    Rooms& rooms;
    RoomState<Document> room;
};

}}}  // namespace belay::detail
