// SPDX-License-Identifier: MIT
// Goal: the peers module of a room server, alone: a room receives each change of other servers
// once, in order, continues after an outage, finds what a shared storage has lost, and stores that
// again.
// Method: a shared storage that answers a subscription when a test wants it, with a chosen fault.
// The test appends the changes of other servers. A small function stands for the room module. A
// property compares the document with the words that the storage has.
#include <belay/room/detail/room_replication.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/room/words_document.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using PeerKind = detail::PeerMessage::Kind;
using PeerState = part::FanoutBatch::State;
using PeerAnswer = Result<part::FanoutBatch, PersistenceError>;
using PeerWords = std::set<std::string>;

[[nodiscard]] Id peer_id(int n) { return {static_cast<std::byte>(n)}; }

[[nodiscard]] PeerWords words_in(BytesView text) {
    std::istringstream in{std::string{as_text(text)}};
    return {std::istream_iterator<std::string>{in}, {}};
}

/// The awareness of one client, with clock 1 and the state {}.
[[nodiscard]] Bytes peer_awareness(int client) {
    return {std::byte{1},   static_cast<std::byte>(client),
            std::byte{1},   std::byte{2},
            std::byte{'{'}, std::byte{'}'}};
}

/// One room of a storage that other servers use, too.
struct SharedModel {
    struct Reader {
        Completion<PeerAnswer> done;
        Id epoch;
        std::uint64_t from;
    };

    /// Another server appends a change, and begins a history if there is none.
    void append(const std::string& text) {
        if (epoch == no_id) epoch = peer_id(++last_epoch);
        entries.push_back({++last_position, {peer_id(99), 0, epoch}, to_bytes(as_bytes(text))});
    }
    void send(const detail::PeerMessage& message) { messages.push_back(encode(message)); }
    /// Loses the changes after the first `count`.
    void lose(std::size_t count) {
        entries.resize(std::min(count, entries.size()));
        gap = true;
    }
    void lose_all() {
        lose(0);
        epoch = no_id;
    }
    /// Answers the subscription if there is something for it.
    void answer() {
        if (!reader) return;
        part::FanoutBatch batch{.epoch = epoch};
        for (const part::FanoutBatch::Entry& entry : entries)
            if (entry.position > reader->from) batch.entries.push_back(entry);
        const bool other = reader->epoch != no_id && reader->epoch != epoch;
        if (gap || other) batch.state = PeerState::gap;
        batch.messages = std::exchange(messages, {});
        if (batch.entries.empty() && batch.messages.empty() && batch.state == PeerState::goes_on)
            return;
        answer(std::move(batch));
    }
    void answer(PeerAnswer with) {
        Completion<PeerAnswer> done = std::move(reader->done);
        reader.reset();
        done(std::move(with));
    }
    void answer_flush() {
        if (!flush) return;
        Completion<part::FlushedRooms> done = std::move(*flush);
        flush.reset();
        done(std::move(flushed));
    }
    [[nodiscard]] PeerWords words() const {
        PeerWords all;
        for (const part::FanoutBatch::Entry& entry : entries) all.merge(words_in(entry.update));
        return all;
    }
    /// The published messages of this kind since the last call.
    [[nodiscard]] std::vector<detail::PeerMessage> take(PeerKind kind) {
        std::vector<detail::PeerMessage> found;
        for (const Bytes& bytes : published) {
            const auto message = detail::decode_peer_message(bytes);
            if (message && message->kind == kind) {
                found.push_back(*message);
                found.back().user = {};
                found.back().awareness = {};
            }
        }
        published.clear();
        return found;
    }

