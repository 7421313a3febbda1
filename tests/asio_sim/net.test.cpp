// SPDX-License-Identifier: MIT
// Goal: code over Boost's asio runs in a world as on real sockets, and meets faults there. Method:
// the same cases on the loopback and in a world; faults of the world; an exploration of a chat
// without belay. Clang 14 has no coroutines of Boost 1.74.
#include <belay/asio_sim/net.hpp>

#include <belay/asio/boost.hpp>

#include <boost/asio.hpp>

#include <functional>
#include <thread>

namespace asio_sim_test {
namespace net = boost::asio;
}

#include "support/aborts.hpp"
#include "support/asio_sim/cases.hpp"
#include "support/asio_sim/foreign.hpp"
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#    include "support/asio_sim/chat.hpp"
#    include "support/asio_sim/default_token.hpp"
#endif

namespace asio_sim_test {

namespace {

using Rig = ConnectedPair<SimPair>;

/// The time in the world until a connection attempt ends, and its error.
struct Dialled {
    std::optional<SocketError> error;
    std::chrono::nanoseconds took{};
};
Dialled dial(SimPair& p, const SimNet::tcp::endpoint& to) {
    Dialled d;
    SimNet::tcp::socket s{p.client()};
    const auto begin = p.world.now();
    s.async_connect(to, [&](SocketError e) {
        d.error = e;
        d.took = belay::elapsed(begin, p.world.now());
    });
    p.world.run_for(1h);
    return d;
}

}  // namespace

TEST_CASE("A socket of a world stops connecting after the same time as Linux",
          "[asio_sim][net][sim]") {
    SimPair p;
    SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
    SECTION("behind a partition: after 127 s") {
        p.world.network().partition(p.here, p.there);
        const Dialled d = dial(p, {SimPair::address(), 80});
        REQUIRE(d.error == net::error::timed_out);
        CHECK(d.took == 127s);
    }
    SECTION("when only the answers are lost: after 127 s") {
        p.world.network().partition_one_way(p.there, p.here);
        const Dialled d = dial(p, {SimPair::address(), 80});
        REQUIRE(d.error == net::error::timed_out);
        CHECK(d.took == 127s);
    }
    SECTION("at an address without a computer: after 3 s") {
        const Dialled d = dial(p, {net::ip::make_address("10.0.0.99"), 80});
        REQUIRE(d.error == net::error::host_unreachable);
        CHECK(d.took == 3s);
    }
    SECTION("of a dead process: refused at once") {
        p.world.kill(p.there);
        const Dialled d = dial(p, {SimPair::address(), 80});
        REQUIRE(d.error == net::error::connection_refused);
        CHECK(d.took < 20ms);
    }
    SECTION("a partition that ends: at the next repetition") {
        p.world.network().partition(p.here, p.there);
        p.world.after(8s, [&] { p.world.network().heal(p.here, p.there); });
        const Dialled d = dial(p, {SimPair::address(), 80});
        REQUIRE(d.error);
        CHECK_FALSE(*d.error);
        CHECK(d.took >= 15s);  // requests are sent after 0, 1, 3, 7 and 15 s
        CHECK(d.took < 16s);
        acceptor.close();
        p.settle();
    }
    CHECK(p.world.network().sockets(p.here) == 0);
}

TEST_CASE("A socket of a world stops sending after the same time as Linux",
          "[asio_sim][net][sim]") {
    Rig p;
    const bool answers_only = GENERATE(false, true);
    if (answers_only) {
        p.world.network().partition_one_way(p.there, p.here);
    } else {
        p.world.network().partition(p.here, p.there);
    }
    const auto begin = p.world.now();
    CHECK_FALSE(p.write(p.near, "anybody there?"));
    CHECK(p.error_of_read(p.near) == net::error::timed_out);
    CHECK(belay::elapsed(begin, p.world.now()) == 924'600ms);
    CHECK(p.write(p.near, "x") == net::error::broken_pipe);
    // The other end has no event.
    Rig::Outcome o;
    char byte = 0;
    SocketError error;
    if (answers_only) CHECK(p.read(p.far, 14, error) == "anybody there?");
    p.far.async_read_some(net::buffer(&byte, 1), o.handler());
    p.world.network().heal_all();
    p.world.run_for(24h);
    CHECK_FALSE(o.is_done);
}

TEST_CASE("A socket of a world waits for ever for a peer that is silent and alive",
          "[asio_sim][net][sim]") {
    Rig p;
    CHECK_FALSE(p.write(p.near, "hello"));
    p.world.pause(p.there);
    Rig::Outcome o;
    char byte = 0;
    p.near.async_read_some(net::buffer(&byte, 1), o.handler());
    p.world.run_for(24h);
    CHECK_FALSE(o.is_done);
    p.world.resume(p.there);
    SocketError error;
    CHECK(p.read(p.far, 5, error) == "hello");
}

TEST_CASE("A socket of a world with keep-alive detects a silent peer", "[asio_sim][net][sim]") {
    Rig p;
    p.near.set_option(net::socket_base::keep_alive{true});
    const auto begin = p.world.now();
    std::optional<SocketError> end;
    std::chrono::nanoseconds took{};
    char byte = 0;
    p.near.async_read_some(net::buffer(&byte, 1), [&](SocketError e, std::size_t) {
        end = e;
        took = belay::elapsed(begin, p.world.now());
    });
    SECTION("behind a partition") {
        p.world.run_for(1h);
        CHECK_FALSE(p.write(p.near, "its acknowledgement is an answer, too"));
        p.world.run_for(30min);
        p.world.network().partition(p.here, p.there);
        p.world.run_for(24h);
        CHECK(end == net::error::timed_out);
        CHECK(took == 3h + 9 * 75s);
    }
    SECTION("behind a partition that ends: no event") {
        p.world.network().partition(p.here, p.there);
        p.world.run_for(2h + 5min);
        p.world.network().heal_all();
        p.world.run_for(24h);
        CHECK_FALSE(end);
    }
    SECTION("whose kernel has no state of the connection") {
        p.world.network().half_open(p.there, p.here);
        p.world.run_for(24h);
        CHECK(end == net::error::connection_reset);
        CHECK(took >= 2h);
        CHECK(took < 2h + 1s);
    }
}

TEST_CASE("A partition holds the bytes of a socket until they are repeated",
          "[asio_sim][net][sim]") {
    Rig p;
    p.world.network().partition(p.here, p.there);
    CHECK_FALSE(p.write(p.near, "held"));
    p.near.close();  // the kernel sends the rest
    p.world.after(60s, [&] { p.world.network().heal_all(); });
    const auto begin = p.world.now();
    SocketError error;
    CHECK(p.read(p.far, 100, error) == "held");
    CHECK(error == net::error::eof);
    CHECK(belay::elapsed(begin, p.world.now()) > 60s);
    CHECK(belay::elapsed(begin, p.world.now()) < 124s);
    p.far.close();
    p.settle();
    CHECK(p.world.network().sockets(p.here) == 0);
    CHECK(p.world.network().sockets(p.there) == 0);
}

// The times were measured with a kernel, between two network namespaces.
TEST_CASE("A kernel of a world stops sending the end of a stream after the same time as Linux",
          "[asio_sim][net][regression]") {
    Rig p;
    Rig::Outcome reading;
    char byte = 0;
    const auto begin = p.world.now();
    SECTION("of a socket that is shut down: 924.6 s") {
        const bool answers_only = GENERATE(false, true);
        if (answers_only) {
            p.world.network().partition_one_way(p.there, p.here);
        } else {
            p.world.network().partition(p.here, p.there);
        }
        p.near.shutdown(p.near.shutdown_send);
        CHECK(p.error_of_read(p.near) == net::error::timed_out);
        CHECK(belay::elapsed(begin, p.world.now()) == 924'600ms);
    }
    SECTION("of a socket that is closed: 102.2 s") {
        p.far.async_read_some(net::buffer(&byte, 1), reading.handler());
        p.world.network().partition(p.here, p.there);
        p.near.close();
        p.world.run_for(102s);
        CHECK(p.world.network().sockets(p.here) == 1);
        p.world.run_for(1s);
        CHECK(p.world.network().sockets(p.here) == 0);
        p.world.network().heal_all();
        p.world.run_for(1h);
        CHECK_FALSE(reading.is_done);  // the peer is never notified
        net::async_write(p.far, net::buffer("x", 1), [](SocketError, std::size_t) {});
        REQUIRE(p.until([&] { return reading.is_done; }));
        CHECK(reading.error == net::error::connection_reset);
    }
    SECTION("of a socket that is closed after a long silence: at the next repetition") {
        p.world.network().partition(p.here, p.there);
        CHECK_FALSE(p.write(p.near, "x"));
        p.world.run_for(150s);
        p.near.close();
        p.world.run_for(54s);
        CHECK(p.world.network().sockets(p.here) == 1);
        p.world.run_for(1s);
        CHECK(p.world.network().sockets(p.here) == 0);
    }
    SECTION("that the other kernel has, and its process does not read: 60 s") {
        p.near.close();
        p.world.run_for(59s);
        CHECK(p.world.network().sockets(p.here) == 1);
        p.world.run_for(2s);
        CHECK(p.world.network().sockets(p.here) == 0);
        p.far.close();
        p.settle();
        CHECK(p.world.network().sockets(p.there) == 0);
    }
}

TEST_CASE("A kernel of a world continues while its process is frozen",
          "[asio_sim][net][regression]") {
    SECTION("it stops connecting") {
        SimPair p;
        SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
        p.world.network().partition(p.here, p.there);
        p.world.after(1s, [&] { p.world.pause(p.here); });
        p.world.after(200s, [&] { p.world.network().heal_all(); });
        p.world.after(300s, [&] { p.world.resume(p.here); });
        const Dialled d = dial(p, {SimPair::address(), 80});
        CHECK(d.error == net::error::timed_out);
        CHECK(d.took == 300s);
    }
    SECTION("it stops sending, and probes a silent peer") {
        Rig p;
        const bool writes = GENERATE(true, false);
        if (!writes) p.near.set_option(net::socket_base::keep_alive{true});
        p.world.network().partition(p.here, p.there);
        if (writes) CHECK_FALSE(p.write(p.near, "anybody there?"));
        p.world.pause(p.here);
        p.world.run_for(3h);
        CHECK(p.world.network().sockets(p.here) == 0);
        p.world.network().heal_all();
        p.world.resume(p.here);
        CHECK(p.error_of_read(p.near) == net::error::timed_out);
    }
}

TEST_CASE("A killed process resets its connections, and destroys its handlers",
          "[asio_sim][net][sim]") {
    SimPair p;
    const auto shared = std::make_shared<int>(0);
    int calls = 0;
    auto acceptor = std::make_unique<SimNet::tcp::acceptor>(
        p.server(), SimNet::tcp::endpoint{SimNet::tcp::v4(), 80});
    acceptor->async_accept([&calls, shared](SocketError, SimNet::tcp::socket) { ++calls; });
    auto timer = std::make_shared<SimNet::steady_timer>(p.server(), 1h);
    // The handler owns the socket.
    timer->async_wait([&calls, shared, timer](SocketError) { ++calls; });
    auto resolver = std::make_shared<SimNet::tcp::resolver>(p.server());
    resolver->async_resolve("client", "1", [&calls, shared, resolver](auto&&...) { ++calls; });
    net::post(p.server(), [&calls, shared] { ++calls; });
    CHECK(shared.use_count() == 5);
    p.world.kill(p.there);
    CHECK(shared.use_count() == 1);
    timer.reset();
    resolver.reset();
    p.world.restart(p.there);
    p.settle();
    CHECK(calls == 0);
    // The port of the dead process is free.
    SimNet::tcp::acceptor next{p.server(), {SimNet::tcp::v4(), 80}};
    acceptor.reset();  // that of the dead process
    CHECK(dial(p, {SimPair::address(), 80}).error == SocketError{});
}

TEST_CASE("Faults of the network end connections of sockets", "[asio_sim][net][sim]") {
    Rig p;
    SECTION("a cut resets both ends") {
        p.world.network().drop_connections(p.here, p.there);
        CHECK(p.error_of_read(p.near) == net::error::connection_reset);
        CHECK(p.error_of_read(p.far) == net::error::connection_reset);
    }
    SECTION("a kill ends the other end, after all that was written") {
        CHECK_FALSE(p.write(p.far, "half"));
        p.world.kill(p.there);
        SocketError error;
        CHECK(p.read(p.near, 100, error) == "half");
        CHECK(error == net::error::eof);
        CHECK_FALSE(p.write(p.near, "anybody there?"));
        p.settle();
        CHECK(p.write(p.near, "x") == net::error::broken_pipe);
    }
    SECTION("a kill resets the other end if the process has not read all") {
        CHECK_FALSE(p.write(p.near, "unread"));
        p.settle();
        p.world.kill(p.there);
        CHECK(p.error_of_read(p.near) == net::error::connection_reset);
    }
    SECTION("a kill resets the other end if the socket lingers for 0 s") {
        p.far.set_option(net::socket_base::linger{true, 0});
        p.world.kill(p.there);
        CHECK(p.error_of_read(p.near) == net::error::connection_reset);
    }
    SECTION("a kill in a partition sends nothing") {
        p.world.network().partition(p.here, p.there);
        p.world.kill(p.there);
        p.world.network().heal_all();
        Rig::Outcome o;
        char byte = 0;
        p.near.async_read_some(net::buffer(&byte, 1), o.handler());
        p.world.run_for(24h);
        CHECK_FALSE(o.is_done);
    }
    SECTION("a half-open connection is detected by a write") {
        p.world.network().half_open(p.there, p.here);
        CHECK(p.error_of_read(p.far) == net::error::connection_reset);
        Rig::Outcome o;
        char byte = 0;
        p.near.async_read_some(net::buffer(&byte, 1), o.handler());
        p.world.run_for(24h);
        CHECK_FALSE(o.is_done);
        CHECK_FALSE(p.write(p.near, "hello?"));
        p.settle();
        REQUIRE(o.is_done);
        CHECK(o.error == net::error::connection_reset);
    }
}

TEST_CASE("A socket of a world repeats its request if the acceptance is lost",
          "[asio_sim][net][regression]") {
    SimPair p;
    SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
    p.world.network().latency(200ms, 200ms);
    SECTION("an acceptance that is on its way arrives, and then the connection is half open") {
        p.world.after(300ms, [&] { p.world.network().half_open(p.there, p.here); });
        SimNet::tcp::socket s{p.client()};
        std::optional<SocketError> connected;
        s.async_connect({SimPair::address(), 80}, [&](SocketError e) { connected = e; });
        p.world.run_for(500ms);
        REQUIRE(connected == SocketError{});
        Rig::Outcome o;
        char byte = 0;
        s.async_read_some(net::buffer(&byte, 1), o.handler());
        p.world.run_for(24h);
        CHECK_FALSE(o.is_done);
        net::async_write(s, net::buffer("hello?", 6), [](SocketError, std::size_t) {});
        p.world.run_for(1s);
        REQUIRE(o.is_done);
        CHECK(o.error == net::error::connection_reset);
    }
    // Requests are sent after 0, 1, 3, 7 and 15 s.
    SECTION("a partition has held the acceptance of a process that is killed") {
        p.world.after(300ms, [&] {
            p.world.network().partition(p.here, p.there);
            p.world.kill(p.there);
        });
        p.world.after(8s, [&] { p.world.network().heal_all(); });
        const Dialled d = dial(p, {SimPair::address(), 80});
        CHECK(d.error == net::error::connection_refused);
        CHECK(d.took >= 15s);
        CHECK(d.took < 16s);
    }
    SECTION("the process that has accepted is killed, and another one listens") {
        std::optional<SimNet::tcp::acceptor> next;
        std::optional<SimNet::tcp::socket> guest;
        const auto begin = p.world.now();
        p.world.after(300ms, [&] {
            p.world.network().partition(p.here, p.there);
            p.world.restart(p.there);
            next.emplace(p.server(), SimNet::tcp::endpoint{SimNet::tcp::v4(), 80});
            guest.emplace(p.server());
            next->async_accept(*guest, [](SocketError) {});
        });
        p.world.after(8s, [&] { p.world.network().heal_all(); });
        SimNet::tcp::socket s{p.client()};
        std::optional<SocketError> connected;
        s.async_connect({SimPair::address(), 80}, [&](SocketError e) { connected = e; });
        REQUIRE(p.until([&] { return connected.has_value(); }));
        CHECK(connected == SocketError{});
        CHECK(belay::elapsed(begin, p.world.now()) >= 15s);
        CHECK(belay::elapsed(begin, p.world.now()) < 16s);
        p.settle();
        std::string text(5, '.');
        Rig::Outcome reading;
        net::async_read(s, net::buffer(text), reading.handler());
        net::async_write(*guest, net::buffer("hello", 5), [](SocketError, std::size_t) {});
        REQUIRE(p.until([&] { return reading.is_done; }));
        CHECK(text == "hello");
        s.close();
        guest.reset();
        p.world.run_for(1s);
        CHECK(p.world.network().sockets(p.there) == 0);
    }
    SECTION("a process still holds the connection that is gone: there is another one") {
        SimNet::tcp::socket guest{p.server()};
        SimNet::tcp::socket next{p.server()};
        acceptor.async_accept(
            guest, [&](SocketError) { acceptor.async_accept(next, [](SocketError) {}); });
        p.world.after(300ms, [&] {
            p.world.network().partition_one_way(p.there, p.here);
            p.world.network().half_open(p.there, p.here);
            p.world.network().heal_all();
        });
        SimNet::tcp::socket s{p.client()};
        std::optional<SocketError> connected;
        s.async_connect({SimPair::address(), 80}, [&](SocketError e) { connected = e; });
        REQUIRE(p.until([&] { return connected.has_value(); }));
        CHECK(connected == SocketError{});
        p.settle();
        net::async_write(s, net::buffer("hello", 5), [](SocketError, std::size_t) {});
        p.settle();
        // The former connection has its error, and none of the bytes.
        CHECK(guest.available() == 0);
        std::string text(5, '.');
        Rig::Outcome o;
        const auto finished = [&] { return o.is_done; };
        net::async_read(guest, net::buffer(text), o.handler());
        REQUIRE(p.until(finished));
        CHECK(o.error == net::error::connection_reset);
        net::async_write(guest, net::buffer("x", 1), o.handler());
        REQUIRE(p.until(finished));
        CHECK(o.error == net::error::broken_pipe);
        guest.close();
        net::async_read(next, net::buffer(text), o.handler());
        REQUIRE(p.until(finished));
        CHECK(text == "hello");
        net::async_write(next, net::buffer("world", 5), [](SocketError, std::size_t) {});
        net::async_read(s, net::buffer(text), o.handler());
        REQUIRE(p.until(finished));
        CHECK(text == "world");
    }
    SECTION("no process has taken the connection that is gone: there is another one") {
        p.world.after(300ms, [&] {
            p.world.network().partition_one_way(p.there, p.here);
            p.world.network().half_open(p.there, p.here);
            p.world.network().heal_all();
        });
        const Dialled d = dial(p, {SimPair::address(), 80});
        CHECK(d.error == SocketError{});
        CHECK(d.took >= 1s);
        CHECK(d.took < 2s);
        int guests = 0;
        for (int i = 0; i < 2; ++i) {
            acceptor.async_accept([&](SocketError, SimNet::tcp::socket) { ++guests; });
        }
        p.settle();
        CHECK(guests == 1);
    }
    SECTION("a short partition holds the acceptance: Linux repeats it after 1 s") {
        p.world.after(300ms, [&] { p.world.network().partition_one_way(p.there, p.here); });
        p.world.after(600ms, [&] { p.world.network().heal_all(); });
        const Dialled d = dial(p, {SimPair::address(), 80});
        CHECK(d.error == SocketError{});
        CHECK(d.took >= 1s);
        CHECK(d.took < 2s);
    }
    SECTION("a partition has held the acceptance of a load balancer") {
        p.world.network().accept_then_close(p.there);
        p.world.after(300ms, [&] { p.world.network().partition(p.here, p.there); });
        p.world.after(8s, [&] { p.world.network().heal_all(); });
        const Dialled d = dial(p, {SimPair::address(), 80});
        CHECK(d.error == SocketError{});
        CHECK(d.took >= 15s);
        CHECK(d.took < 16s);
    }
}

TEST_CASE("A stream of a world arrives in pieces, and joined", "[asio_sim][net][sim]") {
    Rig p;
    bool was_cut = false, was_joined = false;
    for (int i = 0; i < 50; ++i) {
        CHECK_FALSE(p.write(p.near, "0123456789"));
        if (i % 2 == 0) p.settle();
        std::string in(100, '.');
        Rig::Outcome o;
        p.far.async_read_some(net::buffer(in), o.handler());
        REQUIRE(p.until([&] { return o.is_done; }));
        was_cut = was_cut || o.bytes < 10;
        was_joined = was_joined || o.bytes > 10;
    }
    CHECK(was_cut);
    CHECK(was_joined);
}

TEST_CASE("The window limits what a socket of a world accepts", "[asio_sim][net][sim]") {
    Rig p;
    const auto window = static_cast<std::size_t>(GENERATE(1, 17, 1000));
    p.world.network().window_bytes(window);
    const std::string text(300, 'x');
    Rig::Outcome o;
    p.near.async_write_some(net::buffer(text), o.handler());
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK(o.bytes <= std::max<std::size_t>(window, 1));
    const std::size_t first = o.bytes;
    net::async_write(p.near, net::buffer(text), o.handler());
    SocketError error;
    CHECK(p.read(p.far, first + text.size(), error).size() == first + text.size());
    REQUIRE(p.until([&] { return o.is_done; }));
}

TEST_CASE("A name that no host has is not found, also after a cancellation",
          "[asio_sim][net][sim]") {
    SimPair p;
    SimNet::tcp::resolver resolver{p.client()};
    std::vector<SocketError> ends;
    const auto collect = [&](SocketError e, auto&&...) { ends.push_back(e); };
    resolver.async_resolve("server", "80", collect);
    resolver.cancel();
    p.settle();
    resolver.async_resolve("nobody", "80", collect);
    p.settle();
    REQUIRE(ends.size() == 2);
    CHECK(ends[0] == net::error::operation_aborted);
    CHECK(ends[1] == net::error::host_not_found);
}

TEST_CASE("A look-up that hangs fails after 10 s, and delays the others of its context",
          "[asio_sim][net][sim]") {
    SimPair p;
    p.world.network().hanging_name(p.here);
    SimNet::tcp::resolver first{p.client()}, second{p.client()}, other{p.server()};
    std::vector<std::string> ends;
    const auto collect = [&](const char* name) {
        return [&ends, name](SocketError e, auto&&...) {
            const bool hung = e == net::error::host_not_found_try_again;
            ends.push_back(name + std::string{hung ? " failed" : e ? " is unknown" : " found"});
        };
    };
    first.async_resolve("client", "80", collect("hangs"));
    second.async_resolve("server", "80", collect("waits"));
    other.async_resolve("server", "80", collect("other"));
    p.world.run_for(9s);
    CHECK(ends == std::vector<std::string>{"other found"});
    p.world.run_for(2s);
    CHECK(ends == std::vector<std::string>{"other found", "hangs failed", "waits found"});
}

TEST_CASE("A listener on the loopback address accepts only its own host", "[asio_sim][net][sim]") {
    SimPair p;
    const auto loopback = net::ip::address_v4::loopback();
    SimNet::tcp::acceptor acceptor{p.server(), {loopback, 80}};
    CHECK(dial(p, {SimPair::address(), 80}).error == net::error::connection_refused);
    SimNet::tcp::socket own{p.server()};
    std::optional<SocketError> result;
    own.async_connect({loopback, 80}, [&](SocketError e) { result = e; });
    p.settle();
    REQUIRE(result);
    CHECK_FALSE(*result);
}

TEST_CASE("An acceptor without reuse_address does not bind a port of connections",
          "[asio_sim][net][sim]") {
    SimPair p;
    const SimNet::tcp::endpoint at{net::ip::address_v4::any(), 80};
    std::optional<SimNet::tcp::acceptor> first{std::in_place, p.server(), at};
    SimNet::tcp::socket accepted{p.server()};
    first->async_accept(accepted, [](SocketError) {});
    CHECK_FALSE(dial(p, {SimPair::address(), 80}).error.value());
    first.reset();
    SimNet::tcp::acceptor second{p.server()};
    second.open(at.protocol());
    SimNet::tcp::acceptor::reuse_address option;
    second.get_option(option);
    CHECK_FALSE(option.value());
    SocketError error;
    CHECK(second.bind(at, error) == net::error::address_in_use);
    second.set_option(SimNet::tcp::acceptor::reuse_address{true});
    second.get_option(option);
    CHECK(option.value());
    CHECK_FALSE(second.bind(at, error));
}

TEST_CASE("An acceptor's async_wait completes when a connection can be accepted",
          "[asio_sim][net][sim]") {
    SimPair p;
    SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
    std::optional<SocketError> reads, writes, closed;
    acceptor.async_wait(SimNet::tcp::acceptor::wait_read, [&](SocketError e) { reads = e; });
    acceptor.async_wait(SimNet::tcp::acceptor::wait_write, [&](SocketError e) { writes = e; });
    p.settle();
    CHECK_FALSE(reads);
    CHECK_FALSE(dial(p, {SimPair::address(), 80}).error.value());
    REQUIRE(reads);
    CHECK_FALSE(*reads);
    CHECK_FALSE(writes);
    // The connection is still there, for another wait and for a call of async_accept.
    reads.reset();
    acceptor.async_wait(SimNet::tcp::acceptor::wait_read, [&](SocketError e) { reads = e; });
    SimNet::tcp::socket guest{p.server()};
    std::optional<SocketError> accepted;
    acceptor.async_accept(guest, [&](SocketError e) { accepted = e; });
    p.settle();
    CHECK(reads);
    REQUIRE(accepted);
    CHECK_FALSE(*accepted);
    acceptor.close();
    acceptor.async_wait(SimNet::tcp::acceptor::wait_read, [&](SocketError e) { closed = e; });
    p.settle();
    CHECK(writes == net::error::operation_aborted);
    CHECK(closed == net::error::bad_descriptor);
}

TEST_CASE("A process without descriptors neither connects nor accepts, and time passes",
          "[asio_sim][net][sim]") {
    SimPair p;
    SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
    const auto none = net::error::no_descriptors;
    // The server accepts again at once after each error.
    int failures = 0;
    bool is_accepted = false;
    SimNet::tcp::socket guest{p.server()};
    std::function<void()> accept = [&] {
        acceptor.async_accept(guest, [&](SocketError e) {
            if (!e) return void(is_accepted = true);
            CHECK(e == none);
            ++failures;
            accept();
        });
    };
    accept();
    p.there.exhaust_descriptors();
    SimNet::tcp::socket s{p.client()};
    bool is_connected = false;
    s.async_connect({SimPair::address(), 80}, [&](SocketError e) { is_connected = !e; });
    p.world.run_for(1s);
    CHECK(is_connected);  // by the kernel
    CHECK_FALSE(is_accepted);
    CHECK(failures > 900);
    CHECK(failures <= 1000);
    p.there.exhaust_descriptors(false);
    p.settle();
    CHECK(is_accepted);
    p.here.exhaust_descriptors();
    SimNet::tcp::socket other{p.client()};
    SocketError error;
    CHECK(other.open(SimNet::tcp::v4(), error) == none);
    other.async_connect({SimPair::address(), 80}, [&](SocketError e) { error = e; });
    error = {};
    p.settle();
    CHECK(error == none);
    CHECK_FALSE(other.is_open());
}

TEST_CASE("A frozen process accepts and reads after it is resumed", "[asio_sim][net][sim]") {
    SimPair p;
    SimNet::tcp::acceptor acceptor{p.server(), {SimNet::tcp::v4(), 80}};
    SimNet::tcp::socket guest{p.server()}, s{p.client()};
    bool is_accepted = false, is_connected = false;
    acceptor.async_accept(guest, [&](SocketError) { is_accepted = true; });
    p.world.pause(p.there);
    s.async_connect({SimPair::address(), 80}, [&](SocketError) { is_connected = true; });
    p.settle();
    CHECK(is_connected);  // by the kernel
    CHECK_FALSE(is_accepted);
    p.world.resume(p.there);
    p.settle();
    CHECK(is_accepted);
}

TEST_CASE("A world rejects the I/O objects of Boost's asio on a simulated context",
          "[asio_sim][net][sim]") {
    foreign_objects_are_rejected();
}

TEST_CASE("A handler that another thread posts to a simulated context ends the test",
          "[asio_sim][net][sim]") {
    belay::sim::World world{belay::Seed{1}};
    SimNet::io_context context{world.host("a")};
    const std::string text = belay_test::aborts_with(
        [&] { std::thread{[&] { boost::asio::post(context, [] {}); }}.join(); });
    CHECK(text.find("another thread, such as that of a thread_pool") != std::string::npos);
    bool posted = false;
    boost::asio::post(context, [&] { posted = true; });
    world.run_for(std::chrono::seconds{1});
    CHECK(posted);
}

}  // namespace asio_sim_test
