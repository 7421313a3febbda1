// SPDX-License-Identifier: MIT
// Goal: an AnyListener behaves like a Listener. Method: real sockets.
#include <belay/beast/any_listener.hpp>

#include <belay/link/transport_like.hpp>

#include "support/beast/listener_rig.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::RawSocket;
using belay_test::UpgradeText;

namespace {

static_assert(TransportLike<beast::AnyAccepted>);
static_assert(detail::HasLimitOutput<beast::AnyAccepted::Connection>);
static_assert(detail::HasLimitMessages<beast::AnyAccepted::Connection>);
static_assert(detail::HasResumeReading<beast::AnyAccepted::Connection>);
static_assert(detail::HasPing<beast::AnyAccepted::Connection>);
static_assert(detail::HasClose<beast::AnyAccepted::Connection>);

/// The client of one AnyListener, with what it has received.
struct AnyRig {
    explicit AnyRig(beast::ListenerOptions options = {}) {
        listener.emplace(
            loop, [this](beast::AnyAccepted client) { on_accept(std::move(client)); },
            std::move(options), belay_test::Rejections{&rejected});
    }
    void until(const std::function<bool()>& done) {
        while (!done()) {
            context.restart();
            context.run_one_for(1ms);
        }
    }
    std::string answer_to(const std::string& request) {
        const RawSocket peer = RawSocket::connect(listener->port());
        peer.send(request);
        std::string text;
        until([&] {
            text += peer.read_some();
            return belay_test::is_over(peer);
        });
        return text;
    }

    boost::asio::io_context context{};
    AsioLoop<boost::asio::io_context> loop{context};
    std::vector<beast::RejectedUpgrade> rejected{};
    std::function<void(beast::AnyAccepted)> on_accept{};
    std::optional<beast::AnyListener> listener{};
};

}  // namespace

TEST_CASE("beast::AnyListener passes on requests, and rejects like a Listener",
          "[beast][any_listener]") {
    AnyRig rig;
    REQUIRE_FALSE(rig.listener->listen({"127.0.0.1", 0}));
    std::string target;
    rig.on_accept = [&](beast::AnyAccepted client) {
        target = client.request().target + " " + client.header("Host");
        client.reject(403, 7s);
    };
    const std::string answer = rig.answer_to(UpgradeText{.target = "/ws?x=1"}.text());
    CHECK(answer.starts_with("HTTP/1.1 403"));
    CHECK(answer.find("Retry-After: 7") != std::string::npos);
    CHECK(target.starts_with("/ws?x=1 "));
    CHECK(rig.rejected.empty());
    // A client that the listener itself rejects is reported to the observer.
    CHECK(rig.answer_to("GET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 426"));
    REQUIRE(rig.rejected.size() == 1);
    CHECK(rig.rejected.front().reason == beast::RejectedUpgrade::Reason::no_upgrade);
    CHECK(rig.listener->counters().rejected == 2);
    // A client that is dropped is closed.
    rig.on_accept = [](const beast::AnyAccepted&) {};
    CHECK(rig.answer_to(UpgradeText{}.text()).empty());
    CHECK(rig.listener->counters().reasons.of(beast::RejectedUpgrade::Reason::unanswered) == 1);
    rig.listener->close();
    CHECK(rig.listener->port() == 0);
    AnyRig wrong{{.origins = {"no origin"}}};
    CHECK(wrong.listener->listen({"127.0.0.1", 0}) == std::errc::invalid_argument);
}

TEST_CASE("beast::AnyListener serves a client, and may be destroyed in on_accept",
          "[beast][any_listener]") {
    AnyRig rig;
    REQUIRE_FALSE(rig.listener->listen({"127.0.0.1", 0}));
    std::optional<ServedLink<beast::AnyAccepted>> served;
    rig.on_accept = [&](beast::AnyAccepted client) {
        const auto alive = rig.on_accept;
        rig.listener.reset();
        served.emplace(std::move(client), 64, Waker{}, 1);
    };
    const RawSocket peer = RawSocket::connect(rig.listener->port());
    peer.send(UpgradeText{}.text());
    std::string text;
    std::vector<std::string> messages;
    const auto serve_until = [&](const std::function<bool()>& done) {
        rig.until([&] {
            if (!served) return false;
            served->advance(SteadyClock{}.now(), 16, [&](const Bytes& message, Lane) {
                messages.emplace_back(as_text(message));
                CHECK(served->send(message) == SendResult::sent);
            });
            text += peer.read_some();
            return done();
        });
    };
    serve_until([&] { return text.find("\r\n\r\n") != std::string::npos; });
    CHECK(text.starts_with("HTTP/1.1 101"));
    text.erase(0, text.find("\r\n\r\n") + 4);
    // A masked frame of two bytes.
    peer.send(std::string_view{"\x82\x82\0\0\0\0hi", 8});
    serve_until([&] { return text.size() >= 4; });
    CHECK(messages == std::vector<std::string>{"hi"});
    CHECK(text == std::string{"\x82\x02hi"});
    served.reset();
    rig.until([&] { return belay_test::is_over(peer); });
}

TEST_CASE("beast::AnyListener takes an observer", "[beast][any_listener]") {
    struct Log {
        void on_rejected(const beast::RejectedUpgrade&) {}
    };
    boost::asio::io_context context;
    AsioLoop loop{context};
    beast::AnyListener listener{loop, [](beast::AnyAccepted) {}, {}, Log{}};
    REQUIRE_FALSE(listener.listen({"127.0.0.1", 0}));
    CHECK(listener.port() != 0);
}

TEST_CASE("A moved-from beast::AnyAccepted opens a link that is closed",
          "[beast][any_listener][fault][regression]") {
    beast::AnyAccepted client{nullptr};
    ServedLink<beast::AnyAccepted> served{std::move(client), 64, Waker{}, 1};
    CHECK(served.send(to_bytes("a")) == SendResult::down);
    served.advance(SteadyClock{}.now(), 16, [](const Bytes&, Lane) {});
    CHECK(served.failure().error() == std::errc::bad_file_descriptor);
}
