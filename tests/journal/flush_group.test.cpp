// SPDX-License-Identifier: MIT
// Goal: a thread that flushes yields if that helps, and less and less often if it does not. Method:
// the decision logic alone, with flushes of two alternating threads.
#include <belay/journal/detail/group_writer.hpp>

#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Duration in_time = 49us;
constexpr Duration in_vain = 50us;

/// A flush for one thread, during which another arrives. Before it, the first yields for `spent` if
/// the group expects more threads. Returns whether it does.
bool flush_for_one(detail::FlushGroup& group, Duration spent) {
    if (group.waiting() == 0) group.join();
    const bool asked = group.more_are_expected();
    if (asked) {
        group.begin_yield();
        if (spent == in_time) group.join();
        group.record_yield(spent);
        group.end_yield();
    }
    group.begin_writing();
    const std::uint32_t served = group.begin_flush();
    group.join();
    group.flushed(served, 100us);
    return asked;
}

}  // namespace

TEST_CASE("FlushGroup: yields that do not help become rarer", "[journal][flush_group][unit]") {
    detail::FlushGroup group;
    CHECK_FALSE(flush_for_one(group, in_vain));
    std::vector<int> without;
    for (int n = 0, count = 0; n < 390; ++n) {
        if (!flush_for_one(group, in_vain)) {
            ++count;
        } else {
            without.push_back(count);
            count = 0;
        }
    }
    CHECK(without == std::vector<int>{0, 2, 4, 8, 16, 32, 64, 64, 64, 64});
    // One yield helps: from here on each flush yields again.
    int tries = 0;
    while (!flush_for_one(group, in_time)) REQUIRE(++tries <= 64);
    for (int n = 0; n < 10; ++n) CHECK(flush_for_one(group, in_time));
    CHECK(flush_for_one(group, in_vain));
    CHECK_FALSE(flush_for_one(group, in_time));
    CHECK_FALSE(flush_for_one(group, in_time));
    CHECK(flush_for_one(group, in_time));
}

TEST_CASE("FlushGroup: a yield that takes far longer than a flush happens once in 65 flushes",
          "[journal][flush_group][unit]") {
    detail::FlushGroup group;
    CHECK_FALSE(flush_for_one(group, 10ms));
    for (int round = 0; round < 3; ++round) {
        CHECK(flush_for_one(group, 10ms));
        for (int n = 0; n < 64; ++n) CHECK_FALSE(flush_for_one(group, 10ms));
    }
}

TEST_CASE("FlushGroup: a yield of more than eight times the patience takes far longer",
          "[journal][flush_group][unit]") {
    for (const auto& [spent, skipped] :
         {std::pair{8 * in_vain, 2}, std::pair{8 * in_vain + 8ns, 64}}) {
        detail::FlushGroup group;
        CHECK_FALSE(flush_for_one(group, spent));
        CHECK(flush_for_one(group, spent));
        int skips = 0;
        while (!flush_for_one(group, in_time)) REQUIRE(++skips <= 64);
        CHECK(skips == skipped);
    }
}

TEST_CASE("FlushGroup: a single thread expects no other, and no thread does after a failure",
          "[journal][flush_group][unit]") {
    detail::FlushGroup group;
    for (int n = 0; n < 3; ++n) {
        group.join();
        CHECK_FALSE(group.more_are_expected());
        group.begin_writing();
        group.flushed(group.begin_flush(), 1ms);
        CHECK(group.patience() == 500us);
    }
    CHECK_FALSE(flush_for_one(group, in_time));
    CHECK(group.more_are_expected());
    group.begin_writing();
    CHECK(group.begin_flush() == 1);
    group.reset_expected();
    group.join();
    CHECK_FALSE(group.more_are_expected());
}

TEST_CASE("FlushGroup: a flush that took a minute does not delay the next one",
          "[journal][flush_group][unit]") {
    detail::FlushGroup group;
    group.join();
    group.begin_writing();
    group.flushed(group.begin_flush(), 60s);
    CHECK(group.patience() == 50ms);
}
