// SPDX-License-Identifier: MIT
// Goal: an AnyWebSocket behaves like a WebSocket. Method: a listener on the loopback.
#include <belay/beast/any_websocket.hpp>

#include <belay/beast/any_listener.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/http_failure.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/link/with_token.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <belay/asio/loop.hpp>
#include <belay/link/served_link.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

static_assert(TransportLike<beast::AnyWebSocket>);
using AnySocketConnection = beast::AnyWebSocket::Connection;
static_assert(detail::HasLimitOutput<AnySocketConnection>);
static_assert(detail::HasLimitMessages<AnySocketConnection>);
static_assert(detail::HasResumeReading<AnySocketConnection>);
static_assert(detail::HasPing<AnySocketConnection>);
static_assert(detail::HasClose<AnySocketConnection>);
static_assert(detail::HasTimer<AnySocketConnection>);

struct AnySocketApp {
    void on_state(auto& link, const Transition& change) {
        state = change.to.state;
        if (state == LinkState::connected) static_cast<void>(link.send(std::string{"hello"}));
        if (state == LinkState::failed) failure = change.to.failure;
    }
    void on_message(auto& link, const Bytes& message) {
        answer = std::string{as_text(message)};
        link.stop();
    }
    LinkState state = LinkState::stopped;
    Failure failure{};
    std::string answer{};
};

struct AnySocketToken {
    using token_type = std::string;
    void operator()(Completion<std::string> done) const { done(std::string{"secret"}); }
};

/// A client of one attempt, and a listener that sends each message back, or rejects.
struct AnySocketRig {
    explicit AnySocketRig(int reject_with = 0) {
        listener.emplace(loop, [this, reject_with](beast::AnyAccepted client) {
            token = client.header("Authorization");
            if (reject_with != 0) return client.reject(reject_with);
            served.emplace(std::move(client), 64, Waker{}, 1);
        });
        REQUIRE_FALSE(listener->listen({"127.0.0.1", 0}));
    }
    template <class Transport>
    AnySocketApp run(Transport transport) {
        Supervisor link{std::move(transport), Policy{MaxAttempts{1}}, {}, AnySocketApp{}};
        loop.attach(link);
        link.start();
        belay_test::run_until(context, [&] {
            if (served) {
                served->advance(SteadyClock{}.now(), 16, [&](const Bytes& message, Lane) {
                    CHECK(served->send(message) == SendResult::sent);
                });
            }
            return link.observer().failure.cause != Cause::none || !link.observer().answer.empty();
        });
        return link.observer();
    }
    [[nodiscard]] beast::AnyWebSocket socket(std::string host) {
        return {context, {std::move(host), listener->port()}, {.target = "/feed"}};
    }

    boost::asio::io_context context{};
    AsioLoop<boost::asio::io_context> loop{context};
    std::optional<beast::AnyListener> listener{};
    std::optional<ServedLink<beast::AnyAccepted>> served{};
    std::string token{};
};

}  // namespace

TEST_CASE("beast::AnyWebSocket exchanges messages", "[beast][any_websocket]") {
    AnySocketRig rig;
    CHECK(rig.run(Heartbeat{rig.socket("127.0.0.1"), {.every = 10s, .dead_after = 25s}}).answer ==
          "hello");
}

TEST_CASE("beast::AnyWebSocket dials a name with a token, and reports what it tried in vain",
          "[beast][any_websocket]") {
    AnySocketRig rig;
    CHECK(rig.run(WithToken{rig.socket("localhost"), AnySocketToken{}}).answer == "hello");
    CHECK(rig.token == "Bearer secret");
    CHECK(rig.socket("localhost").dial_report().empty());
}

TEST_CASE("beast::AnyWebSocket reports a rejected upgrade", "[beast][any_websocket]") {
    AnySocketRig rig{503};
    const AnySocketApp app = rig.run(rig.socket("127.0.0.1"));
    CHECK(app.failure.code == 503);
    CHECK(app.failure.category == &http_category());
}
