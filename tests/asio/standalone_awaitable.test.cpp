// SPDX-License-Identifier: MIT
// Goal: asio's cancellation ends a wait for a link, outside of its signal, and loses no message.
// Method: the slots of the standalone asio, which Boost 1.74 does not have, over a scripted
// transport; its coroutines where the compiler has them (Clang 14 does not).
#include <belay/link/awaitable.hpp>

#include <belay/asio/standalone.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/steady_timer.hpp>
#if defined(ASIO_HAS_CO_AWAIT)
#    include <asio/co_spawn.hpp>
#    include <asio/detached.hpp>
#    include <asio/experimental/as_tuple.hpp>
#    include <asio/experimental/awaitable_operators.hpp>
#    include <asio/use_awaitable.hpp>
#endif

#include <memory>
#include <optional>

#include <belay/asio/loop.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using SlotRig = LinkRig<FakeTransport<>, LinkAwaits<std::string>>;
using SlotResult = std::optional<Result<std::string, Failure>>;
using SlotRests = std::optional<Result<LinkStatus, Failure>>;

struct SlotTransport {
    TransportState transport;
};
struct Slotted : SlotTransport, SlotRig {
    Slotted() : SlotRig{FakeTransport<>{transport}, LinkAwaits<std::string>{8}} {
        start();
        transport.link.opened();
        run(0s);
    }
    void say(const std::string& text) {
        belay_test::receive(transport.link, text);
        run(0s);
    }
    void receive_result(SlotResult& received) {
        belay::receive(link, asio::bind_cancellation_slot(signal.slot(), [&](auto answer) {
                           received = std::move(answer);
                       }));
    }
    bool slot_is_free() { return !signal.slot().has_handler(); }

    asio::cancellation_signal signal;
};

bool was_cancelled(const auto& answer) {
    return answer && !*answer &&
           answer->error().error() == std::make_error_code(std::errc::operation_canceled);
}

}  // namespace

TEST_CASE("asio's signal ends a wait in the next turn", "[asio][standalone_asio][unit]") {
    Slotted s;
    SlotResult received, later;
    s.receive_result(received);
    s.run(0s);
    REQUIRE_FALSE(s.slot_is_free());
    s.signal.emit(asio::cancellation_type::none);
    s.run(0s);
    REQUIRE_FALSE(received);
    s.signal.emit(asio::cancellation_type::terminal);
    s.signal.emit(asio::cancellation_type::total);
    CHECK_FALSE(received);  // the wait ends after the emitter has returned
    s.say("for nobody yet");
    REQUIRE(was_cancelled(received));
    CHECK(s.slot_is_free());
    s.receive_result(later);
    s.run(0s);
    REQUIRE((later && *later));
    CHECK(**later == "for nobody yet");
}

TEST_CASE("asio's signal ends each of several waits, of both kinds",
          "[asio][standalone_asio][unit]") {
    Slotted s;
    s.transport.link.closed();
    s.run(0s);
    asio::cancellation_signal first, second;
    SlotRests a, b;
    connected(s.link,
              asio::bind_cancellation_slot(first.slot(), [&](auto reported) { a = reported; }));
    connected(s.link,
              asio::bind_cancellation_slot(second.slot(), [&](auto reported) { b = reported; }));
    s.run(0s);
    second.emit(asio::cancellation_type::partial);
    s.run(0s);
    CHECK_FALSE(a);
    CHECK(was_cancelled(b));
    s.run(1s);
    s.transport.link.opened();
    s.run(1s);
    CHECK((a && *a));
}

TEST_CASE("The slot of asio is empty after a wait, and after the end of its link",
          "[asio][standalone_asio][fault]") {
    asio::cancellation_signal signal;
    SlotResult received;
    {
        Slotted s;
        s.receive_result(received);
        s.say("one");
        CHECK((received && *received));
        CHECK(s.slot_is_free());
        received.reset();
        bool reported = false;
        belay::receive(s.link,
                       asio::bind_cancellation_slot(signal.slot(), [&](auto) { reported = true; }));
        s.run(0s);
        CHECK(signal.slot().has_handler());
        SECTION("while it waits") {}
        SECTION("while it is being cancelled") { signal.emit(asio::cancellation_type::terminal); }
        CHECK_FALSE(reported);
    }
    CHECK_FALSE(signal.slot().has_handler());
    signal.emit(asio::cancellation_type::terminal);
}

TEST_CASE("A handler that was cancelled may destroy the link", "[asio][standalone_asio][fault]") {
    auto s = std::make_unique<Slotted>();
    asio::cancellation_signal one, two;
    int reported = 0;
    const auto ends = [&](auto) {
        ++reported;
        s.reset();
    };
    belay::receive(s->link, asio::bind_cancellation_slot(one.slot(), ends));
    belay::receive(s->link, asio::bind_cancellation_slot(two.slot(), ends));
    s->run(0s);
    one.emit(asio::cancellation_type::terminal);
    two.emit(asio::cancellation_type::terminal);
    s->link.advance(s->link.now());
    CHECK(reported == 1);
    CHECK_FALSE(two.slot().has_handler());
}

#if defined(ASIO_HAS_CO_AWAIT)

namespace {

using namespace asio::experimental::awaitable_operators;

struct AwaitsEither {
    asio::io_context context{};
    AsioLoop<asio::io_context> loop{context};
    TransportState transport{};
    Supervisor<FakeTransport<>, decltype(doubling()), LinkAwaits<std::string>> link{
        FakeTransport<>{transport}, doubling(), {}, LinkAwaits<std::string>{8}};
    Observed observed{};
    bool over = false;

    AwaitsEither() {
        loop.attach(link);
        link.start();
    }
    asio::awaitable<void> exchange() {
        static_cast<void>(co_await connected(link, asio::use_awaitable));
        asio::steady_timer timer{context, 0s};
        auto first =
            co_await (receive(link, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
        observed.emplace_back(first.index() == 1 ? "the timer" : "a message");
        belay_test::receive(transport.link, "kept");
        timer.expires_after(1h);
        auto second =
            co_await (receive(link, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
        if (second.index() == 0) observed.push_back(*std::get<0>(second));
        over = true;
    }
};

}  // namespace

TEST_CASE("asio's coroutines await the first of a link and a timer",
          "[asio][standalone_asio][unit]") {
    AwaitsEither w;
    w.transport.on_open = [](const Link<std::string>& link) { link.opened(); };
    asio::co_spawn(w.context, w.exchange(), asio::detached);
    belay_test::run_until(w.context, [&] { return w.over; });
    CHECK(w.observed == Observed{"the timer", "kept"});
}

#endif
