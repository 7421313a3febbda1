// SPDX-License-Identifier: MIT
// Goal: a look-up that hangs delays neither other names nor the end of its context, and a dial does
// not connect to itself. Method: the system's functions, replaced by those of the test.
#include <belay/beast/websocket.hpp>

#include "support/beast/listener_rig.hpp"
#include "support/beast/websocket_rig.hpp"
#include "support/posix/own_names.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay;
using namespace belay_test;
using Plain = beast::WebSocket<>;
using LookUpRig = WebSocketRig<Plain>;

TEST_CASE("beast::WebSocket: a name that hangs delays neither another name nor their context's end",
          "[beast][look_ups][regression]") {
    const HangingNames hanging;
    ListenerRig<> server;
    {
        LookUpRig rig{[&](auto& context) { return Plain{context, {"localhost", server.port}}; }};
        WebSocketApp stuck;
        Supervisor link{Plain{rig.context, {"hangs", 9}}, LookUpRig::Policy{MaxAttempts{1}},
                        SupervisorOptions{}, std::ref(stuck)};
        rig.loop.attach(link);
        link.start();
        rig.until([] { return HangingNames::inside == 1; });
        rig.until([&] {
            server.turn();
            return rig.app.state == LinkState::connected;
        });
        CHECK(stuck.state == LinkState::connecting);
    }
    CHECK(HangingNames::inside == 1);
}

TEST_CASE("A dial of beast::WebSocket that connects to itself counts as refused",
          "[beast][look_ups][regression]") {
    const SelfConnections on;
    for (const char* const host : {"127.0.0.1", "localhost"}) {
        CAPTURE(host);
        LookUpRig rig{[&](auto& context) { return Plain{context, {host, unused_port()}}; }};
        CHECK(rig.failure().error() == std::errc::connection_refused);
    }
}
