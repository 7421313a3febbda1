// SPDX-License-Identifier: MIT
// Goal: check::transport detects each mistake of a transport, and accepts belay's own
// transports. Method: a small transport with one planted mistake each; the real ones against an
// echo of the same kind.
#include <belay/link/transport_check.hpp>

#include <concepts>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <belay/link/framings.hpp>
#include <belay/posix/tcp.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/link/broken_transport.hpp"
#include "support/posix/echo_server.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::TransportMistake;

namespace {

template <TransportMistake mistake>
std::string found() {
    const auto broken =
        check::transport([] { return std::make_unique<belay_test::BrokenTransportRig<mistake>>(); },
                         belay_test::nth_text);
    return broken ? to_string(*broken) : "right";
}
template <class Rig>
std::string verdict_on() {
    const auto broken =
        check::transport([] { return std::make_unique<Rig>(); }, belay_test::nth_bytes);
    return broken ? to_string(*broken) : "right";
}

template <class Framing>
struct TcpEchoRig {
    posix::Loop<> loop{};
    belay_test::EchoServer<Framing> server{loop};
    posix::Tcp<Framing> transport{loop, {"127.0.0.1", server.port()}, Framing{}};
    void run_once() { belay_test::run_once(loop); }
    void hang_up() { server.hang_up(); }
};

template <class Framing>
struct UnixEchoRig {
    belay_test::TemporaryDirectory directory{};
    posix::Loop<> loop{};
    belay_test::EchoServer<Framing> server{loop, posix::UnixPath{directory / "echo.sock"}};
    posix::Unix<Framing> transport{loop, {directory / "echo.sock"}, Framing{}};
    void run_once() { belay_test::run_once(loop); }
    void hang_up() { server.hang_up(); }
};

/// The other end: the accepted connection is checked, and the dialling one returns each message.
/// `Dialled` is posix::Tcp<> or posix::Unix<>.
template <class Dialled>
struct AcceptedRig {
    static constexpr bool is_unix = std::same_as<Dialled, posix::Unix<>>;
    belay_test::TemporaryDirectory directory{};
    posix::Loop<> loop{};
    std::optional<posix::Accepted<>> arrived{};
    struct OnAccept {
        AcceptedRig* rig;
        void operator()(posix::Accepted<> accepted) const {
            rig->arrived.emplace(std::move(accepted));
        }
    };
    posix::Listener<OnAccept> listener{loop, OnAccept{this}};
    using Client = Supervisor<Dialled, belay_test::OneAttempt, belay_test::Echo>;
    std::optional<Client> client{};
    posix::Accepted<> transport{accepted()};

    posix::Accepted<> accepted() {
        client.emplace(dialled(), belay_test::OneAttempt{MaxAttempts{1}}, SupervisorOptions{},
                       belay_test::Echo{});
        loop.attach(*client);
        client->start();
        REQUIRE(loop.run_until([&] { return arrived.has_value(); }));
        return std::move(*arrived);
    }
    Dialled dialled() {
        if constexpr (is_unix) {
            const posix::UnixPath path{directory / "accept.sock"};
            REQUIRE_FALSE(listener.listen(path));
            return Dialled{loop, path};
        } else {
            REQUIRE_FALSE(listener.listen({"127.0.0.1", 0}));
            return Dialled{loop, {"127.0.0.1", listener.port()}};
        }
    }
    void run_once() { belay_test::run_once(loop); }
    void hang_up() { client->stop(); }
};

/// Two hosts of a simulated world.
struct SimRig {
    sim::World world{Seed{3}};
    struct Server {
        std::list<Supervisor<sim::Accepted, belay_test::OneAttempt, belay_test::Echo>>
            served_connections;
    };
    sim::Host& server = world.host("server", [](sim::Host& host) {
        auto process = std::make_unique<Server>();
        host.listen(1, [&host, p = process.get()](sim::Accepted accepted) {
            auto& served = p->served_connections.emplace_back(
                std::move(accepted), belay_test::OneAttempt{MaxAttempts{1}}, SupervisorOptions{},
                belay_test::Echo{});
            host.attach(served);
            served.start();
        });
        return process;
    });
    sim::Host& client = world.host("client", [](sim::Host&) {});
    sim::Tcp transport{client, "server", 1};
    void run_once() { world.run_for(1ms); }
    void hang_up() { server.process<Server>()->served_connections.clear(); }
};

}  // namespace

