// SPDX-License-Identifier: MIT
// Goal: a lack of memory, in any call or turn of a RoomManager, ends at most a room or a client.
// Method: a run of a server is repeated, and in each repetition one of its steps has no memory
// after its first, second, third ... allocation. The storage, the transport and the authorizer have
// memory, and answer when the run requests it.
#include <algorithm>
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
#include <belay/room/detail/storage_call.hpp>
#include <belay/room/hocuspocus_protocol.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/room/yjs_protocol.hpp>

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
    bool flushes_fail = false;
    bool loads_fail = false;

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
            if (o->loads_fail) return d(PersistenceError{RoomErrc::snapshot_damaged, name, {}});
            o->rooms.load(name, std::move(d));
        });
    }
    Result<std::uint64_t> append(std::string_view id, BytesView update) {
        const SpareMemory spare;
        return to->rooms.append(id, update);
    }
    Result<std::uint64_t> reset(std::string_view id, const Id& epoch) {
        const SpareMemory spare;
        return to->rooms.reset(id, epoch);
    }
    std::error_code erase(std::string_view id) {
        const SpareMemory spare;
        return to->rooms.erase(id);
    }
    void flush(Completion<PersistenceError> done) {
        const SpareMemory spare;
        to->owed.emplace_back([o = to, d = std::move(done)]() mutable {
            if (!o->flushes_fail) return o->rooms.flush(std::move(d));
            d(PersistenceError{std::make_error_code(std::errc::io_error), {}, {}});
        });
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
    bool closed = false;
    bool edits = false;  ///< whether it has edited the second room
    std::vector<Bytes> received{};

    void open() {
        if (link && !std::exchange(opened, true)) static_cast<void>(link->opened());
    }
    void say(const part::RoomMessage& message) const {
        if (opened && !closed) static_cast<void>(link->received(YjsProtocol{}.write(message)));
    }

    // ---- of a connection with several documents -------------------------------------------------

    void say_in(const std::string& board, const Bytes& body) const {
        const SpareMemory spare;
        Bytes frame = address_of(board);
        frame.insert(frame.end(), body.begin(), body.end());
        if (opened && !closed) static_cast<void>(link->received(std::move(frame)));
    }
    /// Sends a token, to be admitted.
    void send_token(const std::string& board) const {
        const SpareMemory spare;
        Bytes body{std::byte{2}, std::byte{0}};
        yjs::append_varbytes(body, as_bytes(std::string_view{"a user of several documents"}));
        yjs::append_varbytes(body, as_bytes(std::string_view{"4.8.0"}));
        say_in(board, body);
    }
    /// The number of frames of a document that begin with these bytes.
    [[nodiscard]] std::size_t heard_in(const std::string& board, const Bytes& body) const {
        Bytes head = address_of(board);
        head.insert(head.end(), body.begin(), body.end());
        return static_cast<std::size_t>(
            std::count_if(received.begin(), received.end(), [&](const Bytes& frame) {
                return frame.size() >= head.size() &&
                       std::equal(head.begin(), head.end(), frame.begin());
            }));
    }
    /// Whether it was admitted, and no frame since has ended that.
    [[nodiscard]] bool is_in(const std::string& board) const {
        const auto heard = [&](unsigned type, std::initializer_list<std::byte> more = {}) {
            Bytes head{std::byte(type)};
            head.insert(head.end(), more);
            return heard_in(board, head);
        };
        return !closed && heard(2, {std::byte{2}}) > heard(7) + heard(2, {std::byte{1}});
    }

private:
    static Bytes address_of(const std::string& board) {
        Bytes address;
        yjs::append_varbytes(address, as_bytes(board));
        return address;
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
        void close(const Failure&) noexcept { line->closed = true; }
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
    bool* stopped;
    void on_stopped(std::error_code) const noexcept { *stopped = true; }
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
        options.sweep_every = 20s;
        options.save_after = 2s;
        options.save_within = 5s;
        rooms_.emplace(OwingRooms{&storage}, SpareRights{}, options, SpareRecorder{&stopped_});
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
    /// A connection with several documents.
    void accept_several(const std::string& user) {
        rooms_->accept(SpareTransport{another_line()}, HocuspocusProtocol{},
                       RoomRequest{.room_id = {}, .token = {}, .ip = "an address of " + user});
    }
    void open_all() {
        for (const auto& line : lines_) line->open();
    }
    template <class V>
    [[nodiscard]] auto counted() {
        const SpareMemory spare;
        ++calls_;
        return Completion<V>{[this](std::optional<V>) noexcept { --calls_; }};
    }
    [[nodiscard]] SpareRoomManager& rooms() { return *rooms_; }
    /// The client that was accepted as number i. If it was not accepted, a client that receives
    /// nothing.
    [[nodiscard]] SpareLine& line(std::size_t i) const {
        static SpareLine none{};
        return i < lines_.size() ? *lines_[i] : none;
    }
    /// Accepts a client, and waits until it has joined. Returns false if it does not join.
    [[nodiscard]] bool takes_another() {
        accept(room_a, "the last user");
        for (int i = 0; i < 4; ++i) settle();
        return !line(lines_.size() - 1).received.empty();
    }
    void settle() {
        turn();
        storage.answer_all();
        turn();
        open_all();
        turn();
    }
    /// Returns how the server differs from one that had memory; empty if it does not.
    [[nodiscard]] std::string wrong() {
        storage.flushes_fail = storage.loads_fail = false;
        for (int i = 0; i < 5; ++i) turn(1s), settle();
        for (const auto& one : lines_)
            if (!has_ended(one) && !one->link) return "a client is not answered";
        if (ignores(room_a) || ignores(room_b)) return "a document has ended without notice";
        for (const auto& one : lines_)
            if (one->edits && one->is_in(room_b) && !has_ended(one) &&
                one->heard_in(room_b, {std::byte{8}, std::byte{1}}) == 0)
                return "an edit was dropped without notice";
        if (!takes_another()) return "no client can join";
        if (!stored()) return "an edit is not stored";
        for (int i = 0; i < 3; ++i) turn();
        if (rooms_->deadline() <= now_) return "its turns have no end";
        if (calls_ != 0) return std::to_string(calls_) + " calls have no answer";
        return wrong_stop();
    }
    /// Runs the server, and makes the peers confirm the end of their connections.
    void settle_stop() {
        settle();
        for (const auto& one : lines_)
            if (one->opened && one->link)
                static_cast<void>(one->link->closed(Failure::from(LinkErrc::closed_by_peer)));
    }
    /// Returns how a server that stops differs from one that had memory.
    [[nodiscard]] std::string wrong_stop() {
        rooms_->stop();
        for (int i = 0; i < 10; ++i) settle_stop();
        if (rooms_->clients() != 0) return "a client does not end";
        if (rooms_->rooms() != 0) return "a room does not end";
        return stopped_ ? "" : "it does not stop";
    }

    OwedAnswers storage{};

private:
    [[nodiscard]] std::shared_ptr<SpareLine> another_line() {
        const SpareMemory spare;
        return lines_.emplace_back(std::make_shared<SpareLine>());
    }
    /// Whether the server has dropped its end of a connection.
    [[nodiscard]] static bool has_ended(const std::shared_ptr<SpareLine>& line) {
        return line.use_count() == 1;
    }
    /// Whether a client has joined a document that does not answer it.
    [[nodiscard]] bool ignores(const std::string& board) {
        const Bytes answer{std::byte{0}, std::byte{1}};
        for (const auto& one : lines_) {
            if (!one->is_in(board) || has_ended(one)) continue;
            const std::size_t heard = one->heard_in(board, answer);
            one->say_in(board,
                        YjsProtocol{}.write({part::RoomMessage::Kind::state_vector, Bytes(1)}));
            for (int i = 0; i < 3; ++i) settle();
            if (one->is_in(board) && !has_ended(one) && one->heard_in(board, answer) == heard)
                return true;
        }
        return false;
    }
    /// Whether an edit of the last client becomes durable.
    [[nodiscard]] bool stored() {
        const Bytes edit = typed(99, 0, "the last edit");
        lines_.back()->say({part::RoomMessage::Kind::update, edit});
        for (int i = 0; i < 3; ++i) settle();
        bool found = false;
        storage.rooms.load(room_a, [&](auto answer) noexcept {
            found = answer && *answer && **answer;
            if (!found) return;
            YjsDocument document;
            for (const auto* parts : {&(**answer)->snapshot, &(**answer)->updates})
                for (const Bytes& part : *parts) static_cast<void>(document.apply(part));
            static_cast<void>(document.state_vector());
            found = !document.check(edit).value_or(true);
        });
        return found;
    }

    bool stopped_ = false;
    std::size_t calls_ = 0;
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
    {"erase during an edit",
     [](SpareServer& s) { s.rooms().erase(room_a, s.counted<PersistenceError>()); }},
    {"a turn with an erase", one_turn},
    {"an erase is flushed", answers},
    {"a stored erase", one_turn},
    {"accept a third", [](SpareServer& s) { s.accept(room_a, "a third user, who needs memory"); }},
    {"a third grant", one_turn},
    {"loaded again", answers},
    {"opened again", one_turn},
    {"open a third", opens},
    {"a third join", one_turn},
    {"a fourth edit",
     [](SpareServer& s) {
         const SpareMemory spare;
         s.line(2).say({kind_update, typed(3, 0, "a fourth edit that needs memory")});
         s.storage.flushes_fail = true;
     }},
    {"a turn with a fourth edit", one_turn},
    {"an import behind an edit",
     [](SpareServer& s) {
         StoredRoom content;
         {
             const SpareMemory spare;
             content.updates.push_back(typed(8, 0, "an import behind an edit"));
         }
         s.rooms().import_room(room_a, std::move(content), s.counted<PersistenceError>());
     }},
    {"a turn before a failed flush", one_turn},
    {"a flush fails", answers},
    {"a lost edit", one_turn},
    {"loaded after a failed flush",
     [](SpareServer& s) {
         s.storage.flushes_fail = false;
         s.storage.answer_all();
     }},
    {"live after a failed flush", one_turn},
    {"reset", [](SpareServer& s) { s.rooms().reset(room_b, s.counted<PersistenceError>()); }},
    {"a turn with a reset", one_turn},
    {"accept during a reset",
     [](SpareServer& s) { s.accept(room_b, "a fourth user, with memory"); }},
    {"a grant during a reset", one_turn},
    {"a reset is flushed", answers},
    {"a stored reset", one_turn},
    {"a load fails",
     [](SpareServer& s) {
         s.storage.loads_fail = true;
         s.storage.answer_all();
         s.storage.loads_fail = false;
     }},
    {"a failed load", one_turn},
    {"open a rejected one", opens},
    {"close a rejected one", one_turn},
    {"evictions", [](SpareServer& s) { s.turn(5min); }},
    {"more evictions", [](SpareServer& s) { s.turn(5min); }},
};

/// A connection with several documents.
const SpareStep several_steps[] = {
    {"accept", [](SpareServer& s) { s.accept_several("a user of several documents"); }},
    {"open", [](SpareServer& s) { s.open_all(); }},
    {"opened", one_turn},
    {"a token", [](SpareServer& s) { s.line(0).send_token(room_a); }},
    {"a turn with a token", one_turn},
    {"a grant", one_turn},
    {"loaded", answers},
    {"a loaded room", one_turn},
    {"a join", one_turn},
    {"a second token", [](SpareServer& s) { s.line(0).send_token(room_b); }},
    {"a turn with a second token", one_turn},
    {"a second grant", one_turn},
    {"loaded again", answers},
    {"a second loaded room", one_turn},
    {"a second join", one_turn},
    {"edits",
     [](SpareServer& s) {
         const SpareMemory spare;
         const auto edit = [](std::uint64_t author) {
             return HocuspocusProtocol{}.write({kind_update, typed(author, 0, "an edit")});
         };
         s.line(0).edits = s.line(0).is_in(room_b);
         s.line(0).say_in(room_a, edit(1));
         s.line(0).say_in(room_b, edit(2));
     }},
    {"a turn with edits", one_turn},
    {"flushed", answers},
    {"durable edits", one_turn},
    {"a document that ends",
     [](SpareServer& s) { s.rooms().erase(room_a, s.counted<PersistenceError>()); }},
    {"a turn with an erase", one_turn},
    {"an erase is flushed", answers},
    {"a stored erase", one_turn},
};

/// Runs all steps with memory. Then repeats them for each allocation of each step, and refuses
/// memory from that allocation on.   Returns: the number of runs in which memory was refused.
template <std::size_t n>
std::size_t run_without_memory(const SpareStep (&steps)[n]) {
    {
        SpareServer server;
        for (const SpareStep& step : steps) step.run(server);
        REQUIRE(server.wrong() == "");
    }
    std::size_t failures = 0;
    for (std::size_t at = 0; at != n; ++at) {
        bool failed = true;
        for (std::size_t good = 0; failed; ++good) {
            SpareServer server;
            const auto run = [&](std::size_t i) {
                try {
                    steps[i].run(server);
                } catch (const std::bad_alloc&) {
                }
            };
            for (std::size_t i = 0; i != at; ++i) run(i);
            failed = without_memory([&] { run(at); }, good) != 0;
            failures += failed ? 1 : 0;
            for (std::size_t i = at + 1; i != n; ++i) run(i);
            INFO(steps[at].name << " with memory for " << good << " allocations");
            CHECK(server.wrong() == "");
        }
    }
    return failures;
}

}  // namespace

