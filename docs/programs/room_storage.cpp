// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <belay/belay.hpp>
#include <belay/room.hpp>
#include <belay/room/persistence_check.hpp>
#include <belay/sim.hpp>
#include <belay/sim/explore.hpp>
using namespace belay;
using namespace std::chrono_literals;

/// What is stored: it outlives the server, as a database does.
struct Database {
    struct Room {
        Id epoch{};
        std::uint64_t begins = 0;  // the position of the reset
        std::uint64_t covers = 0;  // of the snapshot
        std::vector<Bytes> snapshot{};
        std::map<std::uint64_t, Bytes> updates{};  // by position
    };
    std::map<std::string, Room, std::less<>> rooms{};
    std::uint64_t last = 0;  // the last position
};

class MapRooms {
public:
    explicit MapRooms(Database& database) : stored_{&database}, changed_{database} {}

    // excerpt: begin
    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        if (!is_id(id)) return done(PersistenceError{make_error_code(RoomErrc::bad_room_id)});
        const auto found = stored_->rooms.find(id);
        if (found == stored_->rooms.end()) return done(std::optional<StoredRoom>{});
        const Database::Room& it = found->second;
        StoredRoom room{.epoch = it.epoch, .snapshot = it.snapshot, .position = std::max(it.begins, it.covers)};
        for (const auto& [position, update] : it.updates) {
            room.updates.push_back(update);
            room.position = position;
        }
        done(std::optional{std::move(room)});
    }
    // excerpt: end
    std::error_code reset(std::string_view id, const Id& epoch) {
        if (!is_id(id)) return RoomErrc::bad_room_id;
        changed_.rooms[std::string{id}] = {.epoch = epoch, .begins = ++changed_.last};
        positions_[std::string{id}] = changed_.last;
        return {};
    }
    // excerpt: begin
    std::error_code append(std::string_view id, BytesView update) {
        if (!is_id(id)) return RoomErrc::bad_room_id;
        const auto found = changed_.rooms.find(id);
        if (found == changed_.rooms.end()) return RoomErrc::unknown_room;
        found->second.updates.emplace(++changed_.last, to_bytes(update));
        positions_[std::string{id}] = changed_.last;
        return {};
    }
    // excerpt: end
    std::error_code erase(std::string_view id) {
        if (!is_id(id)) return RoomErrc::bad_room_id;
        changed_.rooms.erase(std::string{id});
        positions_.erase(std::string{id});
        return {};
    }
    // excerpt: begin
    void flush(Completion<part::FlushedRooms> done) {
        *stored_ = changed_;
        part::FlushedRooms flushed;
        flushed.positions.assign(positions_.begin(), positions_.end());
        positions_.clear();
        done(std::move(flushed));
    }
    // excerpt: end
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers, Completion<PersistenceError> done) {
        if (!is_id(id)) return done(PersistenceError{make_error_code(RoomErrc::bad_room_id)});
        const auto found = stored_->rooms.find(id);
        if (found == stored_->rooms.end()) return done(PersistenceError{make_error_code(RoomErrc::unknown_room)});
        if (covers > stored_->last) return done(PersistenceError{make_error_code(RoomErrc::bad_position)});
        if (covers < found->second.begins || covers < found->second.covers) {
            return done(PersistenceError{make_error_code(RoomErrc::stale_snapshot)});
        }
        for (Database* const database : {stored_, &changed_}) {
            const auto room = database->rooms.find(id);
            if (room == database->rooms.end() || room->second.begins != found->second.begins) continue;
            room->second.snapshot.assign(snapshot.begin(), snapshot.end());
            room->second.covers = covers;
            room->second.updates.erase(room->second.updates.begin(), room->second.updates.upper_bound(covers));
        }
        done(PersistenceError{});
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        std::vector<std::string> ids;
        for (auto at = stored_->rooms.upper_bound(after); at != stored_->rooms.end() && ids.size() < count; ++at) {
            ids.push_back(at->first);
        }
        done(std::move(ids));
    }

private:
    static bool is_id(std::string_view id) { return !id.empty() && id.size() <= 100; }
    Database* stored_;
    Database changed_;                                  // with what is not flushed
    std::map<std::string, std::uint64_t> positions_{};  // of the next flush
};
static_assert(explain::persistence_like<MapRooms>());

