// SPDX-License-Identifier: MIT
// Goal: beast::WebSocket works with an independent server: messages, codes, rejections, tokens,
// proxies, and peers that violate the protocol. Method: node's `ws`, see tests/node/ws/server.js.
#include <belay/beast/websocket.hpp>

#if defined(__GLIBC__)
#    include <malloc.h>
#endif

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <atomic>
#include <deque>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/transport_check.hpp>
#include <belay/link/with_token.hpp>
#include <belay/policy/rules.hpp>

#include "support/beast/listener_rig.hpp"
#include "support/beast/node_server.hpp"
#include "support/beast/websocket_rig.hpp"
#include "support/catch.hpp"
#include "support/posix/black_hole.hpp"
#include "support/posix/proxy.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::NodeServer;
using Patience = beast::WebSocketOptions::Patience;

namespace {

using Plain = beast::WebSocket<>;

std::string nth_line(std::uint64_t i) {
    return std::to_string(i) + std::string(100 + i % 7, static_cast<char>('a' + i % 26));
}

/// A rig for `target` of the server.
struct PlainRig : belay_test::WebSocketRig<Plain> {
    PlainRig(const NodeServer& server, beast::WebSocketOptions options)
        : PlainRig{static_cast<std::uint16_t>(server.port), std::move(options)} {}
    PlainRig(std::uint16_t port, beast::WebSocketOptions options)
        : belay_test::WebSocketRig<Plain>{[&](auto& io) {
              return Plain{io, {"127.0.0.1", port}, std::move(options)};
          }} {}
};

/// A server of Beast on the loopback. It accepts one connection, and closes it at once with a code
/// and a reason.
class ClosingServer {
    using tcp = boost::asio::ip::tcp;

public:
    static constexpr int no_frame = -1;

    ClosingServer(int code, std::string reason)
        : acceptor_{context_, {boost::asio::ip::make_address("127.0.0.1"), 0}},
          port{acceptor_.local_endpoint().port()},
          thread_{[this, code, reason = std::move(reason)] { serve(code, reason); }} {}
    ClosingServer(const ClosingServer&) = delete;
    ClosingServer& operator=(const ClosingServer&) = delete;
    ~ClosingServer() { thread_.join(); }

private:
    void serve(int code, const std::string& reason) {
        namespace websocket = boost::beast::websocket;
        boost::system::error_code error;
        websocket::stream<tcp::socket> stream{acceptor_.accept(error)};
        if (!error) stream.accept(error);
        if (error || code == no_frame) return;
        websocket::close_reason why;
        why.code = static_cast<std::uint16_t>(code);
        why.reason = reason;
        stream.close(why, error);
    }

    boost::asio::io_context context_{};
    tcp::acceptor acceptor_;

public:
    const std::uint16_t port;

private:
    std::thread thread_;
};

/// A server on the loopback that answers each upgrade with the next status of a script: 101 accepts
/// the WebSocket and closes it with 1012, any other status rejects the upgrade.
class StatusServer {
    using tcp = boost::asio::ip::tcp;

public:
    explicit StatusServer(std::vector<int> statuses)
        : acceptor_{context_, {boost::asio::ip::make_address("127.0.0.1"), 0}},
          port{acceptor_.local_endpoint().port()},
          thread_{[this, statuses = std::move(statuses)] {
              for (const int status : statuses) serve(status);
          }} {}
    StatusServer(const StatusServer&) = delete;
    StatusServer& operator=(const StatusServer&) = delete;
    ~StatusServer() { thread_.join(); }

private:
    void serve(int status) {
        namespace websocket = boost::beast::websocket;
        boost::system::error_code error;
        tcp::socket socket = acceptor_.accept(error);
        if (status == 101) {
            websocket::stream<tcp::socket> stream{std::move(socket)};
            stream.accept(error);
            stream.close(websocket::close_reason{websocket::close_code::service_restart}, error);
            return;
        }
        boost::beast::flat_buffer input;
        boost::beast::http::request<boost::beast::http::string_body> request;
        boost::beast::http::read(socket, input, request, error);
        const std::string answer = "HTTP/1.1 " + std::to_string(status) +
                                   " Reason\r\nX-Proxy: 1\r\nContent-Length: 2\r\n\r\nno";
        boost::asio::write(socket, boost::asio::buffer(answer), error);
    }

