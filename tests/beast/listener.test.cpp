// SPDX-License-Identifier: MIT
// Goal: beast::Listener admits valid requests, and no other client harms it: rejections, floods,
// slow and vanishing peers. Method: raw sockets, node's `ws`, and beast::WebSocket.
#include <belay/beast/listener.hpp>

#include <sys/resource.h>

#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <belay/beast/tls.hpp>
#include <belay/beast/websocket.hpp>
#include <belay/core/random.hpp>
#include <belay/link/transport_check.hpp>
#include <belay/room/audited.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "support/beast/listener_rig.hpp"
#include "support/beast/node_server.hpp"
#include "support/catch.hpp"
#include "support/posix/inherited_sockets.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::is_over;
using belay_test::ListenerRig;
using belay_test::NodeClients;
using belay_test::NodeServer;
using belay_test::RawSocket;
using belay_test::UpgradeText;

namespace {

using Tls = boost::beast::ssl_stream<boost::beast::tcp_stream>;

int status_of(std::string_view answer) {
    return answer.size() < 12 ? 0 : std::atoi(std::string{answer.substr(9, 3)}.c_str());
}

// One type of listeners: each takes a second to compile.
using Take = std::function<void(beast::Accepted<>)>;
const Take ignored = [](const beast::Accepted<>&) {};
struct Ends {
    std::function<void()> f;
    void on_rejected(const beast::RejectedUpgrade&) { f(); }
};

/// A transport for check::transport: the own side was accepted, and the peer sends all messages
/// back.
struct AcceptedRig {
    AcceptedRig() { REQUIRE_FALSE(listener.listen({"127.0.0.1", 0})); }
    /// Each attempt is another admitted client.
    struct Next {
        using message_type = Bytes;
        AcceptedRig* rig;
        auto open(const Link<Bytes>& link) const {
            rig->let_in();
            return rig->accepted->open(link);
        }
    };
    void let_in() {
        accepted.reset();
        peer.emplace(*this);
        while (!accepted) run_once();
    }
    void run_once() {
        context.restart();
        context.run_one_for(1ms);
        context.poll();
        if (peer) peer->echo();
    }
    void hang_up() { peer.reset(); }

    /// Dials, and echoes.
    struct Peer {
        explicit Peer(AcceptedRig& rig)
            : transport{rig.context, {"127.0.0.1", rig.listener.port()}},
              events{detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{1024})} {
            events->epoch = 1;
            connection.emplace_from([&] { return transport.open(Link<Bytes>{events, 1}); });
        }
        void echo() {
            events->begin_turn();
            while (events->size() != 0) {
                part::Event<Bytes> event = events->pop();
                if (event.kind == part::EventKind::received) {
                    held.push_back(std::move(*event.message));
                }
            }
            if (events->take_rejection()) connection.get()->resume_reading();
            while (!held.empty() && connection.get()->send(held.front()) == SendResult::sent) {
                held.pop_front();
            }
        }
        beast::WebSocket<> transport;
        detail::Ref<detail::LinkBox<Bytes>> events;
        part::Slot<beast::WebSocket<>::Connection> connection;
        std::deque<Bytes> held{};
    };

    boost::asio::io_context context{};
    AsioLoop<boost::asio::io_context> loop{context};
    std::optional<beast::Accepted<>> accepted{};
    beast::Listener<Take> listener{
        loop, [this](beast::Accepted<> client) { accepted = std::move(client); }};
    std::optional<Peer> peer{};
    Next transport{this};
};

/// A self-signed certificate for this machine.
struct OwnCertificate {
    OwnCertificate() {
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            "-subj /CN=test -addext 'subjectAltName=IP:127.0.0.1' -keyout " +
            key() + " -out " + file() + " 2>/dev/null";
        REQUIRE(std::system(command.c_str()) == 0);
        context.use_certificate_chain_file(file());
        context.use_private_key_file(key(), boost::asio::ssl::context::pem);
    }
    std::string file() const { return directory / "certificate.pem"; }
    std::string key() const { return directory / "key.pem"; }
    belay_test::TemporaryDirectory directory;
    boost::asio::ssl::context context{boost::asio::ssl::context::tls_server};
};

}  // namespace

TEST_CASE("Accepted has the client's request before it is answered", "[beast][listener][unit]") {
    ListenerRig<> rig;
    std::optional<beast::Accepted<>> held;
    rig.on_accept = [&](beast::Accepted<> client) { held = std::move(client); };
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{.target = "/ws/canvas/a%20b?token=secret&epoch=7",
                          .more = "User-Agent: Test\r\nOrigin: http://127.0.0.1\r\n"
                                  "X-A: 1\r\nX-A: 2\r\n"}
                  .text());
    rig.until([&] { return held.has_value(); });
    CHECK(peer.read_some().empty());
    const UpgradeRequest request = held->request();
    CHECK(request.target == "/ws/canvas/a%20b?token=secret&epoch=7");
    CHECK(request.ip == "127.0.0.1");
    CHECK(request.user_agent == "Test");
    CHECK(request.origin == "http://127.0.0.1");
    CHECK(held->header("x-a") == "1,2");
    CHECK(held->header("X-B").empty());
    const RoomRequest room = room_request(request, "/ws/canvas/");
    CHECK(room.room_id == "a b");
    CHECK(room.token == "secret");
    CHECK(room.epoch == "7");
    rig.serve(std::move(*held));
    std::string answer;
    rig.until([&] { return (answer += peer.read_some()).ends_with("\r\n\r\n"); });
    CHECK(status_of(answer) == 101);
    // RFC 6455, section 1.3.
    CHECK(answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
    rig.until([&] { return rig.counters().upgraded == 1; });
}

