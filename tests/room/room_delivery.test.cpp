// SPDX-License-Identifier: MIT
// Goal: RoomDelivery and ReplyBudget fail exactly the clients that cannot receive, and no other
// one. Method: the parts alone. The failed clients are those that ClientCloser would close.
#include <belay/room/detail/room_delivery.hpp>

#include "support/catch.hpp"
#include "support/room/words_document.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::typed;
using part::RoomMessage;

namespace {

constexpr detail::ConnectionOps ops_of_fakes() {
    detail::ConnectionOps ops{};
    ops.write = [](const detail::ClientConnection&, const RoomMessage& m) {
        return to_bytes(m.payload);
    };
    ops.split = [](const detail::ClientConnection&, BytesView update, std::size_t) {
        return std::vector<Bytes>{to_bytes(update)};
    };
    ops.disjoint = [](const detail::ClientConnection&, BytesView, BytesView) { return false; };
    return ops;
}

struct FakeConnection : detail::ClientConnection {
    FakeConnection(std::uint64_t number, const detail::SharedLimits& shared)
        : ClientConnection{protocol, number, RoomRequest{}, shared} {}
    static SendResult record(ClientConnection& base, const detail::RoomFrame*, const Bytes& frame) {
        auto& self = static_cast<FakeConnection&>(base);
        if (self.result == SendResult::sent && self.accepts-- == 0) {
            self.accepts = 0;
            return SendResult::busy;
        }
        if (self.result == SendResult::sent) self.sent.push_back(frame);
        return self.result;
    }
    static constexpr detail::ConnectionOps make_protocol() {
        detail::ConnectionOps ops = ops_of_fakes();
        ops.send = &FakeConnection::record;
        return ops;
    }
    void set_only(detail::RoomClient& client) {
        only = &client;
        clients = {&only, 1};
    }
    static const detail::ConnectionOps protocol;
    SendResult result = SendResult::sent;
    int accepts = 1'000'000;  ///< frames
    std::vector<Bytes> sent{};
    detail::RoomClient* only = nullptr;
};
constinit const detail::ConnectionOps FakeConnection::protocol = FakeConnection::make_protocol();

/// Another protocol, with other frames.
constexpr detail::ConnectionOps other_protocol = FakeConnection::make_protocol();

/// A room with clients that have joined, each on a connection of its own.
template <class Document>
struct OneRoomOf {
    explicit OneRoomOf(const RoomOptions& options, std::size_t count) : context{options} {
        for (std::size_t i = 0; i < count; ++i) {
            connections.push_back(std::make_unique<FakeConnection>(i + 1, delivery.limits()));
            detail::ClientCore core{context.options, false};
            using Event = detail::ClientCore::Event;
            for (const Event event :
                 {Event::check_requested, Event::granted, Event::room_live, Event::opened})
                static_cast<void>(core.step(event, Instant{}, 1h));
            detail::ClientConnection& own = *connections[i];
            clients.push_back(
                std::make_unique<detail::RoomClient>(own, own.id, own.request, own.waker, core));
            clients[i]->room = &room;
            clients[i]->rights.account = context.accounts.of({}, {}, own.id)->in("board");
            connections[i]->set_only(*clients[i]);
            room.clients.push_back(clients[i].get());
            table.add(*clients[i]);
        }
        Turn turn{Instant{}, context.bits};
        static_cast<void>(room.core.step(timeline::RoomCore::Event::loaded, turn));
    }
    using Failed = std::vector<std::pair<std::uint64_t, std::error_code>>;
    [[nodiscard]] Failed failed() const {
        Failed all;
        for (const detail::EndedClient& one : context.ended_clients)
            all.emplace_back(one.id, one.why);
        return all;
    }
    [[nodiscard]] std::string_view last_limit() const { return context.ended_clients.back().limit; }
    detail::TurnContext context;
    detail::ClientTable table{};
    detail::RoomDelivery<Document> delivery{context, table};
    detail::RoomState<Document> room{"board", Document{}, always, context.options, always};
    std::vector<std::unique_ptr<FakeConnection>> connections{};
    std::vector<std::unique_ptr<detail::RoomClient>> clients{};
};

using OneRoom = OneRoomOf<belay_test::WordsDocument>;

const OneRoom::Failed no_failure{};
OneRoom::Failed one_failure(std::uint64_t client, RoomErrc why) {
    return {{client, make_error_code(why)}};
}

/// A document whose differences cannot be cut.
struct DocumentOfTwoMiB {
    static constexpr std::size_t size = std::size_t{2} << 20;
    Result<bool> check(BytesView) const { return true; }
    std::error_code apply(BytesView) { return {}; }
    std::span<const Bytes> snapshot() const noexcept { return {}; }
    std::size_t bytes() const noexcept { return size; }
    Bytes state_vector() const { return Bytes(3); }
    Result<Bytes> diff(BytesView) const { return Bytes(size); }
};

}  // namespace

