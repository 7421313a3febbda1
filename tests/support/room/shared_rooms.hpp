// SPDX-License-Identifier: MIT
/// \file tests/support/room/shared_rooms.hpp
/// A storage in memory that several servers share. A test makes it slow or unreachable, or makes it
/// lose data.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/core/detail/function.hpp>
#include <belay/room/detail/staged_rooms.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay_test {

using namespace belay;

/// The data of the storage, and its state for each server.
struct SharedStore {
    struct Entry {
        std::uint64_t position = 0;
        int server = 0;
        part::ChangeId change{};
        Bytes update{};
    };
    struct Room {
        Id epoch{};
        std::uint64_t log = 0;  // the number of the history: each begin has another one
        std::uint64_t covers = 0;
        std::vector<Bytes> snapshot{};
        std::deque<Entry> entries{};
    };
    struct Change {
        enum class Kind : std::uint8_t { begin, reset, append, erase };
        Kind kind{};
        std::string id{};
        Id epoch{};
        Bytes update{};
        part::ChangeId id_of_change{};
        bool again = false;
    };
    struct Line {
        std::uint64_t log = 0;    // the history that the subscription reads; 0: none
        std::uint64_t book = 0;   // the history that the server has loaded or begun; 0: none
        std::uint64_t was = 0;    // the last value of `book` that was not 0
        std::uint64_t tried = 0;  // the history of a begin without an answer
        std::uint64_t acked = 0;  // the last own entry that was answered in `book`
        Id epoch{};               // of the subscription
        std::uint64_t from = 0;   // the position from which the subscription reads
        bool changed = true;      // the subscription must be compared with the store
        bool subscribed = false;  // a subscription waits, or continues after an answer
        std::deque<Bytes> messages{};
        std::optional<Completion<Result<part::FanoutBatch, PersistenceError>>> done{};
    };
    struct Server {
        bool away = false;          ///< the storage cannot be reached
        bool unsubscribed = false;  ///< the server receives no notifications
        bool unsure = false;        ///< flushes are carried out, and answered with an error
        bool full = false;          ///< changes are rejected, and all other calls succeed
        /// Loads are carried out, and answered after the server's time limit.
        bool slow = false;
        bool unanswered = false;  ///< calls are carried out, and answered with an error
        bool late = false;        ///< calls wait
        std::uint64_t mark = 0;   ///< the last value of SharedStore::mark that the server has read
        std::size_t longest = 0;  ///< the largest number of entries in one answer
        std::size_t calls = 0;    ///< loads, flushes and comparisons
        std::vector<Change> staged{};
        detail::ContinuedHistories continued{};
        std::map<std::string, Line, std::less<>> lines{};
        std::deque<detail::Function<void()>> waiting{};  ///< calls, while it is late
        [[nodiscard]] bool answers_fail() const { return unsure || unanswered; }
    };

    /// Called at the beginning of each call of a server. It may throw.
    std::function<void(std::string_view)> before = [](std::string_view) {};
    /// Called with each message that a server publishes.
    std::function<void(int server, BytesView)> published = [](int, BytesView) {};
    bool hang_saves = false;  ///< the test takes their completions from `hung`
    std::vector<Completion<PersistenceError>> hung{};
    std::vector<std::string> lags{};  ///< the rooms that must be saved

    // ---- what tests do -------------------------------------------------------------------------