    Id epoch{};
    std::vector<part::FanoutBatch::Entry> entries{};
    std::vector<Bytes> messages{};
    std::vector<Bytes> published{};
    std::vector<std::pair<part::ChangeId, Bytes>> staged{};
    std::optional<std::pair<Id, bool>> begins{};
    std::optional<Reader> reader{};
    std::optional<Completion<part::FlushedRooms>> flush{};
    part::FlushedRooms flushed{};
    std::error_code load_error{};
    std::error_code flush_error{};
    std::uint64_t last_position = 0;
    int last_epoch = 0;
    std::size_t loads = 0;
    bool flush_stores = true;  ///< also a flush with an error
    bool throws = false;
    bool gap = false;  ///< something is lost, and the room was not loaded since
};

/// The FanoutLike in front of a SharedModel.
struct SharedOfModel {
    SharedModel* shared;

    void load(std::string_view, Completion<part::LoadedRoom> done) {
        // Answers have the order of the calls.
        shared->answer_flush();
        ++shared->loads;
        if (shared->load_error) return done(PersistenceError{shared->load_error, {}, {}});
        shared->gap = false;
        if (shared->epoch == no_id) return done(std::optional<StoredRoom>{});
        StoredRoom room{.epoch = shared->epoch};
        for (const part::FanoutBatch::Entry& entry : shared->entries) {
            room.updates.push_back(entry.update);
            room.position = entry.position;
        }
        done(std::optional{std::move(room)});
    }
    [[nodiscard]] std::error_code append(std::string_view, BytesView update,
                                         const part::ChangeId& change = {}) {
        shared->staged.emplace_back(change, Bytes{update.begin(), update.end()});
        return {};
    }
    [[nodiscard]] std::error_code reset(std::string_view, const Id&) { return {}; }
    [[nodiscard]] std::error_code erase(std::string_view) { return {}; }
    [[nodiscard]] std::error_code begin(std::string_view, const Id& epoch, bool again) {
        shared->begins = {epoch, again};
        return {};
    }
    void flush(Completion<part::FlushedRooms> done) {
        part::FlushedRooms answer;
        answer.error.code = std::exchange(shared->flush_error, {});
        const auto staged = std::exchange(shared->staged, {});
        const auto begins = std::exchange(shared->begins, {});
        if (!answer.error || shared->flush_stores) {
            if (begins && shared->epoch == no_id) shared->epoch = begins->first;
            for (const auto& [change, update] : staged)
                shared->entries.push_back({++shared->last_position, change, update});
            answer.positions = {{"a", shared->last_position}};
            answer.epochs = {{"a", shared->epoch}};
        }
        shared->flushed = std::move(answer);
        shared->flush.emplace(std::move(done));
    }
    void save(std::string_view, std::span<const Bytes>, std::uint64_t,
              Completion<PersistenceError> done) {
        done({});
    }
    void list(std::string_view, std::size_t, Completion<part::ListedRooms>) {}
    void publish(std::string_view, BytesView message) {
        shared->published.emplace_back(message.begin(), message.end());
    }
    void subscribe(std::string_view, const Id& epoch, std::uint64_t from,
                   Completion<PeerAnswer> done) {
        if (shared->throws) throw std::runtime_error{"the storage threw"};
        shared->reader.emplace(SharedModel::Reader{std::move(done), epoch, from});
    }
};

/// The peers module of one server with one room without clients, and the steps of the room module.
struct PeersAlone {
    explicit PeersAlone(bool announces = false) {
        context.at(Instant{1h});
        context.run.phase = detail::RunState::Phase::running;
        peers.attach();
        peers.on_created(room);
        load_first(announces);
    }
    PeersAlone(const PeersAlone&) = delete;
    PeersAlone& operator=(const PeersAlone&) = delete;

    void load_first(bool announces) {
        PersistenceError error;
        std::optional<StoredRoom> found;
        storage.begin_load(room);
        REQUIRE(storage.take_load(room, error, found));
        peers.on_loaded(room, announces);
    }
    [[nodiscard]] detail::ReplicationState& state() { return *room.replication; }
    [[nodiscard]] PeerWords words() { return words_in(room.document.state_vector()); }
    void wait(Duration time) { context.at(after(context.now, time)); }
    /// Appends a change of a client.
    void append(const std::string& text) {
        REQUIRE_FALSE(storage.append(room, {.update = as_bytes(text)}));
    }