TEST_CASE("check::transport reports the rule that each planted mistake breaks",
          "[link][transport_check][unit]") {
    using M = TransportMistake;
    using R = check::TransportRule;
    CHECK(found<M::none>() == "right");
    CHECK(found<M::never_opens>() == to_string(R::opens));
    CHECK(found<M::opens_twice>() == to_string(R::opens_once));
    CHECK(found<M::opens_late>() == to_string(R::end_is_final));
    CHECK(found<M::reports_closed_inside_open>() == to_string(R::end_is_final));
    CHECK(found<M::sends_before_it_opens>() == to_string(R::opened_comes_first));
    CHECK(found<M::takes_before_it_opens>() == to_string(R::sends_nothing_before_it_is_open));
    CHECK(found<M::loses_one>() == to_string(R::carries_each_once_in_order));
    CHECK(found<M::sends_one_twice>() == to_string(R::carries_each_once_in_order));
    CHECK(found<M::swaps_two>() == to_string(R::carries_each_once_in_order));
    CHECK(found<M::cuts_one_short>() == to_string(R::carries_each_once_in_order));
    CHECK(found<M::takes_without_end>() == to_string(R::output_is_bounded));
    CHECK(found<M::stalls_after_busy>() == to_string(R::space_follows_busy));
    CHECK(found<M::reports_space_twice>() == to_string(R::space_is_reported_once));
    CHECK(found<M::reports_space_unrequested>() == to_string(R::space_is_reported_once));
    CHECK(found<M::misreports_space>() == to_string(R::space_is_usable));
    CHECK(found<M::floods_on_full>() == to_string(R::keeps_what_was_rejected));
    CHECK(found<M::offers_the_rejected_last>() == to_string(R::keeps_what_was_rejected));
    CHECK(found<M::ignores_ping>() == to_string(R::ping_is_answered));
    CHECK(found<M::ignores_the_limit>() == to_string(R::limit_holds));
    CHECK(found<M::delivers_beyond_the_limit>() == to_string(R::limit_holds));
    CHECK(found<M::never_reports_the_end>() == to_string(R::end_is_reported));
    CHECK(found<M::closes_twice>() == to_string(R::end_is_final));
    CHECK(found<M::sends_after_the_end>() == to_string(R::end_is_final));
    CHECK(found<M::takes_after_the_end>() == to_string(R::sends_nothing_after_its_end));
    CHECK(found<M::opens_once_only>() == to_string(R::opens_again));
    CHECK(found<M::never_ends_its_close>() == to_string(R::close_ends));
    CHECK(found<M::reports_in_its_destructor>() == to_string(R::destructor_reports_nothing));
    CHECK(found<M::reports_after_its_destructor>() == to_string(R::destructor_reports_nothing));
}

TEST_CASE("check::transport finds no fault in belay's transports",
          "[link][transport_check][unit]") {
    CHECK(verdict_on<TcpEchoRig<LengthPrefixed>>() == "right");
    CHECK(verdict_on<TcpEchoRig<Lines>>() == "right");
    CHECK(verdict_on<AcceptedRig<posix::Tcp<>>>() == "right");
    CHECK(verdict_on<UnixEchoRig<LengthPrefixed>>() == "right");
    CHECK(verdict_on<UnixEchoRig<Lines>>() == "right");
    CHECK(verdict_on<AcceptedRig<posix::Unix<>>>() == "right");
    CHECK(verdict_on<SimRig>() == "right");
}
