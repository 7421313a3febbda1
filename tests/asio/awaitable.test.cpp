// SPDX-License-Identifier: MIT
// Goal: asio's coroutines, which await only asio's own types, and plain handlers can wait for a
// link by a completion token. Method: Boost's asio and a posix server on the loopback; destroyed
// while they wait. Clang 14 has no coroutines of Boost 1.74.
#include <belay/link/awaitable.hpp>

#include <belay/asio/boost.hpp>
#include <belay/asio/loop.hpp>
#include <belay/asio/tcp.hpp>

#if __has_include(<boost/asio/awaitable.hpp>)
#    include <boost/asio/awaitable.hpp>
#    include <boost/asio/co_spawn.hpp>
#    include <boost/asio/detached.hpp>
#    include <boost/asio/use_awaitable.hpp>
#endif

#include <belay/link/framings.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>

#include "support/asio/run_until.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::RawSocket;

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

namespace {

namespace asio = boost::asio;
using Lined = Supervisor<AsioTcp<asio::io_context, Lines>, Policy<MaxAttempts>, LinkAwaits<>>;

struct AsioAwaitRig {
    RawSocket server = RawSocket::listen();
    asio::io_context context{};
    AsioLoop<asio::io_context> loop{context};
    Lined link{AsioTcp{context, {"127.0.0.1", server.port()}, Lines{.bytes_max = 50}},
               Policy{MaxAttempts{1}},
               {},
               LinkAwaits{}};
    std::vector<std::string> observed{};
    bool over = false;

    AsioAwaitRig() {
        loop.attach(link);
        link.start();
    }
    template <class Done>
    void until(Done done) {
        belay_test::run_until(context, done);
    }
    asio::awaitable<void> receive_all() {
        if (co_await connected(link, asio::use_awaitable)) observed.emplace_back("up");
        for (;;) {
            auto line = co_await receive(link, asio::use_awaitable);
            if (!line) break;
            observed.emplace_back(as_text(*line));
        }
        const auto again = co_await connected(link, asio::use_awaitable);
        if (!again) observed.emplace_back(to_string(again.error().cause));
        over = true;
    }
};

}  // namespace

TEST_CASE("asio's coroutines await a link by a completion token", "[asio][awaitable][unit]") {
    AsioAwaitRig rig;
    asio::co_spawn(rig.context, rig.receive_all(), asio::detached);
    rig.until([&] { return !rig.observed.empty(); });
    RawSocket peer = rig.server.accept();
    peer.send("one\ntwo\n");
    rig.until([&] { return rig.observed.size() == 3; });
    peer.close();
    rig.until([&] { return rig.over; });
    CHECK(rig.observed == std::vector<std::string>{"up", "one", "two", "lost"});
}

TEST_CASE("asio's coroutines that wait for a link are destroyed with it, without being resumed",
          "[asio][awaitable][fault]") {
    bool left = false;
    struct Leaves {
        bool& flag;
        ~Leaves() { flag = true; }
    };
    const auto waits = [](Lined& link, bool& flag, bool& reported) -> asio::awaitable<void> {
        const Leaves leaves{flag};
        static_cast<void>(co_await connected(link, asio::use_awaitable));
        static_cast<void>(co_await receive(link, asio::use_awaitable));
        reported = true;
    };
    bool reported = false;
    {
        AsioAwaitRig rig;
        asio::co_spawn(rig.context, waits(rig.link, left, reported), asio::detached);
        rig.until([&] { return rig.link.status().state == LinkState::connected; });
        rig.context.poll();
        CHECK_FALSE(left);
    }
    CHECK(left);
    CHECK_FALSE(reported);
}

#else

TEST_CASE("Boost.Asio has no coroutines with this compiler", "[asio][awaitable][unit]") {
    SUCCEED("nothing to test");
}

#endif