    /// A turn of the room: applies what has arrived.
    void turn() {
        PersistenceError error;
        std::optional<StoredRoom> found;
        take_flush();
        if (storage.take_load(room, error, found)) merge(error, found);
        received = peers.run(room);
        if (received) {
            ended = ended || received->ended;
            for (const part::FanoutBatch::Entry& entry : received->entries) take(entry);
            if (received->go_on) peers.subscribe(room);
        }
        storage.begin_flush();
        take_flush();
        storage.begin_flush();
    }
    void take_flush() {
        if (const detail::EndedFlush* const flush = storage.take_flush()) take(*flush);
    }
    void take(const part::FanoutBatch::Entry& entry) {
        // Each one once, also those of a load, and none is left out.
        REQUIRE(entry.position > std::max(loaded, state().progress.read));
        for (const part::FanoutBatch::Entry& one : shared.entries)
            REQUIRE((one.position <= state().progress.read || one.position >= entry.position));
        state().progress.read = entry.position;
        const bool ours = entry.change.server == context.last_change.server;
        if (ours && room.pending.begins_with(entry.change.sequence))
            first_is_durable(entry.position);
        else if (!ours || !state().own.has(entry.change.sequence))
            enter(entry.update);
        if (state().covers_entries()) room.history.position = entry.position;
    }
    void take(const detail::EndedFlush& flush) {
        if (flush.error_of(room.id)) {
            storage.unqueue(room);
            const std::list<detail::PendingUpdate> lost = room.pending.take_all();
            return peers.on_lost(room, std::any_of(lost.begin(), lost.end(), [](const auto& one) {
                                     return one.in_document;
                                 }));
        }
        if (!take_epoch(room, flush.history_of(room.id).epoch)) ended = true;
        while (room.pending.flushing() != 0) first_is_durable(flush.history_of(room.id).position);
    }
    void first_is_durable(std::uint64_t position) {
        const detail::PendingUpdate change = room.pending.take_first();
        peers.on_durable(room, change, position);
        enter(change.update);
    }
    void enter(BytesView update) { REQUIRE_FALSE(room.document.apply(update)); }
    void merge(const PersistenceError& error, std::optional<StoredRoom>& found) {
        difference = peers.on_reloaded(room, error, found, empty);
        if (!difference) return;
        const bool waits = state().restore == detail::Restore::waiting;
        loaded = found && !waits ? found->position : 0;
        for (const Bytes& update : difference->theirs) enter(update);
        room.history.position = state().covers_entries() ? state().progress.read : 0;
        for (const Bytes& update : difference->ours)
            REQUIRE_FALSE(storage.append(room, {.update = update, .known = true}));
        if (!waits) peers.subscribe(room);
    }

    const WordsDocument empty{};
    detail::TurnContext context{RoomOptions{}};
    SharedModel shared{};
    detail::PersistenceScheduler<SharedOfModel> storage{context, SharedOfModel{&shared}};
    detail::RoomReplication<SharedOfModel, WordsDocument> peers{context, storage};
    detail::RoomState<WordsDocument> room{"a", empty, Instant{1h}, context.options, Instant{1h}};
    std::optional<detail::ReceivedChanges> received{};
    std::optional<detail::LoadDifference> difference{};
    std::uint64_t loaded = 0;  ///< the position of the last load, if the room has adopted it
    bool ended = false;
};

}  // namespace

TEST_CASE("The peers module subscribes after the load, and after the entries that were processed",
          "[room][room_peers]") {
    PeersAlone p;
    CHECK(p.shared.take(PeerKind::query).size() == 1);
    REQUIRE(p.shared.reader);
    CHECK(p.shared.reader->from == 0);
    CHECK(p.shared.reader->epoch == no_id);
    p.shared.append("one");
    p.shared.append("two");
    p.turn();
    CHECK_FALSE(p.received);
    p.shared.answer();
    CHECK(p.room.deadline() == always);
    p.turn();
    CHECK(p.words() == PeerWords{"one", "two"});
    REQUIRE(p.shared.reader);
    CHECK(p.shared.reader->from == 2);
    // The room adopts the history that another server has begun.
    CHECK(p.shared.reader->epoch == p.shared.epoch);
    p.turn();
    CHECK_FALSE(p.received);
}

