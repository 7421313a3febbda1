// SPDX-License-Identifier: MIT
/// \file tests/support/asio_sim/foreign.hpp
/// Cases of I/O objects of asio itself that a program makes for a simulated context by mistake.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "support/asio_sim/rig.hpp"

namespace asio_sim_test {

/// Returns the sentence with which a world rejects an object that `use` makes, in a handler of a
/// simulated context or in the constructor of its process. It returns an empty text if it does not.
inline std::string foreign_refusal(bool in_handler,
                                   const std::function<void(SimNet::io_context&)>& use) {
    struct Process {
        Process(belay::sim::Host& host, bool in_handler,
                const std::function<void(SimNet::io_context&)>& use)
            : context{host} {
            if (in_handler) {
                net::post(context.get_executor(), [this, use] { use(context); });
            } else {
                use(context);
            }
        }
        SimNet::io_context context;
    };
    belay::sim::World world{belay::Seed{7}};
    try {
        world.host("host", [&](belay::sim::Host& h) {
            return std::make_unique<Process>(h, in_handler, use);
        });
        world.run_for(1h);
    } catch (const std::logic_error& e) {
        return e.what();
    }
    return {};
}

/// Each use is of objects that live longer than the world.
inline void foreign_objects_are_rejected() {
    const auto ignore = [](SocketError, auto&&...) {};
    const auto sentence = [](const std::string& object) {
        return "sim::AsioNet on \"host\": " + object +
               " of asio itself was made for a simulated context, and would wait in real time; use "
               "the type of sim::AsioNet";
    };
    for (const bool in_handler : {true, false}) {
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  const auto timer = std::make_shared<net::steady_timer>(context, 1ms);
                  timer->async_wait([timer](SocketError) { FAIL("in real time"); });
              }) == sentence("a steady_timer"));
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  // The executor alone, as of a coroutine.
                  const net::any_io_executor executor = context.get_executor();
                  const auto timer = std::make_shared<net::system_timer>(executor);
                  timer->expires_after(0ms);
                  timer->async_wait([timer](SocketError) {});
              }) == sentence("a system_timer"));
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  const auto socket = std::make_shared<net::ip::tcp::socket>(context);
                  socket->async_connect({net::ip::address_v4::loopback(), 1},
                                        [socket](SocketError) {});
              }) == sentence("an ip::tcp socket"));
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  const auto socket = std::make_shared<net::ip::udp::socket>(
                      context, net::ip::udp::endpoint{net::ip::address_v4::loopback(), 0});
                  socket->async_wait(socket->wait_read, [socket](SocketError) {});
              }) == sentence("an ip::udp socket"));
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  const auto signals = std::make_shared<net::signal_set>(context, SIGUSR1);
                  signals->async_wait([signals](SocketError, int) {});
              }) == sentence("a signal_set"));
        CHECK(foreign_refusal(in_handler, [&](auto& context) {
                  const auto resolver = std::make_shared<net::ip::tcp::resolver>(context);
                  resolver->async_resolve("127.0.0.1", "1",
                                          [resolver, ignore](SocketError e, auto&&) { ignore(e); });
              }) == sentence("a resolver"));
    }
    // A timer that nothing waits for is harmless: streams of TLS have two.
    CHECK(foreign_refusal(true, [&](auto& context) {
              const auto timer = std::make_shared<net::steady_timer>(context);
              timer->expires_at(net::steady_timer::time_point::max());
              const auto own = std::make_shared<SimNet::steady_timer>(context, 1ms);
              own->async_wait([timer, own](SocketError) {});
          }).empty());
}

}  // namespace asio_sim_test
