// SPDX-License-Identifier: MIT
// Goal: each connection is counted once, however it ends. Method: the permit that counts.
#include <belay/beast/listener_options.hpp>

#include <memory>

#include <belay/beast/detail/ip_limiter.hpp>

#include "support/catch.hpp"

using namespace belay;
using detail::IpAddress;
using detail::IpLimiter;
using detail::IpPermit;
using RejectionReason = beast::RejectedUpgrade::Reason;

namespace {

struct CountedSlot {
    explicit CountedSlot(unsigned rejections = 60)
        : limiter{std::make_shared<IpLimiter>(
              beast::ListenerOptions{.rejections_per_ip_and_minute = rejections})} {}
    IpPermit enter() {
        REQUIRE_FALSE(limiter->enter());
        IpPermit slot{limiter};
        REQUIRE_FALSE(slot.claim(ip));
        return slot;
    }
    bool is_notified() {
        if (limiter->enter()) return false;
        IpPermit slot{limiter};
        return !slot.claim(ip);
    }
    std::shared_ptr<IpLimiter> limiter;
    IpAddress ip = *IpAddress::parse("192.0.2.1");
};

}  // namespace

TEST_CASE("IpPermit counts the first outcome, once", "[beast][listener_counters][unit]") {
    CountedSlot counted;
    {
        IpPermit slot = counted.enter();
        slot.aborted();
        slot.rejected(RejectionReason::origin);
        slot.upgraded();
        IpPermit moved = std::move(slot);
        slot.leave();
        CHECK(counted.limiter->connections() == 1);
        CHECK(counted.limiter->waiting() == 0);
    }
    counted.enter().upgraded();
    counted.enter().turned_away(RejectionReason::waiting_max);
    { const IpPermit dropped = counted.enter(); }
    const beast::ListenerCounters& c = counted.limiter->counters;
    CHECK(c.upgrades_aborted == 1);
    CHECK(c.upgraded == 1);
    CHECK(c.turned_away == 1);
    CHECK(c.rejected == 1);
    CHECK(c.reasons.of(RejectionReason::origin) == 0);
    CHECK(c.reasons.of(RejectionReason::waiting_max) == 1);
    CHECK(c.reasons.of(RejectionReason::unanswered) == 1);
    CHECK(counted.limiter->connections() == 0);
    CHECK(counted.limiter->waiting() == 0);
}

TEST_CASE("A rejection by status, or by an authorization close code, counts against the address",
          "[beast][listener_counters][unit]") {
    for (const int code : {0, 1008, 4001, 4003, 4401, 4403}) {
        CountedSlot counted{1};
        IpPermit slot = counted.enter();
        CHECK(counted.is_notified());
        code == 0 ? slot.rejected(RejectionReason::origin) : slot.upgraded();
        slot.closed_with(websocket_failure(code));
        CHECK_FALSE(counted.is_notified());
    }
    for (const int code : {1000, 1001, 1013, 4000}) {
        CountedSlot counted{1};
        IpPermit slot = counted.enter();
        slot.upgraded();
        slot.closed_with(websocket_failure(code));
        slot.closed_with(Failure{.cause = Cause::forbidden, .code = 4003});
        CHECK(counted.is_notified());
    }
    IpPermit none;
    none.rejected(RejectionReason::origin);
    none.closed_with(websocket_failure(4003));
}