    /// Empties the store as FLUSHALL does, without a notification.
    void wipe() {
        rooms.clear();
        ended.clear();
        ended_epochs.clear();
        mark = ++last;
    }
    /// Removes the last entries of a room, as a crash of a server that had not synced does.
    void lose_tail(const std::string& id, std::size_t count) {
        auto& entries = rooms.at(id).entries;
        entries.erase(entries.end() - static_cast<std::ptrdiff_t>(count), entries.end());
    }
    /// Appends an entry, as another program does.
    void write(const std::string& id, Bytes update) {
        rooms.at(id).entries.push_back({++last, 0, {}, std::move(update)});
        change(id);
        report_all();
    }
    void away(int server, bool is) {
        const bool was = std::exchange(servers[server].away, is);
        for (auto& [id, line] : servers[server].lines) {
            if (is && line.done) {
                auto done = std::move(*std::exchange(line.done, std::nullopt));
                done(Result<part::FanoutBatch, PersistenceError>{lost()});
            }
        }
        if (was && !is) reconnect(server);
    }
    void full(int server, bool is) { servers[server].full = is; }
    void unsubscribed(int server, bool is) {
        servers[server].unsubscribed = is;
        report_all();
    }
    void late(int server, bool is) {
        Server& s = servers[server];
        s.late = is;
        while (!s.late && !s.waiting.empty()) {
            auto call = std::move(s.waiting.front());
            s.waiting.pop_front();
            call();
        }
        report_all();
    }
    /// Compares all rooms, as a server that has connected again does.
    void reconnect(int server) {
        for (auto& [id, line] : servers[server].lines) line.changed = true;
        report_all();
    }
    /// Compares all rooms if the store was emptied since the last call, as each server does
    /// periodically.
    void look(int server) {
        Server& s = servers[server];
        if (s.away || s.late || std::exchange(s.mark, mark) == mark) return;
        reconnect(server);
    }

    // ---- calls of the servers ------------------------------------------------------------------

