// SPDX-License-Identifier: MIT
// Goal: a question is answered once, by any thread; dropped it is answered "no", moved it is not.
#include <belay/link/completion.hpp>

#include <memory>
#include <thread>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

using IntBox = detail::LinkBox<int>;
using Answer = detail::Answer<std::unique_ptr<int>>;
using Asked = Completion<std::unique_ptr<int>, int>;

struct AskingRig {
    belay::detail::Ref<IntBox> box = belay::detail::Ref<IntBox>::make(std::size_t{4});
    belay::detail::Ref<Answer> answer = belay::detail::Ref<Answer>::make();
    AskingRig() {
        box->begin_turn();
        box->epoch = 1;
    }
    ~AskingRig() { box->close(); }
    Asked ask() { return {answer, Link<int>{box, 1}}; }
    std::size_t notes() {
        box->begin_turn();
        return box->size();
    }
};

static_assert(!std::is_copy_constructible_v<Asked> && std::is_nothrow_move_constructible_v<Asked>);

}  // namespace

TEST_CASE("Completion answers once, from any thread", "[link][completion][unit]") {
    AskingRig r;
    {
        Asked asked = r.ask();
        std::thread{[moved = std::move(asked)]() mutable {
            moved(std::make_unique<int>(5));
        }}.join();
    }
    CHECK(r.notes() == 1);
    CHECK(r.box->pop().kind == belay::part::EventKind::note);
    REQUIRE(r.answer->value);
    CHECK(**r.answer->value == 5);
}

TEST_CASE("Completion that is dropped says no", "[link][completion][unit]") {
    AskingRig r;
    { const Asked asked = r.ask(); }
    CHECK(r.notes() == 1);
    CHECK_FALSE(r.answer->value);
}

TEST_CASE("Completion changes nothing once its attempt is over", "[link][completion][unit]") {
    AskingRig r;
    Asked asked = r.ask();
    r.box->epoch = 2;
    asked(std::make_unique<int>(5));
    CHECK(r.notes() == 0);
}

TEST_CASE("Completion refuses a second answer", "[link][completion][unit]") {
    const std::string text = belay_test::aborts_with([] {
        AskingRig r;
        Asked asked = r.ask();
        asked(nullptr);
        asked(nullptr);
    });
    CHECK(text.find("Completion: must be answered once only") != std::string::npos);
}
