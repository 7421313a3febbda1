// SPDX-License-Identifier: MIT
// Goal: each hook of a WorkQueue is called, with and without the queue as first parameter, in
// every form of observer; a wrong form does not compile. Method: work that expires, and work
// that fails.
#include <belay/work/work_queue.hpp>

#include <stdexcept>
#include <string>

#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"
#include "support/journal/memory_log.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

const auto lifecycle_of_a_work_queue = [](auto observer) {
    belay_test::MemoryMedium medium;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    auto work = WorkQueue<belay_test::MemoryLog>::open(
        belay_test::MemoryLog{medium}, {.deliveries_max = 1, .expired = WorkOptions::Expired::drop},
        now, std::move(observer));
    REQUIRE(work);
    REQUIRE(work->push(as_bytes("fails"), now));
    REQUIRE(work->push(as_bytes("expires"), now, {.expires_after = 1s}));
    const auto lease = work->lease(now);
    REQUIRE(lease);
    CHECK_FALSE(work->nack(*lease, now));
    now = {now.now + 2s, now.wall + 2s};
    CHECK_FALSE(work->lease(now));
};

struct WorkRecorder {
    belay_test::Recorded& reported;
    void on_dead(const DeadWork& dead) {
        reported.push_back("dead " + std::string{as_text(dead.body)});
    }
    void on_dropped(const DeadWork& dead) {
        reported.push_back("dropped " + std::string{as_text(dead.body)});
    }
};
struct WorkRecorderWithMachine {
    belay_test::Recorded& reported;
    void on_dead(const auto& work, const DeadWork& dead) {
        if (work.dead() == 1) WorkRecorder{reported}.on_dead(dead);
    }
    void on_dropped(auto& work, const DeadWork& dead) {
        if (work.empty()) WorkRecorder{reported}.on_dropped(dead);
    }
};
using AnyWork = WorkQueue<belay_test::MemoryLog>;
struct WorkAllWrong : NoObserver {
    void on_dead(AnyWork&, const DeadWork&);
    void on_dropped(DeadWork&);
    void on_dropped(auto&, auto&, auto&);
};
using OfWork = detail::WorkHooks<const AnyWork>;
static_assert(!OfWork::Dead::right<WorkAllWrong> && !OfWork::Dropped::right<WorkAllWrong>);

}  // namespace

TEST_CASE("WorkQueue calls each hook, in every form of observer",
          "[work][work_queue_observer][unit]") {
    const belay_test::Recorded all{"dead fails", "dropped expires"};
    belay_test::observed_in_every_form<WorkRecorder>(lifecycle_of_a_work_queue, all);
    belay_test::observed_in_every_form<WorkRecorderWithMachine>(lifecycle_of_a_work_queue, all);
}

TEST_CASE("Observers of a WorkQueue may declare that they have no hooks",
          "[work][work_queue_observer][unit]") {
    struct WithoutHooks : NoObserver {};
    lifecycle_of_a_work_queue(WithoutHooks{});
    WithoutHooks silent;
    lifecycle_of_a_work_queue(std::ref(silent));
}

TEST_CASE("WorkQueue keeps its state when a hook throws", "[work][work_queue_observer][fault]") {
    struct Throws {
        void on_dead(const DeadWork&) { throw std::runtime_error{"dead"}; }
        void on_dropped(const DeadWork&) { throw std::runtime_error{"dropped"}; }
    };
    belay_test::MemoryMedium medium;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    auto work = WorkQueue<belay_test::MemoryLog>::open(
        belay_test::MemoryLog{medium}, {.deliveries_max = 1, .expired = WorkOptions::Expired::drop},
        now, Throws{});
    REQUIRE(work);
    REQUIRE(work->push(as_bytes("fails"), now));
    REQUIRE(work->push(as_bytes("expires"), now, {.expires_after = 1s}));
    REQUIRE(work->push(as_bytes("stays"), now));
    const auto failing = work->lease(now);
    REQUIRE(failing);
    CHECK_THROWS_AS(work->nack(*failing, now), std::runtime_error);
    CHECK(work->dead() == 1);
    CHECK(work->ack(*failing) == QueueErrc::lease_ended);
    now = {now.now + 2s, now.wall + 2s};
    CHECK_THROWS_AS(work->lease(now), std::runtime_error);
    const auto next = work->lease(now);  // the exception has not removed the item
    REQUIRE(next);
    CHECK(as_text(next->body) == "stays");
    CHECK(work->dead() == 1);
}
