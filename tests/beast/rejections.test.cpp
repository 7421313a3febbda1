// SPDX-License-Identifier: MIT
// Goal: each connection that does not become a WebSocket has one reason, one count, and one event
// if the listener decides. Method: real sockets provoke each RejectedUpgrade::Reason. A switch
// without a default does not compile when a reason is added.
#include <belay/beast/listener.hpp>

#include <sys/resource.h>

#include <string>
#include <vector>

#include <belay/beast/tls.hpp>

#include "support/beast/listener_rig.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::is_over;
using belay_test::ListenerRig;
using belay_test::RawSocket;
using belay_test::UpgradeText;
using RejectionReason = beast::RejectedUpgrade::Reason;

namespace {

using Reasons = beast::ListenerCounters::Reasons;
using Tls = boost::beast::ssl_stream<boost::beast::tcp_stream>;

/// The numbers that one rejection must have changed.
struct Expected {
    bool calls_hook = true;
    std::uint64_t accepted = 1;
    std::uint64_t beast::ListenerCounters::*outcome = &beast::ListenerCounters::rejected;
};

/// Checks that exactly one rejection was counted and reported since the construction.
template <class Rig>
class OneRejection {
public:
    OneRejection(Rig& rig, RejectionReason why) : rig_{rig}, why_{why}, before_{rig.counters()} {
        events_ = rig.rejected.size();
    }
    void check(const Expected& expected = {}) {
        const beast::ListenerCounters now = rig_.counters();
        for (std::size_t i = 0; i < Reasons::count; ++i) {
            const auto one = static_cast<RejectionReason>(i);
            INFO(to_string(why_) << ", counted as " << to_string(one));
            CHECK(now.reasons.of(one) == before_.reasons.of(one) + (one == why_ ? 1U : 0U));
        }
        INFO(to_string(why_));
        CHECK(now.accepted == before_.accepted + expected.accepted);
        if (expected.outcome) CHECK(now.*expected.outcome == before_.*expected.outcome + 1);
        REQUIRE(rig_.rejected.size() == events_ + (expected.calls_hook ? 1U : 0U));
        if (!expected.calls_hook) return;
        const beast::RejectedUpgrade& event = rig_.rejected.back();
        CHECK(event.reason == why_);
        CHECK(event.error);
        CHECK(event.unreported == 0);
        CHECK(event.ip == (why_ == RejectionReason::exhausted ? "" : "127.0.0.1"));
    }

private:
    Rig& rig_;
    const RejectionReason why_;
    const beast::ListenerCounters before_;
    std::size_t events_ = 0;
};

/// A request that the listener rejects.
void answer(RejectionReason why, const std::string& request, beast::ListenerOptions options = {}) {
    ListenerRig<> rig{std::move(options)};
    OneRejection one{rig, why};
    static_cast<void>(rig.answer_to(request));
    one.check();
}

/// A connection that is closed unread because of other ones: `others` of them wait, are open, or
/// were rejected.
enum class Others : std::uint8_t { wait, open, rejected };
void close_unread(RejectionReason why, beast::ListenerOptions options, Others others) {
    ListenerRig<> rig{std::move(options)};
    const RawSocket first = RawSocket::connect(rig.port);
    if (others == Others::open) first.send(UpgradeText{}.text());
    if (others == Others::rejected) first.send("garbage\r\n\r\n");
    rig.until([&] {
        const beast::ListenerCounters c = rig.counters();
        return c.accepted == 1 && (others == Others::wait || c.upgraded + c.rejected == 1);
    });
    OneRejection one{rig, why};
    const RawSocket second = RawSocket::connect(rig.port);
    rig.until([&] { return is_over(second); });
    one.check({.outcome = &beast::ListenerCounters::turned_away});
}

void provoke(RejectionReason why) {
    const std::string good = UpgradeText{}.text();
    switch (why) {
        case RejectionReason::malformed:
            return answer(why, UpgradeText{.key = ""}.text());
        case RejectionReason::too_large:
            return answer(why, UpgradeText{.target = "/" + std::string(9000, 'x')}.text());
        case RejectionReason::timed_out:
            return answer(why, good.substr(0, 20), {.upgrade_within = 1ms});
        case RejectionReason::no_upgrade:
            return answer(why, UpgradeText{.upgrade = ""}.text());
        case RejectionReason::origin:
            return answer(why, UpgradeText{.more = "Origin: https://evil.example\r\n"}.text());
        case RejectionReason::subprotocol:
            return answer(why, good, {.messages = {.subprotocol = "chat"}});
        case RejectionReason::tls: {
            // Without a certificate, TLS fails for each client. Garbage is no TLS at all.
            boost::asio::ssl::context context{boost::asio::ssl::context::tls_server};
            ListenerRig<Tls> rig{{}, context};
            OneRejection one{rig, why};
            static_cast<void>(rig.answer_to("GET / HTTP/1.1\r\n\r\n"));
            return one.check();
        }
        case RejectionReason::connections_max:
            return close_unread(why, {.connections_max = 1}, Others::open);
        case RejectionReason::waiting_max:
            return close_unread(why, {.waiting_max = 1}, Others::wait);
        case RejectionReason::connections_per_ip_max:
            return close_unread(why, {.connections_per_ip_max = 1}, Others::open);
        case RejectionReason::waiting_per_ip_max:
            return close_unread(why, {.waiting_per_ip_max = 1}, Others::wait);
        case RejectionReason::upgrades_per_ip_and_minute:
            return close_unread(why, {.upgrades_per_ip_and_minute = 1}, Others::open);
        case RejectionReason::rejections_per_ip_and_minute:
            return close_unread(why, {.rejections_per_ip_and_minute = 1}, Others::rejected);
        case RejectionReason::given_up: {
            ListenerRig<> rig{{.upgrade_within = 1h, .waiting_max = 2}};
            std::vector<RawSocket> silent;
            for (int i = 0; i < 2; ++i) silent.push_back(RawSocket::connect(rig.port));
            rig.until([&] { return rig.counters().accepted == 2; });
            OneRejection one{rig, why};
            const RawSocket third = RawSocket::connect(rig.port);
            rig.until([&] { return is_over(silent.front()); });
            return one.check({.outcome = &beast::ListenerCounters::given_up});
        }
        case RejectionReason::exhausted: {
            ListenerRig<> rig{{.exhausted_pause = 1h}};
            const RawSocket waits = RawSocket::connect(rig.port);
            rlimit before{};
            REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
            rlimit none = before;
            none.rlim_cur = 0;
            OneRejection one{rig, why};
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
            rig.until([&] { return !rig.rejected.empty(); });
            REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
            return one.check({.accepted = 0, .outcome = nullptr});
        }
        case RejectionReason::by_user: {
            ListenerRig<> rig;
            rig.on_accept = [](beast::Accepted<> client) { client.reject(503); };
            OneRejection one{rig, why};
            static_cast<void>(rig.answer_to(good));
            return one.check({.calls_hook = false});
        }
        case RejectionReason::unanswered: {
            ListenerRig<> rig;
            rig.on_accept = [](const beast::Accepted<>&) {};
            OneRejection one{rig, why};
            static_cast<void>(rig.answer_to(good));
            return one.check({.calls_hook = false});
        }
        case RejectionReason::closed: {
            ListenerRig<> rig;
            OneRejection one{rig, why};
            const RawSocket silent = RawSocket::connect(rig.port);
            rig.until([&] { return rig.counters().accepted == 1; });
            rig.listener->close();
            return one.check({.calls_hook = false});
        }
    }
    FAIL("no case provokes this reason");
}

/// Calls `reject` until an event has the number of the unreported rejections before it. The hook is
/// called for 60 rejections at once, and then once for each second. The duration of this test is
/// therefore that of the listener, on a machine of any speed.
template <class Rig, class Reject>
void flood(Rig& rig, Reject&& reject) {
    for (int n = 0; rig.rejected.empty() || rig.rejected.back().unreported == 0; ++n) {
        reject();
        // Each turn without work waits for 1 ms.
        for (int turns = 0; n > 60 && turns < 20; ++turns) rig.turn();
    }
}

[[nodiscard]] std::uint64_t sum_of(const RoomCounters::Histogram& times) {
    std::uint64_t all = 0;
    for (const std::uint64_t count : times.counts) all += count;
    return all;
}

}  // namespace

