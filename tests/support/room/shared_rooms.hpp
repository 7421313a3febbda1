// SPDX-License-Identifier: MIT
/// \file tests/support/room/shared_rooms.hpp
/// A storage in memory that several servers share; on command it is slow, unreachable, or loses
/// data.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/room/fanout_like.hpp>
#include <belay/room/persistence_like.hpp>

namespace belay_test {

using namespace belay;

/// What all servers have in common.
struct SharedStore {
    struct Entry {
        std::uint64_t position = 0;
        int server = 0;
        std::uint64_t own = 0;
        Bytes update{};
    };
    struct Room {
        Id epoch{};
        std::uint64_t log = 0;  // another one with each beginning
        std::uint64_t covers = 0;
        std::vector<Bytes> snapshot{};
        std::deque<Entry> entries{};
    };
    struct Change {
        enum class Kind : std::uint8_t { begin, reset, append, erase };
        Kind kind{};
        std::string id{};
        Id epoch{};
        std::uint64_t own = 0;
        Bytes update{};
        bool again = false;
        std::uint64_t basis =
            0;  ///< the log that it was made upon; 0: none, or what goes before it
    };
    struct Line {
        std::uint64_t log = 0;    // that the subscription reads; 0: none
        std::uint64_t book = 0;   // that the server has loaded, or heard to be begun
        std::uint64_t was = 0;    // the same, also when that is lost
        std::uint64_t tried = 0;  // of a beginning that was not answered
        std::uint64_t from = 0;   // of the subscription
        bool changed = true;      // it is compared; else nobody looks at the store
        std::deque<Bytes> messages{};
        std::optional<Completion<Result<part::FanoutNews, PersistenceError>>> done{};
    };
    struct Server {
        bool away = false;          ///< nothing gets through
        bool unsubscribed = false;  ///< it is told nothing
        bool unsure = false;        ///< flushes are carried out, and fail
        bool slow = false;          ///< loads are carried out, and nobody waits for them any more
        std::uint64_t last_own = 0;
        std::uint64_t mark = 0;   ///< of the store, as the server knows it
        std::size_t longest = 0;  ///< of the answers to it, in entries
        std::size_t calls = 0;    ///< loads, flushes and comparisons
        std::vector<Change> staged{};
        std::map<std::string, Line, std::less<>> lines{};
    };

    // ---- what tests do -------------------------------------------------------------------------

    /// As FLUSHALL: nobody is told.
    void wipe() {
        rooms.clear();
        ended.clear();
        ended_epochs.clear();
        mark = ++last;
    }
    /// The last entries of a room are gone, as after a crash of a server that had not synced.
    void lose_tail(const std::string& id, std::size_t count) {
        auto& entries = rooms.at(id).entries;
        entries.erase(entries.end() - static_cast<std::ptrdiff_t>(count), entries.end());
    }
    /// By whoever else writes there.
    void write(const std::string& id, Bytes update) {
        rooms.at(id).entries.push_back({++last, 0, 0, std::move(update)});
        change(id);
        report_all();
    }
    void away(int server, bool is) {
        const bool was = std::exchange(servers[server].away, is);
        for (auto& [id, line] : servers[server].lines) {
            if (is && line.done) {
                auto done = std::move(*std::exchange(line.done, std::nullopt));
                done(Result<part::FanoutNews, PersistenceError>{lost()});
            }
        }
        if (was && !is) reconnect(server);
    }
    void unsubscribed(int server, bool is) {
        servers[server].unsubscribed = is;
        report_all();
    }
    /// Who connects again compares all.
    void reconnect(int server) {
        for (auto& [id, line] : servers[server].lines) line.changed = true;
        report_all();
    }
    /// What every server does from time to time.
    void look(int server) {
        Server& s = servers[server];
        if (s.away || std::exchange(s.mark, mark) == mark) return;
        reconnect(server);
    }

    // ---- for the servers -----------------------------------------------------------------------

