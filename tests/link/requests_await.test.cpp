// SPDX-License-Identifier: MIT
// Goal: a coroutine gets the answer to its question, or the reason why there is none. The coroutine
// and the Requests may be destroyed in any order. Method: belay's own Task over a scripted
// transport.
#include <belay/link/requests.hpp>

#include <optional>

#include <belay/call/task.hpp>

#include "support/link/requests_rig.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Observed;
using belay_test::RequestsRig;
using belay_test::TextIds;

namespace {

template <class Rig>
Task<bool> ask_each(Rig& rig, std::vector<std::string> questions, Duration within) {
    for (const std::string& question : questions) {
        const auto answer = co_await rig.box->ask(question, within);
        rig.notes.add(question + " = " + belay_test::text_of(answer));
    }
    co_return true;
}
template <class Rig>
Task<bool> ask_and_destroy(Rig& rig) {
    const auto answer = co_await rig.box->ask("a", 1s);
    rig.notes.add(belay_test::text_of(answer));
    rig.box.reset();
    co_return true;
}

}  // namespace

TEST_CASE("Requests resumes a coroutine with the answer", "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    rig.connect();
    Task<bool> task = ask_each(rig, {"a", "b", "c"}, 1s);
    task.start();
    rig.answer("1");
    CHECK(rig.sent() == Observed{"a", "b"});
    rig.run(rig.now + 1s);
    rig.answer("2");
    CHECK_FALSE(task.done());
    rig.cut();
    CHECK(task.done());
    const Observed seen = rig.notes.take();
    REQUIRE(seen.size() == 5);
    CHECK(seen[0] == "a = 1");
    CHECK(seen[1] == "b = timed_out: the peer did not answer in time");
    CHECK(seen[2] == "unmatched 2");
    CHECK(seen[4].rfind("c = lost", 0) == 0);
}

TEST_CASE("Requests does not suspend a coroutine whose question is rejected",
          "[link][requests][unit]") {
    RequestsRig<part::InOrder> rig;
    Task<bool> task = ask_each(rig, {"a", "b"}, 1s);
    task.start();
    CHECK(task.done());
    REQUIRE(rig.notes.take().size() == 2);
    rig.connect();
    Task<bool> late = ask_each(rig, {"a"}, 0s);
    late.start();
    CHECK(late.done());
    CHECK(rig.notes.take() == Observed{"a = timed_out: Connection timed out"});
}

TEMPLATE_TEST_CASE("Requests cancels the question of a coroutine that is destroyed",
                   "[link][requests][unit]", part::InOrder, TextIds) {
    RequestsRig<TestType> rig;
    rig.connect();
    // The coroutine is destroyed while its question is open, while its failure waits for the next
    // turn, and after the Requests.
    for (int when = 0; when < 3; ++when) {
        std::optional<Task<bool>> task{ask_each(rig, {"a"}, 1s)};
        task->start();
        // Further questions enlarge the table, so that the questions move.
        for (int i = 0; i < 20; ++i) rig.ask("other", 1s);
        if (when == 1) rig.box->stop();
        if (when == 2) rig.box.reset();
        task.reset();
        rig.run(rig.now + 2s);
        if (when == 0) CHECK(rig.box->status().cancelled == 1);
        if (when == 1) rig.connect();
    }
    for (const std::string& what : rig.notes.take()) CHECK(what.rfind("a = ", 0) != 0);
}

TEST_CASE("Requests may be destroyed by the coroutine that it resumes", "[link][requests][unit]") {
    for (const bool answered : {true, false}) {
        RequestsRig<part::InOrder> rig;
        rig.connect();
        Task<bool> task = ask_and_destroy(rig);
        task.start();
        if (answered) rig.answer("1");
        rig.run(rig.now + 1s);
        CHECK(task.done());
        CHECK(rig.box == nullptr);
    }
}