    [[nodiscard]] static PersistenceError lost() {
        return {std::make_error_code(std::errc::connection_refused), {}, {}};
    }
    /// Marks a room as changed for each server that subscribes to it.
    void change(const std::string& id) {
        for (auto& [number, server] : servers) {
            const auto at = server.lines.find(id);
            if (at != server.lines.end()) at->second.changed = true;
        }
    }
    void report_all() {
        for (auto& [number, server] : servers) {
            for (auto& [id, line] : server.lines) tell(number, id);
        }
    }
    static void end_subscription(Line& line) {
        line.subscribed = false;
        line.done.reset();
        line.messages.clear();
    }
    void tell(int number, const std::string& id) {
        Server& server = servers[number];
        Line& line = server.lines[id];
        if (line.done && !line.done->wanted()) end_subscription(line);
        if (server.away || server.late || server.unsubscribed || !line.done) return;
        part::FanoutBatch found;
        if (line.changed) {
            ++server.calls;
            found = batch_of(number, id);
            line.changed =
                found.state != part::FanoutBatch::State::goes_on || !found.entries.empty();
        }
        if (found.state == part::FanoutBatch::State::goes_on && found.entries.empty() &&
            line.messages.empty())
            return;
        found.messages.assign(line.messages.begin(), line.messages.end());
        line.messages.clear();
        server.longest = std::max(server.longest, found.entries.size());
        auto done = std::move(*std::exchange(line.done, std::nullopt));
        done(Result<part::FanoutBatch, PersistenceError>{std::move(found)});
    }
    [[nodiscard]] part::FanoutBatch batch_of(int number, const std::string& id) {
        Line& line = servers[number].lines[id];
        const auto at = rooms.find(id);
        part::FanoutBatch found;
        if (line.log == 0) line.log = line.book;
        if (at == rooms.end() || (line.log != 0 && at->second.log != line.log)) {
            if (line.log != 0) found.state = part::FanoutBatch::State::gap;
            if (ended.contains(line.log)) found.state = part::FanoutBatch::State::over;
            return found;
        }
        const Room& room = at->second;
        line.log = room.log;
        if (line.book == 0) line.book = line.was = room.log;
        found.epoch = room.epoch;
        if (line.epoch != no_id && line.epoch != room.epoch) {
            found.state = ended_epochs.contains(line.epoch) ? part::FanoutBatch::State::over
                                                            : part::FanoutBatch::State::gap;
            return found;
        }
        const bool has_from = line.from == room.covers || line.from == 0 ||
                              std::any_of(room.entries.begin(), room.entries.end(),
                                          [&](const Entry& e) { return e.position == line.from; });
        if (line.from < room.covers || !has_from || lost(room, number, line.acked)) {
            found.state = part::FanoutBatch::State::gap;
            return found;
        }
        std::size_t fresh = 0;
        for (const Entry& e : room.entries) {
            if (e.position <= line.from && !repeats) continue;
            if (fresh == batch) break;
            if (e.position > line.from) ++fresh;
            found.entries.push_back({e.position, e.change, e.update});
        }
        if (!found.entries.empty() && found.entries.back().position <= line.from)
            found.entries.clear();
        return found;
    }
    /// Whether an own entry that was answered is not in the room any more.
    [[nodiscard]] static bool lost(const Room& room, int number, std::uint64_t acked) {
        return acked > room.covers &&
               std::none_of(room.entries.begin(), room.entries.end(), [&](const Entry& e) {
                   return e.position == acked && e.server == number;
               });
    }
    [[nodiscard]] PersistenceError take(int number, Change& change) {
        using Kind = Change::Kind;
        if (change.kind == Kind::append) return append(number, change);
        if (change.kind == Kind::begin) return begin(number, change);
        const auto at = rooms.find(change.id);
        const Line& line = servers[number].lines[change.id];
        ended.insert({line.was, line.tried});
        ended.erase(0);
        if (at != rooms.end()) {
            ended.insert(at->second.log);
            ended_epochs.insert(at->second.epoch);
            rooms.erase(at);
        }
        if (change.kind == Kind::reset) {
            ended_epochs.erase(change.epoch);
            rooms[change.id].epoch = change.epoch;
            learn(number, change.id, rooms[change.id].log = ++last);
        }
        this->change(change.id);
        return {};
    }
    [[nodiscard]] PersistenceError append(int number, Change& change) {
        const auto at = rooms.find(change.id);
        Line& line = servers[number].lines[change.id];
        const std::uint64_t book = line.book;
        const Id epoch = servers[number].continued.of(change.id, change.id_of_change.epoch);
        const bool other = at != rooms.end() && epoch != no_id && epoch != at->second.epoch;
        if (at == rooms.end() || other || (book != 0 && book != at->second.log)) {
            const bool over = ended.contains(book) || ended_epochs.contains(epoch);
            return {over ? RoomErrc::history_reset : RoomErrc::unknown_room, change.id, {}};
        }
        if (lost(at->second, number, line.acked)) return {RoomErrc::unknown_room, change.id, {}};
        at->second.entries.push_back(
            {++last, number, change.id_of_change, std::move(change.update)});
        at->second.entries.back().change.epoch = at->second.epoch;
        learn(number, change.id, at->second.log);
        if (!servers[number].answers_fail()) line.acked = last;
        this->change(change.id);
        return {};
    }
    [[nodiscard]] PersistenceError begin(int number, const Change& change) {
        Line& line = servers[number].lines[change.id];
        if (!change.again || line.tried == 0) line.tried = ++last;
        if (change.again && (ended.contains(line.was) || ended.contains(line.tried) ||
                             ended_epochs.contains(change.epoch)))
            return {RoomErrc::history_reset, change.id, {}};
        const std::uint64_t log = line.tried;
        const bool is_new = !rooms.contains(change.id);
        Room& room = rooms[change.id];
        if (is_new) {
            ended_epochs.erase(change.epoch);
            room.epoch = change.epoch;
            room.log = log;
            this->change(change.id);
        }
        learn(number, change.id, room.log);
        if (!servers[number].answers_fail())
            servers[number].continued.begun(change.id, change.epoch, room.epoch);
        return {};
    }
    /// Records the history that an answer contains, if there is an answer.
    void learn(int number, const std::string& id, std::uint64_t log) {
        if (servers[number].answers_fail()) return;
        Line& line = servers[number].lines[id];
        if (line.book != log) line.acked = 0;
        line.book = line.was = log;
        line.tried = 0;
    }
    [[nodiscard]] PersistenceError save(int number, const std::string& id,
                                        std::span<const Bytes> snapshot, std::uint64_t covers) {
        const auto at = rooms.find(id);
        if (at == rooms.end()) return {RoomErrc::unknown_room, id, {}};
        Room& room = at->second;
        // Redis makes the same comparison: a snapshot of another history covers nothing of this
        // one.
        const std::uint64_t log = servers[number].lines[id].book;
        if (log != 0 && log != room.log) return {RoomErrc::stale_snapshot, id, {}};
        if (covers > last) return {RoomErrc::bad_position, id, {}};
        // The server has read nothing, and the store may have entries.
        if (covers < room.covers || covers == 0) return {RoomErrc::stale_snapshot, id, {}};
        if (lost(room, number, servers[number].lines[id].acked))
            return {RoomErrc::stale_snapshot, id, {}};
        // The last covered entry is lost, and entries before it may be lost, too.
        const bool has = std::any_of(room.entries.begin(), room.entries.end(),
                                     [&](const Entry& e) { return e.position == covers; });
        if (covers > room.covers && !has) return {RoomErrc::stale_snapshot, id, {}};
        room.snapshot.assign(snapshot.begin(), snapshot.end());
        room.covers = covers;
        std::erase_if(room.entries, [&](const Entry& e) { return e.position <= covers; });
        return {};
    }