    [[nodiscard]] static PersistenceError lost() {
        return {std::make_error_code(std::errc::connection_refused), {}, {}};
    }
    /// Whoever listens to a room is told that it has changed.
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
    void tell(int number, const std::string& id) {
        Server& server = servers[number];
        Line& line = server.lines[id];
        if (server.away || server.unsubscribed || !line.done) return;
        part::FanoutNews news;
        if (line.changed) {
            ++server.calls;
            news = news_of(number, id);
            line.changed = news.state != part::FanoutNews::State::goes_on || !news.entries.empty();
        }
        if (news.state == part::FanoutNews::State::goes_on && news.entries.empty() &&
            line.messages.empty())
            return;
        news.messages.assign(line.messages.begin(), line.messages.end());
        line.messages.clear();
        server.longest = std::max(server.longest, news.entries.size());
        auto done = std::move(*std::exchange(line.done, std::nullopt));
        done(Result<part::FanoutNews, PersistenceError>{std::move(news)});
    }
    [[nodiscard]] part::FanoutNews news_of(int number, const std::string& id) {
        Line& line = servers[number].lines[id];
        const auto at = rooms.find(id);
        part::FanoutNews news;
        if (line.log == 0) line.log = line.book;
        if (at == rooms.end() || (line.log != 0 && at->second.log != line.log)) {
            if (line.log != 0) news.state = part::FanoutNews::State::gap;
            if (ended.contains(line.log)) news.state = part::FanoutNews::State::over;
            return news;
        }
        const Room& room = at->second;
        line.log = room.log;
        if (line.book == 0) line.book = line.was = room.log;
        news.epoch = room.epoch;
        const bool has_from = line.from == room.covers || line.from == 0 ||
                              std::any_of(room.entries.begin(), room.entries.end(),
                                          [&](const Entry& e) { return e.position == line.from; });
        if (line.from < room.covers || !has_from) {
            news.state = part::FanoutNews::State::gap;
            return news;
        }
        std::size_t fresh = 0;
        for (const Entry& e : room.entries) {
            if (e.position <= line.from && !repeats) continue;
            if (fresh == batch) break;
            if (e.position > line.from) ++fresh;
            news.entries.push_back({e.position, e.server == number ? e.own : 0, e.update});
        }
        if (!news.entries.empty() && news.entries.back().position <= line.from)
            news.entries.clear();
        return news;
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
        const std::uint64_t book = servers[number].lines[change.id].book;
        if (change.basis != 0 && change.basis != book)
            return {RoomErrc::unknown_room, change.id, {}};
        if (at == rooms.end() || (book != 0 && book != at->second.log)) {
            const bool over = ended.contains(book);
            return {over ? RoomErrc::history_reset : RoomErrc::unknown_room, change.id, {}};
        }
        at->second.entries.push_back({++last, number, change.own, std::move(change.update)});
        learn(number, change.id, at->second.log);
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
        return {};
    }
    /// What the answer says, if there is one.
    void learn(int number, const std::string& id, std::uint64_t log) {
        if (servers[number].unsure) return;
        Line& line = servers[number].lines[id];
        line.book = line.was = log;
        line.tried = 0;
    }
    [[nodiscard]] PersistenceError save(int number, const std::string& id,
                                        std::span<const Bytes> snapshot, std::uint64_t covers) {
        const auto at = rooms.find(id);
        if (at == rooms.end()) return {RoomErrc::unknown_room, id, {}};
        Room& room = at->second;
        // As Redis is asked to: what was in another history covers nothing of this one.
        const std::uint64_t log = servers[number].lines[id].book;
        if (log != 0 && log != room.log) return {RoomErrc::stale_snapshot, id, {}};
        if (covers > last) return {RoomErrc::bad_position, id, {}};
        // Nothing was read, and there may be something.
        if (covers < room.covers || covers == 0) return {RoomErrc::stale_snapshot, id, {}};
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
    std::uint64_t mark = 0;  ///< of the store: another one when it was emptied
    std::size_t batch = 16;
    bool repeats = false;  ///< each answer begins with all that there is
};

/// One server's view of a SharedStore.
class SharedRooms {
public:
    SharedRooms(SharedStore& store, int number) : store_{&store}, number_{number} {
        // What a server that has ended waited for.
        me().staged.clear();
        me().lines.clear();
        me().mark = 0;
    }