TEST_CASE("Each reason of a rejected upgrade is counted once, and reported if the listener decides",
          "[beast][rejections][fault]") {
    for (std::size_t i = 0; i < Reasons::count; ++i) {
        const auto why = static_cast<RejectionReason>(i);
        CHECK(to_string(why) != "unknown");
        provoke(why);
    }
    CHECK(to_string(static_cast<RejectionReason>(Reasons::count)) == "unknown");
}

TEST_CASE("The clients of a proxy are rejected by the limit of their own address",
          "[beast][rejections][fault]") {
    ListenerRig<> rig{{.connections_per_ip_max = 1, .proxies = {"127.0.0.1"}}};
    const std::string request = UpgradeText{.more = "X-Forwarded-For: 192.0.2.1\r\n"}.text();
    const RawSocket first = RawSocket::connect(rig.port);
    first.send(request);
    rig.until([&] { return rig.counters().upgraded == 1; });
    static_cast<void>(rig.answer_to(request));
    REQUIRE(rig.rejected.size() == 1);
    CHECK(rig.rejected[0].reason == RejectionReason::connections_per_ip_max);
    CHECK(rig.rejected[0].status == 429);
    CHECK(rig.counters().reasons.of(RejectionReason::connections_per_ip_max) == 1);
    CHECK(rig.counters().rejected == 1);
}

