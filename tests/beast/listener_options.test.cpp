// SPDX-License-Identifier: MIT
// Goal: the options decide which clients are admitted: origins, proxies, shares of an address.
// Method: the rules themselves, without a socket.
#include <belay/beast/listener_options.hpp>

#include <string>

#include <belay/beast/detail/ip_limiter.hpp>
#include <belay/beast/detail/upgrade_rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using detail::ForwardedFor;
using detail::IpAddress;
using detail::IpLimiter;
using RejectionReason = beast::RejectedUpgrade::Reason;
using detail::OriginCheck;

namespace {

using Strings = std::vector<std::string>;

IpAddress ip_of(std::string_view text) {
    const auto address = IpAddress::parse(text);
    REQUIRE(address.has_value());
    return *address;
}
IpAddress nth_ip(unsigned n) {
    return ip_of("10." + std::to_string(n >> 16) + "." + std::to_string(n >> 8 & 255) + "." +
                 std::to_string(n & 255));
}

}  // namespace

TEST_CASE("Without an allow-list a page may connect to the host that it came from",
          "[beast][listener_options][unit]") {
    const auto passes = [](std::string_view origin, std::string_view host) {
        return OriginCheck{origin, host}.passes({});
    };
    CHECK(passes("https://example.org", "example.org"));
    CHECK(passes("https://example.org", "example.org:443"));
    CHECK(passes("https://Example.org:443", "example.ORG"));
    CHECK(passes("http://127.0.0.1:8080", "127.0.0.1:8080"));
    CHECK(passes("http://[::1]:8080", "[::1]:8080"));
    CHECK_FALSE(passes("https://example.org", "example.org:80"));
    CHECK_FALSE(passes("https://example.org", "example.org:8443"));
    CHECK_FALSE(passes("https://example.org.evil.example", "example.org"));
    CHECK_FALSE(passes("https://evil.example/example.org", "example.org"));
    CHECK_FALSE(passes("https://example.org@evil.example", "evil.example"));
    CHECK_FALSE(passes("null", "null"));
    CHECK_FALSE(passes("", ""));
    CHECK_FALSE(passes("://", ""));
    CHECK_FALSE(passes("https://", ""));
}

TEST_CASE("An allow-list matches whole origins", "[beast][listener_options][unit]") {
    const Strings allowed{"https://a.example", "http://b.example:8080"};
    const auto passes = [&](std::string_view origin) {
        return OriginCheck{origin, "b.example"}.passes(allowed);
    };
    CHECK(passes("https://a.example"));
    CHECK(passes("https://A.example:443"));
    CHECK(passes("http://b.example:8080"));
    CHECK_FALSE(passes("http://a.example"));
    CHECK_FALSE(passes("http://b.example"));
    CHECK_FALSE(passes("https://sub.a.example"));
    CHECK_FALSE(passes("null"));
    CHECK(OriginCheck{"null", "x"}.passes({"*"}));
}

