// SPDX-License-Identifier: MIT
// Goal: a lack of memory, at any allocation, ends at most the affected connection. The program
// continues, and no link stays without a timer. Method: memory runs out at critical places, and
// then at each allocation of a scenario in turn. counting_new.hpp is in allocation.test.cpp, which
// is in the same executable.
#include <belay/link/supervisor.hpp>

#include <functional>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <belay/link/awaitable.hpp>
#include <belay/link/detail/stream_connection.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/served_link.hpp>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/link/link_rig.hpp"
#include "support/link/scripted_link.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Calls `unsent()` when a message could not be sent.
struct Refills {
    std::function<void()>* unsent;
    Notes* notes;
    void on_state(const Transition& t) {
        const SpareMemory spare;
        notes->on_state(t);
    }
    void on_message(const std::string& m, Lane lane) {
        const SpareMemory spare;
        notes->on_message(m, lane);
    }
    void on_unsent(const std::string&, Lane) { (*unsent)(); }
};

/// Sends until a queue of two messages is full.
void fill(const auto& handle) {
    static_cast<void>(handle.open(Gate::paused));
    static_cast<void>(handle.open(Gate::paused));
}

/// A socket whose events the test reports.
class Pipe : public belay::detail::StreamConnection<Pipe, Lines> {
    using Stream = belay::detail::StreamConnection<Pipe, Lines>;
    friend Stream;
    using Answer = belay::detail::StreamAnswer;

public:
    Pipe(const Link<Bytes>& link, std::string& text) : Stream{Lines{}, 1000, link}, text_{text} {
        this->begin();
    }
    ~Pipe() { this->abandon(); }
    void come() { this->readable(); }
    using Stream::over;

private:
    Answer read_some(std::span<std::byte> room) noexcept {
        const std::size_t n = std::min(room.size(), text_.size());
        if (n == 0) return {Answer::Kind::would_block};
        for (std::size_t i = 0; i < n; ++i) room[i] = static_cast<std::byte>(text_[i]);
        text_.erase(0, n);
        return {Answer::Kind::moved, n};
    }
    Answer write_some(BytesView bytes) noexcept { return {Answer::Kind::moved, bytes.size()}; }
    Answer write_both(BytesView a, BytesView b) noexcept {
        return {Answer::Kind::moved, a.size() + b.size()};
    }
    void watch(bool, bool) {}
    void write_soon() {}
    void end_output() noexcept {}
    void hang_up() noexcept {}

    std::string& text_;
};
struct Pipes {
    using message_type = Bytes;
    struct Connection {
        Connection(Pipes& owner, const Link<Bytes>& link) : pipe{link, *owner.text} {
            *owner.pipe = &pipe;
            owner_ = owner.pipe;
        }
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection() { *owner_ = nullptr; }
        SendResult send(const Bytes& m) noexcept { return pipe.send(m); }
        Pipe pipe;
        Pipe** owner_;
    };
    Connection open(const Link<Bytes>& link) { return {*this, link}; }
    std::string* text;
    Pipe** pipe;
};

}  // namespace

TEST_CASE("The end of a connection needs no memory, and is reported after the queued events",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    Notes notes;
    std::function<void()> unsent = [] {};
    Supervisor link{FakeTransport<>{transport}, doubling(), {}, Refills{&unsent, &notes}};
    const auto run = [&] {
        for (int i = 0; i < 100 && link.deadline() <= at(0s); ++i) link.advance(at(0s));
    };
    link.start();
    run();
    transport.link.opened();
    run();
    CHECK(receive(transport.link, "1") == driver::Post::taken);
    CHECK(receive(transport.link, "2") == driver::Post::taken);
    SECTION("reported by its own thread") {
        CHECK(without_memory([&] { transport.link.closed({.cause = Cause::protocol}); }) == 1);
    }
    SECTION("reported by another thread, which queues as many events as fit") {
        std::thread{[&] {
            receive(transport.link, "3");
            receive(transport.link, "4");
            without_memory([&] { transport.link.closed({.cause = Cause::protocol}); });
        }}.join();
    }
    SECTION("by command") {
        CHECK(without_memory([&] { link.report_unhealthy(); }) == 1);
    }
    CHECK(link.deadline() == always);
    run();
    const bool by_another = notes.observed.size() == 7;
    CHECK(notes.observed[2] == "message 1 on 0");
    CHECK(notes.observed[3] == "message 2 on 0");
    CHECK((by_another ? notes.observed[5] : notes.observed[3])
              .ends_with(by_another ? "4 on 0" : "2 on 0"));
    CHECK(notes.observed.back() == "cooldown");
    CHECK(link.status().failure.error() == std::errc::not_enough_memory);
    CHECK(transport.live == 0);
    CHECK(link.deadline() == at(1s));
}