TEST_CASE("Invalid requests are rejected by a status, and reported without their query",
          "[beast][listener][fault]") {
    ListenerRig<> rig;
    const auto status = [&](const UpgradeText& request) {
        const auto before = rig.rejected.size();
        const int answered = status_of(rig.answer_to(request.text()));
        REQUIRE(rig.rejected.size() == before + 1);
        CHECK(rig.rejected.back().status == answered);
        CHECK(rig.rejected.back().ip == "127.0.0.1");
        CHECK(rig.rejected.back().path.find("secret") == std::string::npos);
        return answered;
    };
    const auto error = [&] { return rig.rejected.back().error; };
    CHECK(status({.target = "/a?token=secret", .upgrade = ""}) == 426);
    CHECK(rig.rejected.back().path == "/a");
    CHECK(error() == beast::WebSocketErrc::no_upgrade);
    CHECK(status({.upgrade = "Connection: close\r\nUpgrade: websocket\r\n"}) == 426);
    CHECK(status({.upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\n"}) == 426);
    CHECK(status({.version = ""}) == 426);
    CHECK(status({.version = "Sec-WebSocket-Version: 8\r\n"}) == 426);
    CHECK(rig.answer_to(UpgradeText{.version = ""}.text()).find("Sec-WebSocket-Version: 13\r\n") !=
          std::string::npos);
    CHECK(status({.method = "POST"}) == 426);
    CHECK(status({.http = "HTTP/1.0"}) == 426);
    CHECK(status({.key = ""}) == 400);
    CHECK(error() == beast::WebSocketErrc::upgrade_malformed);
    CHECK(status({.key = "Sec-WebSocket-Key: short\r\n"}) == 400);
    CHECK(status({.host = ""}) == 400);
    CHECK(status({.more = "Host: other\r\n"}) == 400);
    CHECK(status({.more = "Origin: http://127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"}) == 400);
    CHECK(status({.target = "http://127.0.0.1/"}) == 400);
    CHECK(status({.more = "Content-Length: 5\r\n"}) == 400);
    CHECK(status({.more = "Transfer-Encoding: chunked\r\n"}) == 400);
    CHECK(status({.more = "No colon\r\n"}) == 400);
    CHECK(status({.http = "HTTP/9"}) == 400);
    CHECK(status({.more = "\r\n\x81\x85"}) == 400);  // a frame before the answer
    CHECK(status({.more = "Origin: https://evil.example\r\n"}) == 403);
    CHECK(error() == beast::WebSocketErrc::origin_rejected);
    CHECK(status({.more = "Origin: null\r\n"}) == 403);
    CHECK(status({.more = "X: " + std::string(9000, 'x') + "\r\n"}) == 431);
    CHECK(error() == beast::WebSocketErrc::upgrade_too_large);
    CHECK(status({.target = "/" + std::string(9000, 'x')}) == 431);
    CHECK(rig.counters().rejected == rig.rejected.size());
    CHECK(rig.served_connections.empty());
    CHECK(rig.counters().upgrades_aborted == 0);
}

TEST_CASE("The subprotocol is one that both sides have", "[beast][listener][unit]") {
    ListenerRig<> rig{{.messages = {.subprotocol = "chat.v2"}}};
    const std::string offered = "Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Protocol: ";
    CHECK(status_of(rig.answer_to(UpgradeText{}.text())) == 400);
    CHECK(rig.rejected.back().error == beast::WebSocketErrc::subprotocol_rejected);
    CHECK(status_of(rig.answer_to(UpgradeText{.more = offered + "chat\r\n"}.text())) == 400);
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{.more = offered + "chat.v2\r\n"}.text());
    std::string answer;
    rig.until([&] { return (answer += peer.read_some()).ends_with("\r\n\r\n"); });
    CHECK(answer.find("Sec-WebSocket-Protocol: chat.v2\r\n") != std::string::npos);
}

TEST_CASE("Invalid room ids in a target are empty", "[beast][listener][fault]") {
    const auto board = [](std::string target) {
        return room_request({.target = std::move(target)}, "/ws/canvas/").room_id;
    };
    CHECK(board("/ws/canvas/a%2520b") == "a%20b");  // decoded once
    CHECK(board("/ws/canvas/a/b") == "a/b");
    CHECK(board("/ws/canvas/%zz").empty());
    CHECK(board("/ws/other/a").empty());
    CHECK(board("/ws/canvas/").empty());
}

TEST_CASE("An upgrade that the peer aborts is counted, and calls no hook",
          "[beast][listener][fault]") {
    ListenerRig<> rig;
    std::optional<beast::Accepted<>> held;
    rig.on_accept = [&](beast::Accepted<> client) { held = std::move(client); };
    const std::string request = UpgradeText{}.text();
    std::uint64_t aborted = 0;
    for (const std::size_t sent : {std::size_t{0}, std::size_t{1}, request.size() - 1}) {
        for (const bool reset : {false, true}) {
            RawSocket peer = RawSocket::connect(rig.port);
            peer.send(request.substr(0, sent));
            rig.until([&] { return rig.counters().accepted == aborted + 1; });
            reset ? peer.reset() : peer.close();
            ++aborted;
            rig.until([&] { return rig.counters().upgrades_aborted == aborted; });
        }
    }
    for (const bool reset : {false, true}) {
        // The user code reads its token meanwhile.
        RawSocket peer = RawSocket::connect(rig.port);
        peer.send(request);
        held.reset();
        rig.until([&] { return held.has_value(); });
        reset ? peer.reset() : peer.close();
        auto& served = rig.serve(std::move(*held));
        rig.until([&] { return served.link().ended(); });
        CHECK(served.link().failure() == failure_of(LinkErrc::closed_by_peer));
        CHECK(rig.counters().upgrades_aborted == ++aborted);
    }
    CHECK(rig.rejected.empty());
    CHECK(rig.counters().rejected == 0);
    CHECK(rig.counters().upgraded == 0);
}

TEST_CASE("A silent or slow client is closed in time, also if it sends single bytes",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.upgrade_within = 60ms}};
    const RawSocket silent = RawSocket::connect(rig.port);
    const RawSocket slow = RawSocket::connect(rig.port);
    const std::string request = UpgradeText{}.text();
    std::size_t sent = 0;
    rig.until([&] {
        if (!is_over(slow) && sent < 20) slow.send(request.substr(sent++, 1));
        return is_over(silent) && rig.rejected.size() == 2;
    });
    CHECK(rig.rejected[0].error == beast::WebSocketErrc::upgrade_timed_out);
    CHECK(rig.rejected[0].status == 0);
    CHECK(rig.rejected[1].error == beast::WebSocketErrc::upgrade_timed_out);
    CHECK(rig.counters().rejected == 2);
}

