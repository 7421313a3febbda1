// SPDX-License-Identifier: MIT
// Goal: a lack of memory of a RoomManager's own leaves the call or the turn, and clients have seen
// nothing that is not durable. Method: a run of a server is repeated, and in each repetition one of
// its steps has no memory after its first, second, third ... allocation. The storage and the
// transport have memory. The server is destroyed after the step that throws.
#include <cstddef>
#include <deque>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/core/detail/function.hpp>
#include <belay/room/detail/room_state.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/sanitizer.hpp"
// allocation.test.cpp, which includes it, is left out under sanitizers.
#if BELAY_TEST_SANITIZED && !BELAY_TEST_THREAD_SANITIZED
#    include "support/counting_new.hpp"
#endif
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The state of a storage, and the answers that it has not given yet.
struct OwedAnswers {
    MemoryRooms rooms{};
    std::deque<detail::Function<void()>> owed{};

    void answer_all() {
        const SpareMemory spare;
        while (!owed.empty()) {
            auto answer = std::move(owed.front());
            owed.pop_front();
            answer();
        }
    }
};
/// A storage that answers when the run requests it, and always has memory.
struct OwingRooms {
    OwedAnswers* to;

    void load(std::string_view id, Completion<part::LoadedRoom> done) {
        const SpareMemory spare;
        to->owed.emplace_back([o = to, name = std::string{id}, d = std::move(done)]() mutable {
            o->rooms.load(name, std::move(d));
        });
    }
    std::error_code append(std::string_view id, BytesView update) {
        const SpareMemory spare;
        return to->rooms.append(id, update);
    }
    std::error_code reset(std::string_view id, const Id& epoch) {
        const SpareMemory spare;
        return to->rooms.reset(id, epoch);
    }
    std::error_code erase(std::string_view id) {
        const SpareMemory spare;
        return to->rooms.erase(id);
    }
    void flush(Completion<part::FlushedRooms> done) {
        const SpareMemory spare;
        to->owed.emplace_back(
            [o = to, d = std::move(done)]() mutable { o->rooms.flush(std::move(d)); });
    }
    void save(std::string_view id, std::span<const Bytes> snapshot, std::uint64_t covers,
              Completion<PersistenceError> done) {
        const SpareMemory spare;
        to->owed.emplace_back(
            [o = to, name = std::string{id}, covers,
             parts = std::vector<Bytes>(snapshot.begin(), snapshot.end()),
             d = std::move(done)]() mutable { o->rooms.save(name, parts, covers, std::move(d)); });
    }
    void list(std::string_view after, std::size_t count, Completion<part::ListedRooms> done) {
        const SpareMemory spare;
        to->owed.emplace_back(
            [o = to, name = std::string{after}, count, d = std::move(done)]() mutable {
                o->rooms.list(name, count, std::move(d));
            });
    }
};

/// The client's side of a connection.
struct SpareLine {
    std::optional<Link<Bytes>> link{};
    bool opened = false;
    std::vector<Bytes> received{};

    void open() {
        if (link && !std::exchange(opened, true)) static_cast<void>(link->opened());
    }
    void say(const part::RoomMessage& message) const {
        if (opened) static_cast<void>(link->received(YjsProtocol{}.write(message)));
    }
};
/// A transport that always has memory.
struct SpareTransport {
    using message_type = Bytes;
    struct Connection {
        std::shared_ptr<SpareLine> line;
        SendResult send(const Bytes& message) noexcept {
            const SpareMemory spare;
            if (!line->opened) return SendResult::down;
            line->received.push_back(message);
            return SendResult::sent;
        }
        void close(const Failure&) noexcept {}
    };
    Connection open(const Link<Bytes>& to) {
        line->link.emplace(to);
        return {line};
    }
    std::shared_ptr<SpareLine> line;
};
struct SpareRights {
    void check(const RoomRequest& request, Completion<Grant> answer) const {
        const SpareMemory spare;
        answer(Grant{request.token, Access::edit, forever});
    }
};
struct SpareRecorder {
    void on_room_event(const RoomEvent&) const noexcept {}
    void on_rejected(const RoomRejection&) const noexcept {}
    void on_room_failed(const RoomFailure&) const noexcept {}
};
using SpareRoomManager = RoomManager<OwingRooms, SpareRights, SpareRecorder>;

const std::string room_a = "a room, with an id for which a string needs memory";
const std::string room_b = "a second room, with an id for which a string needs memory";