TEST_CASE("RoomDelivery::send_update fails a client whose connection refuses the frame",
          "[room][room_delivery][unit]") {
    OneRoom one{{}, 3};
    one.connections[1]->result = SendResult::rejected;
    one.delivery.send_update(one.room, as_bytes("edit"), {1});
    CHECK(one.failed() == one_failure(2, RoomErrc::frame_too_large));
    CHECK(one.connections[0]->sent.empty());
    CHECK(one.connections[2]->sent == std::vector<Bytes>{to_bytes(as_bytes("edit"))});
}

TEST_CASE("RoomDelivery forgets the evicted rooms in one pass, before they are destroyed",
          "[room][room_delivery][unit]") {
    const RoomOptions options;
    OneRoom one{options, 1};
    const auto show = [&](detail::RoomBase& room) {
        REQUIRE_FALSE(
            room.awareness.receive({1, "alice"}, belay_test::awareness_of(1, 1, "{}"), Instant{}));
        one.delivery.queue_awareness(room);
    };
    std::vector<std::unique_ptr<detail::RoomState<belay_test::WordsDocument>>> others;
    for (int i = 0; i < 3; ++i) {
        others.push_back(std::make_unique<detail::RoomState<belay_test::WordsDocument>>(
            "other", belay_test::WordsDocument{}, always, options, always));
        show(*others.back());
    }
    show(one.room);
    for (const auto& other : others) {
        other->evicted = true;
        one.delivery.forget(*other);
        one.delivery.queue_awareness(*other);
    }
    one.delivery.forget();
    others.clear();
    CHECK(one.delivery.has_awareness());
    one.delivery.send_awareness();
    CHECK_FALSE(one.delivery.has_awareness());
    CHECK(one.connections[0]->sent.size() == 1);
}

TEST_CASE("RoomDelivery fails a client whose connection refuses awareness or a status",
          "[room][room_delivery][unit][regression]") {
    OneRoom one{{}, 2};
    one.connections[1]->result = SendResult::rejected;
    SECTION("awareness") {
        const auto state = belay_test::awareness_of(1, 1, "{}");
        REQUIRE_FALSE(one.room.awareness.receive({1, "alice"}, state, Instant{}));
        one.delivery.queue_awareness(one.room);
        one.delivery.send_awareness();
        CHECK(one.connections[0]->sent.size() == 1);
    }
    SECTION("a status") { one.delivery.acknowledge(*one.clients[1], 3); }
    CHECK(one.failed() == one_failure(2, RoomErrc::frame_too_large));
    CHECK(one.connections[1]->sent.empty());
}