    boost::asio::io_context context_{};
    tcp::acceptor acceptor_;

public:
    const std::uint16_t port;

private:
    std::thread thread_;
};

auto dials_at_once() { return Policy{Backoff{NoJitter{}, Cap{2ms}, 1ms}}; }

/// A link that dials again at once, and what it has observed.
struct DialingRig {
    DialingRig(std::uint16_t port, beast::WebSocketOptions options)
        : link{Plain{context, {"127.0.0.1", port}, std::move(options)},
               dials_at_once(),
               {},
               std::ref(*this)} {
        loop.attach(link);
        link.start();
    }
    void on_state(const Transition& change) {
        state = change.to.state;
        if (state == LinkState::connected) ++connections;
        if (change.from == LinkState::connecting && state != LinkState::connected) {
            causes.push_back(change.to.failure.cause);
        }
    }
    template <class Done>
    void until(Done done) {
        belay_test::run_until(context, done);
    }

    boost::asio::io_context context{};
    AsioLoop<boost::asio::io_context> loop{context};
    LinkState state = LinkState::stopped;
    int connections = 0;
    std::vector<Cause> causes{};
    Supervisor<Plain, decltype(dials_at_once()), std::reference_wrapper<DialingRig>> link;
};

/// A server of Beast on the loopback. It accepts one connection, and reads when the test requests
/// it.
struct LazyServer {
    using tcp = boost::asio::ip::tcp;

    LazyServer() {
        acceptor.set_option(boost::asio::socket_base::receive_buffer_size{1 << 16});
        acceptor.listen();
    }
    void accept() {
        acceptor.accept(stream.next_layer());
        stream.accept();
    }
    /// Reads until this many bytes have arrived.
    void read(std::size_t bytes) {
        std::vector<char> into(bytes);
        boost::asio::read(stream.next_layer(), boost::asio::buffer(into));
    }

    boost::asio::io_context context{};
    tcp::acceptor acceptor{context, {boost::asio::ip::make_address("127.0.0.1"), 0}};
    boost::beast::websocket::stream<tcp::socket> stream{context};
};

/// The peer for check::transport.
struct NodeRig {
    NodeRig(NodeServer& s, const beast::WebSocketOptions& options)
        : server{s}, transport{context, {"localhost", s.port}, options} {}
    NodeServer& server;
    boost::asio::io_context context{};
    Plain transport;
    void run_once() {
        context.restart();
        context.run_one_for(1ms);
        context.poll();
    }
    void hang_up() { server.hang_up(); }
};

/// A source whose token is available at once.
struct Given {
    using token_type = std::string;
    std::string token;
    void operator()(auto completion) { completion(token); }
};
using Tokened = WithToken<Plain, Given>;
belay_test::WebSocketRig<Tokened> with_token(const NodeServer& server, const std::string& token,
                                             beast::WebSocketOptions options) {
    return belay_test::WebSocketRig<Tokened>{[&](auto& context) {
        return Tokened{Plain{context, {"127.0.0.1", server.port}, std::move(options)},
                       Given{token}};
    }};
}

}  // namespace

TEST_CASE("check::transport finds no fault in beast::WebSocket", "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    const auto message = [](std::uint64_t i) { return to_bytes(nth_line(i)); };
    for (const bool text : {false, true}) {
        const beast::WebSocketOptions options{
            .target = "/echo",
            .messages = {
                .frames = text ? beast::WebSocketFrames::text : beast::WebSocketFrames::binary,
                .deflate = text}};
        const auto broken =
            check::transport([&] { return std::make_unique<NodeRig>(server, options); }, message);
        INFO((broken ? to_string(*broken) : ""));
        CHECK_FALSE(broken.has_value());
    }
}

TEST_CASE("A close code of the server maps to the cause of websocket_failure",
          "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    CHECK(PlainRig{server, {.target = "/close?code=4001"}}.failure() == websocket_failure(4001));
    CHECK(PlainRig{server, {.target = "/close?code=4003"}}.failure().cause == Cause::forbidden);
    CHECK(PlainRig{server, {.target = "/close?code=1013"}}.failure().cause == Cause::overloaded);
    CHECK(PlainRig{server, {.target = "/close?code=1000"}}.failure().cause == Cause::lost);
}

