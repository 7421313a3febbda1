// SPDX-License-Identifier: MIT
/// \file tests/support/asio/tcp_suite.hpp
/// The tests of AsioTcp over the sockets of an io_context, for both kinds of asio.
#pragma once

#include <memory>
#include <string>

#include <belay/asio/loop.hpp>
#include <belay/asio/tcp.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/part.hpp>
#include <belay/link/transport_check.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"
#include "support/posix/black_hole.hpp"
#include "support/posix/echo_server.hpp"
#include "support/posix/inherited_sockets.hpp"
#include "support/posix/proxy.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/temporary_directory.hpp"

namespace belay_test {

using namespace belay;
using namespace std::chrono_literals;

/// Records the events that it sees.
struct AsioApp {
    std::vector<std::string> messages{};
    LinkState state = LinkState::stopped;
    Failure failure{};
    int ends = 0;
    void on_state(const Transition& t) {
        state = t.to.state;
        if (t.from == LinkState::connected || t.from == LinkState::connecting) {
            if (state != LinkState::connected) failure = t.to.failure, ++ends;
        }
    }
    void on_message(const Bytes& m) { messages.emplace_back(as_text(m)); }
};

/// Counts the signs of life that it passes on.
template <class Transport>
class CountsPongs : public part::Around<Transport> {
public:
    class Connection : public part::Wrapped<part::ConnectionOf<Transport>, Bytes> {
        using Base = part::Wrapped<part::ConnectionOf<Transport>, Bytes>;

    public:
        Connection(CountsPongs& owner, const Link<Bytes>& own)
            : Base{[&] { return owner.inner_.open(own.child()); }}, pongs_{owner.pongs_} {}
        [[nodiscard]] bool sift(part::Event<Bytes>& event, Turn& turn) {
            if (event.kind == part::EventKind::pong) ++pongs_;
            return Base::sift(event, turn);
        }

    private:
        int& pongs_;
    };

    CountsPongs(Transport transport, int& pongs)
        : part::Around<Transport>{std::move(transport)}, pongs_{pongs} {}
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return Connection{*this, link}; }

private:
    int& pongs_;
};

template <class Context>
struct AsioTcpSuite {
    /// A transport to belay's own server over plain sockets, each in its own loop on this thread.
    template <class Framing>
    struct Rig {
        posix::Loop<> loop{};
        EchoServer<Framing> server{loop};
        Context context{};
        AsioTcp<Context, Framing> transport{context, {"127.0.0.1", server.port()}, Framing{}};
        void run_once() {
            context.restart();
            context.poll();
            static_cast<void>(loop.run_until([] { return true; }));
            context.run_one_for(200us);
        }
        void hang_up() { server.hang_up(); }
    };
    template <class Framing>
    static void checked() {
        const auto broken =
            check::transport([] { return std::make_unique<Rig<Framing>>(); }, nth_bytes);
        INFO((broken ? to_string(*broken) : ""));
        CHECK_FALSE(broken.has_value());
    }
    static void checked() {
        checked<LengthPrefixed>();
        checked<Lines>();
    }

    /// A supervised connection to a plain socket.
    struct Supervised {
        explicit Supervised(posix::Endpoint endpoint, AsioTcpOptions options = {})
            : link{AsioTcp{context, std::move(endpoint), Lines{.bytes_max = 50}, options},
                   OneAttempt{MaxAttempts{1}},
                   {},
                   std::ref(app)} {
            loop.attach(link);
            link.start();
        }
        template <class Done>
        void until(Done done) {
            run_until(context, done);
        }
        Failure failure() {
            until([&] { return app.ends > 0; });
            return app.failure;
        }
        Context context{};
        AsioLoop<Context> loop{context};
        AsioApp app{};
        Supervisor<AsioTcp<Context, Lines>, OneAttempt, std::reference_wrapper<AsioApp>> link;
    };

