// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/rig.hpp
/// RealNet, SimNet: two computers with sockets of asio, on the loopback and in a simulated world.
/// The file that includes it has defined asio_sim_test::net, the asio under test.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <belay/asio_sim/net.hpp>
#include <belay/sim.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"

namespace asio_sim_test {

using namespace std::chrono_literals;
using belay_test::run_until;

using SocketError = belay::detail::AsioOf<net::io_context>::Error;

struct RealNet {
    using io_context = net::io_context;
    using steady_timer = net::steady_timer;
    using tcp = net::ip::tcp;
};
using SimNet = belay::sim::AsioNet<net::io_context>;

/// Two computers on one machine.
struct RealPair {
    using Net = RealNet;

    net::io_context context{};
    net::io_context& server() { return context; }
    net::io_context& client() { return context; }
    static net::ip::address address() { return net::ip::address_v4::loopback(); }
    static constexpr const char* server_name = "localhost";
    template <class Done>
    bool until(Done done) {
        run_until(context, done);
        return true;
    }
    /// Runs everything that is due now. No operation that has completed waits for its handler
    /// after that, also if other programs took the processor meanwhile.
    void settle() {
        for (int i = 0; i < 20; ++i) {
            context.restart();
            context.run_for(1ms);
        }
        context.restart();
        context.poll();
    }
};

/// Two hosts of a world.
struct SimPair {
    using Net = SimNet;
    using Context = SimNet::io_context;

    belay::sim::World world{belay::Seed{7}};
    belay::sim::Host& there = world.host(
        "server", [](belay::sim::Host& host) { return std::make_unique<Context>(host); });
    belay::sim::Host& here = world.host(
        "client", [](belay::sim::Host& host) { return std::make_unique<Context>(host); });
    Context& server() { return *there.process<Context>(); }
    Context& client() { return *here.process<Context>(); }
    static net::ip::address address() { return net::ip::address_v4{0x0A000001}; }
    static constexpr const char* server_name = "server";
    template <class Done>
    bool until(Done done) {
        return world.run_until(done, 1h);
    }
    void settle() { world.run_for(100ms); }
};

/// A connection of two sockets, and the result of the last call of each.
template <class Pair>
struct ConnectedPair : Pair {
    using Net = typename Pair::Net;
    using Tcp = typename Net::tcp;
    using Socket = typename Tcp::socket;

    typename Tcp::acceptor acceptor{this->server(), {Tcp::v4(), 0}};
    Socket near{this->client()};
    Socket far{this->server()};

    ConnectedPair() {
        int ready = 0;
        acceptor.async_accept(far, [&](SocketError e) { ready += e ? 0 : 1; });
        near.async_connect({Pair::address(), acceptor.local_endpoint().port()},
                           [&](SocketError e) { ready += e ? 0 : 1; });
        REQUIRE(this->until([&] { return ready == 2; }));
    }
    /// The result of a call of a socket.
    struct Outcome {
        bool is_done = false;
        SocketError error{};
        std::size_t bytes = 0;
        auto handler() {
            is_done = false;
            return [this](SocketError e, std::size_t n) {
                is_done = true;
                error = e;
                bytes = n;
            };
        }
    };
    SocketError write(Socket& to, const std::string& text) {
        Outcome o;
        net::async_write(to, net::buffer(text), o.handler());
        REQUIRE(this->until([&] { return o.is_done; }));
        return o.error;
    }
    /// Reads exactly this many bytes, or up to an error.
    std::string read(Socket& from, std::size_t size, SocketError& error) {
        std::string text(size, '.');
        Outcome o;
        net::async_read(from, net::buffer(text), o.handler());
        REQUIRE(this->until([&] { return o.is_done; }));
        error = o.error;
        text.resize(o.bytes);
        return text;
    }
    SocketError error_of_read(Socket& from) {
        SocketError error;
        read(from, 1, error);
        return error;
    }
};

}  // namespace asio_sim_test
