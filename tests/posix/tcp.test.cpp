// SPDX-License-Identifier: MIT
// Goal: messages arrive whole, in order and once, and every end is reported with its cause, for any
// behaviour of the peer. Method: a supervised Tcp and a plain socket on the loopback; time stands
// still.
#include <belay/posix/tcp.hpp>

#include <sys/resource.h>  // setrlimit
#include <sys/socket.h>

#include <stdexcept>
#include <utility>

#include <belay/link/bundle.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/journal.hpp>
#include <belay/posix/listener.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/session.hpp>

#include "support/posix/tcp_rig.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using namespace belay_test;
using posix::Tcp;
using posix::TcpOptions;

namespace {

struct EchoApp {
    void on_message(auto& link, Bytes message, Lane lane) {
        static_cast<void>(link.send(message, lane));
    }
};

/// A heartbeat every 10 s, dead after 25 s.
struct BeatingRig : TcpRig<Heartbeat<Tcp<>>> {
    BeatingRig()
        : TcpRig<Heartbeat<Tcp<>>>{
              {}, {}, [](Tcp<> tcp) {
                  return Heartbeat{std::move(tcp), {.every = 10s, .dead_after = 25s}};
              }} {}
};

/// The supervisor is not attached: the test runs its turns, because it accepts many messages at
/// once.
struct ManualClockRig : TcpRig<> {
    explicit ManualClockRig(std::size_t messages_max)
        : TcpRig<>{{}, {.messages_max = messages_max}} {
        turn();
        link.start();
        until([&] {
            turn();
            return app.state() == LinkState::connected;
        });
        peer = server.accept();
    }
    void turn() { link.advance(clock.now()); }
};

/// Counts its copies.
struct CountedPuts : LengthPrefixed {
    bool put(BytesView message, Bytes& out) const {
        copied += message.size();
        return LengthPrefixed::put(message, out);
    }
    static inline std::size_t copied = 0;
};

/// Throws an exception that is not std::bad_alloc, at a place that the test selects.
struct ThrowingPuts : LengthPrefixed {
    enum class In { nothing, put, put_header, put_ping };
    bool put(BytesView message, Bytes& out) const {
        out.push_back(std::byte{1});  // half a frame
        throw_in(In::put);
        out.pop_back();
        return LengthPrefixed::put(message, out);
    }
    bool put_header(std::size_t bytes, Bytes& out) const {
        throw_in(In::put_header);
        return LengthPrefixed::put_header(bytes, out);
    }
    void put_ping(Bytes& out) const {
        throw_in(In::put_ping);
        LengthPrefixed::put_ping(out);
    }
    static void throw_in(In here) {
        if (std::exchange(throws, throws == here ? In::nothing : throws) == here) {
            throw std::length_error{"a framing of the user"};
        }
    }
    static inline In throws = In::nothing;
};

/// Lets time pass second by second, like a driver.
template <class R>
void pass(R& rig, Duration time) {
    for (; time > 0s; time -= 1s) {
        rig.clock.advance(1s);
        rig.round();
    }
}

}  // namespace

TEST_CASE("Tcp sends messages as frames, in order", "[posix][posix_tcp][golden]") {
    TcpRig<> rig;
    rig.connect();
    CHECK(rig.link.send(to_bytes("one")) == SendResult::sent);
    CHECK(rig.link.send(to_bytes("")) == SendResult::sent);
    CHECK(rig.link.send(to_bytes("three")) == SendResult::sent);
    using namespace std::string_literals;
    CHECK(rig.peer_reads(23) == "\x03\0\0\0\0one\0\0\0\0\0\x05\0\0\0\0three"s);
}

TEST_CASE("Tcp sends the messages of one turn together", "[posix][posix_tcp][unit]") {
    TcpRig<> rig;
    rig.connect();
    for (int i = 0; i < 100; ++i) CHECK(rig.link.send(to_bytes("m")) == SendResult::sent);
    CHECK(rig.peer.read_some().empty());
    rig.round();
    CHECK(rig.peer.read_some().size() == 600);
}

TEST_CASE("Tcp receives frames that arrive byte by byte", "[posix][posix_tcp][unit]") {
    TcpRig<> rig;
    rig.connect();
    for (const char c : frame("hello") + frame("") + frame("world")) {
        rig.peer.send({&c, 1});
        rig.round();
    }
    rig.until([&] { return rig.app.messages.size() == 3; });
    CHECK(rig.app.messages == std::vector<std::string>{"hello", "", "world"});
}

TEST_CASE("Tcp receives messages right after the handshake, and right before the end",
          "[posix][posix_tcp][unit]") {
    TcpRig<> rig;
    rig.loop.attach(rig.link);
    rig.link.start();
    rig.round();
    rig.peer = rig.server.accept();
    rig.peer.send(frame("first") + frame("last"));
    rig.peer.close();
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.messages == std::vector<std::string>{"first", "last"});
}