TEST_CASE("A rejected client that neither reads nor closes still frees its connection",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.upgrade_within = 1h, .connections_max = 1}};
    const RawSocket stays = RawSocket::connect(rig.port);
    stays.send("garbage\r\n\r\n");
    rig.until([&] { return rig.counters().rejected == 1; });
    RawSocket next;
    rig.until([&] {
        if (next.fd() < 0) {
            next = RawSocket::connect(rig.port);
            next.send(UpgradeText{}.text());
        } else if (is_over(next)) {
            next.close();
        }
        return rig.counters().upgraded == 1;
    });
    CHECK(rig.counters().turned_away > 0);
}

TEST_CASE("Connections above the limit are closed unread, and admitted when others have left",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.waiting_per_ip_max = 3}};
    std::vector<RawSocket> waiting;
    for (int i = 0; i < 3; ++i) waiting.push_back(RawSocket::connect(rig.port));
    rig.until([&] { return rig.counters().accepted == 3; });
    for (int i = 0; i < 200; ++i) {
        const RawSocket flood = RawSocket::connect(rig.port);
        rig.until([&] { return is_over(flood); });
    }
    CHECK(rig.counters().turned_away == 200);
    // The observer is not flooded: it is notified of 60, and of one more in each second.
    CHECK(rig.rejected.size() >= 60);
    CHECK(rig.rejected.size() < 200);
    for (const beast::RejectedUpgrade& one : rig.rejected) {
        CHECK(one.error == beast::WebSocketErrc::too_many_upgrades);
        CHECK(one.ip == "127.0.0.1");
        CHECK(one.status == 0);
        CHECK(one.path.empty());
    }
    waiting.pop_back();
    rig.until([&] { return rig.counters().upgrades_aborted == 1; });
    const RawSocket next = RawSocket::connect(rig.port);
    next.send(UpgradeText{}.text());
    rig.until([&] { return rig.counters().upgraded == 1; });
}

TEST_CASE("Silent upgrades of a few addresses do not block other addresses",
          "[beast][listener][fault]") {
    // 6 addresses with 5 silent sockets each fill the listener, and dial again when they are closed.
    ListenerRig<> rig{{.upgrade_within = 1h, .waiting_max = 30}};
    struct Silent {
        std::string ip;
        RawSocket socket{};
    };
    std::vector<Silent> silent;
    for (int i = 0; i < 30; ++i) silent.push_back({"127.0.0." + std::to_string(10 + i / 5)});
    const auto redial = [&] {
        for (Silent& one : silent) {
            if (one.socket.fd() >= 0 && !is_over(one.socket)) continue;
            one.socket = RawSocket{};
            one.socket = RawSocket::try_connect(rig.port, one.ip);
        }
    };
    redial();
    rig.until([&] { return rig.counters().accepted >= 30; });
    for (int i = 0; i < 10; ++i) {
        // The request of the newcomer takes some round trips, in which all others dial again.
        const std::string ip = "127.0.0." + std::to_string(100 + i);
        const RawSocket newcomer = RawSocket::try_connect(rig.port, ip);
        const std::string request = UpgradeText{}.text();
        std::size_t sent = 0;
        const std::uint64_t before = rig.counters().upgraded;
        std::uint64_t accepted = rig.counters().accepted;
        rig.until([&] {
            redial();
            if (rig.counters().accepted > accepted && sent < request.size()) {
                accepted = rig.counters().accepted;
                newcomer.send(request.substr(sent, 40));
                sent += 40;
            }
            const bool lost = is_over(newcomer) && rig.counters().upgraded == before;
            REQUIRE_FALSE(lost);
            return rig.counters().upgraded == before + 1;
        });
    }
    CHECK(rig.counters().given_up >= 10);
    CHECK(rig.counters().turned_away == 0);
    CHECK(rig.rejected.front().error == beast::WebSocketErrc::too_many_upgrades);
    CHECK(rig.rejected.front().ip.starts_with("127.0.0.1"));
}

