// SPDX-License-Identifier: MIT
// Goal: a user's decorator that throws ends its connection, and the link continues. No link waits
// for an end that was lost with the exception. Method: a decorator that throws at each event and at
// its timer, once or each time, in a Supervisor and in a ServedLink.
#include <optional>
#include <stdexcept>
#include <utility>

#include <belay/link/served_link.hpp>
#include <belay/link/validated.hpp>

#include "support/catch.hpp"
#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The place where it throws, and whether it does so once.
struct ThrowingScript {
    std::optional<part::EventKind> at{};
    bool once = true;
    Instant timer = never;
    int thrown = 0;
    void fail() {
        ++thrown;
        if (once) at.reset();
        throw std::runtime_error{"a decorator of the user"};
    }
};

template <TransportLike T>
class ThrowingDecorator : public part::Around<T> {
public:
    using message_type = typename T::message_type;
    using Wrapped = part::Wrapped<part::ConnectionOf<T>, message_type>;

    class Connection : public Wrapped {
    public:
        template <class F>
        Connection(F&& make, ThrowingScript& script)
            : Wrapped{std::forward<F>(make)}, script_{script} {}
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Wrapped::sift(event, turn)) return false;
            if (script_.at == event.kind) script_.fail();
            return true;
        }
        [[nodiscard]] Instant deadline() const noexcept { return script_.timer; }
        void advance(Turn& turn) {
            Wrapped::advance(turn);
            if (script_.timer > turn.now) return;
            if (script_.once) script_.timer = never;
            script_.fail();
        }

    private:
        ThrowingScript& script_;
    };

    ThrowingDecorator(T inner, ThrowingScript& script)
        : part::Around<T>{std::move(inner)}, script_{&script} {}
    [[nodiscard]] Connection open(const Link<message_type>& link) {
        return Connection{[&] { return this->inner_.open(link); }, *script_};
    }

private:
    ThrowingScript* script_;
};

struct Decorated {
    TransportState transport;
    ThrowingScript script;
    LinkRig<ThrowingDecorator<FakeTransport<>>> rig{
        ThrowingDecorator{FakeTransport<>{transport}, script}};

    Decorated() {
        rig.start();
        transport.link.opened();
        rig.run(0s);
        REQUIRE(rig.state() == LinkState::connected);
    }
    /// Runs all turns at `now`, also after exceptions.   Returns: the number of exceptions.
    int run(Duration now) {
        for (int thrown = 0;; ++thrown) {
            REQUIRE(thrown < 10);
            try {
                rig.run(now);
                return thrown;
            } catch (const std::runtime_error&) {
            }
        }
    }
};

}  // namespace

TEST_CASE("A decorator that throws at an event ends its connection, and the link continues",
          "[link][part][regression]") {
    const part::EventKind kind = GENERATE(part::EventKind::opened, part::EventKind::received,
                                          part::EventKind::pong, part::EventKind::writable);
    CAPTURE(static_cast<int>(kind));
    Decorated d;
    d.script.at = kind;
    d.script.once = GENERATE(true, false);
    if (kind == part::EventKind::opened) d.transport.link.opened();
    if (kind == part::EventKind::received) receive(d.transport.link, "a message");
    if (kind == part::EventKind::pong) d.transport.link.pong(true);
    if (kind == part::EventKind::writable) d.transport.link.writable();
    receive(d.transport.link, "a later one");  // it would have no meaning without the first message
    CHECK(d.run(1s) == 1);
    CHECK(d.rig.notes.observed.back() == "cooldown");
    CHECK(d.rig.link.status().failure.error() == LinkErrc::decorator_threw);
    CHECK(d.transport.live == 0);
    d.script.at.reset();
    d.rig.run(3s);
    d.transport.link.opened();
    d.rig.run(3s);
    CHECK(d.rig.state() == LinkState::connected);
    CHECK(d.transport.dials == 2);
}

TEST_CASE("A decorator that throws at the end of its connection does not lose the end",
          "[link][part][regression]") {
    Decorated d;
    d.script.at = part::EventKind::closed;
    d.script.once = GENERATE(true, false);
    SECTION("closed by the peer") {
        d.transport.link.closed({.cause = Cause::overloaded, .code = 7, .retry_after = 5s});
        CHECK(d.run(1s) == 1);
        CHECK(d.rig.state() == LinkState::cooldown);
        CHECK(d.rig.link.status().failure.cause == Cause::overloaded);
        CHECK(d.rig.link.status().failure.code == 7);
        CHECK(d.rig.link.status().retry_at >= at(6s));
    }
    SECTION("reported unhealthy") {
        d.rig.link.report_unhealthy();
        CHECK_THROWS_AS(d.rig.link.advance(at(1s)), std::runtime_error);
        CHECK(d.rig.state() == LinkState::connected);
        CHECK(d.rig.link.send("too late") == SendResult::down);
        CHECK(d.run(1s) == 0);
        CHECK(d.rig.state() == LinkState::cooldown);
        CHECK(d.transport.sent.empty());
        d.script.at.reset();
        d.transport.link.closed({});
        d.run(1s);
    }
    SECTION("while a graceful close lingers") {
        d.rig.link.stop();
        d.run(1s);
        CHECK(d.transport.log.back() == "close");
        d.transport.link.closed({});
        CHECK(d.run(1s) == 1);
        CHECK(d.rig.state() == LinkState::stopped);
    }
    CHECK(d.transport.live == 0);
}

TEST_CASE("A decorator that throws at its timer ends its connection, once",
          "[link][part][regression]") {
    Decorated d;
    d.script.timer = at(1s);
    d.script.once = GENERATE(true, false);
    CHECK(d.run(1s) == 1);
    CHECK(d.rig.state() == LinkState::cooldown);
    CHECK(d.rig.link.status().failure.error() == LinkErrc::decorator_threw);
    CHECK(d.transport.live == 0);
}

TEST_CASE("A served link whose decorator or receiver throws ends with the reason",
          "[link][served_link][regression]") {
    const int where = GENERATE(0, 1, 2, 3);
    CAPTURE(where);
    TransportState transport;
    ThrowingScript script{.once = false};
    ServedLink link{ThrowingDecorator{FakeTransport<>{transport}, script}, 8, Waker{}, 0};
    const auto turn = [&] {
        link.advance(at(1s), 10, [&](const std::string&, Lane) {
            if (where == 3) script.fail();
        });
    };
    transport.link.opened();
    turn();
    REQUIRE(link.opened());
    if (where == 0) script.at = part::EventKind::received;
    if (where == 1) script.at = part::EventKind::closed;
    if (where == 2) script.timer = at(1s);
    if (where == 1) {
        transport.link.closed({.cause = Cause::overloaded, .code = 7});
    } else {
        receive(transport.link, "a message");
    }
    CHECK_THROWS_AS(turn(), std::runtime_error);
    CHECK(link.ended());
    CHECK(transport.live == 0);
    if (where == 1) {
        CHECK(link.failure().code == 7);
    } else {
        CHECK(link.failure().error() ==
              (where == 3 ? LinkErrc::handler_threw : LinkErrc::decorator_threw));
    }
    turn();
    CHECK(script.thrown == 1);
}