TEST_CASE("Tcp closes with Cause::protocol on bytes that are no frame",
          "[posix][posix_tcp][fault]") {
    using namespace std::string_literals;
    for (const std::string& bad : {"\x09\0\0\0\0"s, "\xff\xff\xff\xff\0"s, frame("", 3),
                                   frame("x", 1), frame("x", 2), "GET / HTTP/1.1\r\n"s}) {
        auto rig = TcpRig<>::framed({.bytes_max = 8});
        rig.connect();
        rig.peer.send(frame("12345678") + bad + frame("behind"));
        rig.until_state(LinkState::cooldown);
        CHECK(rig.app.failure.cause == Cause::protocol);
        CHECK(rig.app.messages == std::vector<std::string>{"12345678"});
    }
}

TEST_CASE("Tcp::send rejects a message that its framing cannot carry, and continues",
          "[posix][posix_tcp][unit]") {
    auto rig = TcpRig<>::framed({.bytes_max = 20'000});
    rig.connect();
    for (const std::size_t size : {20'001U, 15'000U + (1U << 20U)}) {
        CHECK(rig.link.send(Bytes(size)) == SendResult::rejected);
    }
    CHECK(rig.link.send(to_bytes("x")) == SendResult::sent);
    CHECK(rig.peer_reads(6) == frame("x"));
}

TEST_CASE("Tcp ends the connection if its framing throws while it writes, and dials again",
          "[posix][posix_tcp][fault]") {
    using In = ThrowingPuts::In;
    using Beating = Heartbeat<Tcp<ThrowingPuts>>;
    TcpRig<Beating, ThrowingPuts> rig{
        {}, {}, [](Tcp<ThrowingPuts> tcp) {
            return Beating{std::move(tcp), {.every = 10s, .dead_after = 25s}};
        }};
    rig.connect();
    for (const In where : {In::put, In::put_header, In::put_ping}) {
        CAPTURE(static_cast<int>(where));
        CHECK(rig.peer_reads(5) == ping_frame);
        ThrowingPuts::throws = where;
        if (where == In::put_ping) {
            rig.peer.send(frame("alive"));  // so that the heartbeat waits for its time
            pass(rig, 11s);
        } else {
            const std::size_t size = where == In::put ? 3 : std::size_t{1} << 15U;
            CHECK(rig.link.send(Bytes(size)) == SendResult::down);
        }
        rig.until_state(LinkState::cooldown);
        CHECK(rig.app.failure.error() == LinkErrc::framing_threw);
        CHECK(ThrowingPuts::throws == In::nothing);
        pass(rig, 2s);
        rig.until_state(LinkState::connected);
        rig.peer = rig.server.accept();
    }
}

TEST_CASE("Tcp over Lines carries lines, both ways", "[posix][posix_tcp][unit]") {
    auto rig = TcpRig<Tcp<Lines>, Lines>::framed({.bytes_max = 40'000});
    rig.connect();
    const std::string longest(40'000, 'x');
    CHECK(rig.link.send(to_bytes("one")) == SendResult::sent);
    CHECK(rig.link.send(to_bytes(longest)) == SendResult::sent);
    CHECK(rig.link.send(to_bytes("two\nlines")) == SendResult::rejected);
    CHECK(rig.peer_reads(4 + longest.size() + 1) == "one\n" + longest + "\n");
    rig.peer.send("hel");
    rig.round();
    rig.peer.send("lo\r\n\n" + longest + "\n");
    rig.until([&] { return rig.app.messages.size() == 3; });
    CHECK((rig.app.messages == std::vector<std::string>{"hello", "", longest}));
    rig.peer.send(longest + "x");  // longer than the limit of a line
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::protocol);
}

TEST_CASE("Tcp::send returns busy for a message that does not fit, and one on_writable follows",
          "[posix][posix_tcp][unit]") {
    TcpRig<> rig{{.output_bytes_max = 10'000}};
    rig.connect();
    const Bytes message(1000);
    std::size_t sent = 0;
    // The peer does not read: at some time both kernels are full.
    rig.until([&] {
        while (rig.link.send(message) == SendResult::sent) ++sent;
        return rig.link.send(message) == SendResult::busy;
    });
    CHECK(rig.link.send(message) == SendResult::busy);
    rig.round();
    CHECK(rig.app.writables == 0);
    std::size_t read = 0;
    rig.spin_until([&] {
        read += rig.peer.read_some().size();
        return read == sent * 1005;
    });
    rig.round();
    rig.round();
    CHECK(rig.app.writables == 1);
    CHECK(rig.link.send(message) == SendResult::sent);
    rig.round();
    rig.round();
    CHECK(rig.app.writables == 1);
}

TEST_CASE("Tcp::send does not copy a long message that does not fit", "[posix][posix_tcp][unit]") {
    auto rig = TcpRig<Tcp<CountedPuts>, CountedPuts>::framed({}, {.output_bytes_max = 10'000});
    rig.connect();
    rig.until([&] {
        while (rig.link.send(Bytes(1000)) == SendResult::sent) continue;
        return rig.link.send(Bytes(1000)) == SendResult::busy;
    });
    CountedPuts::copied = 0;
    for (int i = 0; i < 3; ++i) CHECK(rig.link.send(Bytes(1'000'000)) == SendResult::busy);
    CHECK(CountedPuts::copied == 0);
    rig.spin_until([&] {
        static_cast<void>(rig.peer.read_some());
        return rig.app.writables == 1;
    });
    CHECK(rig.link.send(Bytes(1'000'000)) == SendResult::sent);
}

namespace {

/// Lowers the limit of a connection, as a server of rooms does.
struct NarrowTcp {
    using message_type = Bytes;
    static constexpr std::size_t bytes_max = 2000;
    struct Connection : part::Wrapped<part::ConnectionOf<Tcp<>>, Bytes> {
        template <class F>
        explicit Connection(F&& make) : Wrapped{std::forward<F>(make)} {
            limit_output(bytes_max);
        }
    };
    Connection open(const Link<Bytes>& link) {
        return Connection{[&] { return inner.open(link); }};
    }
    Tcp<> inner;
};

}  // namespace

TEST_CASE("Tcp holds at most limit_output bytes", "[posix][posix_tcp][unit]") {
    TcpRig<NarrowTcp> rig{{}, {}, [](Tcp<> tcp) { return NarrowTcp{std::move(tcp)}; }};
    rig.connect();
    constexpr std::size_t size = 1005;
    std::size_t sent = 0;
    rig.until([&] {
        while (rig.link.send(Bytes(size - 5)) == SendResult::sent) sent += size;
        return rig.link.send(Bytes(size - 5)) == SendResult::busy;
    });
    // All other bytes are in the kernels: the peer gets them without a turn of this side.
    std::size_t read = 0;
    while (read + NarrowTcp::bytes_max < sent) read += rig.peer.read_some().size();
    rig.spin_until([&] {
        read += rig.peer.read_some().size();
        return read == sent && rig.app.writables == 1;
    });
    CHECK(rig.link.send(Bytes(size - 5)) == SendResult::sent);
}

TEST_CASE("Tcp accepts any legal message when its buffer is empty", "[posix][posix_tcp][unit]") {
    auto rig = TcpRig<>::framed({.bytes_max = 16 << 20}, {.output_bytes_max = 1000});
    rig.connect();
    std::string big(16 << 20, 'x');
    for (std::size_t i = 0; i < big.size(); i += 4093) big[i] = static_cast<char>(i);
    CHECK(rig.link.send(to_bytes(big)) == SendResult::sent);
    CHECK(rig.link.send(to_bytes("small")) == SendResult::busy);
    CHECK(rig.peer_reads(big.size() + 5) == frame(big));
    rig.until([&] { return rig.app.writables == 1; });
    // The other direction.
    std::string_view rest = big;
    rig.peer.send(frame(big).substr(0, 5));
    rig.spin_until([&] {
        const ssize_t n = ::send(rig.peer.fd(), rest.data(), rest.size(), MSG_DONTWAIT);
        if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
        return !rig.app.messages.empty();
    });
    CHECK((rig.app.messages.front() == big));
}

TEST_CASE("Tcp stops reading when its supervisor is full, and loses no message",
          "[posix][posix_tcp][unit]") {
    ManualClockRig rig{4};
    std::vector<std::string> messages;
    std::string stream;
    for (int i = 0; i < 20'000; ++i) {
        messages.push_back(std::to_string(i) + std::string(1000, 'x'));
        stream += frame(messages.back());
    }
    std::string_view rest = stream;
    const auto pump = [&] {
        ssize_t n = 0;
        bool progress = false;
        while (!rest.empty() &&
               (n = ::send(rig.peer.fd(), rest.data(), rest.size(), MSG_DONTWAIT)) > 0) {
            rest.remove_prefix(static_cast<std::size_t>(n));
            progress = true;
        }
        return progress;
    };
    // The supervisor does not read: the kernels fill up, and the peer must wait.
    int idle = 0;
    rig.spin_until([&] {
        idle = pump() ? 0 : idle + 1;
        return idle == 10;
    });
    CHECK(rest.size() > stream.size() / 4);
    CHECK(rig.app.messages.empty());
    rig.spin_until([&] {
        rig.turn();
        pump();
        return rig.app.messages.size() >= messages.size();
    });
    CHECK((rig.app.messages == messages));
}

TEST_CASE("Tcp reports an endpoint without a listener as refused", "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.server.close();
    rig.loop.attach(rig.link);
    rig.link.start();
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
    CHECK(rig.app.failure.error() == std::errc::connection_refused);
}

TEST_CASE("Tcp of a process without descriptors reports that, and dials again",
          "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.loop.attach(rig.link);
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    rlimit none = old;
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    rig.link.start();
    for (int i = 0; i < 10 && rig.app.state() != LinkState::cooldown; ++i)
        rig.link.advance(rig.clock.now());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    REQUIRE(rig.app.state() == LinkState::cooldown);
    CHECK(rig.app.failure.error() == std::errc::too_many_files_open);
    CHECK(detail::peer_evidence(rig.app.failure) == detail::PeerEvidence::nothing);
    pass(rig, 2s);
    rig.until_state(LinkState::connected);
}

TEST_CASE("Tcp dials again after the system has found no way to its address",
          "[posix][posix_tcp][regression]") {
    TcpRig<> rig;
    // Without its interface, a link-local address is EINVAL, as one behind a black hole's route is.
    rig.link.transport().set_endpoint({"fe80::1", 9});
    rig.loop.attach(rig.link);
    rig.link.start();
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
    rig.link.transport().set_endpoint({"127.0.0.1", rig.server.port()});
    rig.clock.advance(1s);
    rig.until_state(LinkState::connected);
}

TEST_CASE("Tcp that reaches no server fails at the attempt's limit", "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    // With a full queue a listening socket drops further packets, like a firewall.
    rig.server = RawSocket::listen(0);
    rig.link.transport().set_endpoint({"127.0.0.1", rig.server.port()});
    std::vector<RawSocket> fill;
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(rig.server.port());
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 4; ++i) {
        fill.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        ::connect(fill.back().fd(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
    }
    rig.loop.attach(rig.link);
    rig.link.start();
    rig.until_state(LinkState::connecting);
    pass(rig, 29s);
    CHECK(rig.app.state() == LinkState::connecting);
    pass(rig, 1s);
    CHECK(rig.app.state() == LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::timed_out);
}

TEST_CASE("Tcp distinguishes an orderly end from a reset", "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.connect();
    SECTION("orderly") {
        rig.peer.close();
        rig.until_state(LinkState::cooldown);
        CHECK(rig.app.failure == failure_of(LinkErrc::closed_by_peer));
    }
    SECTION("in the middle of a frame") {
        rig.peer.send(frame("hello").substr(0, 7));
        rig.peer.close();
        rig.until_state(LinkState::cooldown);
        CHECK(rig.app.failure == failure_of(LinkErrc::closed_by_peer));
        CHECK(rig.app.messages.empty());
    }
    SECTION("reset") {
        rig.peer.reset();
        rig.until_state(LinkState::cooldown);
        CHECK(rig.app.failure.cause == Cause::lost);
        CHECK(rig.app.failure.error() == std::errc::connection_reset);
    }
}

TEST_CASE("Tcp delivers a peer's last messages after it has closed, also when writing fails first",
          "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.connect();
    // The reset follows the message because the peer never read its input.
    CHECK(rig.link.send(to_bytes("never read")) == SendResult::sent);
    rig.round();
    rig.peer.send(frame("the reason"));
    rig.peer.close();
    // Without a round in between: the connection detects the reset when it writes.
    CHECK(rig.link.send(Bytes(100'000)) != SendResult::busy);
    CHECK(rig.link.send(Bytes(100'000)) != SendResult::busy);
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.messages == std::vector<std::string>{"the reason"});
    CHECK(rig.app.failure.cause == Cause::lost);
}

TEST_CASE("Tcp pings, once until it is written, and answers pings", "[posix][posix_tcp][unit]") {
    BeatingRig rig;
    rig.connect();
    CHECK(rig.peer_reads(5) == ping_frame);  // at the opening
    pass(rig, 9s);
    CHECK(rig.peer.read_some().empty());
    pass(rig, 1s);
    CHECK(rig.peer_reads(5) == ping_frame);
    rig.peer.send(ping_frame + ping_frame + ping_frame);
    CHECK(rig.peer_reads(5) == pong_frame);
    rig.round();
    CHECK(rig.peer.read_some().empty());
    rig.peer.send(ping_frame);
    CHECK(rig.peer_reads(5) == pong_frame);
}

TEST_CASE("SocketConnection::ping does nothing while an earlier ping waits",
          "[posix][posix_tcp][unit]") {
    posix::Loop loop;
    const RawSocket server = RawSocket::listen();
    const auto events = belay::detail::Ref<detail::LinkBox<Bytes>>::make(std::size_t{8});
    events->epoch = 1;
    posix::SocketConnection connection{
        loop, {"127.0.0.1", server.port()}, LengthPrefixed{}, TcpOptions{}, Link<Bytes>{events, 1}};
    connection.ping();  // not open yet
    CHECK(loop.run_until([&] { return !events->empty(); }));
    const RawSocket peer = server.accept();
    connection.ping();
    connection.ping();
    CHECK(connection.send(to_bytes("x")) == SendResult::sent);
    connection.ping();
    loop.run_until([] { return true; });
    CHECK(peer.read_some() == ping_frame + frame("x"));
    connection.ping();
    loop.run_until([] { return true; });
    CHECK(peer.read_some() == ping_frame);
}

TEST_CASE("Tcp in a Heartbeat stays open while pongs arrive", "[posix][posix_tcp][unit]") {
    BeatingRig rig;
    rig.connect();
    for (int i = 0; i < 10; ++i) {
        CHECK(rig.peer_reads(5) == ping_frame);
        rig.peer.send(pong_frame);
        rig.round();
        rig.round();
        pass(rig, 10s);
    }
    CHECK(rig.app.state() == LinkState::connected);
    CHECK(rig.app.messages.empty());
}

TEST_CASE("Tcp in a Heartbeat detects a frozen peer after dead_after",
          "[posix][posix_tcp][fault]") {
    BeatingRig rig;
    rig.connect();
    pass(rig, 24s);
    CHECK(rig.app.state() == LinkState::connected);
    pass(rig, 1s);
    CHECK(rig.app.state() == LinkState::cooldown);
    CHECK(rig.app.failure == failure_of(LinkErrc::heartbeat_lost));
}

TEST_CASE("Tcp in a Heartbeat counts each part of a message as a sign of life",
          "[posix][posix_tcp][unit]") {
    BeatingRig rig;
    rig.connect();
    for (const char c : frame("slow")) {
        pass(rig, 20s);
        rig.peer.send({&c, 1});
        rig.round();
    }
    rig.until([&] { return !rig.app.messages.empty(); });
    CHECK(rig.app.states.back() == LinkState::connected);
}

TEST_CASE("Tcp reads bytes that wait in the kernel before a heartbeat closes after a suspend",
          "[posix][posix_tcp][unit]") {
    BeatingRig rig;
    rig.connect();
    rig.peer.send(frame("hello"));
    rig.clock.advance(8h);
    rig.round();
    rig.round();
    CHECK(rig.app.state() == LinkState::connected);
    CHECK(rig.app.messages.size() == 1);
}

TEST_CASE("Tcp closes gracefully: output first, then an end from both sides",
          "[posix][posix_tcp][unit]") {
    TcpRig<> rig;
    rig.connect();
    std::string large(16'000'000, 'x');
    CHECK(rig.link.send(to_bytes(large)) == SendResult::sent);
    CHECK(rig.link.send(to_bytes("bye")) == SendResult::busy);
    rig.link.stop();
    CHECK(rig.app.state() == LinkState::stopped);
    std::string read;
    rig.spin_until([&] {
        read += rig.peer.read_some();
        return rig.peer.ended();
    });
    CHECK(read.size() == large.size() + 5);
    // Later bytes are dropped. The connection ends when the peer has closed, too.
    CHECK(rig.loop.watched() == 1);
    rig.peer.send(frame("late"));
    rig.round();
    rig.peer.close();
    rig.until([&] { return rig.loop.watched() == 0; });
    CHECK(rig.app.messages.empty());
    CHECK(rig.app.states.back() == LinkState::stopped);
}

TEST_CASE("Tcp during a drain: all sent bytes arrive, or the status reports that they did not",
          "[posix][posix_tcp][race]") {
    TcpRig<> rig;
    rig.connect();
    // More bytes than the kernel accepts at once.
    const std::string text(6'000'000, 'x');
    REQUIRE(rig.link.send(to_bytes(text)) == SendResult::sent);
    rig.link.drain(1h);
    rig.until_state(LinkState::draining);
    CHECK(rig.link.send(to_bytes("more")) == SendResult::down);
    CHECK(rig.app.state() == LinkState::draining);
    SECTION("the peer reads it") {
        CHECK(rig.peer_reads(frame(text).size()) == frame(text));
        rig.peer.close();
        rig.until_state(LinkState::stopped);
        CHECK(rig.link.status().failure.cause == Cause::none);
    }
    SECTION("the peer has closed before") {
        SECTION("in order") { rig.peer.close(); }
        SECTION("by a reset") { rig.peer.reset(); }
        rig.until_state(LinkState::stopped);
        CHECK(rig.link.status().failure.cause == Cause::lost);
    }
    SECTION("the peer stops sending, and continues to read") {
        rig.peer.shut_down_writing();
        rig.round();
        rig.round();
        CHECK(rig.app.state() == LinkState::draining);
        CHECK(rig.peer_reads(frame(text).size()) == frame(text));
        rig.until_state(LinkState::stopped);
        CHECK(rig.link.status().failure.cause == Cause::none);
    }
    SECTION("the peer does not read") {
        rig.clock.advance(1h);
        rig.until_state(LinkState::stopped);
        CHECK(rig.link.status().failure.error() == LinkErrc::not_drained);
    }
    CHECK(rig.app.states.back() == LinkState::stopped);
}

TEST_CASE(
    "Tcp in a Heartbeat does not treat a part of a message, or a ping, as the answer to a ping",
    "[posix][posix_tcp][unit]") {
    struct Trips : NoObserver {
        std::vector<Duration> observed;
        void on_round_trip(Duration d, Lane) { observed.push_back(d); }
    } trips;
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    RawSocket server = RawSocket::listen();
    Supervisor link{Heartbeat{posix::Tcp{loop, {"127.0.0.1", server.port()}},
                              {.every = 10s, .dead_after = 25s}},
                    tcp_policy(),
                    {},
                    std::ref(trips)};
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until([&] { return link.status().state == LinkState::connected; }));
    RawSocket peer = server.accept();
    peer.send(pong_frame);  // the answer to the ping at the opening
    REQUIRE(loop.run_until([&] { return !trips.observed.empty(); }));
    trips.observed.clear();
    const auto hears = [&](const std::string& bytes) {
        peer.send(bytes);
        const Instant before = link.received_at();
        clock.advance(1ms);
        REQUIRE(loop.run_until([&] { return link.received_at() > before; }));
    };
    clock.advance(10s);
    REQUIRE(loop.run_until([&] { return link.now() == clock.now(); }));
    hears(frame("whole").substr(0, 7));
    hears(frame("whole").substr(7));
    hears(ping_frame);
    CHECK(trips.observed.empty());
    hears(frame("one more") + pong_frame);
    REQUIRE(loop.run_until([&] { return !trips.observed.empty(); }));
    CHECK(trips.observed == std::vector<Duration>{4ms});
}

TEST_CASE("Tcp that closes gracefully does not wait for ever for a silent peer",
          "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.connect();
    rig.link.stop();
    rig.round();
    CHECK(rig.peer.ended());
    CHECK(rig.loop.watched() == 1);
    pass(rig, 2s);
    CHECK(rig.loop.watched() == 0);
}

TEST_CASE("Tcp detects in a drain that a slow peer is alive", "[posix][posix_tcp][fault]") {
    BeatingRig rig;
    rig.connect();
    REQUIRE(rig.link.send(Bytes(std::size_t{14} << 20)) == SendResult::sent);
    rig.link.drain(10min);
    rig.round();
    // The peer does not read for a long time, and sends a message at times.
    for (int i = 0; i < 12; ++i) {
        rig.peer.send(frame("busy"));
        rig.round();
        pass(rig, 5s);
    }
    CHECK(rig.app.state() == LinkState::draining);
    // After that it sends no more, like a peer behind a cut.
    pass(rig, 26s);
    CHECK(rig.app.state() == LinkState::stopped);
    CHECK(rig.app.failure.error() == LinkErrc::heartbeat_lost);
}

TEST_CASE("Tcp that is not read from detects a reset when its supervisor has caught up",
          "[posix][posix_tcp][fault]") {
    ManualClockRig rig{2};
    std::string stream;
    for (int i = 0; i < 10; ++i) stream += frame("message");
    rig.peer.send(stream);
    // Two of the messages were delivered.
    rig.spin_until([&] { return rig.link.deadline() == always; });
    rig.peer.reset();
    const bool writes = GENERATE(false, true);
    CAPTURE(writes);
    if (writes) {
        rig.spin_until([&] { return rig.link.send(to_bytes("x")) == SendResult::down; });
    }
    for (int i = 0; i < 20; ++i) rig.round();
    CHECK(rig.loop.watched() == 1);
    CHECK(rig.app.messages.empty());
    // Each turn handles the available events, and waits only for the loop.
    int turns = 0;
    rig.spin_until([&] {
        rig.turn();
        ++turns;
        return rig.app.state() != LinkState::connected;
    });
    CHECK(turns <= 20);
    CHECK(rig.app.messages.size() == 10);
    CHECK(rig.app.failure.cause == Cause::lost);
    CHECK(rig.app.failure.error() == std::errc::connection_reset);
}

TEST_CASE("Tcp closes gracefully with a supervisor that was full", "[posix][posix_tcp][fault]") {
    ManualClockRig rig{2};
    for (int i = 0; i < 10; ++i) rig.peer.send(frame("message"));
    rig.round();
    rig.link.stop();
    rig.peer.close();
    rig.until([&] {
        rig.turn();
        return rig.loop.watched() == 0;
    });
    CHECK(rig.app.messages.empty());
}

TEST_CASE("Tcp that closes while its input is full drops input as fast as it reads",
          "[posix][posix_tcp][fault]") {
    ManualClockRig rig{2};
    std::string flood;
    while (flood.size() < 300'000) flood += frame("m");
    rig.peer.send(flood);
    rig.round();
    rig.link.stop();
    rig.peer.close();
    int rounds = 0;
    rig.until([&] {
        rig.turn();
        ++rounds;
        return rig.loop.watched() == 0;
    });
    CHECK(rounds < 50);
}

TEST_CASE("Tcp connection, supervisor and loop may be destroyed in any order",
          "[posix][posix_tcp][fault]") {
    enum class Moment { never_started, connecting, connected, lost, lingering };
    for (const bool loop_first : {true, false}) {
        for (const Moment moment : {Moment::never_started, Moment::connecting, Moment::connected,
                                    Moment::lost, Moment::lingering}) {
            RawSocket server = RawSocket::listen();
            TcpApp app;
            auto loop = std::make_unique<posix::Loop<>>();
            auto link = std::make_unique<TcpSupervisor<Tcp<>>>(
                Tcp{*loop, {"127.0.0.1", server.port()}}, tcp_policy(), SupervisorOptions{},
                std::ref(app));
            const auto until = [&](LinkState state) {
                REQUIRE(loop->run_until([&] { return app.state() == state; }));
            };
            loop->attach(*link);
            if (moment != Moment::never_started) link->start();
            if (moment == Moment::connecting) until(LinkState::connecting);
            if (moment > Moment::connecting) until(LinkState::connected);
            static_cast<void>(link->send(to_bytes("unsent")));
            if (moment == Moment::lost) {
                server.accept().close();
                until(LinkState::cooldown);
            }
            if (moment == Moment::lingering) link->stop();
            const auto states = app.states.size();
            if (loop_first) {
                loop.reset();
                static_cast<void>(link->send(to_bytes("x")));
                link.reset();
            } else {
                link.reset();
                CHECK(loop->watched() == 0);
                loop.reset();
            }
            CHECK(app.states.size() == states);
        }
    }
}

TEST_CASE("Tcp that is stopped after its loop was destroyed ends quietly",
          "[posix][posix_tcp][fault]") {
    RawSocket server = RawSocket::listen();
    TcpApp app;
    auto loop = std::make_unique<posix::Loop<>>();
    TcpSupervisor<Tcp<>> link{
        Tcp{*loop, {"127.0.0.1", server.port()}}, tcp_policy(), {}, std::ref(app)};
    loop->attach(link);
    link.start();
    loop->run_until([&] { return app.state() == LinkState::connected; });
    static_cast<void>(link.send(to_bytes("flushed")));
    const RawSocket peer = server.accept();
    loop.reset();
    link.stop();
    CHECK(app.state() == LinkState::stopped);
    CHECK(peer.read(100) == frame("flushed"));
}

TEST_CASE("Tcp tries each address of a name", "[posix][posix_tcp][unit]") {
    // "localhost" is often ::1 first, at which no socket listens here.
    TcpRig<> rig;
    rig.link.transport().set_endpoint({"localhost", rig.server.port()});
    rig.connect();
    CHECK(rig.app.states == std::vector<LinkState>{LinkState::connecting, LinkState::connected});
}

TEST_CASE("Tcp reports an unknown name as refused", "[posix][posix_tcp][fault]") {
    TcpRig<> rig;
    rig.link.transport().set_endpoint({"no such host", 1});
    rig.loop.attach(rig.link);
    rig.link.start();
    rig.until_state(LinkState::cooldown);
    CHECK(rig.app.failure.cause == Cause::refused);
}

TEST_CASE("connected_to_itself detects a socket that has connected to its own port",
          "[posix][posix_tcp][unit]") {
    posix::detail::Socket s{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(s.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0);
    auto own = posix::detail::SocketAddress::local(s);
    CHECK(own.port() != 0);
    REQUIRE(::connect(s.get(), own.as_sockaddr(), own.size) == 0);
    CHECK(posix::detail::connected_to_itself(s));
    RawSocket server = RawSocket::listen();
    const RawSocket client = RawSocket::connect(server.port());
    const posix::detail::Socket other{::dup(client.fd())};
    CHECK_FALSE(posix::detail::connected_to_itself(other));
}

TEST_CASE("Tcp nests in decorators by deduction", "[posix][posix_tcp][unit]") {
    const RawSocket server_a = RawSocket::listen(), server_b = RawSocket::listen();
    const posix::Endpoint a{"127.0.0.1", server_a.port()}, b{"127.0.0.1", server_b.port()};
    posix::Loop loop;
    const Policy policy = tcp_policy();
    Supervisor link{Bundle{Heartbeat{posix::Tcp{loop, a}, {.every = 10s, .dead_after = 25s}},
                           posix::Tcp{loop, b}},
                    policy,
                    {},
                    EchoApp{}};
    loop.attach(link);
    link.start();
    CHECK(loop.run_until([&] { return link.status().state == LinkState::connected; }));
    const RawSocket peer = server_b.accept();
    peer.send(frame("echo"));
    std::string answer;
    CHECK(loop.run_until([&] { return (answer += peer.read_some()).size() >= 9; }));
    CHECK(answer == frame("echo"));
}

TEST_CASE("Tcp delivers any messages however the peer cuts them", "[posix][posix_tcp][property]") {
    TcpRig<> rig;
    rig.connect();
    CHECK(rc::check("frames in pieces of any size", [&](const std::vector<std::string>& messages) {
        rig.app.messages.clear();
        std::string stream;
        for (const std::string& m : messages) stream += frame(m);
        for (std::size_t i = 0; i < stream.size();) {
            const auto piece = *rc::gen::inRange<std::size_t>(1, 64);
            rig.peer.send(std::string_view{stream}.substr(i, piece));
            rig.round();
            i += piece;
        }
        rig.until([&] { return rig.app.messages.size() == messages.size(); });
        RC_ASSERT(rig.app.messages == messages);
    }));
}

// ---- a session over a bare Tcp ------------------------------------------------------------------

namespace {

/// A session whose receiver is a plain socket.
struct BareSession {
    static posix::Journal open(const std::string& path) {
        auto journal = posix::Journal::open(path);
        REQUIRE(journal.has_value());
        return std::move(*journal);
    }
    BareSession() {
        loop.attach(session);
        session.start();
        until_state(LinkState::connecting);
        REQUIRE(loop.run_until([&] {
            loop.post([] {});
            return session.status().link.state == LinkState::connecting && server_has_one();
        }));
    }
    bool server_has_one() {
        if (peer.fd() < 0) peer = server.accept();
        return (received += peer.read_some()).size() >= hello_bytes;
    }
    void until_state(LinkState state) {
        REQUIRE(loop.run_until([&] { return session.status().link.state == state; }));
    }
    void say(const session_format::Frame& f) const {
        Bytes message;
        session_format::append_frame(message, f);
        peer.send(frame(as_text(message)));
    }
    /// Runs the loop until the session's side of the connection has ended.
    void until_end() {
        REQUIRE(loop.run_until([&] {
            loop.post([] {});
            received += peer.read_some();
            return peer.ended();
        }));
    }

    static constexpr std::size_t hello_bytes = 5 + 24 + 106;
    TemporaryDirectory dir;
    ManualClock clock{Instant{1h}};
    ClockedLoop loop{clock.view()};
    RawSocket server = RawSocket::listen();
    RawSocket peer;
    std::string received;
    Session<Tcp<>, TcpPolicy, Queue<posix::Journal>> session{
        Tcp{loop, {"127.0.0.1", server.port()}},
        tcp_policy(),
        Queue{open(dir / "journal")},
        {.id = {std::byte{1}}}};
};

/// The type and the first number of the last frame in a stream whose last frame has no payload.
std::pair<int, int> last_frame(const std::string& stream) {
    const std::string_view last = std::string_view{stream}.substr(stream.size() - 24);
    return {last[9], last[12]};
}

}  // namespace

TEST_CASE("A session's ERROR is written before its connection ends",
          "[posix][posix_tcp][regression]") {
    BareSession rig;
    SECTION("to an invalid greeting") { rig.peer.send(frame("garbage")); }
    SECTION("to a frame that is not allowed while flowing") {
        session_format::Welcome welcome;
        welcome.payload_bytes_max = 100;
        welcome.attach = load_le<std::uint64_t>(
            as_bytes(std::string_view{rig.received}.substr(5 + 16, 8)).data());
        welcome.store = {std::byte{2}};
        Bytes message;
        session_format::append_welcome(message, welcome);
        rig.peer.send(frame(as_text(message)));
        Bytes credit;
        session_format::append_ack(credit, 0, 1000, 1000);
        rig.peer.send(frame(as_text(credit)));
        rig.until_state(LinkState::connected);
        rig.say({.type = session_format::FrameType::data, .number = 1});
    }
    rig.until_end();
    CHECK(last_frame(rig.received) == std::pair{10, 1});  // ERROR, protocol
    CHECK(rig.session.status().link.state == LinkState::cooldown);
}

TEST_CASE("A link leaves a server whose kernel accepts for a frozen process",
          "[posix][tcp][regression]") {
    posix::Loop loop;
    const RawSocket frozen = RawSocket::listen();  // never accepts, and never reads
    std::optional<Supervisor<posix::Accepted<>, MaxAttempts>> served;
    posix::Listener listener{loop, [&](posix::Accepted<> accepted) {
                                 served.emplace(std::move(accepted), MaxAttempts{1});
                                 loop.attach(*served);
                                 served->start();
                             }};
    REQUIRE_FALSE(listener.listen({"127.0.0.1", 0}));
    const std::vector<posix::Endpoint> servers{{"127.0.0.1", frozen.port()},
                                               {"127.0.0.1", listener.port()}};
    // As in the README, 400 times faster: the window is shorter than dead_after.
    Supervisor link{Heartbeat{Endpoints{Tcp{loop}, servers}, {.every = 25ms, .dead_after = 60ms}},
                    Policy{Backoff{NoJitter{}, Cap{10ms}, 1ms}, ResetWhenStable{25ms}}};
    loop.attach(link);
    link.start();
    REQUIRE(loop.run_until(
        [&] { return link.status().state == LinkState::connected && link.status().attempt == 0; },
        10s));
    CHECK(link.transport().inner().place() == 1);
}