    std::map<std::string, Room, std::less<>> rooms{};
    std::map<int, Server> servers{};
    std::set<std::uint64_t> ended{};
    std::set<Id> ended_epochs{};
    std::uint64_t last = 0;
    std::uint64_t mark = 0;  ///< changes when the store is emptied
    std::size_t batch = 16;
    bool repeats = false;  ///< each answer begins with all entries
};

/// One server's view of a SharedStore.
class SharedRooms {
public:
    SharedRooms(SharedStore& store, int number) : store_{&store}, number_{number} {
        // Drops the calls for which an earlier process of the server waited.
        me().staged.clear();
        me().lines.clear();
        me().continued = {};
        me().waiting.clear();
        me().mark = 0;
    }

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        store_->before("load");
        in_turn([name = std::string{id}, c = std::move(done)](const SharedRooms& me) mutable {
            me.answer_load(name, std::move(c));
        });
    }
    std::error_code append(std::string_view id, BytesView update,
                           const part::ChangeId& change = {}) {
        store_->before("append");
        stage(SharedStore::Change::Kind::append, id, {}, update);
        me().staged.back().id_of_change = change;
        return {};
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        store_->before("reset");
        stage(SharedStore::Change::Kind::reset, id, epoch, {});
        return {};
    }
    std::error_code begin(std::string_view id, const Id& epoch, bool again) {
        store_->before("begin");
        stage(SharedStore::Change::Kind::begin, id, epoch, {});
        me().staged.back().again = again;
        return {};
    }
    std::error_code erase(std::string_view id) {
        store_->before("erase");
        stage(SharedStore::Change::Kind::erase, id, {}, {});
        return {};
    }
    void flush(Completion<part::FlushedRooms> done) {
        store_->before("flush");
        in_turn([changes = take_staged(), c = std::move(done)](const SharedRooms& me) mutable {
            me.carry_out(std::move(changes), ~std::size_t{0}, std::move(c));
        });
    }
    /// Returns the changes of the next flush, which waits for the earlier one.
    [[nodiscard]] std::vector<SharedStore::Change> take_staged() const {
        return std::exchange(me().staged, {});
    }
    /// A flush of changes. The one at `cut` has no answer, and those after it are not carried out.
    void carry_out(std::vector<SharedStore::Change> changes, std::size_t cut,
                   Completion<part::FlushedRooms> done) const {
        ++me().calls;
        if (me().away) return done(SharedStore::lost());
        if (me().full) {
            return done(
                PersistenceError{std::make_error_code(std::errc::no_space_on_device), {}, {}});
        }
        const bool was_unsure = me().unsure;
        PersistenceError error;
        const auto is_refused = [&](const std::string& id) {
            return std::any_of(error.rooms.begin(), error.rooms.end(),
                               [&](const auto& room) { return room.first == id; });
        };
        for (std::size_t i = 0; i < changes.size() && i <= cut; ++i) {
            SharedStore::Change& change = changes[i];
            // Also for a change of a rejected room: no change after the cut is carried out.
            me().unsure = was_unsure || i == cut;
            if (is_refused(change.id)) continue;
            const PersistenceError refused = store_->take(number_, change);
            if (!refused) continue;
            if (!error) error = refused;
            error.rooms.emplace_back(change.id, refused.code);
            line(change.id).changed = true;
        }
        part::FlushedRooms flushed{error};
        for (const SharedStore::Change& change : changes) {
            const auto at = store_->rooms.find(change.id);
            if (at == store_->rooms.end() || is_refused(change.id)) continue;
            flushed.epochs.emplace_back(change.id, at->second.epoch);
        }
        done(me().answers_fail() ? part::FlushedRooms{SharedStore::lost()} : std::move(flushed));
        me().unsure = was_unsure;
        store_->report_all();
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        store_->before("save");
        if (store_->hang_saves) return store_->hung.push_back(std::move(done));
        in_turn([name = std::string{id},
                 parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()), covers,
                 c = std::move(done)](const SharedRooms& me) mutable {
            me.answer_save(name, parts, covers, std::move(c));
        });
    }
    void list(std::string_view, std::size_t,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        done(Result<std::vector<std::string>, PersistenceError>{std::vector<std::string>{}});
    }
    std::vector<std::string> rooms_to_save() { return store_->lags; }
    void publish(std::string_view id, BytesView message) {
        store_->before("publish");
        store_->published(number_, message);
        if (me().away || me().late) return;
        for (auto& [number, server] : store_->servers) {
            const auto at = server.lines.find(id);
            if (at == server.lines.end() || !at->second.subscribed) continue;
            at->second.messages.emplace_back(message.begin(), message.end());
            store_->tell(number, at->first);
        }
    }
    void subscribe(std::string_view id, const Id& epoch, std::uint64_t from,
                   Completion<Result<part::FanoutBatch, PersistenceError>> done) {
        store_->before("subscribe");
        in_turn([name = std::string{id}, epoch, from,
                 c = std::move(done)](const SharedRooms& me) mutable {
            me.begin_subscription(name, epoch, from, std::move(c));
        });
    }

