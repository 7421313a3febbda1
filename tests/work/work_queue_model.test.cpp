// SPDX-License-Identifier: MIT
// Goal: a WorkQueue behaves like a plain model. Method: random histories of pushes, leases, and
// their ends in any order, with time and reopenings in between; every result is compared.
#include <belay/work/work_queue.hpp>

#include "support/seeds.hpp"
#include "support/work/work_model.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("WorkQueue returns the same results as its model, also over reopenings",
          "[work][work_queue][property]") {
    for_each_seed(
        [](Seed seed) {
            sim::Disk disk;
            WorkModel<> model{disk, seed.value};
            std::size_t at = 0;
            for (const auto& [call, draw] : make_work_script(seed.value, 400)) {
                const bool good = model.call(call, draw);
                INFO("call " << at << ": " << model.message());
                REQUIRE(good);
                ++at;
            }
        },
        400);
}

TEST_CASE("WorkQueue records deliveries before it leases, as its model does",
          "[work][work_queue][property]") {
    WorkOptions options = small_work();
    options.count_before_lease = true;
    options.deliveries_max = WorkOptions::any_number;
    options.keys = 0;
    options.items_max = 1'000'000'000;
    for_each_seed(
        [&](Seed seed) {
            sim::Disk disk;
            WorkModel<> model{disk, seed.value, options};
            for (const auto& [call, draw] : make_work_script(seed.value, 300)) {
                const bool good = model.call(call, draw);
                INFO(model.message());
                REQUIRE(good);
            }
        },
        100);
}