TEST_CASE("The peers module subscribes again within a second after an error of the storage",
          "[room][room_peers]") {
    PeersAlone p;
    SECTION("an answer") {
        p.shared.answer(PersistenceError{std::make_error_code(std::errc::io_error), {}, {}});
    }
    SECTION("no answer") { p.shared.reader.reset(); }
    SECTION("an exception") {
        p.shared.throws = true;
        p.shared.append("one");
        p.shared.answer();
        p.turn();
        p.shared.throws = false;
    }
    p.turn();
    CHECK(p.context.counters.storage_failures == 1);
    CHECK_FALSE(p.shared.reader);
    CHECK(p.state().loss.is_possible());
    p.wait(500ms - 1ns);
    p.turn();
    CHECK_FALSE(p.shared.reader);
    p.wait(500ms + 1ns);
    CHECK(p.room.deadline() <= p.context.now);
    p.turn();
    REQUIRE(p.shared.reader);
    p.shared.append("two");
    p.shared.answer();
    p.turn();
    CHECK(p.words().contains("two"));
    CHECK_FALSE(p.state().loss.is_possible());
}

TEST_CASE("The peers module waits longer for an error that stays", "[room][room_peers]") {
    PeersAlone p;
    Duration longest{};
    for (int i = 0; i < 12; ++i) {
        p.shared.answer(PersistenceError{RoomErrc::record_damaged, {}, {}});
        p.turn();
        const Duration wait = elapsed(p.context.now, p.room.deadline());
        CHECK(wait <= 60s);
        longest = std::max(longest, wait);
        p.wait(wait);
        p.turn();
    }
    CHECK(longest >= 30s);
}

TEST_CASE("After a gap, the peers module takes no entry, and loads the room once in a second",
          "[room][room_peers]") {
    PeersAlone p;
    p.shared.append("one");
    p.shared.answer();
    p.turn();
    CHECK(p.room.history.position == 1);
    p.shared.lose(0);
    p.shared.append("two");
    p.shared.answer();
    p.turn();
    REQUIRE(p.received);
    CHECK(p.received->entries.empty());
    CHECK_FALSE(p.received->go_on);
    // A snapshot that covers entries would hide what is lost.
    CHECK(p.room.history.position == 0);
    CHECK(p.state().loss.is_possible());
    p.turn();
    REQUIRE(p.difference);
    CHECK(p.difference->theirs.size() == 1);
    CHECK(p.difference->ours.size() == 1);
    CHECK(p.words() == PeerWords{"one", "two"});
    p.shared.answer_flush();
    p.turn();
    CHECK(p.shared.words() == PeerWords{"one", "two"});
    p.shared.gap = true;
    p.shared.answer();
    p.turn();
    CHECK(p.shared.loads == 2);
    p.wait(1s);
    p.turn();
    CHECK(p.shared.loads == 3);
}

TEST_CASE("The peers module tries a load after a gap again, until it succeeds",
          "[room][room_peers]") {
    PeersAlone p;
    p.shared.append("one");
    p.shared.gap = true;
    p.shared.load_error = std::make_error_code(std::errc::timed_out);
    p.shared.answer();
    p.turn();
    for (int i = 0; i < 5; ++i) {
        p.turn();
        CHECK(p.state().loss.is_possible());
        p.wait(1s);
    }
    p.shared.load_error = {};
    for (int i = 0; i < 3; ++i) {
        p.wait(1s);
        p.shared.answer();
        p.turn();
    }
    CHECK(p.words() == PeerWords{"one"});
    CHECK_FALSE(p.state().loss.is_possible());
}