TEST_CASE("WebSocketOptions::classify decides what a close code means",
          "[beast][websocket][unit]") {
    std::string seen;
    const auto classify = [&seen](int code, std::string_view reason) -> Failure {
        seen = std::to_string(code) + " " + std::string{reason};
        if (code == 4009) throw std::runtime_error{"as a parser of reasons may"};
        if (code == 4010) return {};
        Failure failure = websocket_failure(code, 7s);
        failure.cause = reason == "token expired" ? Cause::unauthorized : Cause::overloaded;
        return failure;
    };
    const auto failure_of_close = [&](int code, const char* reason, bool classified = true) {
        seen.clear();
        const ClosingServer server{code, reason};
        return PlainRig{server.port, classified ? beast::WebSocketOptions{.classify = classify}
                                                : beast::WebSocketOptions{}}
            .failure();
    };
    const Failure expired = failure_of_close(3501, "token expired");
    CHECK(expired.cause == Cause::unauthorized);
    CHECK(expired.code == 3501);
    CHECK(expired.retry_after == 7s);
    CHECK(seen == "3501 token expired");
    CHECK(failure_of_close(4001, "slow down").cause == Cause::overloaded);
    // The default applies without a function, if it throws, and if it returns no value.
    CHECK(failure_of_close(4001, "slow down", false) == websocket_failure(4001));
    CHECK(failure_of_close(4009, "") == websocket_failure(4009));
    CHECK(seen == "4009 ");
    CHECK(failure_of_close(4010, "bye") == websocket_failure(4010));
    CHECK(seen == "4010 bye");
    // A close frame without a code.
    CHECK(failure_of_close(0, "").code == 1005);
    CHECK(seen == "1005 ");
}

TEST_CASE("WebSocketOptions::classify is not called for a stream without a close frame",
          "[beast][websocket][fault]") {
    int calls = 0;
    const ClosingServer server{ClosingServer::no_frame, ""};
    PlainRig rig{server.port, {.classify = [&](int, std::string_view) {
                     ++calls;
                     return Failure{.cause = Cause::permanent};
                 }}};
    CHECK(rig.failure() == websocket_failure(1006));
    CHECK(calls == 0);
}

TEST_CASE("A close code counts also if the stream does not end, or not in order",
          "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    CHECK(PlainRig{server, {.target = "/resets"}}.failure() == websocket_failure(4003));
    CHECK(PlainRig{server, {.target = "/stays"}}.failure() == websocket_failure(4003));
}

TEST_CASE("A rejected upgrade maps to the failure of http_failure, with its Retry-After",
          "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    CHECK(PlainRig{server, {.target = "/refuse?status=503&retry=7"}}.failure() ==
          http_failure(503, 7s));
    // The wait is measured from the date of the response, in the year 1994.
    const std::string until = "Sun,%2006%20Nov%201994%2008:50:37%20GMT";
    CHECK(PlainRig{server, {.target = "/refuse?status=429&retry=" + until}}.failure() ==
          http_failure(429, 60s));
    CHECK(PlainRig{server, {.target = "/refuse?status=401"}}.failure().cause ==
          Cause::unauthorized);
    CHECK(PlainRig{server, {.target = "/refuse?status=200"}}.failure().cause == Cause::refused);
}

TEST_CASE("A link whose server restarts behind a proxy connects again",
          "[beast][websocket][regression]") {
    StatusServer server{{101, 404, 421, 425, 410, 301, 200, 503, 404, 101}};
    DialingRig rig{server.port, {}};
    rig.until([&] { return rig.connections == 2; });
    using enum Cause;
    CHECK(rig.causes ==
          std::vector{refused, refused, refused, refused, refused, refused, overloaded, refused});
}

TEST_CASE("A link fails when its server has rejected upgrades long enough",
          "[beast][websocket][regression]") {
    const Patience three{.times = 3, .after_accepting = 0s, .before_accepting = 0s};
    StatusServer server{{404, 404, 503, 404, 410, 404}};
    DialingRig rig{server.port, {.patience = three}};
    rig.until([&] { return rig.state == LinkState::failed; });
    CHECK(rig.causes.size() == 6);
    CHECK(rig.causes.back() == Cause::permanent);
    StatusServer one{{404}};
    DialingRig hasty{one.port, {.patience = Patience::at_once()}};
    hasty.until([&] { return hasty.state == LinkState::failed; });
    CHECK(hasty.causes == std::vector{Cause::permanent});
}

