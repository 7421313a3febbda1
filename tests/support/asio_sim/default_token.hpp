// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/default_token.hpp
/// A server and a client whose sockets have a default token, as in the examples of asio for
/// coroutines.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "support/asio_sim/rig.hpp"

namespace asio_sim_test {

using DefaultToken = net::use_awaitable_t<>;
template <class Object>
using WithToken = DefaultToken::as_default_on_t<Object>;

template <class Net>
net::awaitable<void> echo_once(WithToken<typename Net::tcp::socket> socket) {
    char part[64];
    const std::size_t n = co_await socket.async_read_some(net::buffer(part));
    co_await net::async_write(socket, net::buffer(part, n));
}
template <class Net>
net::awaitable<void> serve_echo(WithToken<typename Net::tcp::acceptor>& acceptor) {
    const auto executor = co_await net::this_coro::executor;
    co_spawn(executor, echo_once<Net>(co_await acceptor.async_accept()), net::detached);
}
template <class Net>
net::awaitable<void> ask_echo(typename Net::tcp::endpoint at, std::string& answer) {
    const auto executor = co_await net::this_coro::executor;
    WithToken<typename Net::steady_timer> timer{executor};
    timer.expires_after(1ms);
    co_await timer.async_wait();
    auto socket = DefaultToken{}.as_default_on(typename Net::tcp::socket{executor});
    co_await socket.async_connect(at);
    co_await socket.async_wait(socket.wait_write);
    co_await net::async_write(socket, net::buffer("hello", 5));
    std::string in(5, '.');
    co_await net::async_read(socket, net::buffer(in));
    answer = in;
}

template <class Pair>
void objects_have_a_default_token() {
    Pair p;
    using Net = typename Pair::Net;
    WithToken<typename Net::tcp::acceptor> acceptor{p.server(), {Net::tcp::v4(), 0}};
    std::string answer;
    co_spawn(p.server().get_executor(), serve_echo<Net>(acceptor), net::detached);
    co_spawn(p.client().get_executor(),
             ask_echo<Net>({Pair::address(), acceptor.local_endpoint().port()}, answer),
             net::detached);
    REQUIRE(p.until([&] { return !answer.empty(); }));
    CHECK(answer == "hello");
}

TEST_CASE("A socket of asio: coroutines need no token if its executor has one",
          "[asio_sim][net][unit]") {
    objects_have_a_default_token<RealPair>();
}
TEST_CASE("A socket of a world: coroutines need no token if its executor has one",
          "[asio_sim][net][sim]") {
    objects_have_a_default_token<SimPair>();
}

}  // namespace asio_sim_test