TEST_CASE("An address with the only silent upgrade of its network never loses it to another one",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.upgrade_within = 1h, .waiting_max = 3}};
    std::vector<RawSocket> waiting;
    for (const char* const ip : {"127.0.1.11", "127.0.2.12", "127.0.3.13"})
        waiting.push_back(RawSocket::try_connect(rig.port, ip));
    rig.until([&] { return rig.counters().accepted == 3; });
    const RawSocket fourth = RawSocket::try_connect(rig.port, "127.0.4.14");
    rig.until([&] { return is_over(fourth); });
    for (const RawSocket& one : waiting) {
        CHECK_FALSE(is_over(one));
        one.send(UpgradeText{}.text());
    }
    rig.until([&] { return rig.counters().upgraded == 3; });
    CHECK(rig.counters().turned_away == 1);
    CHECK(rig.counters().given_up == 0);
}

TEST_CASE("An audit records the clients that a listener rejects, without their tokens",
          "[beast][listener][unit]") {
    struct AuditRows {
        std::vector<AuditRow>* rows;
        void record(AuditRow row, Completion<std::error_code> done) {
            rows->push_back(std::move(row));
            done(std::error_code{});
        }
    };
    std::vector<AuditRow> rows;
    const Audited audited{EveryoneEdits{}, AuditRows{&rows}, SystemClock{},
                          AuditedOptions{.rejections_per_minute = 2}};
    const auto rejections = audited.rejections();
    boost::asio::io_context context;
    AsioLoop loop{context};
    beast::Listener listener{loop, ignored, {.waiting_per_ip_max = 1}, rejections};
    REQUIRE_FALSE(listener.listen({"127.0.0.1", 0}));
    const auto rejected = [&](std::uint64_t times) {
        while (listener.counters().rejected + listener.counters().turned_away != times)
            context.restart(), context.run_one_for(1ms);
    };
    const RawSocket foreign = RawSocket::connect(listener.port());
    foreign.send(
        UpgradeText{.target = "/ws/b?token=secret", .more = "Origin: https://evil\r\n"}.text());
    rejected(1);
    const RawSocket waits = RawSocket::connect(listener.port());
    while (listener.counters().accepted != 2) context.restart(), context.run_one_for(1ms);
    const RawSocket one = RawSocket::connect(listener.port());
    const RawSocket two = RawSocket::connect(listener.port());
    rejected(3);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].action == "rejected");
    CHECK(rows[0].room_id == "/ws/b");
    CHECK(rows[0].ip == "127.0.0.1");
    CHECK(rows[1].room_id.empty());  // its request was not read
    CHECK(rows[1].ip == "127.0.0.1");
    CHECK(rejections.dropped() == 1);
}

TEST_CASE("An address with too many rejections is closed unread", "[beast][listener][fault]") {
    ListenerRig<> rig{{.rejections_per_ip_and_minute = 3}};
    rig.on_accept = [&](beast::Accepted<> client) {
        if (client.request().target == "/status") return client.reject(429, 1500ms);
        rig.serve(std::move(client));
    };
    const std::string answer = rig.answer_to(UpgradeText{.target = "/status"}.text());
    CHECK(status_of(answer) == 429);
    CHECK(answer.find("Retry-After: 2\r\n") != std::string::npos);
    CHECK(rig.rejected.empty());  // not rejected by the user's code
    CHECK(status_of(rig.answer_to("GET /\r\n\r\n")) == 400);
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{}.text());
    rig.until([&] { return !rig.served_connections.empty() && rig.counters().upgraded == 1; });
    rig.served_connections.front().link().close(websocket_failure(4003), 1min);
    CHECK(rig.answer_to(peer).ends_with("\x88\x02\x0f\xa3"));
    CHECK(rig.answer_to(UpgradeText{}.text()).empty());
    CHECK(rig.counters().turned_away == 1);
}

TEST_CASE("An Accepted that is destroyed unanswered is closed, and counted as rejected",
          "[beast][listener][unit]") {
    ListenerRig<> rig{{.waiting_max = 1}};
    rig.on_accept = [](beast::Accepted<> client) {
        const beast::Accepted<> moved = std::move(client);
    };
    for (std::uint64_t n = 1; n <= 3; ++n) {
        CHECK(rig.answer_to(UpgradeText{}.text()).empty());
        CHECK(rig.counters().rejected == n);
    }
    CHECK(rig.rejected.empty());
}