TEST_CASE("WebSocketOptions::classify_upgrade decides on a rejected upgrade first",
          "[beast][websocket][unit]") {
    std::vector<std::string> seen;
    const auto classify =
        [&](const HttpRequest& request, const HttpResponse& response,
            const HttpResponse::History& history) -> std::optional<HttpResponse::Verdict> {
        const std::string* const proxy = response.headers.find("x-proxy");
        seen.push_back(request.url.substr(request.url.find('/', 8)) + ' ' +
                       std::to_string(response.status) + ' ' + response.body + ' ' +
                       (proxy != nullptr ? *proxy : "-") + ' ' +
                       std::to_string(history.rejections));
        if (response.status != 503) return std::nullopt;
        return HttpResponse::Verdict{.repeats = false};
    };
    StatusServer server{{404, 503}};
    DialingRig rig{server.port, {.target = "/ws?a", .classify_upgrade = classify}};
    rig.until([&] { return rig.state == LinkState::failed; });
    CHECK(rig.causes == std::vector{Cause::refused, Cause::permanent});
    CHECK(seen == std::vector<std::string>{"/ws?a 404 no 1 1", "/ws?a 503 no 1 0"});
}

TEST_CASE("A message of the other kind ends the connection with 1003", "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    PlainRig rig{server, {.target = "/text"}};
    CHECK(rig.failure() == Failure::from(std::make_error_code(std::errc::protocol_error)));
    CHECK(server.line_with("closed") == "closed 1003");
    CHECK(rig.app.messages.empty());
    PlainRig text{server,
                  {.target = "/text", .messages = {.frames = beast::WebSocketFrames::text}}};
    CHECK(text.message() == "text");
    // A message that is no text is never sent as text.
    CHECK(text.link.send(Bytes(1, std::byte{0xFF})) == SendResult::rejected);
}

TEST_CASE("A close frame has the code of its failure, after the queued messages",
          "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    for (const int code : {4007, 1006, 0}) {
        boost::asio::io_context context;
        Plain transport{context, {"127.0.0.1", server.port}, {.target = "/quiet"}};
        const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
        events->epoch = 1;
        auto connection = transport.open(Link<Bytes>{events, 1});
        const auto until_reported = [&] {
            belay_test::run_until(context, [&] { return !events->empty(); });
            events->begin_turn();
            return events->pop();
        };
        REQUIRE(until_reported().kind == part::EventKind::opened);
        const Failure why = code == 0 ? Failure{.cause = Cause::planned} : websocket_failure(code);
        connection.close(why);
        const auto closed = until_reported();
        CHECK(closed.kind == part::EventKind::closed);
        CHECK(closed.failure == why);
        // 1006 means that there was no close frame. No peer may send it.
        CHECK(server.line_with("closed") == (code == 4007 ? "closed 4007" : "closed 1000"));
    }
}

TEST_CASE("A WebSocket reports output that is written after a wait",
          "[beast][websocket][regression]") {
    // One message, long messages, and messages that are written without an operation of asio.
    const std::size_t each =
        GENERATE(std::size_t{32} << 20, std::size_t{512} << 10, std::size_t{4} << 10);
    CAPTURE(each);
    LazyServer server;
    boost::asio::io_context context;
    beast::WebSocketOptions options;
    options.messages.output_bytes_max = std::size_t{64} << 20;
    Plain transport{context, {"127.0.0.1", server.acceptor.local_endpoint().port()}, options};
    const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    auto connection = transport.open(Link<Bytes>{events, 1});
    const auto written = [&] {
        int count = 0;
        for (events->begin_turn(); events->size() != 0;) {
            const auto kind = events->pop().kind;
            CHECK((kind == part::EventKind::opened || kind == part::EventKind::written));
            if (kind == part::EventKind::written) ++count;
        }
        return count;
    };
    std::thread accepts{[&server] { server.accept(); }};
    belay_test::run_until(context, [&] { return !events->empty(); });
    accepts.join();
    // Output that the kernel accepts at once has not waited, also during a ping.
    for (int i = 0; i < 20; ++i) {
        REQUIRE(connection.send(Bytes(10)) == SendResult::sent);
        connection.ping();
        context.restart();
        context.poll();
        CHECK(written() == 0);
    }
    // More bytes than the two kernels accept.
    constexpr std::size_t bytes = std::size_t{32} << 20;
    for (std::size_t i = 0; i < bytes / each; ++i) {
        REQUIRE(connection.send(Bytes(each)) == SendResult::sent);
    }
    for (int part = 0; part < 3; ++part) {
        CAPTURE(part);
        // Runs until the kernels accept no more bytes. On a busy machine, a run may have no event.
        for (int idle = 0; idle < 5;) {
            context.restart();
            idle = context.run_one_for(5ms) != 0 ? 0 : idle + 1;
        }
        static_cast<void>(written());
        std::atomic<bool> done{false};
        std::thread reads{[&] {
            server.read(std::size_t{8} << 20);
            done = true;
        }};
        belay_test::run_until(context, [&] { return done.load(); });
        reads.join();
        CHECK(written() > 0);
    }
}

