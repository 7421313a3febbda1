// SPDX-License-Identifier: MIT
// Goal: silent sockets of a few addresses do not block other clients of a beast::Listener. Method:
// 1,080 real sockets that connect again as soon as they are closed, and newcomers whose requests
// take a round trip.
#include <belay/beast/listener.hpp>

#include <sys/resource.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/beast/listener_rig.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::is_over;
using belay_test::ListenerRig;
using belay_test::RawSocket;
using belay_test::UpgradeText;

namespace {

using Clock = std::chrono::steady_clock;

/// Raises the limit of descriptors to that of the system.   Returns: whether it is high enough.
bool has_descriptors(rlim_t count) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    limit.rlim_cur = limit.rlim_max;
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= count;
}

/// A socket that sends nothing, and connects again when it is closed.
struct SilentSocket {
    std::string ip;
    RawSocket socket{};
    /// Returns: whether it has connected again.
    bool redial(std::uint16_t port) {
        if (socket.fd() >= 0 && !is_over(socket)) return false;
        socket = RawSocket{};
        socket = RawSocket::try_connect(port, ip);
        return true;
    }
};

struct Newcomer {
    RawSocket socket;
    Clock::time_point sends_at;
    bool has_sent = false;
    bool is_in = false;
};

}  // namespace

TEST_CASE("Newcomers are admitted although 36 addresses hold 30 silent sockets each",
          "[beast][newcomers][fault]") {
    if (!has_descriptors(4'000)) {
        WARN("RLIMIT_NOFILE is below 4,000: these sockets cannot be opened");
        return;
    }
    // Only newcomers end a silent upgrade.
    ListenerRig<> rig{{.upgrade_within = 1h}};
    std::vector<SilentSocket> silent;
    for (int i = 0; i < 36 * 30; ++i) silent.push_back({"127.1." + std::to_string(i / 30) + ".1"});
    std::size_t next = 0;
    const auto redial = [&] {
        // The listener accepts in the same thread, and a full backlog would block it.
        int connected = 0;
        for (std::size_t i = 0; i < silent.size() && connected < 30; ++i) {
            next = (next + 1) % silent.size();
            if (silent[next].redial(rig.port)) ++connected;
        }
    };
    const std::uint64_t waiting_max = beast::ListenerOptions{}.waiting_max;
    REQUIRE(silent.size() > waiting_max);
    rig.until([&] {
        redial();
        return rig.counters().accepted >= waiting_max && rig.counters().given_up > 0;
    });
    std::vector<Newcomer> newcomers;
    std::size_t inside = 0;
    rig.until([&] {
        redial();
        // The 30 newcomers connect at the same time.
        if (newcomers.size() < 30) {
            const std::string ip = "127.2." + std::to_string(newcomers.size()) + ".1";
            newcomers.push_back({RawSocket::try_connect(rig.port, ip), Clock::now() + 200ms});
        }
        for (Newcomer& one : newcomers) {
            if (one.is_in) continue;
            REQUIRE_FALSE(is_over(one.socket));
            if (one.has_sent && one.socket.read_some().starts_with("HTTP/1.1 101")) {
                one.is_in = true;
                ++inside;
            }
            if (one.has_sent || Clock::now() < one.sends_at) continue;
            one.socket.send(UpgradeText{}.text());
            one.has_sent = true;
        }
        return inside == 30;
    });
    CHECK(rig.counters().upgraded == 30);
    CHECK(rig.counters().given_up >= 30);
}