/// A server, its clients, and the calls that wait for an answer.
class SpareServer {
public:
    SpareServer() {
        RoomOptions options;
        options.unload_after = 1min;
        options.save_after = 2s;
        rooms_.emplace(OwingRooms{&storage}, SpareRights{}, options, SpareRecorder{});
        rooms_->attach(Waker{});
        turn();  // without a driver, it has no other clock
        rooms_->start();
    }
    SpareServer(const SpareServer&) = delete;
    SpareServer& operator=(const SpareServer&) = delete;
    ~SpareServer() {
        rooms_.reset();
        for (const auto& line : lines_) line->link.reset();
    }

    void turn(Duration passes = 10ms) {
        now_ = after(now_, passes);
        rooms_->advance(now_);
    }
    void accept(const std::string& board, const std::string& user) {
        rooms_->accept(SpareTransport{another_line()}, YjsProtocol{},
                       RoomRequest{.room_id = board, .token = user, .ip = "an address of " + user});
    }
    void open_all() {
        for (const auto& line : lines_) line->open();
    }
    template <class V>
    [[nodiscard]] auto counted() {
        const SpareMemory spare;
        return Completion<V>{[](std::optional<V>) noexcept {}};
    }
    [[nodiscard]] SpareRoomManager& rooms() { return *rooms_; }
    [[nodiscard]] SpareLine& line(std::size_t i) const { return *lines_.at(i); }
    /// Whether the storage has each edit of a room that its clients have received.
    [[nodiscard]] bool shown_is_durable() {
        YjsDocument stored;
        storage.rooms.load(room_a, [&](auto answer) noexcept {
            if (!answer || !*answer || !**answer) return;
            for (const auto* parts : {&(**answer)->snapshot, &(**answer)->updates})
                for (const Bytes& part : *parts) static_cast<void>(stored.apply(part));
        });
        static_cast<void>(stored.state_vector());
        for (const auto& one : lines_) {
            for (const Bytes& frame : one->received) {
                const auto read = YjsProtocol{}.read(frame);
                if (!read || read->kind != part::RoomMessage::Kind::update) continue;
                ++shown;
                if (stored.check(read->payload).value_or(true)) return false;
            }
        }
        return true;
    }

    std::size_t shown = 0;  ///< edits that clients have received
    OwedAnswers storage{};

private:
    [[nodiscard]] std::shared_ptr<SpareLine> another_line() {
        const SpareMemory spare;
        return lines_.emplace_back(std::make_shared<SpareLine>());
    }
    Instant now_{};
    std::vector<std::shared_ptr<SpareLine>> lines_{};
    std::optional<SpareRoomManager> rooms_{};
};

struct SpareStep {
    const char* name;
    void (*run)(SpareServer&);
};

constexpr auto kind_update = part::RoomMessage::Kind::update;
constexpr auto one_turn = [](SpareServer& s) { s.turn(); };
constexpr auto answers = [](SpareServer& s) { s.storage.answer_all(); };
constexpr auto opens = [](SpareServer& s) { s.open_all(); };