// ---- the test of the server in a world ----

constexpr std::uint8_t edits = 20;  // of each author

struct Server {
    using Rooms = RoomManager<MapRooms, EveryoneEdits>;
    Server(sim::Host& host, Database& database) : rooms{MapRooms{database}, EveryoneEdits{}, RoomOptions{.save_after = 200ms}} {
        host.attach(rooms);
        rooms.start();
        host.listen(9000,
                    [this](sim::Accepted client) { rooms.accept(std::move(client), YjsProtocol{}, RoomRequest{.room_id = "board"}); });
    }
    Rooms rooms;
};

/// What a page of a user has: it outlives its connections.
struct Page {
    std::uint8_t author;
    YjsDocument document{};
    std::uint8_t typed = 0;

    Bytes type() {  // one more letter, as Yjs encodes it
        const std::uint8_t n = typed++;
        const Bytes update = n == 0 ? bytes({1, 1, author, 0, 4, 1, 1, 't', 1, 'x', 0})
                                    : bytes({1, 1, author, n, 132, author, std::uint8_t(n - 1), 1, 'x', 0});
        static_cast<void>(document.apply(update));
        return update;
    }
    static Bytes bytes(std::initializer_list<std::uint8_t> list) { return to_bytes(std::as_bytes(std::span{list})); }
};

auto patience() { return Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}}; }

class Client {
public:
    Client(sim::Host& host, Page& page)
        : host_{host}, page_{page}, link_{{sim::Tcp{host, "server", 9000}, {.every = 1s, .dead_after = 3s}}, patience(), *this} {
        host.attach(link_);
        link_.start();
        type();
    }
    void on_state(auto&, const Transition& change) {
        if (change.to.state == LinkState::connected) send(Kind::state_vector, page_.document.state_vector());
    }
    void on_message(auto&, const Bytes& frame) {
        const auto message = YjsProtocol{}.read(frame);
        if (!message) return;
        if (message->kind == Kind::state_vector) send(Kind::state, page_.document.diff(message->payload).value());
        const bool has_content = message->kind == Kind::state || message->kind == Kind::update;
        if (has_content) static_cast<void>(page_.document.apply(message->payload));
    }

private:
    using Kind = part::RoomMessage::Kind;
    void type() {
        if (page_.typed == edits) return;
        send(Kind::update, page_.type());
        host_.after(150ms, [this] { type(); });
    }
    void send(Kind kind, const Bytes& payload) { static_cast<void>(link_.send(YjsProtocol{}.write({kind, payload}))); }
    sim::Host& host_;
    Page& page_;
    Supervisor<Heartbeat<sim::Tcp>, decltype(patience()), std::reference_wrapper<Client>> link_;
};

bool has_all(Page& page) {
    return page.document.state_vector() == Page::bytes({2, 2, edits, 1, edits});  // of author 2, and of author 1
}

int main() {
    // excerpt: begin
    std::unique_ptr<Database> database;
    const auto reopen = [&] { return MapRooms{*database}; };
    const auto make = [&] { return database = std::make_unique<Database>(), reopen(); };
    const auto fault = check::persistence(make, reopen);
    std::puts(fault ? to_string(fault->rule) : "the storage keeps its rules");
    // excerpt: end

    const auto report = sim::explore({.seeds = 200, .scenario = {.within = 3s}}, [](sim::World& world) {
        Database& stored = world.make<Database>();
        Page& ada = world.make<Page>(Page{1});
        Page& bob = world.make<Page>(Page{2});
        world.host("server", [&](sim::Host& h) { return std::make_unique<Server>(h, stored); });
        world.host("ada", [&](sim::Host& h) { return std::make_unique<Client>(h, ada); });
        world.host("bob", [&](sim::Host& h) { return std::make_unique<Client>(h, bob); });
        world.run_for(4s);
        world.heal();
        return world.eventually("both have all edits", 60s, [&] { return has_all(ada) && has_all(bob); });
    });
    std::puts(report ? "all seeds pass" : report.failing->property.c_str());
}
