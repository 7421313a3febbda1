// SPDX-License-Identifier: MIT
// Goal: a failure of the log is told, and leaves the queue as it was. Method: histories in which
// any one call of the log, or all from one on, find no space; what was refused is as if not asked.
#include <belay/queue/deque.hpp>
#include <belay/queue/work_queue.hpp>

#include "support/work_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs a history over a medium with faults; openings are checked as after a crash, since what was
/// not noted for want of space may be forgotten then.
void run(MemoryMedium& medium, std::uint64_t script, std::size_t& refused) {
    WorkModel<MemoryMedium> model{medium, script};
    std::size_t at = 0;
    for (const auto& [call, draw] : make_work_script(script, 150)) {
        bool good = true;
        if (call == WorkCall::reopen && at != 0) {
            medium.fails_from = ~std::uint64_t{0};
            model.drop_process();
            good = model.recover();
        } else if (!model.call(call, draw)) {
            ++refused;
        }
        INFO("script " << script << ", call " << at << ": " << model.message());
        REQUIRE(good);
        REQUIRE(model.message().empty());
        ++at;
    }
    medium.fails_from = ~std::uint64_t{0};
    medium.fails_once = false;
    model.drop_process();
    const bool good = model.recover();
    INFO("script " << script << ": " << model.message());
    REQUIRE(good);
}

}  // namespace

TEST_CASE("WorkQueue goes on after any one call of the log found no space",
          "[queue][work_queue][fault]") {
    std::size_t refused = 0;
    for (std::uint64_t script = 400; script < 406; ++script) {
        MemoryMedium whole;
        std::size_t none = 0;
        run(whole, script, none);
        CHECK(none == 0);
        for (std::uint64_t fails = 1; fails <= whole.calls; ++fails) {
            MemoryMedium medium;
            medium.fails_from = fails;
            medium.fails_once = true;
            medium.fails_with = std::make_error_code(std::errc::no_space_on_device);
            run(medium, script, refused);
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("WorkQueue takes ends while there is no space, and notes them when there is",
          "[queue][work_queue][fault]") {
    using Work = WorkQueue<MemoryLog>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, {}, now))};
    for (int i = 0; i < 500; ++i) REQUIRE(work->push(as_bytes("x"), now));
    REQUIRE_FALSE(work->sync());
    std::vector<Lease> leases;
    for (int i = 0; i < 500; ++i) leases.push_back(*work->lease(now));
    medium.fails_with = std::make_error_code(std::errc::no_space_on_device);
    medium.fails_from = 0;
    for (std::size_t i = 0; i < 500; i += 2) REQUIRE_FALSE(work->ack(leases[i]));
    CHECK(work->size() == 250);
    CHECK(work->sync() == std::errc::no_space_on_device);
    CHECK_FALSE(work->failed());
    CHECK(work->nack(leases[1], now) == std::errc::no_space_on_device);
    CHECK(work->leased() == 250);
    medium.fails_from = ~std::uint64_t{0};
    CHECK_FALSE(work->nack(leases[1], now));
    REQUIRE_FALSE(work->sync());
    work.reset();
    medium.crash();
    work.emplace(std::move(*Work::open(MemoryLog{medium}, {}, now)));
    CHECK(work->size() == 250);
}

TEST_CASE("WorkQueue: a dead letter is doubled by a crash at worst, and never lost",
          "[queue][work_queue][fault]") {
    using Letters = Deque<Bytes>;
    using Work = WorkQueue<MemoryLog, Letters>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = 1};
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, options, now))};
    // The first is in front of it, so the log does not give the second up by itself.
    for (const char* const body : {"first", "letter"}) REQUIRE(work->push(as_bytes(body), now));
    REQUIRE_FALSE(work->sync());
    REQUIRE(work->lease(now));
    const auto die = [&] {
        const auto lease = work->lease(now);
        REQUIRE(lease);
        REQUIRE(as_text(lease->body) == "letter");
        REQUIRE_FALSE(work->nack(*lease, now));
        CHECK(work->dead_letters().size() == 1);
        CHECK(work->size() == 1);
    };
    const auto crash = [&] {
        work.reset();
        medium.crash();
        work.emplace(std::move(*Work::open(MemoryLog{medium}, options, now)));
    };
    die();
    crash();
    CHECK(work->size() == 2);
    REQUIRE(work->lease(now));
    die();
    REQUIRE_FALSE(work->sync());
    crash();
    CHECK(work->size() == 1);
}
