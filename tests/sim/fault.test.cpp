// SPDX-License-Identifier: MIT
// Goal: a fault is a value, whose key depends only on its target. Method: keys and equality of
// faults that differ in one field.
#include <belay/sim/fault.hpp>

#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Fault::key depends on every field and on nothing else", "[sim][fault][unit]") {
    const std::vector<sim::Fault> all{sim::partition("a", "b"),
                                      sim::partition("a", "c"),
                                      sim::partition("b", "a"),
                                      sim::partition_one_way("a", "b"),
                                      sim::partition_one_way("b", "a"),
                                      sim::latency("a", "b", 1ms, 2ms),
                                      sim::latency("a", "b", 1ms, 3ms),
                                      sim::latency("a", "b", 2ms, 2ms),
                                      sim::bandwidth("a", "b", 1),
                                      sim::bandwidth("a", "b", 2),
                                      sim::bandwidth("b", "a", 1),
                                      sim::accept_then_close("a"),
                                      sim::refuse("a"),
                                      sim::drop_connections("a", "b"),
                                      sim::half_open("a", "b"),
                                      sim::kill("a"),
                                      sim::kill("ab"),
                                      sim::restart("a"),
                                      sim::pause("a"),
                                      sim::resume("a"),
                                      sim::refuse_disk("a"),
                                      sim::fill_disk("a"),
                                      sim::fail_disk("a", 1),
                                      sim::fail_disk("a", 2),
                                      sim::fail_read("a", 1),
                                      sim::fail_disk_after("a", 1),
                                      sim::exhaust_descriptors("a"),
                                      sim::interrupt("a"),
                                      sim::shorten_reads("a"),
                                      sim::fill_disk("a", 1),
                                      sim::ignore_syncs("a"),
                                      sim::flip_bit("a", 0),
                                      sim::flip_bit("a", 1),
                                      sim::misdirect_write("a", 1),
                                      sim::exponential_latency("a", "b", 1ms, 2ms),
                                      sim::bandwidth("a", "b", 1, 5),
                                      sim::bandwidth("a", "b", 1, 6),
                                      sim::black_hole("a"),
                                      sim::unknown_name("a"),
                                      sim::hanging_name("a"),
                                      sim::slow_reader("a", 1),
                                      sim::slow_reader("a", 2),
                                      sim::set_wall_clock("a", 1s),
                                      sim::set_wall_clock("a", -1s),
                                      sim::set_wall_clock("a", 1s, 1),
                                      sim::set_wall_clock("a", 1s, -1),
                                      sim::drift_clock("a", 1),
                                      sim::drift_clock("a", -1),
                                      sim::drift_clock("a", 0)};
    std::set<std::uint64_t> keys;
    for (const sim::Fault& f : all) {
        CHECK(keys.insert(f.key()).second);
        const sim::Fault copy = f;
        CHECK(copy == f);
        CHECK(copy.key() == f.key());
    }
    CHECK(sim::partition("a", "b") != sim::partition("a", "c"));
}

TEST_CASE("Fault::key is the same on every compiler", "[sim][fault][golden]") {
    CHECK(sim::kill("client").key() == 0xEAE85698A13ABAC3U);
    CHECK(sim::latency("client", "server", 50ms, 2s).key() == 0xE9F9AE2CA66D10D5U);
}

TEST_CASE("Fault::lasts returns whether a fault has an end", "[sim][fault][unit]") {
    CHECK(sim::partition("a", "b").lasts());
    CHECK(sim::latency("a", "b", 0ms, 1ms).lasts());
    CHECK(sim::bandwidth("a", "b", 1).lasts());
    CHECK(sim::accept_then_close("a").lasts());
    CHECK(sim::refuse("a").lasts());
    CHECK(sim::kill("a").lasts());
    CHECK(sim::pause("a").lasts());
    CHECK(sim::refuse_disk("a").lasts());
    CHECK(sim::fill_disk("a").lasts());
    CHECK_FALSE(sim::drop_connections("a", "b").lasts());
    CHECK_FALSE(sim::half_open("a", "b").lasts());
    CHECK_FALSE(sim::restart("a").lasts());
    CHECK_FALSE(sim::resume("a").lasts());
    CHECK_FALSE(sim::fail_disk("a", 1).lasts());
    CHECK_FALSE(sim::fail_read("a", 1).lasts());
    CHECK_FALSE(sim::fail_disk_after("a", 1).lasts());
    CHECK(sim::exhaust_descriptors("a").lasts());
    CHECK_FALSE(sim::interrupt("a").lasts());
    CHECK(sim::shorten_reads("a").lasts());
    CHECK(sim::ignore_syncs("a").lasts());
    CHECK(sim::exponential_latency("a", "b", 0ms, 1ms).lasts());
    CHECK(sim::black_hole("a").lasts());
    CHECK(sim::unknown_name("a").lasts());
    CHECK(sim::hanging_name("a").lasts());
    CHECK(sim::slow_reader("a", 1).lasts());
    CHECK_FALSE(sim::flip_bit("a", 1).lasts());
    CHECK_FALSE(sim::set_wall_clock("a", 1s).lasts());
    CHECK_FALSE(sim::drift_clock("a", 1).lasts());
    CHECK_FALSE(sim::misdirect_write("a", 1).lasts());
}