TEST_CASE("A connection holds at most limit_output bytes", "[beast][listener][unit]") {
    ListenerRig<> rig;
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{}.text());
    rig.until([&] { return !rig.served_connections.empty() && rig.counters().upgraded == 1; });
    auto& link = rig.served_connections.front().link();
    link.limit_output(25'000);
    // No byte is written before the end of the turn.
    const auto taken = [&] {
        int count = 0;
        while (link.send(Bytes(10'000)) == SendResult::sent) ++count;
        return count;
    };
    CHECK(taken() == 2);
    rig.until([&] {
        static_cast<void>(peer.read_some());
        return link.take_writable();
    });
    CHECK(taken() >= 1);
}

TEST_CASE("ListenerOptions::pages answers requests that are no WebSocket upgrades",
          "[beast][listener][unit]") {
    std::optional<ListenerRig<>> rig;
    beast::ListenerOptions options;
    options.pages = [&](const HttpRequest& request) -> HttpResponse {
        if (request.url == "/end") rig->listener.reset();
        if (request.url == "/none") return {.status = 204};
        if (request.url == "/split") return {.status = 200, .headers = {{"A", "b\r\nC: d"}}};
        if (request.url == "/zero") return {};
        const std::string* const agent = request.headers.find("user-agent");
        return {.status = 200,
                .headers = {{"Content-Type", "text/plain"}},
                .body = request.method + " " + request.url + " " + (agent ? *agent : "")};
    };
    rig.emplace(options);
    const auto asked = [&](UpgradeText text) {
        text.upgrade = text.version = text.key = "";
        return rig->answer_to(text.text());
    };
    const std::string page = asked({.target = "/a?b=c", .more = "User-Agent: Test\r\n"});
    CHECK(status_of(page) == 200);
    CHECK(page.find("Content-Type: text/plain\r\n") != std::string::npos);
    CHECK(page.find("Content-Length: 15\r\n") != std::string::npos);
    CHECK(page.ends_with("\r\n\r\nGET /a?b=c Test"));
    const std::string head = asked({.target = "/a", .method = "HEAD"});
    CHECK(head.find("Content-Length: 8\r\n") != std::string::npos);
    CHECK(head.ends_with("\r\n\r\n"));
    const std::string none = asked({.target = "/none"});
    CHECK(status_of(none) == 204);
    CHECK(none.find("Content-Length") == std::string::npos);
    // An invalid header is a fault of this program, and splits no answer.
    CHECK(status_of(asked({.target = "/split"})) == 500);
    CHECK(status_of(asked({.target = "/zero"})) == 500);
    CHECK(rig->counters().pages == 5);
    CHECK(rig->rejected.empty());

    CHECK(status_of(asked({.target = "/a", .method = "DELETE"})) == 426);
    CHECK(status_of(asked({.host = "Host: a\r\nHost: b\r\n"})) == 400);
    CHECK(status_of(asked({.more = "Content-Length: 1\r\n"})) == 400);
    CHECK(status_of(rig->answer_to(UpgradeText{.version = ""}.text())) == 426);
    CHECK(rig->counters().pages == 5);
    CHECK(rig->counters().rejected == 4);
    CHECK(asked({.target = "/end"}).empty());
}

TEST_CASE("ListenerOptions::pages answers the health check of a load balancer over HTTP/1.0",
          "[beast][listener][regression]") {
    beast::ListenerOptions options;
    options.pages = [](const HttpRequest& request) -> HttpResponse {
        return {.status = 200, .body = request.url};
    };
    ListenerRig<> rig{options};
    // HTTP/1.0 has no Host header (RFC 9112, section 3.2).
    const std::string answer = rig.answer_to("GET /health HTTP/1.0\r\n\r\n");
    CHECK(status_of(answer) == 200);
    CHECK(answer.ends_with("\r\n\r\n/health"));
    CHECK(status_of(rig.answer_to("GET /health HTTP/1.0\r\nHost: a\r\n\r\n")) == 200);
    CHECK(rig.counters().rejected == 0);
    CHECK(status_of(rig.answer_to("GET /health HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")) == 400);
    CHECK(status_of(rig.answer_to("GET /health HTTP/1.1\r\n\r\n")) == 400);
}

TEST_CASE("A listener whose callables throw answers that client, and admits the next one",
          "[beast][listener][fault]") {
    std::string throws;
    const auto fail_in = [&](std::string_view where) {
        if (throws != where) return;
        throws.clear();
        throw std::runtime_error{"a callable of the user"};
    };
    beast::ListenerOptions options;
    options.pages = [&](const HttpRequest&) -> HttpResponse {
        fail_in("pages");
        return {.status = 200, .body = "a page"};
    };
    ListenerRig<> rig{options};
    std::optional<beast::Accepted<>> held;
    rig.on_accept = [&](beast::Accepted<> client) {
        fail_in("on_accept");
        held = std::move(client);
    };
    const auto run = [&](const auto& done) {
        int thrown = 0;
        while (!done()) {
            try {
                rig.until(done);
            } catch (const std::runtime_error&) {
                ++thrown;
            }
        }
        return thrown;
    };

    throws = "pages";
    UpgradeText page{.target = "/a"};
    page.upgrade = page.version = page.key = "";
    const RawSocket reader = RawSocket::connect(rig.port);
    reader.send(page.text());
    std::string answer;
    CHECK(run([&] { return (answer += reader.read_some()).ends_with("\r\n\r\n"); }) == 1);
    CHECK(status_of(answer) == 500);

    throws = "on_accept";
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{}.text());
    CHECK(run([&] { return is_over(peer); }) == 1);

    const RawSocket next = RawSocket::connect(rig.port);
    next.send(UpgradeText{}.text());
    CHECK(run([&] { return held.has_value(); }) == 0);
    CHECK(rig.answer_to(page.text()).ends_with("a page"));
}

TEST_CASE("Clients of a named proxy each have their own limits per address",
          "[beast][listener][unit]") {
    ListenerRig<> rig{{.connections_per_ip_max = 1,
                       .origins = {"https://board.example"},
                       .proxies = {"127.0.0.1"}}};
    std::vector<std::string> ips;
    rig.on_accept = [&](beast::Accepted<> client) {
        ips.push_back(client.request().ip);
        rig.serve(std::move(client));
    };
    const auto from = [](const std::string& ip) {
        return UpgradeText{.more = "X-Forwarded-For: 192.0.2.66\r\nX-Forwarded-For: " + ip +
                                   "\r\nOrigin: https://board.example\r\n"}
            .text();
    };
    std::vector<RawSocket> peers;
    for (const char* const ip : {"192.0.2.1", "192.0.2.2"}) {
        peers.push_back(RawSocket::connect(rig.port));
        peers.back().send(from(ip));
        rig.until([&] { return rig.counters().upgraded == peers.size(); });
        CHECK(ips.back() == ip);
    }
    CHECK(status_of(rig.answer_to(from("192.0.2.1"))) == 429);
    CHECK(rig.rejected.back().ip == "192.0.2.1");
    CHECK(rig.rejected.back().error == beast::WebSocketErrc::too_many_upgrades);
}

TEST_CASE("Rejections of clients of a named proxy are reported and counted by their own address",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.rejections_per_ip_and_minute = 3, .proxies = {"127.0.0.1"}}};
    const auto from = [](const std::string& ip, UpgradeText text) {
        text.more += "X-Forwarded-For: " + ip + "\r\n";
        return text.text();
    };
    const std::string mallory = "192.0.2.66";
    CHECK(status_of(rig.answer_to(from(mallory, {.more = "Origin: https://evil\r\n"}))) == 403);
    CHECK(rig.rejected.back().ip == mallory);
    CHECK(status_of(rig.answer_to(from(mallory, {.upgrade = ""}))) == 426);
    CHECK(rig.rejected.back().ip == mallory);
    CHECK(status_of(rig.answer_to(from(mallory, {.more = "Content-Length: 1\r\n"}))) == 400);
    CHECK(rig.rejected.back().ip == mallory);
    CHECK(status_of(rig.answer_to(from(mallory, {}))) == 429);
    CHECK(rig.rejected.back().ip == mallory);
    const RawSocket other = RawSocket::connect(rig.port);
    other.send(from("192.0.2.1", {}));
    rig.until([&] { return rig.counters().upgraded == 1; });
}

