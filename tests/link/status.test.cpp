// SPDX-License-Identifier: MIT
// Goal: connectivity is disconnected until the first retry has failed, then reconnecting with
// its attempt. Method: the core as a value.
#include <belay/link/status.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;
using Kind = Connectivity::Kind;

static_assert(to_string(LinkState::blocked_auth) == "blocked_auth");
static_assert(to_string(static_cast<LinkState>(99)) == "unknown");
static_assert(to_string(Connectivity::Kind::connected) == "connected");
static_assert(to_string(Connectivity::Kind::reconnecting) == "reconnecting");
static_assert(to_string(static_cast<Connectivity::Kind>(3)) == "unknown");

namespace {

struct Viewed {
    TransportState transport;
    LinkRig<FakeTransport<>> rig{FakeTransport<>{transport}};
    [[nodiscard]] Connectivity view() const { return connectivity(rig.link.status()); }
    void fail(Duration now) {
        transport.link.closed({.cause = Cause::refused});
        rig.run(now);
    }
    void connect(Duration now) {
        transport.link.opened();
        rig.run(now);
    }
};

}  // namespace

TEST_CASE("connectivity of a start: the first attempt is no retry", "[link][status][regression]") {
    Viewed v;
    CHECK(v.view().kind == Kind::disconnected);
    CHECK(v.view().since == never);
    v.rig.start();
    CHECK(v.view().kind == Kind::disconnected);
    CHECK(v.view().since == at(0s));
    v.fail(0s);
    CHECK(v.view().kind == Kind::disconnected);
    CHECK(v.view().reason.cause == Cause::refused);
    v.rig.run(1s);  // the first retry is under way
    CHECK(v.view().kind == Kind::disconnected);
    v.fail(1s);
    CHECK(v.view().kind == Kind::reconnecting);
    CHECK(v.view().attempt == 2);
    CHECK(v.view().since == at(0s));
    v.rig.run(3s);
    v.connect(3s);
    CHECK(v.view().kind == Kind::connected);
    CHECK(v.view().since == at(3s));
}

TEST_CASE("connectivity of a loss: disconnected until the first retry has failed",
          "[link][status][regression]") {
    Viewed v;
    v.rig.start();
    v.connect(0s);
    SECTION("of a stable connection") { v.rig.run(20s); }
    SECTION("of a connection that was not stable") { v.rig.run(5s); }
    v.fail(20s);
    CHECK(v.view().kind == Kind::disconnected);
    CHECK(v.view().since == at(20s));
    v.rig.run(25s);
    REQUIRE(v.rig.state() == LinkState::connecting);
    CHECK(v.view().kind == Kind::disconnected);
    v.fail(25s);
    CHECK(v.view().kind == Kind::reconnecting);
    CHECK(v.view().since == at(20s));
    v.rig.link.shut(Gate::network);
    v.rig.run(25s);
    CHECK(v.view().kind == Kind::disconnected);
}