TEST_CASE("The peers module ends a room whose history is over, and compares one with another epoch",
          "[room][room_peers]") {
    PeersAlone p;
    p.shared.append("one");
    p.shared.answer();
    p.turn();
    REQUIRE_FALSE(p.ended);
    SECTION("over") {
        p.shared.answer(part::FanoutBatch{.state = PeerState::over});
        p.turn();
        CHECK(p.ended);
        CHECK_FALSE(p.shared.reader);
    }
    SECTION("another epoch") {
        part::FanoutBatch batch{.epoch = peer_id(7)};
        batch.entries.push_back({9, {}, to_bytes(as_bytes("other"))});
        p.shared.answer(std::move(batch));
        p.turn();
        p.turn();
        CHECK_FALSE(p.ended);
        CHECK(p.difference.has_value());
    }
    CHECK(p.words() == PeerWords{"one"});
}

TEST_CASE("The peers module ends the subscription of an evicted room", "[room][room_peers]") {
    PeersAlone p;
    const auto evict = [&] { p.peers.on_evicted(p.room, {}); };
    SECTION("after an answer") {
        p.room.notifications.loaded = true;
        p.shared.answer(part::FanoutBatch{.state = PeerState::over});
        SECTION("that was taken") { p.turn(); }
        SECTION("that was not taken") {}
        evict();
        REQUIRE(p.shared.reader);
        CHECK_FALSE(p.shared.reader->done.wanted());
    }
    SECTION("after an answer, of a storage that throws") {
        p.room.notifications.loaded = true;
        p.shared.answer(part::FanoutBatch{.state = PeerState::over});
        p.shared.throws = true;
        evict();
        CHECK(p.context.counters.storage_failures == 1);
    }
    SECTION("that waits") {
        p.room.notifications.loaded = true;
        evict();
        CHECK(p.shared.reader->done.wanted());
        p.room.replication.reset();
        CHECK_FALSE(p.shared.reader->done.wanted());
    }
    SECTION("that was never loaded, and has none") {
        p.shared.reader.reset();
        evict();
        CHECK_FALSE(p.shared.reader);
    }
}

TEST_CASE("The peers module restores a history that the storage has lost, under its own epoch",
          "[room][room_peers]") {
    PeersAlone p;
    p.append("own");
    p.turn();
    p.shared.answer_flush();
    p.turn();
    const Id epoch = p.room.history.epoch;
    CHECK(p.shared.epoch == epoch);
    p.shared.answer();
    p.turn();
    p.shared.lose_all();
    p.shared.answer();
    p.turn();
    p.turn();
    REQUIRE(p.difference);
    CHECK(p.difference->ours.size() == 1);
    CHECK(p.state().restore == detail::Restore::storing);
    p.shared.answer_flush();
    p.turn();
    CHECK(p.shared.epoch == epoch);
    CHECK(p.shared.words() == PeerWords{"own"});
    CHECK(p.state().restore == detail::Restore::none);
}

TEST_CASE("The peers module mixes another history with the room after its own changes are stored",
          "[room][room_peers]") {
    PeersAlone p;
    p.append("own");
    p.turn();
    p.shared.answer_flush();
    p.turn();
    p.shared.answer();
    p.turn();
    p.shared.lose_all();
    p.shared.append("other");
    REQUIRE(p.shared.epoch != p.room.history.epoch);
    p.shared.answer();
    p.turn();
    p.turn();
    REQUIRE(p.difference);
    CHECK(p.difference->theirs.empty());
    CHECK(p.difference->ours.size() == 1);
    CHECK(p.state().restore == detail::Restore::waiting);
    CHECK(p.words() == PeerWords{"own"});
    CHECK(p.room.history.epoch != p.shared.epoch);
    p.shared.answer_flush();
    for (int i = 0; i < 3; ++i) {
        p.wait(1s);
        p.turn();
    }
    CHECK(p.words() == PeerWords{"other", "own"});
    CHECK(p.shared.words() == PeerWords{"other", "own"});
    CHECK(p.room.history.epoch == p.shared.epoch);
    CHECK(p.state().restore == detail::Restore::none);
    CHECK_FALSE(p.ended);
}