TEST_CASE("Listener::listen reports options that would never match", "[beast][listener][unit]") {
    boost::asio::io_context context;
    AsioLoop loop{context};
    const auto listens = [&](beast::ListenerOptions options) {
        beast::Listener listener{loop, ignored, std::move(options)};
        return listener.listen({"127.0.0.1", 0});
    };
    CHECK_FALSE(listens({.origins = {"*"}}));
    CHECK(listens({.origins = {"example.org"}}) == std::errc::invalid_argument);
    CHECK(listens({.proxies = {"proxy.example"}}) == std::errc::invalid_argument);
    // Zero does not mean "without limit": no client would ever be admitted.
    CHECK(listens({.connections_max = 0}) == std::errc::invalid_argument);
    CHECK(listens({.upgrades_per_ip_and_minute = 0}) == std::errc::invalid_argument);
    CHECK(listens({.upgrade_within = {}}) == std::errc::invalid_argument);
    beast::Listener first{loop, ignored};
    REQUIRE_FALSE(first.listen({"127.0.0.1", 0}));
    beast::Listener second{loop, ignored};
    CHECK(second.port() == 0);
    CHECK(second.listen({"127.0.0.1", first.port()}) == std::errc::address_in_use);
    CHECK(second.listen({"no.such.host.invalid", 1}));
    first.close();
    CHECK(first.port() == 0);
}

TEST_CASE("Listeners and WebSockets pass no socket to programs that are started",
          "[beast][listener][unit]") {
    const int before = belay_test::inherited_sockets();
    AcceptedRig rig;
    rig.let_in();
    CHECK(belay_test::inherited_sockets() == before);
}

TEST_CASE("Listener without descriptors reports it, pauses, and continues",
          "[beast][listener][fault]") {
    ListenerRig<> rig{{.exhausted_pause = 1ms}};
    const RawSocket peer = RawSocket::connect(rig.port);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    using Reason = beast::RejectedUpgrade::Reason;
    rig.until([&] { return rig.counters().reasons.of(Reason::exhausted) >= 100; });
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(rig.rejected[0].error == std::errc::too_many_files_open);
    CHECK(rig.rejected[0].ip.empty());
    CHECK(rig.rejected.size() < 100);
    peer.send(UpgradeText{}.text());
    rig.until([&] { return rig.counters().upgraded == 1; });
}

TEST_CASE("check::transport finds no fault in beast::Accepted", "[beast][listener][unit]") {
    const auto broken = check::transport(
        [] { return std::make_unique<AcceptedRig>(); },
        [](std::uint64_t i) { return Bytes(100 + i % 7, static_cast<std::byte>(i)); });
    INFO((broken ? to_string(*broken) : ""));
    CHECK_FALSE(broken.has_value());
}

TEST_CASE("Accepted releases its request when it opens", "[beast][listener][unit]") {
    AcceptedRig rig;
    rig.let_in();
    REQUIRE_FALSE(rig.accepted->request().target.empty());
    const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    const auto connection = rig.accepted->open(Link<Bytes>{events, 1});
    CHECK(rig.accepted->request().target.empty());
    CHECK(rig.accepted->header("Host").empty());
}

TEST_CASE("Accepted opens once", "[beast][listener][unit]") {
    AcceptedRig rig;
    rig.let_in();
    const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    const auto first = rig.accepted->open(Link<Bytes>{events, 1});
    auto second = rig.accepted->open(Link<Bytes>{events, 1});
    events->begin_turn();
    const auto event = events->pop();
    CHECK(event.kind == part::EventKind::closed);
    CHECK(event.failure.cause == Cause::permanent);
    CHECK(second.send(Bytes(1)) == SendResult::down);
    second.close({});
}

