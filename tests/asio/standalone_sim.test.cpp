// SPDX-License-Identifier: MIT
// Goal: code over standalone asio's types runs in a world as on real sockets. Method: the same
// cases on the loopback and in a world, cancellation slots, a chat under faults.
#include <belay/asio_sim/net.hpp>

#include <belay/asio/standalone.hpp>

#include <asio.hpp>

namespace asio_sim_test {
namespace net = asio;
}

#include "support/asio_sim/cases.hpp"
#include "support/asio_sim/foreign.hpp"
#if defined(ASIO_HAS_CO_AWAIT)
#    include "support/asio_sim/chat.hpp"
#    include "support/asio_sim/default_token.hpp"
#endif

namespace asio_sim_test {

namespace {

using Terminal = net::cancellation_type;

template <class Pair>
void slots_cancel_one_operation() {
    ConnectedPair<Pair> p;
    net::cancellation_signal signal;
    std::vector<SocketError> ends;
    const auto collect = [&](SocketError e, auto&&...) { ends.push_back(e); };
    const auto slotted = [&] { return net::bind_cancellation_slot(signal.slot(), collect); };
    typename Pair::Net::steady_timer timer{p.client(), 1h};
    char byte = 0;
    SECTION("a wait") {
        timer.async_wait(slotted());
        timer.async_wait(net::detached);
    }
    SECTION("a read") { p.near.async_read_some(net::buffer(&byte, 1), slotted()); }
    SECTION("an accept") { p.acceptor.async_accept(slotted()); }
    p.settle();
    CHECK(ends.empty());
    signal.emit(Terminal::none);
    p.settle();
    CHECK(ends.empty());
    signal.emit(Terminal::total);
    CHECK(ends.empty());  // no handler runs inside of the signal
    REQUIRE(p.until([&] { return ends.size() == 1; }));
    CHECK(ends[0] == net::error::operation_aborted);
    signal.emit(Terminal::terminal);  // of an operation that has ended
    p.settle();
    CHECK(ends.size() == 1);
    CHECK(timer.cancel() <= 1);
    CHECK_FALSE(p.write(p.far, "x"));
    SocketError error;
    CHECK(p.read(p.near, 1, error) == "x");
}

}  // namespace

TEST_CASE("A slot of asio cancels one operation of asio", "[asio][asio_sim][unit]") {
    slots_cancel_one_operation<RealPair>();
}
TEST_CASE("A slot of asio cancels one operation of a world", "[asio][asio_sim][sim]") {
    slots_cancel_one_operation<SimPair>();
}

TEST_CASE("A slot of asio may be signalled after the end of its socket", "[asio][asio_sim][sim]") {
    SimPair p;
    net::cancellation_signal connecting, resolving;
    std::vector<SocketError> ends;
    const auto collect = [&](SocketError e, auto&&...) { ends.push_back(e); };
    SimNet::tcp::resolver resolver{p.client()};
    {
        SimNet::tcp::socket s{p.client()};
        s.async_connect({SimPair::address(), 1},
                        net::bind_cancellation_slot(connecting.slot(), collect));
        const std::vector<SimNet::tcp::endpoint> both(2, {SimPair::address(), 1});
        async_connect(s, both, net::bind_cancellation_slot(resolving.slot(), collect));
    }
    connecting.emit(Terminal::terminal);
    resolving.emit(Terminal::terminal);
    p.settle();
    REQUIRE(ends.size() == 2);
    resolver.async_resolve("server", "1", net::bind_cancellation_slot(resolving.slot(), collect));
    resolving.emit(Terminal::terminal);
    p.settle();
    REQUIRE(ends.size() == 3);
    for (const SocketError& e : ends) CHECK(e == net::error::operation_aborted);
}

TEST_CASE("A world rejects the I/O objects of standalone asio on a simulated context",
          "[asio][asio_sim][sim]") {
    foreign_objects_are_rejected();
}

}  // namespace asio_sim_test