TEST_CASE("A WebSocket that closes sends nothing after its answer to the peer's close frame",
          "[beast][websocket][regression]") {
    LazyServer server;
    boost::asio::io_context context;
    Plain transport{context, {"127.0.0.1", server.acceptor.local_endpoint().port()}, {}};
    const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    auto connection = transport.open(Link<Bytes>{events, 1});
    std::thread accepts{[&server] { server.accept(); }};
    belay_test::run_until(context, [&] { return !events->empty(); });
    accepts.join();
    events->begin_turn();
    static_cast<void>(events->pop());
    for (int i = 0; i < 20; ++i) REQUIRE(connection.send(Bytes(8'000)) == SendResult::sent);
    connection.close({});
    constexpr std::array<unsigned char, 2> close_frame{0x88, 0};
    auto& socket = server.stream.next_layer();
    boost::asio::write(socket, boost::asio::buffer(close_frame));
    std::vector<unsigned char> got;
    std::thread reads{[&] {
        boost::system::error_code error;
        boost::asio::read(socket, boost::asio::dynamic_buffer(got), error);
        socket.close();
    }};
    belay_test::run_until(context, [&] { return !events->empty(); });
    reads.join();
    std::size_t closes = 0;
    for (std::size_t at = 0; at + 6 <= got.size();) {
        CHECK(closes == 0);
        if ((got[at] & 0x0F) == 8) ++closes;
        std::size_t size = got[at + 1] & 0x7FU;
        if (size == 126) size = 2 + got[at + 2] * 256U + got[at + 3];
        at += 6 + size;  // with the mask
    }
    CHECK(closes == 1);
}

#if defined(__GLIBC__)
TEST_CASE("A WebSocket frees the memory of its queue when a burst has been written",
          "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    PlainRig rig{server, {.target = "/last"}};
    rig.connect();
    // The server answers the last message of a burst.
    const auto held_after = [&](std::size_t messages) {
        for (std::size_t i = 1; i < messages; ++i)
            REQUIRE(rig.link.send(Bytes(1)) == SendResult::sent);
        REQUIRE(rig.link.send(to_bytes("last")) == SendResult::sent);
        static_cast<void>(rig.message());
        rig.app.messages.clear();
        rig.context.poll();
        return ::mallinfo2().uordblks;
    };
    for (int i = 0; i < 20; ++i) static_cast<void>(held_after(8));
    const std::size_t before = held_after(8);
    // The queue had 24 bytes for each message.
    CHECK(held_after(1000) < before + 1000 * sizeof(Bytes) / 2);
}
#endif

TEST_CASE("message_bytes_max limits the inflated message", "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    PlainRig rig{server,
                 {.target = "/bomb", .messages = {.message_bytes_max = 100'000, .deflate = true}}};
    CHECK(rig.failure().code == 1009);
    CHECK(rig.app.failure.cause == Cause::protocol);
    CHECK(server.line_with("closed") == "closed 1009");
    CHECK(rig.app.messages.empty());
}

TEST_CASE("A WebSocket ends its connection when the peer violates the protocol, or stops",
          "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    SECTION("garbage") {
        CHECK(PlainRig{server, {.target = "/garbage"}}.failure().cause == Cause::protocol);
    }
    SECTION("a message that cannot be inflated") {
        CHECK(PlainRig{server, {.target = "/undeflatable", .messages = {.deflate = true}}}
                  .failure()
                  .cause == Cause::protocol);
    }
    SECTION("killed") {
        PlainRig rig{server, {.target = "/quiet"}};
        rig.connect();
        server.kill();
        CHECK(rig.failure().cause == Cause::lost);
        CHECK(PlainRig{server, {.target = "/quiet"}}.failure().cause == Cause::refused);
    }
    SECTION("frozen") {
        using Watched = Heartbeat<Plain>;
        belay_test::WebSocketRig<Watched> rig{[&](auto& context) {
            return Watched{Plain{context, {"127.0.0.1", server.port}, {.target = "/quiet"}},
                           HeartbeatOptions{.every = 20ms, .dead_after = 1s}};
        }};
        rig.connect();
        server.freeze();
        CHECK(rig.failure() == failure_of(LinkErrc::heartbeat_lost));
    }
    SECTION("reads nothing, and sends a wrong frame") {
        PlainRig rig{server, {.target = "/deaf"}};
        rig.connect();
        while (rig.link.send(Bytes(100'000)) == SendResult::sent) {
            rig.context.restart();
            rig.context.poll();
        }
        server.send_text();
        CHECK(rig.failure() == Failure::from(std::make_error_code(std::errc::protocol_error)));
    }
    SECTION("half a handshake") {
        boost::asio::io_context context;
        AsioLoop loop{context};
        belay_test::WebSocketApp app;
        Supervisor link{Plain{context, {"127.0.0.1", server.port}, {.target = "/half"}},
                        Policy{MaxAttempts{1}, AttemptTimeout{50ms}},
                        {},
                        std::ref(app)};
        loop.attach(link);
        link.start();
        while (app.ends == 0) context.run_one_for(1ms), context.restart();
        CHECK(app.failure == failure_of(LinkErrc::attempt_timed_out));
    }
}

TEST_CASE("A network that cuts a handshake or an answer anywhere only ends the connection",
          "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    belay_test::Proxy proxy{server.port};
    using belay_test::ConnectionFault;
    std::size_t connected = 0;
    std::size_t whole = 0;
    // The response to the handshake has 129 bytes, and the answer to the message 22.
    for (std::size_t bytes = 0; bytes < 151; bytes += 6) {
        for (const ConnectionFault::Then then :
             {ConnectionFault::Then::cut, ConnectionFault::Then::end,
              ConnectionFault::Then::reset}) {
            INFO("after " << bytes << " bytes");
            proxy.script({.to_client = {bytes, then, bytes % 12 == 0}});
            belay_test::WebSocketRig<Plain> rig{[&](auto& io) {
                return Plain{io, {"127.0.0.1", proxy.port()}, {.target = "/echo"}};
            }};
            rig.until([&] { return rig.app.state == LinkState::connected || rig.app.ends > 0; });
            if (rig.app.ends == 0) ++connected;
            static_cast<void>(rig.link.send(Bytes(20, std::byte{'a'})));
            CHECK((rig.failure().cause == Cause::lost || rig.app.failure.cause == Cause::refused));
            whole += rig.app.messages.size();
        }
    }
    CHECK(connected > 0);
    CHECK(whole == 0);
    proxy.script({{.trickle = true}, {.trickle = true}});
    belay_test::WebSocketRig<Plain> rig{[&](auto& io) {
        return Plain{io, {"127.0.0.1", proxy.port()}, {.target = "/echo"}};
    }};
    rig.connect();
    CHECK(rig.link.send(Bytes(20, std::byte{'a'})) == SendResult::sent);
    CHECK(rig.message() == std::string(20, 'a'));
}

TEST_CASE("A network that drops everything is detected by missing pongs",
          "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    belay_test::Proxy proxy{server.port};
    using Watched = Heartbeat<Plain>;
    belay_test::WebSocketRig<Watched> rig{[&](auto& io) {
        return Watched{Plain{io, {"127.0.0.1", proxy.port()}, {.target = "/quiet"}},
                       HeartbeatOptions{.every = 20ms, .dead_after = 500ms}};
    }};
    rig.connect();
    proxy.now(belay_test::ConnectionFault::Then::swallow);
    CHECK(rig.failure() == failure_of(LinkErrc::heartbeat_lost));
    CHECK(proxy.swallowed() > 0);
}

TEST_CASE("A token goes into a header or the query, and nowhere else", "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    const auto observed = [&](const std::string& token, beast::WebSocketOptions options) {
        options.target = "/request?a=b";
        auto rig = with_token(server, token, std::move(options));
        return rig.message();
    };
    CHECK(observed("secret", {}).find("\nAuthorization\nBearer secret") != std::string::npos);
    CHECK(observed("secret", {.token_header = "X-Key", .token_prefix = ""}).find("X-Key\nsecret") !=
          std::string::npos);
    const std::string query = observed("a&b c", {.token_query = "access token"});
    CHECK(query.starts_with("/request?a=b&access%20token=a%26b%20c\n"));
    CHECK(query.find("Authorization") == std::string::npos);
    const std::string extra = observed("t", {.headers = {{"X-Client", "belay"}}});
    CHECK(extra.find("X-Client\nbelay") != std::string::npos);
    const std::string own =
        observed("t", {.headers = {{"user-agent", "mine"}, {"Host", "b.example"}}});
    CHECK(own.find("b.example") != std::string::npos);
    CHECK(own.find("127.0.0.1") == std::string::npos);
    CHECK(own.find("User-Agent") == std::string::npos);

    const auto failure = [&](const std::string& token, beast::WebSocketOptions options) {
        auto rig = with_token(server, token, std::move(options));
        return rig.failure();
    };
    const Failure bad = Failure::from(make_error_code(beast::WebSocketErrc::bad_text));
    CHECK(failure("a\r\nX: y", {}) == bad);
    // Beast would throw in a handler.
    CHECK(failure(std::string(70'000, 'a'), {}) == bad);
    CHECK(failure("a", {.headers = {{std::string(70'000, 'a'), "b"}}}) == bad);
    CHECK(failure("a", {.headers = {{"X-Client", "a\nb"}}}) == bad);
    CHECK(failure("a", {.headers = {{"X Client", "b"}}}) == bad);
    CHECK(PlainRig{server, {.target = "/a b"}}.failure() == bad);
    // This address is not on this machine.
    CHECK(failure("a", {.proxy = {"127.0.0.1", server.proxy_port}}) ==
          Failure::from(make_error_code(beast::WebSocketErrc::token_in_clear)));
}

TEST_CASE("The server must select the requested subprotocol, or the connection fails",
          "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    PlainRig taken{server, {.target = "/quiet", .messages = {.subprotocol = "chat.v2"}}};
    taken.connect();
    PlainRig refused{server, {.target = "/quiet", .messages = {.subprotocol = "chat.v9"}}};
    CHECK(refused.failure() ==
          Failure::from(make_error_code(beast::WebSocketErrc::subprotocol_rejected)));
}

TEST_CASE("A connection through a proxy begins with CONNECT", "[beast][websocket][unit]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    beast::WebSocketOptions options{.target = "/request",
                                    .proxy = {"127.0.0.1", server.proxy_port}};
    CHECK(PlainRig{server, options}.failure() == http_failure(407));
    options.proxy_authorization = "Basic ZTpt";
    CHECK(PlainRig{server, options}.message().starts_with("/request\n"));
    CHECK(server.line_with("proxy") == "proxy 127.0.0.1:" + std::to_string(server.port));
    // A proxy that is not there is a failure of this side, and of no endpoint.
    for (const std::string host : {"127.0.0.1", "localhost"}) {
        const Failure refused = PlainRig{server, {.proxy = {host, 1}}}.failure();
        CHECK(refused.error() == std::errc::connection_refused);
        CHECK(refused.origin == Failure::Origin::local);
    }
}

TEST_CASE("beast::WebSocket may be destroyed at any time, and its handlers run later",
          "[beast][websocket][fault]") {
    if (!NodeServer::is_here()) return;
    NodeServer server;
    for (int steps = 0; steps < 20; ++steps) {
        boost::asio::io_context context;
        {
            AsioLoop loop{context};
            Supervisor link{Plain{context,
                                  {steps % 2 == 0 ? "localhost" : "127.0.0.1", server.port},
                                  {.target = "/echo"}},
                            Policy{MaxAttempts{1}}};
            loop.attach(link);
            link.start();
            for (int i = 0; i < steps; ++i) {
                context.restart();
                context.run_one_for(1ms);
                static_cast<void>(link.send(Bytes(100'000)));
            }
        }
        context.restart();
        context.run();
    }
}

// ---- names with several addresses ---------------------------------------------------------------

namespace {

struct WithHosts {
    belay_test::ListResolver resolver;
};
/// A client of a name that has the addresses of these hosts.
struct ListedRig : WithHosts, belay_test::WebSocketRig<Plain> {
    ListedRig(std::vector<std::string> hosts, std::uint16_t port)
        : WithHosts{{std::move(hosts)}}, belay_test::WebSocketRig<Plain>{[&](auto& io) {
              beast::WebSocketOptions options;
              options.resolver = resolver;
              return Plain{io, {"name", port}, options};
          }} {}
};

}  // namespace

TEST_CASE("beast::WebSocket connects to a name whose first addresses drop packets",
          "[beast][websocket][regression]") {
    belay_test::ListenerRig<> server;
    std::vector<std::string> hosts{"127.0.0.2", "127.0.0.1"};
    std::deque<belay_test::BlackHole> holes;
    holes.emplace_back(hosts.front(), server.port);
    if (belay_test::has_ipv6()) {
        hosts.insert(hosts.begin() + 1, "::1");
        holes.emplace_back("::1", server.port);
    }
    ListedRig client{hosts, server.port};
    client.until([&] {
        server.turn();
        return client.app.state == LinkState::connected;
    });
    CHECK(client.link.send(to_bytes("hello")) == SendResult::sent);
    client.until([&] {
        server.turn();
        return !client.app.messages.empty();
    });
    CHECK(client.app.messages.front() == "hello");
}

TEST_CASE("beast::WebSocket reports each address of a name that refuses, with its own cause",
          "[beast][websocket][fault]") {
    const std::uint16_t free = belay_test::unused_port();
    const std::string refused = ":" + std::to_string(free) + " refused: " +
                                std::make_error_code(std::errc::connection_refused).message();
    ListedRig client{{"127.0.0.2", "127.0.0.1"}, free};
    CHECK(client.failure().error() == std::errc::connection_refused);
    CHECK(client.link.transport().dial_report() == "127.0.0.2" + refused + "; 127.0.0.1" + refused);
    // A numeric address has no report: its failure is complete.
    belay_test::WebSocketRig<Plain> numeric{[&](auto& io) {
        return Plain{io, {"127.0.0.1", free}};
    }};
    CHECK(numeric.failure().cause == Cause::refused);
    CHECK(numeric.link.transport().dial_report().empty());
}

TEST_CASE("beast::WebSocket dials again after the system has found no way to its address",
          "[beast][websocket][regression]") {
    belay_test::WebSocketRig<Plain> numeric{[](auto& io) { return Plain{io, {"fe80::1", 9}}; }};
    CHECK(numeric.failure().cause == Cause::refused);
    ListedRig named{{"fe80::1", "127.0.0.1"}, belay_test::unused_port()};
    CHECK(named.failure().cause == Cause::refused);
}

TEST_CASE("beast::WebSocket may end at any time of a dial of several addresses",
          "[beast][websocket][fault]") {
    const belay_test::BlackHole first{"127.0.0.2"};
    const belay_test::BlackHole second{"127.0.0.3", first.port()};
    for (int steps = 0; steps < 10; ++steps) {
        ListedRig client{{"127.0.0.2", "127.0.0.3"}, first.port()};
        for (int i = 0; i < steps; ++i) {
            client.context.restart();
            client.context.run_one_for(50ms);
        }
        if (steps % 2 == 0) client.link.stop();
    }
}

TEST_CASE("Short messages reach a slow peer whole and in order, also around a pong",
          "[beast][websocket][unit]") {
    namespace websocket = boost::beast::websocket;
    using tcp = boost::asio::ip::tcp;
    boost::asio::io_context context;
    tcp::acceptor acceptor{context, {boost::asio::ip::make_address("127.0.0.1"), 0}};
    constexpr std::uint64_t count = 1'200;
    // Some are sent alone, and some together.
    const auto nth = [](std::uint64_t i) {
        return to_bytes(nth_line(i) + std::string(i % 2 == 0 ? 16'000 : 0, 'x'));
    };
    std::latch full{1};
    std::atomic<bool> done{false};
    std::uint64_t received = 0;
    std::thread peer{[&] {
        websocket::stream<tcp::socket> stream{acceptor.accept()};
        stream.accept();
        full.wait();
        // The client cannot send the pong before the waiting messages.
        stream.ping({});
        bool same = true;
        for (; received < count && same; received += same ? 1 : 0) {
            boost::beast::flat_buffer message;
            stream.read(message);
            const auto* const first = static_cast<const std::byte*>(message.cdata().data());
            same = Bytes(first, first + message.size()) == nth(received);
        }
        done = true;
    }};
    beast::WebSocketOptions options;
    options.messages.output_bytes_max = std::size_t{64} << 20;
    Plain transport{context, {"127.0.0.1", acceptor.local_endpoint().port()}, options};
    const auto events = detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    auto connection = transport.open(Link<Bytes>{events, 1});
    belay_test::run_until(context, [&] { return !events->empty(); });
    // More bytes than the two kernels accept.
    for (std::uint64_t i = 0; i < count; ++i) REQUIRE(connection.send(nth(i)) == SendResult::sent);
    do context.restart();
    while (context.poll() != 0);
    full.count_down();
    belay_test::run_until(context, [&] { return done.load(); });
    peer.join();
    CHECK(received == count);
}