TEST_CASE("RoomManager serves others after any call or turn that had no memory",
          "[room][allocation][fault]") {
    CHECK(run_without_memory(spare_steps) > 450);
}

TEST_CASE("RoomManager ends no document without notice after a call or turn that had no memory",
          "[room][allocation][fault]") {
    CHECK(run_without_memory(several_steps) > 100);
}

TEST_CASE("RoomManager::stop saves and ends all rooms, also if it gets no memory",
          "[room][allocation][fault]") {
    for (std::size_t turns = 0; turns != 8; ++turns) {
        bool failed = true;
        for (std::size_t good = 0; failed; ++good) {
            SpareServer server;
            for (std::size_t i = 0; i != 22; ++i) spare_steps[i].run(server);
            const auto attempt = [](auto&& f) {
                try {
                    f();
                } catch (const std::bad_alloc&) {
                }
            };
            if (turns != 0) server.rooms().stop();
            for (std::size_t i = 1; i < turns; ++i) server.settle_stop();
            const auto step = [&] { turns == 0 ? server.rooms().stop() : server.turn(); };
            failed = without_memory([&] { attempt(step); }, good) != 0;
            attempt([&] { server.turn(); });
            CAPTURE(turns, good);
            CHECK(server.wrong_stop() == "");
        }
    }
}

TEST_CASE("StorageCall without memory to begin has no deadline", "[room][allocation][fault]") {
    detail::StorageCall<PersistenceError> call;
    bool threw = false;
    const std::size_t failed = without_memory([&] {
        try {
            static_cast<void>(call.begin(Instant{}, after(Instant{}, 1s)));
        } catch (const std::bad_alloc&) {
            threw = true;
        }
    });
    CHECK(failed != 0);
    CHECK(threw);
    CHECK_FALSE(call.waits());
    CHECK(call.deadline() == never);
}