TEST_CASE("RoomDelivery sends nothing more on a connection that has failed",
          "[room][room_delivery][unit]") {
    OneRoom one{{}, 4};
    // Two clients of one connection.
    detail::RoomClient* pair[] = {one.clients[0].get(), one.clients[2].get()};
    one.clients[0]->connection = one.connections[2].get();
    one.connections[2]->clients = pair;
    one.connections[2]->result = SendResult::rejected;
    one.clients[0]->backlog.lag_from.emplace();
    one.delivery.send_update(one.room, as_bytes("edit"), {});
    CHECK(one.failed() == one_failure(3, RoomErrc::frame_too_large));
    CHECK_FALSE(one.clients[0]->backlog.lag_from);
    one.connections[2]->result = SendResult::sent;
    one.delivery.send_update(one.room, as_bytes("next"), {});
    one.delivery.send_control(*one.connections[2], {}, Bytes{std::byte{0}});
    one.delivery.broadcast(one.room, as_bytes("all"), 0);
    one.delivery.catch_up(*one.connections[2]);
    const std::vector<Bytes> each{to_bytes(as_bytes("edit")), to_bytes(as_bytes("next")),
                                  to_bytes(as_bytes("all"))};
    CHECK(one.failed().size() == 1);
    CHECK(one.connections[2]->sent.empty());
    CHECK(one.connections[1]->sent == each);
    CHECK(one.connections[3]->sent == each);
}

TEST_CASE("RoomDelivery::send_update measures an edit until its last client has it",
          "[room][room_delivery][unit]") {
    OneRoom one{{}, 3};
    const RoomCounters::Histogram& times = one.context.counters.delivered;
    one.context.at(Instant{1s});
    const bool has_two_protocols = GENERATE(false, true);
    const std::size_t slow = GENERATE(std::size_t{1}, std::size_t{2});
    if (has_two_protocols) one.clients[1]->connection->ops = &other_protocol;
    // The author receives nothing. One of the others is slow.
    one.connections[slow]->result = SendResult::busy;
    one.delivery.send_update(one.room, as_bytes("edit"), {1, Instant{900ms}});
    CHECK(times.sum == Duration{});
    one.context.at(Instant{3s});
    one.connections[slow]->result = SendResult::sent;
    SECTION("its connection accepts the edit") {
        one.delivery.catch_up(*one.connections[slow]);
        CHECK(times.sum == 2100ms);
    }
    SECTION("or it is closed") {
        one.connections[slow]->output.clear();
        CHECK(times.sum == 2100ms);
    }
    SECTION("an edit without other clients, or from elsewhere, is not measured") {
        one.connections[slow]->output.clear();
        one.room.clients.resize(1);
        one.delivery.send_update(one.room, as_bytes("alone"), {1, Instant{1s}});
        one.delivery.send_update(one.room, as_bytes("elsewhere"), {});
        CHECK(times.sum == 2100ms);
    }
    CHECK(times.counts[9] == 1);
}

TEST_CASE("RoomDelivery::send_update closes no client that is only slow",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.client_bytes_max = 1000;
    OneRoom one{options, 1};
    one.connections[0]->result = SendResult::busy;
    const Bytes update(300, std::byte{1});
    for (int i = 0; i < 10; ++i) one.delivery.send_update(one.room, update, {});
    CHECK(one.failed() == no_failure);
    CHECK(one.connections[0]->output.counted() <= 500);
    CHECK(one.clients[0]->backlog.lag_from.has_value());
    CHECK(one.connections[0]->output.pace.deadline() ==
          after(always, options.heartbeat.dead_after));
}

TEST_CASE("RoomDelivery::catch_up holds at most the budget of a client that lags",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.client_bytes_max = 10'000;
    OneRoomOf<YjsDocument> one{options, 2};
    FakeConnection& slow = *one.connections[0];
    slow.result = SendResult::busy;
    std::uint64_t clock = 0;
    const auto type = [&] {
        const Bytes update = typed(7, clock, std::string(3000, 'x'));
        clock += 3000;
        one.delivery.send_update(one.room, update, {});
        REQUIRE_FALSE(one.room.document.apply(update));
    };
    for (int i = 0; i < 30; ++i) type();
    CHECK(slow.output.counted() <= 5000);
    CHECK(one.clients[0]->backlog.lag_from.has_value());
    // The connection accepts a part whenever it is writable, and nothing else.
    YjsDocument received;
    for (int i = 0; i < 100 && one.clients[0]->backlog.lag_from; ++i) {
        slow.result = SendResult::sent;
        slow.accepts = 1;
        one.context.at(Instant{i * 10ms});
        one.delivery.catch_up(slow);
        REQUIRE(slow.output.counted() <= 5000);
        if (i == 3) type();
    }
    slow.accepts = 100;
    one.delivery.catch_up(slow);
    CHECK_FALSE(one.clients[0]->backlog.lag_from.has_value());
    for (const Bytes& update : slow.sent) REQUIRE_FALSE(received.apply(update));
    CHECK(received.state_vector() == one.room.document.state_vector());
    CHECK(one.failed() == no_failure);
}