TEST_CASE("Real clients are served, with and without compression", "[beast][listener][unit]") {
    if (!NodeServer::is_here()) return;
    for (const bool deflate : {false, true}) {
        ListenerRig<> rig{{.messages = {.deflate = deflate}}};
        NodeClients clients{"ws://127.0.0.1:" + std::to_string(rig.port) + "/room 20 10"};
        CHECK(clients.output(rig).ends_with("done 20 200\n"));
        rig.until([&] {
            for (auto& served : rig.served_connections) {
                if (!served.link().ended()) return false;
            }
            return true;
        });
        CHECK(rig.counters().upgraded == 20);
        for (auto& served : rig.served_connections)
            CHECK(served.link().failure() == websocket_failure(1000));
    }
}

TEST_CASE("Real clients receive a status, or a close code, and frames beyond the limit close them",
          "[beast][listener][unit]") {
    if (!NodeServer::is_here()) return;
    ListenerRig<> rig{{.messages = {.message_bytes_max = 1000}}};
    const std::string url = "ws://127.0.0.1:" + std::to_string(rig.port);
    CHECK(NodeClients{url + "/room 1 5"}.output(rig) == "closed 1009\ndone 1 2\n");
    ListenerRig<> permanent{{.messages = {.message_bytes_max = 1000, .too_large_code = 4413}}};
    const std::string other = "ws://127.0.0.1:" + std::to_string(permanent.port);
    CHECK(NodeClients{other + "/room 1 5"}.output(permanent) == "closed 4413\ndone 1 2\n");
    rig.on_accept = [&](beast::Accepted<> client) {
        if (client.request().target == "/status") return client.reject(503, 7s);
        rig.serve(std::move(client)).link().close(websocket_failure(4001), 1min);
    };
    CHECK(NodeClients{url + "/status 1 1"}.output(rig).starts_with("rejected 503 7\n"));
    rig.on_accept = [&](beast::Accepted<> client) {
        auto& served = rig.serve(std::move(client));
        rig.loop.post([&served] { served.link().close(websocket_failure(4001), 1min); });
    };
    CHECK(NodeClients{url + "/code 1 1"}.output(rig).find("closed 4001\n") != std::string::npos);
}

