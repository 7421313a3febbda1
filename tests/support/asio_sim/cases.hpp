// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/cases.hpp
/// Test cases that hold for the sockets of asio on the loopback, and for those of a simulated
/// world.
#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/asio_sim/rig.hpp"

namespace asio_sim_test {

inline SocketError socket_error(std::errc e) {
    return belay::detail::AsioOf<net::io_context>::error_of(e);
}

// Each case runs in both worlds. The real one shows the behaviour of sockets, and the simulated one
// must have the same.

template <class Pair>
void sockets_have_endpoints() {
    ConnectedPair<Pair> p;
    CHECK(p.near.local_endpoint() == p.far.remote_endpoint());
    CHECK(p.near.remote_endpoint() == p.far.local_endpoint());
    CHECK(p.near.remote_endpoint().port() == p.acceptor.local_endpoint().port());
    CHECK(p.near.remote_endpoint().address() == Pair::address());
    SocketError error;
    typename Pair::Net::tcp::socket idle{p.client()};
    CHECK_FALSE(idle.is_open());
    idle.remote_endpoint(error);
    CHECK(error == net::error::bad_descriptor);
    idle.open(Pair::Net::tcp::v4());
    CHECK(idle.is_open());
    idle.remote_endpoint(error);
    CHECK(error == net::error::not_connected);
    CHECK_THROWS_AS(idle.open(Pair::Net::tcp::v4()), std::exception);
    CHECK_THROWS_AS(idle.shutdown(idle.shutdown_both), std::exception);
}

template <class Pair>
void stream_carries_bytes() {
    ConnectedPair<Pair> p;
    SocketError error;
    CHECK_FALSE(p.write(p.near, "hello"));
    CHECK_FALSE(p.write(p.near, " world"));
    CHECK(p.read(p.far, 3, error) == "hel");
    CHECK(p.read(p.far, 8, error) == "lo world");
    CHECK_FALSE(error);
    CHECK_FALSE(p.write(p.far, "back"));
    REQUIRE(p.until([&] { return p.near.available() == 4; }));
    // Two buffers, of which the second stays empty.
    std::string front(4, '.'), rest(4, '.');
    const std::array<net::mutable_buffer, 2> both{net::buffer(front), net::buffer(rest)};
    typename ConnectedPair<Pair>::Outcome o;
    p.near.async_read_some(both, o.handler());
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK_FALSE(o.error);
    CHECK(o.bytes == 4);
    CHECK(front == "back");
    p.near.async_read_some(net::mutable_buffer{}, o.handler());
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK_FALSE(o.error);
    p.near.async_write_some(net::const_buffer{}, o.handler());
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK_FALSE(o.error);
}

template <class Pair>
void connect_is_refused() {
    ConnectedPair<Pair> p;
    const auto port = p.acceptor.local_endpoint().port();
    p.acceptor.close();
    std::optional<SocketError> result;
    typename Pair::Net::tcp::socket s{p.client()};
    s.async_connect({Pair::address(), port}, [&](SocketError e) { result = e; });
    CHECK_FALSE(result);
    REQUIRE(p.until([&] { return result.has_value(); }));
    CHECK(*result == net::error::connection_refused);
    CHECK(s.is_open());
    // The connection that was accepted before stays open.
    CHECK_FALSE(p.write(p.near, "x"));
    SocketError error;
    CHECK(p.read(p.far, 1, error) == "x");
    SECTION("of several endpoints, the next one is tried") {
        typename Pair::Net::tcp::acceptor other{p.server(), {Pair::Net::tcp::v4(), 0}};
        using Endpoint = typename Pair::Net::tcp::endpoint;
        const std::vector<Endpoint> both{{Pair::address(), port},
                                         {Pair::address(), other.local_endpoint().port()}};
        std::optional<Endpoint> at;
        async_connect(s, both, [&](SocketError e, const Endpoint& found) {
            result = e;
            at = found;
        });
        REQUIRE(p.until([&] { return at.has_value(); }));
        CHECK_FALSE(*result);
        CHECK(*at == both.back());
        CHECK(s.remote_endpoint() == both.back());
    }
    SECTION("of none, none is found") {
        std::optional<SocketError> none;
        async_connect(s, std::vector<typename Pair::Net::tcp::endpoint>{},
                      [&](SocketError e, const auto&) { none = e; });
        REQUIRE(p.until([&] { return none.has_value(); }));
        CHECK(*none == net::error::not_found);
    }
}

template <class Pair>
void port_is_in_use() {
    ConnectedPair<Pair> p;
    using Acceptor = typename Pair::Net::tcp::acceptor;
    const auto at = p.acceptor.local_endpoint();
    CHECK_THROWS_AS((Acceptor{p.server(), at}), std::exception);
    Acceptor second{p.server()};
    SocketError error;
    second.bind(at, error);
    CHECK(error == net::error::bad_descriptor);
    second.open(at.protocol());
    second.set_option(typename Acceptor::reuse_address{true});
    second.bind(at, error);
    CHECK(error == net::error::address_in_use);
    SECTION("until it is closed") {
        p.acceptor.close();
        CHECK_NOTHROW((Acceptor{p.server(), at}));
    }
    SECTION("a socket that does not listen accepts nothing") {
        std::optional<SocketError> accepted;
        second.async_accept([&](SocketError e, typename Pair::Net::tcp::socket) { accepted = e; });
        REQUIRE(p.until([&] { return accepted.has_value(); }));
        CHECK(*accepted == net::error::invalid_argument);
    }
    SECTION("a socket cannot bind to the address of another computer") {
        Acceptor third{p.server()};
        third.open(at.protocol());
        third.bind({net::ip::make_address("192.0.2.1"), 0}, error);
        CHECK(error == socket_error(std::errc::address_not_available));
    }
}

template <class Pair>
void connections_are_accepted_for_an_executor() {
    ConnectedPair<Pair> p;
    using Endpoint = typename Pair::Net::tcp::endpoint;
    using Socket = typename Pair::Net::tcp::socket;
    const auto strand = net::make_strand(p.server());
    Endpoint from[4];
    Socket guest{p.server()};
    std::vector<Socket> guests, clients;
    clients.reserve(6);
    int strands = 0, connected = 0;
    const auto take = [&](SocketError e, auto accepted) {
        CHECK_FALSE(e);
        using Own = decltype(accepted.get_executor());
        if constexpr (std::is_same_v<Own, std::decay_t<decltype(strand)>>) {
            strands += accepted.get_executor() == strand ? 1 : 0;
        }
        // asio asks whether the handler takes sockets of other executors, too.
        if constexpr (std::is_constructible_v<Socket, decltype(accepted)>) {
            guests.emplace_back(std::move(accepted));
        }
    };
    p.acceptor.async_accept(strand, take);
    p.acceptor.async_accept(strand, from[0], take);
    p.acceptor.async_accept(p.server(), take);
    p.acceptor.async_accept(p.server(), from[1], take);
    p.acceptor.async_accept(from[2], take);
    p.acceptor.async_accept(guest, from[3], [&](SocketError e) { connected += e ? 0 : 1; });
    for (int i = 0; i < 6; ++i) {
        clients.emplace_back(p.client());
        clients.back().async_connect({Pair::address(), p.acceptor.local_endpoint().port()},
                                     [&](SocketError e) { connected += e ? 0 : 1; });
    }
    REQUIRE(p.until([&] { return connected == 7 && guests.size() == 5; }));
    CHECK(strands == 2);
    std::set<Endpoint> ends, accepted{from[0], from[1], from[2], from[3]};
    for (const Socket& client : clients) ends.insert(client.local_endpoint());
    CHECK(accepted.size() == 4);
    CHECK(std::includes(ends.begin(), ends.end(), accepted.begin(), accepted.end()));
    CHECK(guest.remote_endpoint() == from[3]);
    SocketError error;
    for (Socket& one : guests) CHECK_FALSE(p.write(one, "x"));
    CHECK_FALSE(p.write(guest, "x"));
    for (Socket& client : clients) CHECK(p.read(client, 1, error) == "x");
}

template <class Pair>
void connection_is_half_closed() {
    ConnectedPair<Pair> p;
    SocketError error;
    CHECK_FALSE(p.write(p.near, "question"));
    p.near.shutdown(p.near.shutdown_send);
    CHECK(p.write(p.near, "more") == net::error::broken_pipe);
    CHECK(p.read(p.far, 100, error) == "question");
    CHECK(error == net::error::eof);
    // asio on Linux reports the end once: a second read waits for something else.
    typename ConnectedPair<Pair>::Outcome again;
    char byte = 0;
    p.far.async_read_some(net::buffer(&byte, 1), again.handler());
    p.settle();
    CHECK_FALSE(again.is_done);
    CHECK_FALSE(p.write(p.far, "answer"));
    CHECK(p.read(p.near, 6, error) == "answer");
    p.far.close();
    CHECK(p.error_of_read(p.near) == net::error::eof);
}

template <class Pair>
void reading_ends_by_shutdown() {
    ConnectedPair<Pair> p;
    typename ConnectedPair<Pair>::Outcome o;
    char byte = 0;
    p.near.async_read_some(net::buffer(&byte, 1), o.handler());
    p.settle();
    CHECK_FALSE(o.is_done);
    p.near.shutdown(p.near.shutdown_receive);
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK(o.error == net::error::eof);
    CHECK_FALSE(p.write(p.near, "it still writes"));
    SocketError error;
    CHECK(p.read(p.far, 15, error) == "it still writes");
}

template <class Pair>
void close_sends_everything() {
    ConnectedPair<Pair> p;
    const std::string text(40'000, 'x');
    CHECK_FALSE(p.write(p.near, text));
    p.near.close();
    SocketError error;
    CHECK(p.read(p.far, 100'000, error) == text);
    CHECK(error == net::error::eof);
    SECTION("and then writing to the closed socket fails, but not at once") {
        CHECK_FALSE(p.write(p.far, "nobody reads this"));
        p.settle();
        CHECK(p.write(p.far, "nor this") == net::error::broken_pipe);
        CHECK(p.error_of_read(p.far) == net::error::eof);
    }
}

template <class Pair>
void close_with_unread_data_resets() {
    ConnectedPair<Pair> p;
    CHECK_FALSE(p.write(p.near, "unread"));
    REQUIRE(p.until([&] { return p.far.available() == 6; }));
    p.far.close();
    CHECK(p.error_of_read(p.near) == net::error::connection_reset);
    CHECK(p.write(p.near, "x") == net::error::broken_pipe);
}

template <class Pair>
void received_data_outlives_a_reset() {
    ConnectedPair<Pair> p;
    for (int i = 0; i < 8; ++i) {  // a world may lose some of the bytes
        typename Pair::Net::tcp::socket near{p.client()}, far{p.server()};
        int ready = 0;
        p.acceptor.async_accept(far, [&](SocketError e) { ready += e ? 0 : 1; });
        near.async_connect({Pair::address(), p.acceptor.local_endpoint().port()},
                           [&](SocketError e) { ready += e ? 0 : 1; });
        REQUIRE(p.until([&] { return ready == 2; }));
        for (std::size_t n = 1; n <= 6; ++n) {
            CHECK_FALSE(p.write(far, "x"));
            REQUIRE(p.until([&] { return near.available() == n; }));
        }
        far.set_option(net::socket_base::linger{true, 0});
        far.close();
        p.settle();
        SocketError error;
        CHECK(p.read(near, 100, error) == "xxxxxx");
        CHECK(error == net::error::connection_reset);
    }
}

template <class Pair>
void linger_resets() {
    ConnectedPair<Pair> p;
    p.near.set_option(net::socket_base::linger{true, 0});
    p.near.set_option(typename Pair::Net::tcp::no_delay{true});
    p.near.close();
    p.settle();
    CHECK(p.write(p.far, "x") == net::error::connection_reset);
    CHECK(p.error_of_read(p.far) == net::error::eof);
}

template <class Pair>
void operations_are_cancelled() {
    ConnectedPair<Pair> p;
    typename ConnectedPair<Pair>::Outcome reading, writing, second;
    std::optional<SocketError> accepted;
    char byte = 0;
    const std::string much(10'000'000, 'x');
    p.near.async_read_some(net::buffer(&byte, 1), reading.handler());
    p.near.async_read_some(net::buffer(&byte, 1), second.handler());
    net::async_write(p.near, net::buffer(much), writing.handler());
    p.acceptor.async_accept([&](SocketError e, auto) { accepted = e; });
    p.settle();
    CHECK_FALSE((reading.is_done || second.is_done || writing.is_done || accepted));
    const auto all_done = [&] {
        return reading.is_done && second.is_done && writing.is_done && accepted.has_value();
    };
    SECTION("by cancel(), and the socket stays usable") {
        p.near.cancel();
        p.acceptor.cancel();
        CHECK_FALSE(reading.is_done);  // no handler runs inside of the call
        REQUIRE(p.until(all_done));
        CHECK_FALSE(p.write(p.far, "y"));
        SocketError error;
        CHECK(p.read(p.near, 1, error) == "y");
    }
    SECTION("by close()") {
        p.near.close();
        p.acceptor.close();
        CHECK_FALSE(p.near.is_open());
        REQUIRE(p.until(all_done));
        SocketError error;
        p.near.cancel(error);
        CHECK(error == net::error::bad_descriptor);
        CHECK(p.error_of_read(p.near) == net::error::bad_descriptor);
    }
    SECTION("by the end of the socket") {
        {
            const auto end = std::move(p.near);
            const auto last = std::move(p.acceptor);
        }
        REQUIRE(p.until(all_done));
    }
    CHECK(reading.error == net::error::operation_aborted);
    CHECK(second.error == net::error::operation_aborted);
    CHECK(writing.error == net::error::operation_aborted);
    CHECK(*accepted == net::error::operation_aborted);
}

template <class Pair>
void writer_waits_for_reader() {
    ConnectedPair<Pair> p;
    std::string sent(20'000'000, 'x');
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 >> 3);
    typename ConnectedPair<Pair>::Outcome o;
    net::async_write(p.near, net::buffer(sent), o.handler());
    p.settle();
    CHECK_FALSE(o.is_done);
    SocketError error;
    CHECK(p.read(p.far, sent.size(), error) == sent);
    REQUIRE(p.until([&] { return o.is_done; }));
    CHECK(o.bytes == sent.size());
}

template <class Pair>
void timers_wait_and_are_cancelled() {
    Pair p;
    typename Pair::Net::steady_timer timer{p.client()};
    std::vector<SocketError> ends;
    const auto collect = [&](SocketError e) { ends.push_back(e); };
    timer.expires_after(20ms);
    timer.async_wait(collect);
    CHECK(ends.empty());
    REQUIRE(p.until([&] { return ends.size() == 1; }));
    CHECK_FALSE(ends[0]);
    timer.async_wait(collect);  // the timer has expired
    REQUIRE(p.until([&] { return ends.size() == 2; }));
    CHECK_FALSE(ends[1]);
    timer.expires_after(1h);
    timer.async_wait(collect);
    timer.async_wait(collect);
    timer.async_wait(collect);
    CHECK(timer.cancel_one() == 1);
    CHECK(timer.expires_after(2h) == 2);
    REQUIRE(p.until([&] { return ends.size() == 5; }));
    timer.async_wait(collect);
    CHECK(timer.cancel() == 1);
    CHECK(timer.cancel() == 0);
    timer.async_wait(collect);
    SECTION("by the end of the timer") {
        { const auto end = std::move(timer); }
        REQUIRE(p.until([&] { return ends.size() == 7; }));
    }
    SECTION("by another timer in its place") {
        timer = typename Pair::Net::steady_timer{p.client(), 1ms};
        REQUIRE(p.until([&] { return ends.size() == 7; }));
        timer.async_wait(collect);
        REQUIRE(p.until([&] { return ends.size() == 8; }));
        CHECK_FALSE(ends.back());
        ends.pop_back();
    }
    for (std::size_t i = 2; i < ends.size(); ++i) CHECK(ends[i] == net::error::operation_aborted);
}

template <class Pair>
void names_are_resolved() {
    Pair p;
    typename Pair::Net::tcp::resolver resolver{p.client()};
    using Results = typename Pair::Net::tcp::resolver::results_type;
    std::vector<std::pair<SocketError, Results>> answers;
    const auto collect = [&](SocketError e, const Results& r) { answers.emplace_back(e, r); };
    const auto next = [&](const char* host, const char* service) {
        answers.clear();
        resolver.async_resolve(host, service, collect);
        REQUIRE(p.until([&] { return answers.size() == 1; }));
        return answers.front();
    };
    const auto [error, found] = next(Pair::server_name, "80");
    REQUIRE_FALSE(error);
    CHECK(found.begin()->endpoint().port() == 80);
    CHECK(found.begin()->host_name() == Pair::server_name);
    const auto [no_error, numeric] = next("192.0.2.7", "1");
    REQUIRE_FALSE(no_error);
    CHECK(numeric.begin()->endpoint().address() == net::ip::make_address("192.0.2.7"));
    CHECK(next("localhost", "no-such-service").first == net::error::service_not_found);
}

template <class Pair>
void handlers_run_on_a_strand() {
    ConnectedPair<Pair> p;
    auto strand = net::make_strand(p.near.get_executor());
    bool is_inside = false;
    std::string text(1, '.');
    p.near.async_read_some(net::buffer(text),
                           net::bind_executor(strand, [&](SocketError, std::size_t) {
                               is_inside = strand.running_in_this_thread();
                           }));
    CHECK_FALSE(p.write(p.far, "x"));
    REQUIRE(p.until([&] { return text == "x" && is_inside; }));
}

template <class Pair>
void sockets_wait_until_they_are_ready() {
    ConnectedPair<Pair> p;
    using Socket = typename ConnectedPair<Pair>::Socket;
    int readable = 0, writable = 0;
    std::optional<SocketError> aborted;
    p.near.async_wait(Socket::wait_write, [&](SocketError e) { writable += e ? 0 : 1; });
    p.near.async_wait(Socket::wait_read, [&](SocketError e) { readable += e ? 0 : 1; });
    REQUIRE(p.until([&] { return writable == 1; }));
    p.settle();
    CHECK(readable == 0);
    CHECK_FALSE(p.write(p.far, "hello"));
    REQUIRE(p.until([&] { return readable == 1; }));
    SocketError error;
    CHECK(p.read(p.near, 5, error) == "hello");
    p.near.async_wait(Socket::wait_error, [&](SocketError e) { aborted = e; });
    p.settle();
    CHECK_FALSE(aborted);
    p.near.cancel();
    REQUIRE(p.until([&] { return aborted.has_value(); }));
    CHECK(*aborted == net::error::operation_aborted);
    Socket closed{p.client()};
    std::optional<SocketError> of_closed;
    closed.async_wait(Socket::wait_read, [&](SocketError e) { of_closed = e; });
    REQUIRE(p.until([&] { return of_closed.has_value(); }));
    CHECK(*of_closed == net::error::bad_descriptor);
}

template <class Pair>
void socket_is_opened_and_bound_before_it_connects() {
    ConnectedPair<Pair> p;
    using Tcp = typename Pair::Net::tcp;
    typename Tcp::socket socket{p.client()}, guest{p.server()};
    SocketError error;
    socket.bind({Tcp::v4(), 0}, error);
    CHECK(error == net::error::bad_descriptor);
    socket.open(Tcp::v4());
    socket.set_option(typename Tcp::socket::receive_buffer_size{8192});
    socket.set_option(typename Tcp::socket::send_buffer_size{8192});
    socket.bind({net::ip::make_address_v4("10.255.255.1"), 0}, error);
    CHECK(error ==
          net::error::make_error_code(static_cast<net::error::basic_errors>(EADDRNOTAVAIL)));
    socket.bind({Tcp::v4(), 0});
    bool is_connected = false;
    p.acceptor.async_accept(guest, [](SocketError) {});
    socket.async_connect({Pair::address(), p.acceptor.local_endpoint().port()},
                         [&](SocketError e) { is_connected = !e; });
    REQUIRE(p.until([&] { return is_connected; }));
    CHECK_FALSE(p.write(socket, "hello"));
}

template <class Pair>
void clock_of_a_timer_has_the_time_of_its_waits() {
    Pair p;
    typename Pair::Net::steady_timer timer{p.client()};
    using Clock = typename Pair::Net::steady_timer::clock_type;
    bool is_over = false, was_before = false;
    net::post(p.client().get_executor(), [&] {
        timer.expires_after(5ms);
        was_before = timer.expiry() > Clock::now();
        timer.async_wait([&](SocketError) { is_over = timer.expiry() <= Clock::now(); });
    });
    REQUIRE(p.until([&] { return is_over; }));
    CHECK(was_before);
}

// Each case in both worlds. The names of test cases must differ.
#define BELAY_TEST_BOTH(claim, function)                                                     \
    TEST_CASE("A socket of asio: " claim, "[asio_sim][net][unit]") { function<RealPair>(); } \
    TEST_CASE("A socket of a world: " claim, "[asio_sim][net][sim]") { function<SimPair>(); }

BELAY_TEST_BOTH("both ends know the endpoints of both", sockets_have_endpoints)
BELAY_TEST_BOTH("a stream carries bytes, not messages", stream_carries_bytes)
BELAY_TEST_BOTH("a port without a listener refuses", connect_is_refused)
BELAY_TEST_BOTH("a port has one listener", port_is_in_use)
BELAY_TEST_BOTH("connections are accepted for an executor, a context or an endpoint",
                connections_are_accepted_for_an_executor)
BELAY_TEST_BOTH("a connection that is half closed carries answers", connection_is_half_closed)
BELAY_TEST_BOTH("shutdown ends reading", reading_ends_by_shutdown)
BELAY_TEST_BOTH("close sends what was written", close_sends_everything)
BELAY_TEST_BOTH("close with unread data resets", close_with_unread_data_resets)
BELAY_TEST_BOTH("close after linger(0) resets", linger_resets)
BELAY_TEST_BOTH("data that was received before a reset can be read", received_data_outlives_a_reset)
BELAY_TEST_BOTH("pending operations are cancelled", operations_are_cancelled)
BELAY_TEST_BOTH("a writer waits for its reader", writer_waits_for_reader)
BELAY_TEST_BOTH("timers wait and are cancelled", timers_wait_and_are_cancelled)
BELAY_TEST_BOTH("names are resolved", names_are_resolved)
BELAY_TEST_BOTH("handlers run on a strand", handlers_run_on_a_strand)
BELAY_TEST_BOTH("a wait ends when it is ready", sockets_wait_until_they_are_ready)
BELAY_TEST_BOTH("it may be opened and bound before it connects",
                socket_is_opened_and_bound_before_it_connects)
BELAY_TEST_BOTH("the clock of a timer has the time of its waits",
                clock_of_a_timer_has_the_time_of_its_waits)
#undef BELAY_TEST_BOTH

}  // namespace asio_sim_test