TEST_CASE("A flood through a proxy is reported at the rate of connections over a limit",
          "[beast][rejections][fault]") {
    // The first is of a client above its share. The second is rejected before it has an address.
    const bool is_named = GENERATE(true, false);
    ListenerRig<> rig{{.connections_per_ip_max = 1, .proxies = {"127.0.0.1"}}};
    const std::string named = UpgradeText{.more = "X-Forwarded-For: 192.0.2.1\r\n"}.text();
    const RawSocket first = RawSocket::connect(rig.port);
    first.send(named);
    rig.until([&] { return rig.counters().upgraded == 1; });
    flood(rig, [&] { static_cast<void>(rig.answer_to(is_named ? named : "nonsense\r\n\r\n")); });
    CHECK(rig.rejected.size() >= 61);
    std::uint64_t events = 0;
    for (const beast::RejectedUpgrade& one : rig.rejected) events += 1 + one.unreported;
    CHECK(events == rig.counters().rejected);
}

TEST_CASE("A peer that resets before the accept is counted as aborted, and not as over a limit",
          "[beast][rejections][fault]") {
    ListenerRig<> rig{{.upgrades_per_ip_and_minute = 1}};
    for (std::uint64_t times = 1; times <= 3; ++times) {
        RawSocket gone = RawSocket::connect(rig.port);
        gone.reset();
        rig.until([&] { return rig.counters().accepted == times; });
        rig.until([&] { return rig.counters().upgrades_aborted == times; });
    }
    CHECK(rig.counters().turned_away == 0);
    CHECK(rig.rejected.empty());
}

TEST_CASE("An event of a flood has the number of rejections that were not reported before it",
          "[beast][rejections][fault]") {
    ListenerRig<> rig{{.upgrade_within = 1h, .waiting_per_ip_max = 1}};
    const RawSocket waits = RawSocket::connect(rig.port);
    rig.until([&] { return rig.counters().accepted == 1; });
    flood(rig, [&] {
        const RawSocket peer = RawSocket::connect(rig.port);
        rig.until([&] { return is_over(peer); });
    });
    CHECK(rig.rejected.size() >= 61);
    std::uint64_t events = 0;
    for (const beast::RejectedUpgrade& one : rig.rejected) events += 1 + one.unreported;
    CHECK(events == rig.counters().reasons.of(RejectionReason::waiting_per_ip_max));
    CHECK(events == rig.counters().turned_away);
}

TEST_CASE("The time of an upgrade lasts until its answer, and is counted for WebSockets only",
          "[beast][rejections][unit]") {
    ListenerRig<> rig;
    std::optional<beast::Accepted<>> held;
    rig.on_accept = [&](beast::Accepted<> client) { held = std::move(client); };
    static_cast<void>(rig.answer_to(UpgradeText{.key = ""}.text()));
    const Instant begun = SteadyClock{}.now();
    const RawSocket peer = RawSocket::connect(rig.port);
    peer.send(UpgradeText{}.text());
    rig.until([&] { return held.has_value(); });
    CHECK(sum_of(rig.counters().upgrades) == 0);
    // User code that takes some time to decide.
    const Instant decided = after(SteadyClock{}.now(), 5ms);
    rig.until([&] { return SteadyClock{}.now() >= decided; });
    rig.serve(std::move(*held));
    rig.until([&] { return rig.counters().upgraded == 1; });
    CHECK(sum_of(rig.counters().upgrades) == 1);
    CHECK(rig.counters().upgrades.sum >= 5ms);
    CHECK(rig.counters().upgrades.sum <= elapsed(begun, SteadyClock{}.now()));
}
