// SPDX-License-Identifier: MIT
// Goal: look-ups that hang delay neither other names nor the end of their context, and a dial does
// not connect to itself. Method: the system's functions, replaced by those of the test.
#include <belay/asio/tcp.hpp>

#include <deque>
#include <optional>

#include <belay/asio/boost.hpp>
#include <belay/asio/detail/dial.hpp>

#include "support/asio/tcp_suite.hpp"
#include "support/catch.hpp"
#include "support/posix/own_names.hpp"

using namespace belay;
using namespace belay_test;
using Context = boost::asio::io_context;
using LookUpSuite = AsioTcpSuite<Context>;

TEST_CASE("AsioTcp: 24 names that hang delay neither another name nor the end of their context",
          "[asio][look_ups][regression]") {
    const HangingNames hanging;
    const RawSocket server = RawSocket::listen();
    {
        Context context;
        AsioLoop loop{context};
        std::deque<AsioApp> apps;
        using Link = Supervisor<AsioTcp<Context>, OneAttempt, std::reference_wrapper<AsioApp>>;
        std::deque<Link> links;
        for (int i = 0; i < 25; ++i) {
            const std::string host = i < 24 ? "hangs" + std::to_string(i) : "localhost";
            links.emplace_back(AsioTcp{context, {host, server.port()}}, OneAttempt{MaxAttempts{1}},
                               SupervisorOptions{}, std::ref(apps.emplace_back()));
            loop.attach(links.back());
            links.back().start();
        }
        run_until(context, [&] { return apps.back().state == LinkState::connected; });
        run_until(context, [&] { return HangingNames::inside == 24; });
        CHECK(apps.front().state == LinkState::connecting);
    }
    CHECK(HangingNames::inside == 24);
}

TEST_CASE("AsioTcp reports a look-up that ends while nothing else keeps the context busy",
          "[asio][look_ups][unit]") {
    std::optional<HangingNames> hanging{std::in_place};
    LookUpSuite::Supervised rig{{"hangs", 9}};
    run_until(rig.context, [] { return HangingNames::inside == 1; });
    hanging.reset();
    rig.context.restart();
    rig.context.run();
    CHECK(rig.app.failure.cause == Cause::refused);
    CHECK(rig.app.failure.error().category().name() == std::string{"belay.resolve"});
}

TEST_CASE("A dial of AsioTcp that connects to itself counts as refused",
          "[asio][look_ups][regression]") {
    const SelfConnections on;
    for (const char* const host : {"127.0.0.1", "localhost"}) {
        CAPTURE(host);
        LookUpSuite::Supervised rig{{host, unused_port()}};
        CHECK(rig.failure().error() == std::errc::connection_refused);
    }
}

TEST_CASE("AsioSystemResolver finds the addresses of a name, or reports that there are none",
          "[asio][look_ups][unit]") {
    Context context;
    detail::AsioSystemResolver resolver{context};
    driver::Question<posix::HostAddresses> known, unknown;
    resolver.look_up("localhost", known.ask());
    resolver.look_up("no-such-host.invalid", unknown.ask());
    run_until(context, [&] { return known.answered() && unknown.answered(); });
    const auto found = known.take();
    REQUIRE(found);
    CHECK(std::count(found->addresses.begin(), found->addresses.end(), "127.0.0.1") == 1);
    CHECK_FALSE(found->error);
    CHECK(cause_of(unknown.take()->error) == Cause::refused);
}