TEST_CASE("Behind named proxies, the last forwarded address that is no proxy counts",
          "[beast][listener_options][unit]") {
    ForwardedFor forwarded;
    REQUIRE(forwarded.trust({"10.0.0.1", "10.0.0.2", "fd00::1"}));
    const auto client = [&](std::string_view peer, std::string_view list) {
        return forwarded.client(ip_of(peer), list).to_string();
    };
    CHECK(client("10.0.0.1", "203.0.113.7") == "203.0.113.7");
    CHECK(client("::ffff:10.0.0.1", "203.0.113.7") == "203.0.113.7");
    CHECK(client("10.0.0.1", "198.51.100.9, 203.0.113.7 , 10.0.0.2") == "203.0.113.7");
    CHECK(client("fd00::1", "2001:db8::5") == "2001:db8::5");
    // A peer that is no proxy may send any header.
    CHECK(client("192.0.2.1", "203.0.113.7") == "192.0.2.1");
    CHECK(client("10.0.0.1", "") == "10.0.0.1");
    CHECK(client("10.0.0.1", "unknown") == "10.0.0.1");
    CHECK(client("10.0.0.1", "203.0.113.7, junk, 10.0.0.2") == "10.0.0.2");
    CHECK(client("10.0.0.1", ",,,") == "10.0.0.1");
    // With a port, as some proxies write it.
    CHECK(client("10.0.0.1", "203.0.113.7:51234, 10.0.0.2:80") == "203.0.113.7");
    CHECK(client("10.0.0.1", "[2001:db8::5]:51234") == "2001:db8::5");
    CHECK(client("10.0.0.1", "[2001:db8::5]") == "2001:db8::5");
    CHECK(client("10.0.0.1", "::ffff:203.0.113.7") == client("10.0.0.1", "203.0.113.7"));
    for (const char* const torn :
         {"203.0.113.7:", "203.0.113.7:x", "203.0.113.7:123456", "[2001:db8::5", "[2001:db8::5]x",
          "[]", "[]:1", ":80", "2001:db8::5]:1"}) {
        INFO(torn);
        CHECK(client("10.0.0.1", torn) == "10.0.0.1");
    }
    CHECK_FALSE(ForwardedFor{}.trust({"proxy.example"}));
    CHECK_FALSE(ForwardedFor{}.trust({""}));
    CHECK_FALSE(IpAddress::parse(std::string_view{"1.2.3.4\0", 8}).has_value());
}

TEST_CASE("A list of tokens matches whole tokens", "[beast][listener_options][unit]") {
    CHECK(detail::WordList{"chat"}.has("chat"));
    CHECK(detail::WordList{"mqtt, chat ,x"}.has("chat"));
    CHECK_FALSE(detail::WordList{"chats,a chat"}.has("chat"));
    CHECK_FALSE(detail::WordList{""}.has("chat"));
}

TEST_CASE("A key is 16 bytes of base64", "[beast][listener_options][unit]") {
    CHECK(detail::is_websocket_key("dGhlIHNhbXBsZSBub25jZQ=="));
    CHECK_FALSE(detail::is_websocket_key("dGhlIHNhbXBsZSBub25jZQ="));
    CHECK_FALSE(detail::is_websocket_key("dGhlIHNhbXBsZSBub25jZQQQ"));
    CHECK_FALSE(detail::is_websocket_key("dGhlIHNhbXBs!SBub25jZQ=="));
    CHECK_FALSE(detail::is_websocket_key(""));
}

TEST_CASE("An address has a share of the connections, and an IPv6 network counts as one address",
          "[beast][listener_options][unit]") {
    IpLimiter limiter{{.waiting_max = 100, .waiting_per_ip_max = 2, .connections_per_ip_max = 3}};
    const IpAddress a = ip_of("2001:db8:0:1::1"), b = ip_of("2001:db8:0:1:ffff::2");
    const Instant now = Instant{} + 1h;
    CHECK_FALSE(limiter.claim(a, now));
    CHECK_FALSE(limiter.claim(b, now));
    CHECK(limiter.claim(a, now) == RejectionReason::waiting_per_ip_max);  // two wait
    CHECK_FALSE(limiter.claim(ip_of("2001:db8:0:2::1"), now));
    CHECK_FALSE(limiter.claim(ip_of("192.0.2.1"), now));
    CHECK_FALSE(limiter.claim(ip_of("192.0.2.2"), now));
    for (int i = 0; i < 5; ++i) REQUIRE_FALSE(limiter.enter());
    limiter.answered(a);
    CHECK_FALSE(limiter.claim(b, now));
    limiter.answered(b);
    CHECK(limiter.claim(a, now) == RejectionReason::connections_per_ip_max);  // three are open
    REQUIRE_FALSE(limiter.enter());
    limiter.leave(b);
    CHECK_FALSE(limiter.claim(a, now));
}