    /// An accepted connection of frames. `make` makes the supervised transport from the AsioTcp.
    template <class Transport = AsioTcp<Context>>
    struct Framed {
        template <class Make>
        explicit Framed(Make make)
            : link{make(AsioTcp{context, {"127.0.0.1", server.port()}}),
                   OneAttempt{MaxAttempts{1}},
                   {},
                   std::ref(app)} {
            loop.attach(link);
            link.start();
            until([&] { return app.state == LinkState::connected; });
            peer = server.accept();
        }
        Framed() : Framed{[](Transport tcp) { return tcp; }} {}
        template <class Done>
        void until(Done done) {
            run_until(context, done);
        }
        void step() { context.restart(), context.run_one_for(1ms); }

        RawSocket server = RawSocket::listen();
        RawSocket peer{};
        Context context{};
        AsioLoop<Context> loop{context};
        AsioApp app{};
        Supervisor<Transport, OneAttempt, std::reference_wrapper<AsioApp>> link;
    };

    static void no_listener() {
        std::uint16_t free = unused_port();
        CHECK(Supervised{{"127.0.0.1", free}}.failure().cause == Cause::refused);
        // An address without a way, which may have one later.
        CHECK(Supervised{{"fe80::1", free}}.failure().cause == Cause::refused);
        Supervised unknown{{"no-such-host.invalid", 1}};
        CHECK(unknown.failure().cause == Cause::refused);
        CHECK(unknown.failure().error().message() != "");
    }
    static void peers_that_end() {
        RawSocket server = RawSocket::listen();
        SECTION("orderly, with a line sent before") {
            Supervised rig{{"localhost", server.port()}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
            RawSocket peer = server.accept();
            peer.send("hello\nhalf");
            rig.until([&] { return !rig.app.messages.empty(); });
            peer.close();
            CHECK(rig.failure() == failure_of(LinkErrc::closed_by_peer));
            CHECK(rig.app.messages == std::vector<std::string>{"hello"});
        }
        SECTION("with more bytes than the framing accepts") {
            Supervised rig{{"127.0.0.1", server.port()}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
            RawSocket peer = server.accept();
            peer.send(std::string(60, 'x'));
            CHECK(rig.failure().cause == Cause::protocol);
        }
        SECTION("by a reset") {
            Supervised rig{{"127.0.0.1", server.port()}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
            server.accept().reset();
            CHECK(rig.failure().cause == Cause::lost);
        }
    }
    /// Programs that this one starts inherit no sockets of it.
    static void not_inherited() {
        RawSocket server = RawSocket::listen();
        const int before = inherited_sockets();
        for (const char* const host : {"127.0.0.1", "localhost"}) {
            Supervised rig{{host, server.port()}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
            CHECK(inherited_sockets() == before);
        }
    }
    /// All operations of asio complete after the supervisor was destroyed.
    static void destroyed_at_any_time() {
        RawSocket server = RawSocket::listen();
        for (int steps = 0; steps < 12; ++steps) {
            Context context;
            {
                AsioLoop loop{context};
                AsioApp app;
                Supervisor link{
                    Heartbeat{AsioTcp{context,
                                      {steps % 2 == 0 ? "localhost" : "127.0.0.1", server.port()}},
                              HeartbeatOptions{.every = 1ms, .dead_after = 1h}},
                    OneAttempt{MaxAttempts{1}},
                    {},
                    std::ref(app)};
                loop.attach(link);
                link.start();
                for (int i = 0; i < steps; ++i) {
                    context.restart();
                    context.run_one_for(1ms);
                    static_cast<void>(link.send(Bytes(10)));
                }
            }
            context.restart();
            context.run();
        }
    }
    static void bytes_on_the_wire() {
        Framed<> rig;
        REQUIRE(rig.link.send(Bytes(3, std::byte{'a'})) == SendResult::sent);
        REQUIRE(rig.link.send(Bytes{}) == SendResult::sent);
        std::string got;
        const std::string wanted{"\3\0\0\0\0aaa\0\0\0\0\0", 13};
        rig.until([&] { return (got += rig.peer.read_some()).size() >= wanted.size(); });
        CHECK(got == wanted);
        // The messages that were sent before a stop are written, and then the connection ends.
        REQUIRE(rig.link.send(Bytes(1, std::byte{'z'})) == SendResult::sent);
        rig.link.stop();
        got.clear();
        rig.until([&] { return (got += rig.peer.read_some()).size() >= 6; });
        CHECK(got.back() == 'z');
    }
    /// Messages that a drain drops still count as signs of life.
    static void slow_peer_in_a_drain() {
        int pongs = 0;
        Framed<CountsPongs<AsioTcp<Context>>> rig{[&](AsioTcp<Context> tcp) {
            return CountsPongs{std::move(tcp), pongs};
        }};
        REQUIRE(rig.link.send(Bytes(8'000'000)) == SendResult::sent);
        rig.link.drain(1h);
        rig.until([&] { return rig.link.status().state != LinkState::connected; });
        REQUIRE(rig.link.status().state == LinkState::draining);
        pongs = 0;
        rig.peer.send(std::string("\4\0\0\0\0busy", 9));
        for (int i = 0; i < 5'000 && pongs == 0; ++i) rig.step();
        CHECK(pongs > 0);
        CHECK(rig.link.status().state == LinkState::draining);
    }
    /// A peer that only stops sending may continue to read.
    static void half_closed_in_a_drain() {
        Framed<> rig;
        // These are more bytes than the kernel accepts at once.
        constexpr std::size_t size = 8'000'000;
        REQUIRE(rig.link.send(Bytes(size)) == SendResult::sent);
        rig.link.drain(1h);
        rig.peer.shut_down_writing();
        for (int i = 0; i < 10; ++i) rig.step();
        std::size_t got = 0;
        while (got < size && !rig.peer.ended()) rig.step(), got += rig.peer.read_some().size();
        CHECK(got >= size);
        rig.until([&] { return rig.app.state == LinkState::stopped; });
        CHECK(rig.link.status().failure.cause == Cause::none);
    }
    /// An echo behind a network that cuts its answers after any number of bytes.
    static void behind_a_bad_network() {
        const std::vector<std::string> sent{"one", "", "twenty-two"};
        constexpr std::size_t wire_bytes = 4 + 1 + 11;
        posix::Loop<> loop;
        EchoServer<Lines> server{loop};
        Proxy proxy{server.port()};
        using Then = ConnectionFault::Then;
        for (std::size_t bytes = 0; bytes <= wire_bytes; ++bytes) {
            for (const Then then : {Then::cut, Then::end, Then::reset, Then::pass}) {
                INFO("after " << bytes << " bytes");
                proxy.script({.to_client = {bytes, then, bytes % 2 == 0}});
                Supervised rig{{"127.0.0.1", proxy.port()}};
                const auto step = [&] {
                    static_cast<void>(loop.run_until([] { return true; }));
                    rig.context.restart();
                    rig.context.poll();
                };
                while (rig.app.state != LinkState::connected && rig.app.ends == 0) step();
                for (const std::string& line : sent) {
                    static_cast<void>(rig.link.send(to_bytes(line)));
                }
                while (rig.app.ends == 0 && rig.app.messages.size() < sent.size()) step();
                const std::size_t whole = bytes < 4 ? 0 : bytes < 5 ? 1 : bytes < 16 ? 2 : 3;
                const std::size_t wanted = then == Then::pass ? 3 : whole;
                const auto& got = rig.app.messages;
                // A reset drops the bytes that have not been read.
                CHECK((got.size() == wanted || (then == Then::reset && got.size() < wanted)));
                CHECK(std::equal(got.begin(), got.end(), sent.begin()));
                if (wanted == 3) continue;
                CHECK(rig.app.failure.cause == Cause::lost);
            }
        }
    }

    // ---- names with several addresses ----------------------------------------------------------

    /// A dial in virtual time, of hosts at one port.
    struct TimedDial {
        using Dial = belay::detail::AsioDial<Context>;

        TimedDial(std::vector<std::string> hosts, std::uint16_t port) : resolver{std::move(hosts)} {
            events->epoch = 1;
            dial->begin({"name", port}, resolver);
        }
        ~TimedDial() { end(); }
        /// Runs the work that is due.   Returns: whether the dial has ended.
        bool step() {
            context.restart();
            context.run_one_for(1ms);
            return dial->advance(now);
        }
        bool steps() {
            for (int i = 0; i < 20; ++i) {
                if (step()) return true;
            }
            return false;
        }
        void until_over() {
            while (!step()) continue;
        }
        void end() {
            dial->cancel();
            context.restart();
            context.run();
        }

        ListResolver resolver;
        Context context{};
        belay::detail::Ref<belay::detail::LinkBox<Bytes>> events =
            belay::detail::Ref<belay::detail::LinkBox<Bytes>>::make(std::size_t{8});
        belay::detail::OwnDialMemory memory{};
        std::shared_ptr<Dial> dial =
            std::make_shared<Dial>(context, Link<Bytes>{events, 1}, memory.get(), 10min);
        Instant now{1h};
    };

    static std::uint16_t port_of(const RawSocket& server) {
        return posix::detail::SocketAddress::local(posix::detail::Socket{::dup(server.fd())})
            .port();
    }
    static void dials_past_silent_addresses() {
        const RawSocket server = listen_at("127.0.0.1");
        const BlackHole first{"127.0.0.2", port_of(server)}, second{"127.0.0.3", port_of(server)};
        TimedDial rig{{"127.0.0.2", "127.0.0.3", "127.0.0.1"}, port_of(server)};
        CHECK_FALSE(rig.steps());
        CHECK(rig.dial->deadline() == Instant{1h + 250ms});
        rig.now += 250ms;
        CHECK_FALSE(rig.steps());
        rig.now += 249ms;
        CHECK_FALSE(rig.steps());
        rig.now += 1ms;
        rig.until_over();
        REQUIRE(rig.dial->socket().has_value());
        CHECK(rig.dial->socket()->remote_endpoint().address().to_string() == "127.0.0.1");
        rig.end();
        CHECK(rig.memory.get()->size() == 2);
        CHECK(rig.memory.text().empty());
    }
    static void dials_that_fail() {
        const std::uint16_t free = unused_port();
        const std::string at = ":" + std::to_string(free);
        const std::string refused =
            " refused: " + std::make_error_code(std::errc::connection_refused).message();
        {
            TimedDial rig{{"127.0.0.2", "::ffff:127.0.0.3", "127.0.0.4"}, free};
            rig.until_over();
            CHECK_FALSE(rig.dial->socket().has_value());
            CHECK(rig.dial->failure().error() == std::errc::connection_refused);
            rig.end();
            CHECK(rig.memory.text() == "127.0.0.2" + at + refused + "; [::ffff:127.0.0.3]" + at +
                                           refused + "; 127.0.0.4" + at + refused);
        }
        {
            TimedDial rig{{}, free};
            rig.until_over();
            CHECK(rig.dial->failure().cause == Cause::refused);
        }
        {
            TimedDial rig{std::vector<std::string>(200, "127.0.0.2"), free};
            rig.until_over();
            rig.end();
            const std::string_view text = rig.memory.text();
            CHECK(std::count(text.begin(), text.end(), ';') == 15);
        }
    }
    static void names_of_both_families() {
        if (!has_ipv6()) {
            WARN("skipped: this machine has no IPv6 loopback");
            return;
        }
        ListResolver both{{"::1", "127.0.0.1"}};
        SECTION("IPv6 is silent") {
            const BlackHole hole{"::1"};
            const RawSocket server = listen_at("127.0.0.1", hole.port());
            Supervised rig{{"name", hole.port()}, {.resolver = both}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
            CHECK(rig.link.transport().dial_report().empty());
            const RawSocket peer = server.accept();
            CHECK(rig.link.send(to_bytes("hello")) == SendResult::sent);
            rig.until([&] { return peer.read_some() == "hello\n"; });
        }
        SECTION("only IPv6 listens") {
            const RawSocket server = listen_at("::1");
            Supervised rig{{"name", port_of(server)}, {.resolver = both}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
        }
        SECTION("only IPv4 listens") {
            const RawSocket server = listen_at("127.0.0.1");
            Supervised rig{{"name", port_of(server)}, {.resolver = both}};
            rig.until([&] { return rig.app.state == LinkState::connected; });
        }
        SECTION("none listens") {
            const std::uint16_t free = unused_port();
            Supervised rig{{"name", free}, {.resolver = both}};
            CHECK(rig.failure().error() == std::errc::connection_refused);
            const std::string at = ":" + std::to_string(free) + " refused: ";
            const std::string_view report = rig.link.transport().dial_report();
            CHECK(report.find("[::1]" + at) != std::string_view::npos);
            CHECK(report.find("127.0.0.1" + at) != std::string_view::npos);
        }
    }
    static void ends_in_a_race() {
        if (!has_ipv6()) {
            WARN("skipped: this machine has no IPv6 loopback");
            return;
        }
        const BlackHole hole{"::1"};
        const BlackHole other{"127.0.0.1", hole.port()};
        ListResolver both{{"::1", "127.0.0.1"}};
        for (int steps = 0; steps < 12; ++steps) {
            Context context;
            {
                AsioLoop loop{context};
                AsioApp app;
                Supervisor link{
                    AsioTcp{context, {"name", hole.port()}, AsioTcpOptions{.resolver = both}},
                    OneAttempt{MaxAttempts{1}},
                    {},
                    std::ref(app)};
                loop.attach(link);
                link.start();
                for (int i = 0; i < steps; ++i) {
                    context.restart();
                    context.run_one_for(50ms);
                }
                if (steps % 2 == 0) link.stop();
            }
            context.restart();
            context.run();
        }
    }

    // ---- over Unix domain sockets ---------------------------------------------------------------

    /// Against belay's own server at a path.
    template <class Framing>
    struct UnixRig {
        TemporaryDirectory directory{};
        posix::UnixPath path{directory / "echo.sock"};
        posix::Loop<> loop{};
        EchoServer<Framing> server{loop, path};
        Context context{};
        AsioTcp<Context, Framing, detail::OverUnix> transport{context, path, Framing{}};
        void run_once() {
            context.restart();
            context.poll();
            static_cast<void>(loop.run_until([] { return true; }));
            context.run_one_for(200us);
        }
        void hang_up() { server.hang_up(); }
    };
    static void checked_over_unix() {
        const auto verdict_on = [](auto make) {
            const auto broken = check::transport(make, nth_bytes);
            return broken ? to_string(*broken) : "right";
        };
        CHECK(verdict_on([] { return std::make_unique<UnixRig<LengthPrefixed>>(); }) == "right");
        CHECK(verdict_on([] { return std::make_unique<UnixRig<Lines>>(); }) == "right");
    }
    /// The failure of one attempt, if it fails.
    static Failure unix_failure_at(const std::string& path) {
        Context context;
        AsioLoop loop{context};
        AsioApp app;
        Supervisor link{AsioTcp{context, posix::UnixPath{path}, Lines{}},
                        OneAttempt{MaxAttempts{1}},
                        {},
                        std::ref(app)};
        loop.attach(link);
        link.start();
        run_until(context, [&] { return app.ends > 0 || app.state == LinkState::connected; });
        return app.failure;
    }
    static void bad_unix_paths() {
        const TemporaryDirectory directory;
        const std::string path = directory / "app.sock";
        const Failure missing = unix_failure_at(path);
        CHECK(missing.cause == Cause::refused);
        CHECK(missing.error() == std::errc::no_such_file_or_directory);
        CHECK(unix_failure_at(directory.path()) ==
              Failure::from(posix::UnixErrc::not_a_stream_socket));
        CHECK(unix_failure_at(path + std::string(108, 'x')) ==
              Failure::from(posix::UnixErrc::path_too_long));
        CHECK(unix_failure_at("") == Failure::from(posix::UnixErrc::path_invalid));
        posix::Loop loop;
        posix::Listener server{loop, [](posix::Accepted<>) {}, {.backlog = 0}};
        REQUIRE_FALSE(server.listen(posix::UnixPath{path}));
        CHECK(unix_failure_at(path).cause == Cause::none);
        // No process accepts, so the queue fills up.
        Failure full;
        for (int i = 0; i < 10 && full.cause == Cause::none; ++i) full = unix_failure_at(path);
        CHECK(full.cause == Cause::overloaded);
        const std::string other = directory / "other.sock";
        REQUIRE(::link(path.c_str(), other.c_str()) == 0);
        server.close();
        CHECK(unix_failure_at(other).error() == std::errc::connection_refused);
    }
};

}  // namespace belay_test
