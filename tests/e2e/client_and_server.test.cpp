// SPDX-License-Identifier: MIT
// Goal: server and client work alone, with peers that send invalid frames or nothing. Method: the
// programs, and sockets of the test.
#include "support/catch.hpp"

#include <belay/link/framings.hpp>
#include <belay/session/session_format.hpp>

#include "e2e/demo_fixture.hpp"
#include "e2e/socket.hpp"

using e2e::LedgerServer;
using e2e::Process;
using e2e::Socket;
using e2e::TestDirectory;

namespace {

std::vector<std::string> client(const LedgerServer& server, const std::string& file,
                                const std::string& dir) {
    return {e2e::outage, "client", "--connect", server.address(), "--file", file, "--dir", dir};
}

/// The server works as before: a client delivers all of its lines.
void delivers(LedgerServer& server, const TestDirectory& w) {
    const std::string input = e2e::sample_text(500);
    e2e::write(w / "input", input);
    Process c{client(server, w / "input", w / "client")};
    const int code = c.wait();
    INFO("client: " << c.text() << "\nserver: " << server.process.text());
    CHECK(code == 0);
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", input));
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

std::string transport_frame(const belay::Bytes& message, std::uint32_t length) {
    belay::Bytes header;
    belay::LengthPrefixed{.bytes_max = 0xFFFF'FFFF}.put_header(length, header);
    return std::string{belay::as_text(header)} + std::string{belay::as_text(message)};
}
std::string transport_frame(const belay::Bytes& message) {
    return transport_frame(message, static_cast<std::uint32_t>(message.size()));
}

belay::Bytes hello() {
    belay::session_format::Hello h;
    h.attach = 1;
    h.payload_bytes_max = 1024;
    h.sender.fill(std::byte{7});
    h.journal.fill(std::byte{8});
    belay::Bytes message;
    belay::session_format::append_hello(message, h);
    return message;
}

}  // namespace

TEST_CASE("outage server closes a connection that sends garbage, and continues",
          "[e2e][client_and_server][fault]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    REQUIRE(server.port() != 0);
    const std::string garbage =
        GENERATE(std::string{"GET / HTTP/1.1\r\nHost: example\r\n\r\n"},
                 std::string(100000, '\xff'), std::string(1000, '\0'),
                 // A frame that is longer than the limit of a message.
                 transport_frame({}, 0x7FFFFFFF),
                 // A message that is no frame of the session, and then one whose checksum is wrong.
                 transport_frame(belay::Bytes(40, std::byte{1})), [] {
                     belay::Bytes damaged = hello();
                     damaged.back() ^= std::byte{1};
                     return transport_frame(damaged);
                 }());
    Socket s{server.port()};
    REQUIRE(s.connected());
    s.say(garbage);
    CHECK(s.is_closed());
    delivers(server, w);
}

TEST_CASE("outage server closes a connection that falls silent in the middle of a frame",
          "[e2e][client_and_server][fault]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    REQUIRE(server.port() != 0);
    Socket half{server.port()}, silent{server.port()};
    const std::string frame = transport_frame(hello());
    half.say(frame.substr(0, frame.size() / 2));
    CHECK(half.is_closed());
    CHECK(silent.is_closed());
    delivers(server, w);
}

TEST_CASE("outage server stores no output for a client that does not read",
          "[e2e][client_and_server][fault]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    REQUIRE(server.port() != 0);
    const auto resident_pages = [&] {
        const std::string statm =
            e2e::read("/proc/" + std::to_string(server.process.pid()) + "/statm");
        return std::stoul(statm.substr(statm.find(' ') + 1));
    };
    Socket unresponsive{server.port()};
    unresponsive.say(transport_frame(hello()));
    const unsigned long before = resident_pages();
    // Each of these requires an answer; a hundred times more than the server may store for one
    // peer. A peer that has sent only HELLO may not send more than 8 KiB in one message.
    belay::Bytes pings;
    for (unsigned i = 0; i < 300; ++i) {
        belay::session_format::append_frame(
            pings, {.type = belay::session_format::FrameType::ping, .number = i});
    }
    const std::string message = transport_frame(pings);
    const std::size_t wanted = std::size_t{128} << 20U;
    std::size_t written = 0;
    for (std::size_t n = 1; n != 0 && written < wanted; written += n) {
        n = unresponsive.say(message, std::chrono::seconds{2});
    }
    INFO("the server took " << written << " bytes");
    CHECK(written > std::size_t{1} << 20U);
    const unsigned long now = resident_pages();
    const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    CHECK((now > before ? now - before : 0) * page_bytes < (std::size_t{32} << 20U));
    delivers(server, w);
}

TEST_CASE("outage server exits cleanly on SIGTERM and SIGINT, also with a client connected",
          "[e2e][client_and_server][unit]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    // As slow as that, it is not done before the signal, also on a busy machine.
    e2e::write(w / "input", e2e::sample_text(1000));
    std::vector<std::string> words = client(server, w / "input", w / "client");
    words.insert(words.end(), {"--rate", "20"});
    Process c{words};
    REQUIRE(c.prints("connected"));
    const int signal = GENERATE(SIGTERM, SIGINT);
    server.process.signal(signal);
    CHECK(server.process.wait() == 0);
    CHECK_FALSE(c.ended());
}

TEST_CASE("outage client exits cleanly on SIGTERM, and continues where it stopped",
          "[e2e][client_and_server][unit]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    const std::string input = e2e::sample_text(300);
    e2e::write(w / "input", input);
    std::vector<std::string> words = client(server, w / "input", w / "client");
    words.insert(words.end(), {"--rate", "30"});
    {
        Process c{words};
        REQUIRE(e2e::eventually([&] { return e2e::ledger_size(w / "server/ledger.txt") > 20; }));
        c.signal(SIGTERM);
        CHECK(c.wait() == 130);
    }
    const unsigned delivered = e2e::ledger_size(w / "server/ledger.txt");
    CHECK(delivered < 300);
    {
        Process c{client(server, w / "input", w / "client")};
        const int code = c.wait();
        INFO(c.text());
        CHECK(code == 0);
        CHECK(e2e::ledger_equals(w / "server/ledger.txt", input));
    }
    // No work is left, so no server is needed.
    server.process.signal(SIGKILL);
    server.process.wait();
    Process c{client(server, w / "input", w / "client")};
    CHECK(c.wait() == 0);
}

TEST_CASE("outage client waits for a server that has not started yet",
          "[e2e][client_and_server][fault]") {
    const TestDirectory w;
    std::string port;
    {
        LedgerServer server{w / "server"};
        port = server.number;
    }
    const std::string input = e2e::sample_text(50);
    e2e::write(w / "input", input);
    Process c{{e2e::outage, "client", "--connect", "127.0.0.1:" + port, "--file", w / "input",
               "--dir", w / "client"}};
    REQUIRE(c.prints("cannot connect"));
    LedgerServer server{w / "server", port};
    CHECK(c.wait() == 0);
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", input));
}

TEST_CASE("outage server rejects a second client, and both sides print the reason",
          "[e2e][client_and_server][unit]") {
    const TestDirectory w;
    LedgerServer server{w / "server"};
    e2e::write(w / "input", "one\ntwo\n");
    Process first{client(server, w / "input", w / "first")};
    REQUIRE(first.wait() == 0);
    Process second{client(server, w / "input", w / "second")};
    CHECK(second.wait() == 1);
    CHECK(second.prints("the server's ledger belongs to another client"));
    CHECK(server.process.prints("rejected sender"));
    CHECK(e2e::ledger_equals(w / "server/ledger.txt", "one\ntwo\n"));
}

TEST_CASE("outage server reports a port that is in use", "[e2e][client_and_server][unit]") {
    const TestDirectory w;
    const LedgerServer first{w / "first"};
    Process second{{e2e::outage, "server", "--port", first.number, "--dir", w / "second"}};
    CHECK(second.wait() == 2);
    CHECK(second.prints("cannot listen on " + first.address() + ": another program listens there"));
}