TEST_CASE("The peers module skips one bad message, and its own ones, and takes the others",
          "[room][room_peers]") {
    PeersAlone p;
    p.shared.append("one");
    p.shared.messages.push_back(to_bytes(as_bytes("no message")));
    const Bytes ann = peer_awareness(5);
    const Bytes bob = peer_awareness(6);
    p.shared.send({PeerKind::state, p.context.last_change.server, 1, "ann", ann});
    p.shared.send({PeerKind::state, peer_id(3), 1, "bob", bob});
    p.shared.answer();
    p.turn();
    CHECK(p.context.counters.storage_failures == 1);
    CHECK(p.room.awareness.size() == 1);
    CHECK(p.words() == PeerWords{"one"});
    // Messages may arrive again, and in another order.
    const detail::PeerMessage message{PeerKind::state, peer_id(4), 1, "ann", ann};
    for (int i = 0; i < 2; ++i) p.shared.send(message);
    p.shared.answer();
    p.turn();
    CHECK(p.room.awareness.size() == 2);
    CHECK(p.context.counters.storage_failures == 1);
}

TEST_CASE("The peers module announces the save that other servers wait for, once",
          "[room][room_peers]") {
    PeersAlone p{true};
    p.shared.append("one");
    p.shared.answer();
    p.turn();
    p.state().progress.saving = p.room.history;
    p.peers.on_saved(p.room, true);
    CHECK(p.shared.take(PeerKind::saved).empty());
    p.peers.on_saved(p.room, false);
    const auto saved = p.shared.take(PeerKind::saved);
    REQUIRE(saved.size() == 1);
    CHECK(saved[0].epoch == p.shared.epoch);
    CHECK(saved[0].position == 1);
    p.peers.on_saved(p.room, false);
    CHECK(p.shared.take(PeerKind::saved).empty());
}

TEST_CASE("A save at another server counts for the peers module if it covers all that was loaded",
          "[room][room_peers]") {
    PeersAlone p;
    p.shared.append("one");
    p.shared.append("two");
    p.shared.gap = true;
    p.shared.answer();
    p.turn();
    p.turn();
    REQUIRE(p.state().progress.loaded == 2);
    detail::PeerMessage message{PeerKind::saved, peer_id(3)};
    const auto counts = [&](const Id& epoch, std::uint64_t position) {
        message.epoch = epoch;
        message.position = position;
        p.shared.send(message);
        p.shared.answer();
        p.turn();
        return p.received && p.received->saved;
    };
    CHECK_FALSE(counts(p.shared.epoch, 1));
    CHECK_FALSE(counts(peer_id(50), 2));
    CHECK(counts(p.shared.epoch, 2));
}

TEST_CASE("The peers module compares no change of this server that the document has for certain",
          "[room][room_peers]") {
    PeersAlone p;
    p.append("own");
    p.turn();
    SECTION("its flush was answered first") {
        p.shared.answer_flush();
        p.turn();
        CHECK(p.state().own.has(1));
    }
    SECTION("its entry has arrived first") {
        p.shared.answer();
        p.turn();
        CHECK(p.state().own.has(1));
        CHECK(p.room.pending.size() == 0);
        p.shared.answer_flush();
    }
    p.shared.answer();
    p.turn();
    CHECK(p.words() == PeerWords{"own"});
    CHECK(p.room.history.position == 1);
}

// ---- all together ---------------------------------------------------------------------------

namespace {

/// A server whose clients add words, as other servers do, while the shared storage fails.
class SharedWords {
public:
    explicit SharedWords(Seed seed) : bits_{seed} {}