private:
    /// Carries out `f(rooms)`: now, or when the storage is no longer late.
    template <class F>
    void in_turn(F&& f) const {
        if (!me().late) return f(*this);
        me().waiting.emplace_back([rooms = *this, g = std::forward<F>(f)]() mutable { g(rooms); });
    }
    void answer_load(std::string_view id,
                     Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) const {
        ++me().calls;
        if (me().away || me().unanswered)
            return done(Result<std::optional<StoredRoom>, PersistenceError>{SharedStore::lost()});
        const auto at = store_->rooms.find(id);
        SharedStore::Line& known = line(id);
        known.log = known.book = at == store_->rooms.end() ? 0 : at->second.log;
        known.changed = true;
        known.acked = 0;
        if (known.log != 0) {
            known.was = known.log;
            known.tried = 0;
        }
        if (me().slow) return;
        if (at == store_->rooms.end())
            return done(
                Result<std::optional<StoredRoom>, PersistenceError>{std::optional<StoredRoom>{}});
        StoredRoom room{at->second.epoch, at->second.snapshot, {}, at->second.covers};
        for (const SharedStore::Entry& e : at->second.entries) {
            room.updates.push_back(e.update);
            room.position = e.position;
        }
        done(Result<std::optional<StoredRoom>, PersistenceError>{std::optional{std::move(room)}});
    }
    void answer_save(const std::string& id, std::span<const Bytes> snapshot, std::uint64_t covers,
                     Completion<PersistenceError> done) const {
        if (me().away) return done(SharedStore::lost());
        PersistenceError error = store_->save(number_, id, snapshot, covers);
        done(me().unanswered ? SharedStore::lost() : std::move(error));
    }
    void begin_subscription(std::string_view id, const Id& epoch, std::uint64_t from,
                            Completion<Result<part::FanoutBatch, PersistenceError>> done) const {
        // A caller that asks again before an answer has dropped the earlier subscription.
        if (line(id).done || !done.wanted()) SharedStore::end_subscription(line(id));
        if (!done.wanted()) return;
        line(id).subscribed = true;
        if (me().away)
            return done(Result<part::FanoutBatch, PersistenceError>{SharedStore::lost()});
        if (std::exchange(line(id).from, from) != from) line(id).changed = true;
        if (std::exchange(line(id).epoch, epoch) != epoch) line(id).changed = true;
        line(id).done = std::move(done);
        store_->tell(number_, std::string{id});
    }
    [[nodiscard]] SharedStore::Server& me() const { return store_->servers[number_]; }
    [[nodiscard]] SharedStore::Line& line(std::string_view id) const {
        return me().lines[std::string{id}];
    }
    void stage(SharedStore::Change::Kind kind, std::string_view id, const Id& epoch,
               BytesView update) {
        me().staged.push_back({kind, std::string{id}, epoch, {update.begin(), update.end()}});
    }

    SharedStore* store_;
    int number_;
};
static_assert(PersistenceLike<SharedRooms> && FanoutLike<SharedRooms>);

}  // namespace belay_test