TEST_CASE("RoomDelivery::answer holds a state vector that is valid, and never copies it again",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.answers_bytes_max = 10;
    OneRoomOf<YjsDocument> one{options, 2};
    one.context.at(Instant{});
    REQUIRE_FALSE(one.room.document.apply(typed(7, 0, std::string(100, 'x'))));
    one.connections[1]->result = SendResult::busy;
    const Bytes empty{std::byte{0}};
    REQUIRE_FALSE(one.delivery.answer(*one.clients[1], empty));
    REQUIRE(one.connections[1]->output.answers() > 10);

    detail::RoomClient& waits = *one.clients[0];
    // A state vector that is malformed or too long is not held.
    Bytes many;
    yjs::append_varuint(many, 100'003);
    CHECK(one.delivery.answer(waits, Bytes(100, std::byte{1})) == YjsErrc::malformed_state_vector);
    CHECK(one.delivery.answer(waits, many) == YjsErrc::update_too_large);
    CHECK_FALSE(waits.backlog.state_vector.has_value());

    Bytes clocks;
    yjs::append_varuint(clocks, 30);
    for (std::uint64_t i = 0; i < 60; ++i) yjs::append_varuint(clocks, 1 + i);
    REQUIRE_FALSE(one.delivery.answer(waits, clocks));
    REQUIRE(waits.backlog.state_vector == clocks);
    const std::byte* const held = waits.backlog.state_vector->data();
    for (int i = 1; i < 20; ++i) {
        one.context.at(Instant{i * 50ms});
        REQUIRE(detail::take_due(waits.backlog.retry_at, one.context.now));
        one.delivery.catch_up(*one.connections[0]);
        REQUIRE(waits.backlog.state_vector->data() == held);
    }
    one.connections[1]->output.clear();
    one.context.at(Instant{1s});
    one.delivery.catch_up(*one.connections[0]);
    CHECK_FALSE(waits.backlog.state_vector.has_value());
    CHECK(one.connections[0]->sent.size() == 1);
}

TEST_CASE("RoomDelivery::request_state sends a long state vector within the budget of answers",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.client_bytes_max = 16 << 10;
    options.answers_bytes_max = 20'000;
    OneRoomOf<YjsDocument> one{options, 3};
    one.context.at(Instant{});
    for (std::uint64_t author = 0; author < 1000; ++author)
        REQUIRE_FALSE(one.room.document.apply(typed(100'000'000 + author, 0, "x")));
    const std::size_t size = one.room.document.state_vector().size();
    REQUIRE(size > 5000);
    for (std::size_t i = 0; i < 3; ++i) {
        one.connections[i]->result = SendResult::busy;
        one.delivery.request_state(*one.clients[i]);
    }
    CHECK(one.delivery.limits().answers == size);
    CHECK(one.connections[1]->output.empty());
    for (std::size_t i = 0; i < 3; ++i) {
        one.connections[i]->result = SendResult::sent;
        one.context.at(Instant{(i + 1) * 50ms});
        for (auto& connection : one.connections) one.delivery.catch_up(*connection);
        CHECK(one.connections[i]->sent == std::vector<Bytes>{one.room.document.state_vector()});
    }
    CHECK(one.failed() == no_failure);
}

TEST_CASE("RoomDelivery::send_control closes a connection with 256 frames of its own",
          "[room][room_delivery][unit]") {
    OneRoom one{{}, 1};
    one.connections[0]->result = SendResult::busy;
    for (int i = 0; i < 256; ++i)
        one.delivery.send_control(*one.connections[0], {}, Bytes{std::byte{0}});
    CHECK(one.failed() == no_failure);
    one.delivery.send_control(*one.connections[0], {}, Bytes{std::byte{0}});
    CHECK(one.failed() == one_failure(1, RoomErrc::too_slow));
}

TEST_CASE("RoomDelivery::broadcast fails a client whose budget the frame exceeds, and no other one",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.client_bytes_max = 1000;
    OneRoom one{options, 2};
    one.connections[0]->result = SendResult::busy;
    const Bytes frame(300, std::byte{1});
    one.delivery.broadcast(one.room, frame, 0);
    CHECK(one.failed() == no_failure);
    one.delivery.broadcast(one.room, frame, 0);
    CHECK(one.failed() == one_failure(1, RoomErrc::too_slow));
    CHECK(one.last_limit() == "client_bytes_max");
    CHECK(one.connections[1]->sent.size() == 2);
}

TEST_CASE("ReplyBudget::try_begin closes the oldest overdue answer, and no more than necessary",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.answers_bytes_max = 100;
    OneRoom one{options, 4};
    detail::ReplyBudget budget{one.table, one.context};
    std::vector<std::unique_ptr<FakeConnection>> held;
    for (std::size_t i = 0; i < 3; ++i) {
        const detail::SharedLimits shared{one.context.options, budget.waiting};
        held.push_back(std::make_unique<FakeConnection>(i + 1, shared));
        one.clients[i]->connection = held[i].get();
        held[i]->set_only(*one.clients[i]);
        held[i]->output.push({{}, detail::Ref<detail::RoomFrame>::make(Bytes(30)), i + 1, false});
        held[i]->output.answer.since = Instant{std::chrono::seconds{3 - i}};
    }
    const auto has_space = [&] {
        return budget.try_begin(*one.clients[3], 30, detail::ReplyQueue::whole);
    };
    one.context.at(Instant{options.heartbeat.dead_after});
    CHECK_FALSE(has_space());
    CHECK(one.failed() == no_failure);
    // A search is made at most once a second.
    one.context.at(Instant{options.heartbeat.dead_after + 2s});
    CHECK(has_space());
    CHECK(one.failed() == one_failure(3, RoomErrc::too_slow));
    CHECK(one.last_limit() == "answers_bytes_max");
}

TEST_CASE("ReplyBudget: one greedy user among 100 leaves a first answer to each other user",
          "[room][room_delivery][unit]") {
    RoomOptions options;
    options.answers_bytes_max = 1000;
    OneRoom one{options, 100};
    detail::ReplyBudget budget{one.table, one.context};
    std::vector<detail::Holding> answers;
    const auto begin = [&](std::size_t client, std::size_t bytes) {
        detail::RoomClient& of = *one.clients[client];
        if (!budget.try_begin(of, bytes, detail::ReplyQueue::chunked)) return false;
        answers.emplace_back(of.rights.account, &detail::Holdings::answer_bytes, bytes);
        budget.uncut += bytes;
        return true;
    };
    while (begin(0, 10)) continue;
    CHECK(budget.uncut == 750);
    // It does not wait in the queue, in which others would wait for it.
    CHECK(one.clients[0]->backlog.queue == detail::ReplyQueue::none);
    for (std::size_t i = 1; i < 100; ++i) REQUIRE(begin(i, 2));
    CHECK_FALSE(begin(0, 10));
    CHECK(one.failed() == no_failure);
    // When its answers have ended, it has as much again.
    answers.erase(answers.begin(), answers.begin() + 75);
    budget.uncut -= 750;
    CHECK(begin(0, 10));
}

TEST_CASE("A client that fell behind gets a whole difference at once if so much may wait",
          "[room][room_delivery][regression]") {
    RoomOptions options;
    options.client_bytes_max = 4 * DocumentOfTwoMiB::size;
    OneRoomOf<DocumentOfTwoMiB> one{options, 1};
    one.clients[0]->backlog.lag_from = Bytes(1);
    one.delivery.catch_up(*one.connections[0]);
    REQUIRE(one.connections[0]->sent.size() == 1);
    CHECK(one.connections[0]->sent[0].size() == DocumentOfTwoMiB::size);
}