TEST_CASE("An address with too many upgrades or rejections is closed unread for a while",
          "[beast][listener_options][unit]") {
    IpLimiter limiter{{.waiting_per_ip_max = 1000,
                       .connections_per_ip_max = 1000,
                       .upgrades_per_ip_and_minute = 60,
                       .rejections_per_ip_and_minute = 6}};
    const IpAddress a = ip_of("192.0.2.1");
    const Instant now = Instant{} + 1h;
    for (int i = 0; i < 60; ++i) REQUIRE_FALSE(limiter.claim(a, now));
    CHECK(limiter.claim(a, now) == RejectionReason::upgrades_per_ip_and_minute);
    CHECK(limiter.claim(a, after(now, 999ms)) == RejectionReason::upgrades_per_ip_and_minute);
    CHECK_FALSE(limiter.claim(a, after(now, 1s)));
    CHECK(limiter.claim(a, after(now, 1s)) == RejectionReason::upgrades_per_ip_and_minute);
    CHECK_FALSE(limiter.claim(ip_of("192.0.2.2"), now));

    const IpAddress b = ip_of("192.0.2.3");
    REQUIRE_FALSE(limiter.claim(b, now));
    for (int i = 0; i < 6; ++i) limiter.rejected(b, now);
    CHECK(limiter.claim(b, now) == RejectionReason::rejections_per_ip_and_minute);
    CHECK(limiter.claim(b, after(now, 9s)) == RejectionReason::rejections_per_ip_and_minute);
    CHECK(to_string(RejectionReason::rejections_per_ip_and_minute) ==
          "rejections_per_ip_and_minute");
    CHECK_FALSE(limiter.claim(b, after(now, 10s)));
    // Attempts beyond the limit do not extend the exclusion beyond a minute.
    for (int i = 0; i < 100; ++i) limiter.rejected(b, now);
    CHECK_FALSE(limiter.claim(b, after(now, 1min)));
}

TEST_CASE("IpLimiter remembers a limited number of former clients, and all current ones",
          "[beast][listener_options][unit]") {
    IpLimiter limiter{{.connections_max = 100'000, .upgrades_per_ip_and_minute = 1}};
    const Instant now = Instant{} + 1h;
    REQUIRE_FALSE(limiter.enter());
    REQUIRE_FALSE(limiter.claim(nth_ip(0), now));
    const unsigned many = 3 * static_cast<unsigned>(IpLimiter::rested_max);
    for (unsigned n = 1; n < many; ++n) {
        REQUIRE_FALSE(limiter.enter());
        REQUIRE_FALSE(limiter.claim(nth_ip(n), now));
        limiter.answered(nth_ip(n));
        limiter.leave(nth_ip(n));
    }
    CHECK(limiter.size() == IpLimiter::rested_max + 1);
    CHECK(limiter.connections() == 1);
    CHECK(limiter.waiting() == 1);
    CHECK(limiter.claim(nth_ip(0), now) ==
          RejectionReason::upgrades_per_ip_and_minute);  // it is still connected
    CHECK(limiter.claim(nth_ip(many - 1), now) ==
          RejectionReason::upgrades_per_ip_and_minute);  // it was connected recently
    CHECK_FALSE(limiter.claim(nth_ip(1), now));          // it was forgotten
}

TEST_CASE("IpLimiter limits the total number of connections", "[beast][listener_options][unit]") {
    IpLimiter limiter{{.waiting_max = 2, .connections_max = 3}};
    REQUIRE_FALSE(limiter.enter());
    REQUIRE_FALSE(limiter.enter());
    CHECK(limiter.enter() == RejectionReason::waiting_max);
    limiter.answered(std::nullopt);
    REQUIRE_FALSE(limiter.enter());
    limiter.answered(std::nullopt);
    CHECK(limiter.enter() == RejectionReason::connections_max);
    limiter.leave(std::nullopt);
    CHECK_FALSE(limiter.enter());
}