TEST_CASE("An open() that throws when there is no memory at all is a failed attempt",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    Notes notes;
    std::function<void()> unsent = [] {};
    Supervisor link{FakeTransport<>{transport}, doubling(), {}, Refills{&unsent, &notes}};
    std::optional<FailingNew> failing;
    transport.on_open = [&](Link<std::string>) {
        if (transport.dials > 1) return;
        fill(link.handle());
        failing.emplace(0);
        throw std::bad_alloc{};
    };
    link.start();
    bool thrown = false;
    try {
        link.advance(at(0s));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    failing.reset();
    CHECK(thrown);
    for (int i = 0; i < 100 && link.deadline() <= at(0s); ++i) link.advance(at(0s));
    CHECK(notes.observed == Observed{"connecting", "cooldown"});
    CHECK(link.deadline() == at(1s));
}

TEST_CASE("ServedLink ends although there was no memory for the end",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    Observed observed;
    ServedLink<FakeTransport<>> link{FakeTransport<>{transport}, 9, Waker{}, 1};
    link.advance(at(0s), 9, [](std::string, Lane) {});
    CHECK(receive(transport.link, "1") == driver::Post::taken);
    CHECK(receive(transport.link, "2") == driver::Post::taken);
    CHECK(without_memory([&] { transport.link.closed({.cause = Cause::protocol}); }) == 1);
    CHECK(link.has_hung_up());
    CHECK(link.has_arrived());
    for (int i = 0; i < 10 && link.deadline() <= at(0s); ++i) {
        link.advance(at(0s), 9, [&](std::string m, Lane) { observed.push_back(std::move(m)); });
    }
    CHECK(observed == Observed{"1", "2"});
    CHECK(link.ended());
    CHECK(link.failure().error() == std::errc::not_enough_memory);
}

TEST_CASE("Heartbeat detects a frozen peer although one report ran out of memory",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    Notes notes;
    std::function<void()> unsent = [] {};
    Supervisor link{Heartbeat{FakeTransport<>{transport}, {.every = 10s, .dead_after = 25s}},
                    doubling(),
                    {.events_per_turn_max = 1},
                    Refills{&unsent, &notes}};
    Instant now = at(0s);
    const auto run = [&](Duration until) {
        for (int i = 0; i < 100 && link.deadline() <= at(until); ++i) {
            now = belay::detail::larger(now, link.deadline());
            link.advance(now);
        }
        now = at(until);
    };
    link.start();
    run(0s);
    transport.link.opened();
    run(24s);
    // The turn handles one of two events before the heartbeat, and another event takes its place.
    transport.answer = SendResult::down;
    const auto handle = link.handle();
    CHECK(handle.post("x") == driver::Post::taken);
    CHECK(handle.open(Gate::paused) == driver::Post::taken);
    std::optional<FailingNew> failing;
    unsent = [&] {
        static_cast<void>(handle.open(Gate::paused));
        failing.emplace(0);
    };
    bool thrown = false;
    try {
        link.advance(at(25s));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    failing.reset();
    CHECK(thrown);
    run(25900ms);
    CHECK(notes.observed.back() == "cooldown");
    // The exception has ended the connection. There was no memory to report that end either.
    CHECK(link.status().failure.error() == std::errc::not_enough_memory);
}

TEST_CASE(
    "A stream ends its connection when there is no memory to deliver the bytes that it has read",
    "[link][exhaustion_allocation][fault]") {
    bool ended = true;
    for (std::size_t good = 0; ended; ++good) {
        INFO("memory for " << good);
        REQUIRE(good < 100);
        std::string text;
        Pipe* pipe = nullptr;
        Supervisor link{Pipes{&text, &pipe}, doubling()};
        const auto run = [&](Duration until) {
            for (int i = 0; i < 100 && link.deadline() <= at(until); ++i) link.advance(at(until));
        };
        link.start();
        run(0s);
        REQUIRE(pipe != nullptr);
        for (int i = 0; i < 50; ++i) text += "a line\n";
        ended = without_memory([&] { pipe->come(); }, good) != 0;
        CHECK(pipe->over() == ended);
        run(0s);
        CHECK((link.status().state == LinkState::cooldown) == ended);
        run(10s);
        CHECK(link.status().state == LinkState::connected);
    }
}

namespace {

struct SlotOf {
    std::function<void(int)>* emit;
    [[nodiscard]] bool is_connected() const { return emit != nullptr; }
    template <class F>
    void emplace(F f) {
        const SpareMemory spare;
        *emit = std::move(f);
    }
    void clear() { *emit = {}; }
};
/// A completion handler in the form of asio, with a cancellation slot.
struct SlottedHandler {
    std::function<void()>* act;
    std::function<void(int)>* emit;
    void operator()(auto&&) && { (*act)(); }
    friend SlotOf get_associated_cancellation_slot(const SlottedHandler& h) { return {h.emit}; }
};
struct SlottedToken {
    std::function<void()>* act;
    std::function<void(int)>* emit;
};
template <class Token, class Signature, class Init>
void async_initiate(Init&& init, SlottedToken& token) {
    init(SlottedHandler{token.act, token.emit});
}

using AwaitedLink = Supervisor<FakeTransport<>, decltype(doubling()), LinkAwaits<std::string>>;

}  // namespace

TEST_CASE("A message that cannot be stored ends its connection instead of leaving a gap",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    AwaitedLink link{FakeTransport<>{transport}, doubling(), {}, LinkAwaits<std::string>{}};
    link.start();
    link.advance(at(0s));
    transport.log.reserve(100);
    SECTION("an early message") { receive(transport.link, "1"); }
    SECTION("a message that no coroutine has received yet") {
        transport.link.opened();
        link.advance(at(0s));
        receive(transport.link, "1");
    }
    bool thrown = false;
    const std::size_t refused = without_memory([&] {
        try {
            link.advance(at(0s));
            link.advance(at(0s));
        } catch (const std::bad_alloc&) {
            thrown = true;
        }
    });
    CHECK(refused != 0);
    CHECK_FALSE(thrown);
    CHECK(link.status().state == LinkState::cooldown);
    CHECK(link.status().failure.cause == Cause::overloaded);
    CHECK(transport.link.opened() == driver::Post::gone);
}

TEST_CASE("connected() that ran out of memory leaves no handler that is called later",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    AwaitedLink link{FakeTransport<>{transport}, doubling(), {}, LinkAwaits<std::string>{}};
    int calls = 0;
    std::function<void()> act = [&] { ++calls; };
    std::function<void(int)> emit;
    SlottedToken token{&act, &emit};
    const auto waits = [&] { connected(link, token); };
    CHECK_THROWS_AS(without_memory(waits, 1), std::bad_alloc);
    CHECK_FALSE(emit);
    connected(link, token);
    CHECK(emit);
    link.advance(at(0s));
    CHECK(calls == 1);
}

TEST_CASE("A wait may be cancelled after the end of its link, in the turn of another wait",
          "[link][exhaustion_allocation][fault]") {
    for (const bool receives : {false, true}) {
        INFO("receives " << receives);
        TransportState transport;
        auto link = std::make_unique<AwaitedLink>(FakeTransport<>{transport}, doubling(),
                                                  SupervisorOptions{}, LinkAwaits<std::string>{});
        link->start();
        link->advance(at(0s));
        if (receives) {
            transport.link.opened();
            link->advance(at(0s));
        }
        std::function<void(int)> signals[2];
        int calls = 0;
        std::function<void()> first = [&] {
            ++calls;
            link.reset();
            // Nothing is left to cancel.
            CHECK_FALSE(signals[1]);
            if (signals[1]) signals[1](1);
        };
        std::function<void()> second = [&] { ++calls; };
        SlottedToken tokens[2] = {{&first, &signals[0]}, {&second, &signals[1]}};
        for (SlottedToken& token : tokens) {
            receives ? receive(*link, token) : connected(*link, token);
        }
        link->advance(at(0s));
        REQUIRE(link);
        receives ? transport.link.closed() : transport.link.opened();
        link->advance(at(0s));
        CHECK(link == nullptr);
        CHECK(calls == 1);
    }
}

TEST_CASE("A wait is resumed later when the handler before it throws",
          "[link][exhaustion_allocation][fault]") {
    TransportState transport;
    AwaitedLink link{FakeTransport<>{transport}, doubling(), {}, LinkAwaits<std::string>{}};
    std::function<void(int)> signals[2];
    int calls = 0;
    std::function<void()> first = [] { throw 1; };
    std::function<void()> second = [&] { ++calls; };
    SlottedToken tokens[2] = {{&first, &signals[0]}, {&second, &signals[1]}};
    link.start();
    link.advance(at(0s));
    for (SlottedToken& token : tokens) connected(link, token);
    link.advance(at(0s));
    transport.link.opened();
    CHECK_THROWS_AS(link.advance(at(0s)), int);
    CHECK(calls == 0);
    transport.link.closed();
    link.advance(at(0s));
    link.advance(at(1s));
    transport.link.opened();
    link.advance(at(1s));
    CHECK(calls == 1);
}

TEST_CASE("Supervisor continues after a lack of memory at any allocation",
          "[link][exhaustion_allocation][fault]") {
    using L = Supervisor<decltype(scripted_transport<true>(std::declval<ScriptedLink&>())),
                         ScriptedRule, ScriptedApp>;
    std::size_t failures = 1;
    for (std::size_t good = 0; failures != 0; ++good) {
        INFO("memory for " << good);
        REQUIRE(good < 1000);
        failures = 0;
        ScriptedLink script;
        std::size_t left = good;
        L link{scripted_transport<true>(script),
               ScriptedRule{&script},
               {.messages_max = 1},
               ScriptedApp{&script}};
        script.loop.attach(link);
        script.poll = [&] {
            if (failures != 0) return script.loop.poll();
            const FailingNew failing{left};
            Instant next = always;
            try {
                next = script.loop.poll();
            } catch (const std::bad_alloc&) {
            }
            failures = failing.failed();
            left = allocations_left;
            return next;
        };
        script.reach = [&](const std::string& place) {
            if (place != "on_message") return;
            // Exceeds the limit of messages.
            for (int i = 0; i < 5; ++i) link.open(Gate::hidden);
        };
        play(script, [&] { return &link; });
        prove_alive(script, link);
        CHECK(script.wrong == "");
        CHECK(script.live == 0);
    }
}
