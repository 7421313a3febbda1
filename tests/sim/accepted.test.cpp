// SPDX-License-Identifier: MIT
// Goal: an accepted connection is a transport for one attempt, opened at any time or never.
// Method: a simulated world.
#include <belay/sim/accepted.hpp>

#include <optional>

#include <belay/link/served_link.hpp>

#include "support/catch.hpp"
#include "support/sim/sim_peers.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

static_assert(TransportLike<sim::Accepted> && !std::is_copy_constructible_v<sim::Accepted>);
static_assert(std::is_nothrow_move_constructible_v<sim::Accepted>);
static_assert(!std::is_move_constructible_v<sim::detail::Connection>);

namespace {

/// A server that stores accepted connections without opening them.
struct AcceptedRig {
    AcceptedRig() {
        server.listen(9000, [this](sim::Accepted a) { accepted.emplace(std::move(a)); });
        client.attach(link);
        link.start();
        world.run_for(20ms);
        REQUIRE(link.status().state == LinkState::connected);
        REQUIRE(accepted.has_value());
    }
    sim::World world{Seed{3}};
    sim::Host& server = world.host("server");
    sim::Host& client = world.host("client");
    std::optional<sim::Accepted> accepted;
    Notes notes;
    Notes there;
    Supervisor<sim::Tcp, decltype(retry_for_ever({})), NotesObserver> link{
        sim::Tcp{client, "server", 9000}, retry_for_ever({}), {}, NotesObserver{&notes}};
};

}  // namespace

TEST_CASE("Accepted keeps messages until it is opened", "[sim][accepted][unit]") {
    AcceptedRig rig;
    CHECK(rig.accepted->peer() == "client");
    REQUIRE(rig.link.send(to_bytes("a")) == SendResult::sent);
    REQUIRE(rig.link.send(to_bytes("b")) == SendResult::sent);
    rig.world.run_for(1s);
    Supervisor peer{
        std::move(*rig.accepted), Policy{MaxAttempts{1}}, {}, NotesObserver{&rig.there}};
    rig.server.attach(peer);
    peer.start();
    rig.world.run_for(0s);
    CHECK(rig.there.observed ==
          std::vector<std::string>{"connecting", "connected", "message a", "message b"});
}

TEST_CASE("Accepted resets the connection when it is destroyed unopened", "[sim][accepted][unit]") {
    AcceptedRig rig;
    rig.accepted.reset();
    rig.world.run_for(10ms);
    CHECK(rig.notes.observed.back() != "connected");
    CHECK(rig.world.network().sockets(rig.server) == 0);
}

TEST_CASE("Accepted opens once", "[sim][accepted][unit]") {
    AcceptedRig rig;
    Supervisor peer{std::move(*rig.accepted), retry_for_ever({}), {}, NotesObserver{&rig.there}};
    rig.accepted.reset();
    rig.server.attach(peer);
    peer.start();
    rig.world.run_for(1s);
    CHECK(rig.there.observed.back() == "connected");
    rig.link.stop();
    rig.world.run_for(10s);
    // The second attempt of its supervisor fails for good.
    CHECK(rig.there.observed.back() == "failed permanent");
}

TEST_CASE("Accepted of a dead process is closed when it is opened", "[sim][accepted][unit]") {
    AcceptedRig rig;
    SECTION("the listener's own") {
        rig.world.restart(rig.server);
        Supervisor peer{
            std::move(*rig.accepted), Policy{MaxAttempts{1}}, {}, NotesObserver{&rig.there}};
        rig.server.attach(peer);
        peer.start();
        rig.world.run_for(1s);
        CHECK(rig.there.observed.back() == "failed lost");
    }
    SECTION("the dialler's: its messages arrive first") {
        REQUIRE(rig.link.send(to_bytes("a")) == SendResult::sent);
        rig.world.run_for(10ms);
        rig.world.kill(rig.client);
        rig.world.run_for(1s);
        Supervisor peer{
            std::move(*rig.accepted), Policy{MaxAttempts{1}}, {}, NotesObserver{&rig.there}};
        rig.server.attach(peer);
        peer.start();
        rig.world.run_for(1s);
        CHECK(rig.there.messages().size() <= 1);
        CHECK(rig.there.observed.back() == "failed lost");
    }
}

TEST_CASE("Accepted holds at most limit_output bytes", "[sim][accepted][unit]") {
    AcceptedRig rig;
    ServedLink served{std::move(*rig.accepted), 4, Waker{}, 0};
    served.limit_output(300);
    const Bytes message(84);  // counts as 100
    int sent = 0;
    while (served.send(message) == SendResult::sent) ++sent;
    CHECK(sent == 3);
    CHECK(served.send(message) == SendResult::busy);
    rig.world.run_for(1s);
    served.advance(rig.world.now(), 4, [](const Bytes&, Lane) {});
    CHECK(served.take_writable());
    CHECK(served.send(message) == SendResult::sent);
    // One message of any size is accepted if none waits.
    served.limit_output(0);
    rig.world.run_for(1s);
    CHECK(served.send(message) == SendResult::sent);
    CHECK(served.send(message) == SendResult::busy);
}