TEST_CASE("Mutated frames close their sender, and no other client", "[beast][listener][fault]") {
    ListenerRig<> rig{{.upgrades_per_ip_and_minute = 100'000}};
    const RawSocket other = RawSocket::connect(rig.port);
    other.send(UpgradeText{}.text());
    rig.until([&] { return rig.counters().upgraded == 1; });
    const std::string good =
        UpgradeText{}.text() + std::string{"\x82\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e", 11};
    Random bits{Seed{16}};
    for (int round = 0; round < 300; ++round) {
        std::string bytes = good;
        const auto cut = UpgradeText{}.text().size();
        for (int n = 0; n < 3; ++n) {
            // Two thirds of the rounds damage the frame, and the others the request.
            const std::size_t from = round % 3 == 0 ? 0 : cut;
            bytes[from + bits() % (bytes.size() - from)] = static_cast<char>(bits());
        }
        RawSocket peer = RawSocket::connect(rig.port);
        peer.send(bytes.substr(0, cut));
        const auto accepted = rig.counters().accepted;
        rig.until(
            [&] { return rig.counters().accepted > accepted || !rig.served_connections.empty(); });
        for (int i = 0; i < 5; ++i) rig.turn();
        static_cast<void>(::send(peer.fd(), bytes.data() + cut, bytes.size() - cut, MSG_NOSIGNAL));
        for (int i = 0; i < 5; ++i) rig.turn();
        round % 2 == 0 ? peer.reset() : peer.close();
    }
    other.send(std::string{"\x82\x81\x00\x00\x00\x00\x41", 7});
    rig.until([&] { return rig.served_connections.front().messages.size() == 1; });
    CHECK(rig.served_connections.front().messages[0] == "A");
    rig.until([&] {
        for (auto& served : rig.served_connections) {
            if (&served != &rig.served_connections.front() && !served.link().ended()) return false;
        }
        return true;
    });
    const auto c = rig.counters();
    rig.until([&] {
        const auto now = rig.counters();
        return now.accepted == now.upgraded + now.upgrades_aborted + now.rejected + now.turned_away;
    });
    CHECK(c.accepted == 301);
}

TEST_CASE("A client that breaks the protocol, and neither sends nor closes, is soon closed",
          "[beast][listener][fault]") {
    ListenerRig<> rig;
    for (const std::string& wrong :
         {std::string{"\x82\x01\x41"},                        // not masked
          std::string{"\xF2\x81\x00\x00\x00\x00\x41", 7},     // reserved bits
          std::string{"\x88\x81\x00\x00\x00\x00\x41", 7}}) {  // half a code
        const RawSocket peer = RawSocket::connect(rig.port);
        peer.send(UpgradeText{}.text());
        const auto served_connections = rig.served_connections.size();
        rig.until([&] {
            return rig.served_connections.size() > served_connections &&
                   rig.served_connections.back().link().opened();
        });
        peer.send(wrong);
        rig.until([&] { return rig.served_connections.back().link().ended(); });
        CHECK(rig.served_connections.back().link().failure().cause == Cause::protocol);
    }
}

TEST_CASE("Listener, clients and Accepted may be destroyed at any time",
          "[beast][listener][fault]") {
    for (int steps = 0; steps < 24; ++steps) {
        std::optional<beast::Accepted<>> held;
        {
            ListenerRig<> rig;
            rig.on_accept = [&](beast::Accepted<> client) {
                if (steps % 3 == 0) rig.listener.reset();
                if (steps % 3 == 1) client.reject(403);
                held = std::move(client);
            };
            const RawSocket peer = RawSocket::connect(rig.port);
            peer.send(UpgradeText{}.text());
            for (int i = 0; i < steps; ++i) rig.context.restart(), rig.context.run_one_for(1ms);
            if (steps % 2 == 0) rig.listener.reset();
            if (held && steps % 4 == 0) rig.serve(std::move(*held));
            held.reset();
            rig.listener.reset();
            rig.served_connections.clear();
            rig.context.restart();
            peer.read_some();
            rig.context.run_for(2s);
        }
    }
}

TEST_CASE("A listener may be destroyed in its own hooks", "[beast][listener][fault]") {
    boost::asio::io_context context;
    AsioLoop loop{context};
    std::optional<beast::Listener<Take, boost::beast::tcp_stream, Ends>> listener;
    listener.emplace(loop, ignored, beast::ListenerOptions{.waiting_per_ip_max = 1},
                     Ends{[&] { listener.reset(); }});
    REQUIRE_FALSE(listener->listen({"127.0.0.1", 0}));
    const bool unheard = GENERATE(false, true);
    const RawSocket peer = RawSocket::connect(listener->port());
    std::optional<RawSocket> too_many;
    if (unheard) {
        too_many.emplace(RawSocket::connect(listener->port()));
    } else {
        peer.send("garbage\r\n\r\n");
    }
    while (listener) context.restart(), context.run_one_for(1ms);
    context.restart();
    context.run();
    CHECK(is_over(peer));
}

TEST_CASE("The TLS handshake has its own deadline", "[beast][listener][fault]") {
    OwnCertificate certificate;
    ListenerRig<Tls> rig{{.upgrade_within = 1h, .tls_within = 10ms}, certificate.context};
    const RawSocket silent = RawSocket::connect(rig.port);
    rig.until([&] { return is_over(silent); });
    CHECK(rig.rejected.back().error == beast::WebSocketErrc::upgrade_timed_out);
    CHECK(rig.rejected.size() == 1);
}

TEST_CASE("The TLS context decides the handshake, and garbage is reported",
          "[beast][listener][unit]") {
    OwnCertificate certificate;
    ListenerRig<Tls> rig{{}, certificate.context};
    CHECK(rig.answer_to("GET / HTTP/1.1\r\n\r\n").find("HTTP") == std::string::npos);
    CHECK(rig.rejected.back().error == tls::Errc::handshake_failed);
    CHECK(rig.rejected.back().status == 0);
    {
        const RawSocket gone = RawSocket::connect(rig.port);
        gone.send(std::string{"\x16\x03\x01", 3});
    }
    rig.until([&] { return rig.counters().upgrades_aborted == 1; });
    CHECK(rig.rejected.size() == 1);
    if (!NodeServer::is_here()) return;
    NodeClients clients{"wss://127.0.0.1:" + std::to_string(rig.port) + "/room 5 5 " +
                        certificate.file()};
    CHECK(clients.output(rig).ends_with("done 5 25\n"));
    rig.on_accept = [&](beast::Accepted<Tls> client) { client.reject(403); };
    NodeClients rejected{"wss://127.0.0.1:" + std::to_string(rig.port) + "/room 1 1 " +
                         certificate.file()};
    CHECK(rejected.output(rig).starts_with("rejected 403 -\n"));
}

TEST_CASE("A page and a rejection over TLS end with a TLS shutdown", "[beast][listener][unit]") {
    namespace ssl = boost::asio::ssl;
    using boost::asio::ip::tcp;
    OwnCertificate certificate;
    beast::ListenerOptions options;
    options.pages = [](const HttpRequest&) -> HttpResponse {
        return {.status = 200, .body = std::string(100'000, 'x')};
    };
    ListenerRig<Tls> rig{options, certificate.context};
    ssl::context trust{ssl::context::tls_client};
    trust.load_verify_file(certificate.file());
    for (const auto& [request, begin] :
         {std::pair<std::string, std::string>{"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                                              "HTTP/1.1 200"},
          {"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "HTTP/1.1 426"}}) {
        ssl::stream<tcp::socket> client{rig.context, trust};
        client.set_verify_mode(ssl::verify_peer);
        client.next_layer().connect({boost::asio::ip::address_v4::loopback(), rig.port});
        std::optional<boost::system::error_code> ended;
        std::string answer;
        client.async_handshake(ssl::stream_base::client, [&, &asked = request](auto e) {
            if (e) return static_cast<void>(ended = e);
            boost::asio::write(client, boost::asio::buffer(asked), e);
            boost::asio::async_read(
                client, boost::asio::dynamic_buffer(answer),
                [&](boost::system::error_code end, std::size_t) { ended = end; });
        });
        rig.until([&] { return ended.has_value(); });
        REQUIRE(*ended == boost::asio::error::eof);  // and not ssl::error::stream_truncated
        CHECK(answer.starts_with(begin));
        CHECK((request[0] == 'P' || answer.ends_with(std::string(100'000, 'x'))));
        // Without a close frame of the client, the connection lasts for a second.
        char rest = 0;
        bool closed = false;
        client.next_layer().async_read_some(
            boost::asio::buffer(&rest, 1),
            [&](boost::system::error_code e, std::size_t) { closed = e.failed(); });
        rig.until([&] { return closed; });
    }
}