    void load(std::string_view id,
              Completion<Result<std::optional<StoredRoom>, PersistenceError>> done) {
        ++me().calls;
        if (me().away)
            return done(Result<std::optional<StoredRoom>, PersistenceError>{SharedStore::lost()});
        const auto at = store_->rooms.find(id);
        SharedStore::Line& known = line(id);
        known.log = known.book = at == store_->rooms.end() ? 0 : at->second.log;
        known.changed = true;
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
    Result<std::uint64_t> append(std::string_view id, BytesView update) {
        return stage(SharedStore::Change::Kind::append, id, {}, update);
    }
    Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        return stage(SharedStore::Change::Kind::reset, id, epoch, {});
    }
    Result<std::uint64_t> begin(std::string_view id, const Id& epoch, bool again) {
        auto begun = stage(SharedStore::Change::Kind::begin, id, epoch, {});
        me().staged.back().again = again;
        return begun;
    }
    std::error_code erase(std::string_view id) {
        static_cast<void>(stage(SharedStore::Change::Kind::erase, id, {}, {}));
        return {};
    }
    void flush(Completion<PersistenceError> done) {
        ++me().calls;
        auto changes = std::exchange(me().staged, {});
        if (me().away) return done(SharedStore::lost());
        PersistenceError error;
        const auto is_refused = [&](const std::string& id) {
            return std::any_of(error.rooms.begin(), error.rooms.end(),
                               [&](const auto& room) { return room.first == id; });
        };
        for (auto& change : changes) {
            if (is_refused(change.id)) continue;
            const PersistenceError refused = store_->take(number_, change);
            if (!refused) continue;
            if (!error) error = refused;
            error.rooms.emplace_back(change.id, refused.code);
            line(change.id).changed = true;
        }
        done(me().unsure ? SharedStore::lost() : error);
        store_->report_all();
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        if (me().away) return done(SharedStore::lost());
        done(store_->save(number_, std::string{id}, snapshot, covers));
    }
    void list(std::string_view, std::size_t,
              Completion<Result<std::vector<std::string>, PersistenceError>> done) {
        done(Result<std::vector<std::string>, PersistenceError>{std::vector<std::string>{}});
    }
    void publish(std::string_view id, BytesView message) {
        if (me().away) return;
        for (auto& [number, server] : store_->servers) {
            const auto at = server.lines.find(id);
            if (at == server.lines.end()) continue;
            at->second.messages.emplace_back(message.begin(), message.end());
            store_->tell(number, at->first);
        }
    }
    void subscribe(std::string_view id, std::uint64_t from,
                   Completion<Result<part::FanoutNews, PersistenceError>> done) {
        if (me().away) return done(Result<part::FanoutNews, PersistenceError>{SharedStore::lost()});
        if (std::exchange(line(id).from, from) != from) line(id).changed = true;
        line(id).done = std::move(done);
        store_->tell(number_, std::string{id});
    }

private:
    [[nodiscard]] SharedStore::Server& me() const { return store_->servers[number_]; }
    [[nodiscard]] SharedStore::Line& line(std::string_view id) const {
        return me().lines[std::string{id}];
    }
    Result<std::uint64_t> stage(SharedStore::Change::Kind kind, std::string_view id,
                                const Id& epoch, BytesView update) {
        const std::uint64_t own = ++me().last_own;
        const bool turns = std::any_of(me().staged.begin(), me().staged.end(), [&](const auto& c) {
            return c.id == id && c.kind != SharedStore::Change::Kind::append;
        });
        me().staged.push_back({kind,
                               std::string{id},
                               epoch,
                               own,
                               {update.begin(), update.end()},
                               false,
                               turns ? 0 : line(id).book});
        return own;
    }

    SharedStore* store_;
    int number_;
};
static_assert(PersistenceLike<SharedRooms> && FanoutLike<SharedRooms>);

}  // namespace belay_test