const SpareStep spare_steps[] = {
    {"accept", [](SpareServer& s) { s.accept(room_a, "a user, with a name that needs memory"); }},
    {"a grant", one_turn},
    {"loaded", answers},
    {"a loaded room", one_turn},
    {"open", opens},
    {"a join", one_turn},
    {"accept a second",
     [](SpareServer& s) { s.accept(room_a, "a second user, who needs memory"); }},
    {"a second grant", one_turn},
    {"open a second", opens},
    {"a second join", one_turn},
    {"an awareness",
     [](SpareServer& s) {
         const SpareMemory spare;
         s.line(0).say({part::RoomMessage::Kind::awareness, awareness_of(1, 1, "{\"at\": 1}")});
     }},
    {"a turn with an awareness", one_turn},
    {"a question",
     [](SpareServer& s) {
         const SpareMemory spare;
         s.line(0).say({part::RoomMessage::Kind::state_vector, Bytes(1)});
     }},
    {"an answer", one_turn},
    {"an edit",
     [](SpareServer& s) {
         const SpareMemory spare;
         s.line(0).say({kind_update, typed(1, 0, "an edit that needs memory")});
     }},
    {"a turn with an edit", one_turn},
    {"two edits during a flush",
     [](SpareServer& s) {
         const SpareMemory spare;
         s.line(0).say({kind_update, typed(1, 25, "another edit that needs memory")});
         s.line(1).say({kind_update, typed(2, 0, "a third edit that needs memory")});
     }},
    {"a turn during a flush", one_turn},
    {"flushed", answers},
    {"a durable edit", one_turn},
    {"flushed again", answers},
    {"durable edits", one_turn},
    {"a save begins", [](SpareServer& s) { s.turn(3s); }},
    {"get_or_create_room",
     [](SpareServer& s) { static_cast<void>(s.rooms().get_or_create_room(room_b)); }},
    {"import",
     [](SpareServer& s) {
         StoredRoom content;
         {
             const SpareMemory spare;
             content.updates.push_back(typed(7, 0, "an imported edit"));
         }
         s.rooms().import_room(room_b, std::move(content), s.counted<PersistenceError>());
     }},
    {"export",
     [](SpareServer& s) { s.rooms().export_room(room_b, s.counted<part::LoadedRoom>()); }},
    {"list", [](SpareServer& s) { s.rooms().list({}, 10, s.counted<part::ListedRooms>()); }},
    {"a turn with calls", one_turn},
    {"loads, lists and saves are answered", answers},
    {"a turn with answered calls", one_turn},
    {"an import is flushed", answers},
    {"a durable import", one_turn},
    {"reauthorize", [](SpareServer& s) { s.rooms().reauthorize({}); }},
    {"rechecks", one_turn},
    {"grants", one_turn},
    {"apply_update",
     [](SpareServer& s) {
         static_cast<void>(s.rooms().apply_update(room_a, typed(9, 0, "the server's own edit")));
     }},
    {"a turn with the server's own edit", one_turn},
    {"an edit is flushed", answers},
    {"a durable edit of the server", one_turn},
    {"stop", [](SpareServer& s) { s.rooms().stop(); }},
    {"a turn of the stop", one_turn},
    // A reset deletes what clients have seen, so these are the last steps.
    {"start",
     [](SpareServer& s) {
         const SpareMemory spare;
         for (int i = 0; i < 3; ++i) s.storage.answer_all(), s.turn(10s);
         s.rooms().start();
     }},
    {"reset", [](SpareServer& s) { s.rooms().reset(room_b, s.counted<PersistenceError>()); }},
    {"a turn with a reset", one_turn},
    {"a reset is flushed", answers},
    {"a stored reset", one_turn},
};

}  // namespace

TEST_CASE(
    "RoomManager: a lack of its own memory leaves the turn, and clients have seen no lost edit",
    "[room][allocation][fault]") {
    std::size_t thrown = 0;
    std::size_t shown = 0;
    for (std::size_t at = 0; at != std::size(spare_steps); ++at) {
        bool failed = true;
        for (std::size_t good = 0; failed; ++good) {
            SpareServer server;
            for (std::size_t i = 0; i != at; ++i) spare_steps[i].run(server);
            const auto run = [&] {
                try {
                    spare_steps[at].run(server);
                } catch (const std::bad_alloc&) {
                    ++thrown;
                }
            };
            failed = without_memory(run, good) != 0;
            INFO(spare_steps[at].name << " with memory for " << good << " allocations");
            CHECK(server.shown_is_durable());
            shown += server.shown;
        }
    }
    CHECK(thrown > 300);
    CHECK(shown > 100);
}

TEST_CASE("The messages of an OnThread: a lack of memory loses at most the message pushed",
          "[room][allocation][fault][regression]") {
    const std::string room = "a room with an id for which a string needs memory";
    const auto message_of = [](std::uint64_t client) {
        return detail::encode(
            {.kind = detail::PeerMessage::Kind::state, .client = client, .user = "alice"});
    };
    const Bytes first = message_of(1);
    const Bytes second = message_of(2);
    bool failed = true;
    for (std::size_t good = 0; failed; ++good) {
        detail::UnpublishedMessages messages{{10, 10'000, 10, 10'000}};
        const auto push = [&] {
            try {
                messages.push(room, first);
            } catch (const std::bad_alloc&) {
            }
        };
        failed = without_memory(push, good) != 0;
        INFO("memory for " << good << " allocations");
        for (int i = 0; i < 2; ++i) {
            messages.push(room, second);
            std::size_t taken = 0;
            while (!messages.empty()) taken += messages.take().size();
            CHECK(taken >= 1);
            CHECK(messages.waiting().count == 0);
            CHECK(messages.waiting().bytes == 0);
        }
        CHECK(messages.dropped() == 0);
    }
}