    void step() {
        SharedModel& shared = p_.shared;
        switch (draw(11)) {
            case 0:
            case 1:
                shared.append(word());
                break;
            case 2:
            case 3:
                p_.append(word());
                break;
            case 4:
                shared.answer_flush();
                break;
            case 5:
            case 6:
                shared.answer();
                break;
            case 7:
                fail();
                break;
            case 8:
                p_.wait(Duration{static_cast<std::int64_t>(draw(3)) * 400ms});
                break;
            case 9:
                if (draw(2) == 0) lose();
                break;
            default:
                p_.turn();
        }
        check_covered();
    }
    /// The faults end: the document and the storage have the same words after a few turns.
    void settle() {
        p_.shared.load_error = p_.shared.flush_error = {};
        p_.shared.throws = false;
        const Instant begun = p_.context.now;
        for (int turns = 0; !is_settled(); ++turns) {
            REQUIRE(turns < turns_max);
            p_.shared.answer_flush();
            p_.shared.answer();
            p_.turn();
            if (is_settled()) break;
            // Everything that waits has a time, or an answer of the storage.
            const Instant due =
                std::min({p_.state().deadline(), p_.room.calls.deadline(), p_.storage.deadline()});
            REQUIRE((due != never || p_.shared.reader || p_.shared.flush));
            if (due != never) p_.context.at(due);
            // Without further entries, only a load shows whether the storage has lost something.
            if (due == never && p_.state().loss.uncertain) p_.peers.on_held_back(p_.room);
        }
        REQUIRE(elapsed(begun, p_.context.now) <= 2 * timeline::RoomCore::retry_max);
        REQUIRE_FALSE(p_.ended);
        const PeerWords words = p_.words();
        REQUIRE(words == p_.shared.words());
        REQUIRE(std::includes(words.begin(), words.end(), kept_.begin(), kept_.end()));
    }

private:
    static constexpr int turns_max = 24;

    [[nodiscard]] std::uint64_t draw(std::uint64_t last) { return uniform_upto(bits_, last); }
    [[nodiscard]] std::string word() { return "w" + std::to_string(++words_); }
    void fail() {
        SharedModel& shared = p_.shared;
        const std::error_code error = make_error_code(std::errc::io_error);
        switch (draw(6)) {
            case 0:
                if (shared.reader) shared.answer(PersistenceError{error, {}, {}});
                break;
            case 1:
                shared.reader.reset();
                break;
            case 2:
                shared.throws = !shared.throws;
                break;
            case 3:
                shared.load_error = shared.load_error ? std::error_code{} : error;
                break;
            case 4:
                shared.flush_error = error;
                shared.flush_stores = draw(1) == 0;
                break;
            case 5:
                shared.flush.reset();
                break;
            default:
                shared.gap = true;
        }
    }
    /// The storage loses its newest changes. This server still has those that it has applied.
    void lose() {
        const std::size_t count = draw(p_.shared.entries.size());
        const PeerWords words = p_.words();
        kept_.insert(words.begin(), words.end());
        p_.shared.lose(count);
    }
    /// A snapshot of the document never covers a change that the document lacks.
    void check_covered() {
        const PeerWords words = p_.words();
        for (const part::FanoutBatch::Entry& entry : p_.shared.entries) {
            if (entry.position > p_.room.history.position) continue;
            const PeerWords stored = words_in(entry.update);
            REQUIRE(std::includes(words.begin(), words.end(), stored.begin(), stored.end()));
        }
    }
    [[nodiscard]] bool is_settled() {
        return !p_.shared.flush && p_.room.pending.size() == 0 && !p_.state().loss.is_possible() &&
               p_.shared.reader && p_.shared.words() == p_.words();
    }

    Random bits_;
    PeersAlone p_{};
    PeerWords kept_{};  ///< in the document when the storage lost something
    std::uint64_t words_ = 0;
};

}  // namespace

TEST_CASE("The peers module brings all words to the room and to the storage, despite faults",
          "[room][room_peers][property]") {
    for_each_seed(
        [](Seed seed) {
            SharedWords words{seed};
            for (int i = 0; i < 200; ++i) words.step();
            words.settle();
        },
        histories(200));
}
