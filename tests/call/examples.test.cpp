// SPDX-License-Identifier: MIT
// Goal: the examples of docs/reference/retry.md about failures compile and work as the page describes. Keep
// both in step.
#include <string>
#include <vector>

#include <belay/call/retry.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/policy/rules.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;

namespace {

enum CURLcode { CURLE_OK, CURLE_COULDNT_CONNECT = 7 };

}  // namespace

template <>
struct belay::AnswerTraits<CURLcode> {
    static bool failed(const CURLcode& code) { return code != CURLE_OK; }
};

TEST_CASE("Example: traits of a type in three lines", "[call][examples][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    int calls = 0;
    const auto perform = [&] { return ++calls < 3 ? CURLE_COULDNT_CONNECT : CURLE_OK; };
    CHECK(retry(MaxAttempts{5}, sleeper, perform).value() == CURLE_OK);
    CHECK(calls == 3);
}

TEST_CASE("Example: the last answer of a server that fails", "[call][examples][unit]") {
    struct Response {
        int status;
        std::string body;
    };
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    std::vector<std::string> lines;
    const auto get = [&](auto fetch) -> std::string {
        const auto policy = MaxAttempts{3};
        const auto page = retry(policy, sleeper,
                                fails_if(fetch, [](const Response& r) { return r.status >= 500; }));
        if (page) return page->body;
        lines.push_back(page.error().message());
        lines.push_back(std::string{to_string(page.cause())});
        if (page.last()) lines.push_back(std::to_string(page.last()->status));
        return {};
    };
    CHECK(get([] { return Response{200, "news"}; }) == "news");
    CHECK(lines.empty());
    CHECK(get([] { return Response{503, "sorry"}; }).empty());
    CHECK(lines ==
          std::vector<std::string>{make_error_code(CallErrc::gave_up).message(), "lost", "503"});
}

namespace {

struct Says {
    std::string text;
    void on_give_up(const RetryEnded& end) {
        text = std::string{end.advice.by} + " after " + std::to_string(end.attempts) + ": " +
               end.failure.message();
    }
};

}  // namespace

TEST_CASE("Example: the rule that stopped, and the failure", "[call][examples][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    Says says;
    const auto fetch_scene = [] { return belay_test::timed_out; };
    CHECK(retry(MaxAttempts{3}, sleeper, fetch_scene, NeverStops{}, says) == belay_test::timed_out);
    CHECK(says.text == "MaxAttempts after 3: timed_out: " + belay_test::timed_out.message());
    StopSource source;
    source.request_stop();
    CHECK(retry(MaxAttempts{3}, sleeper, fetch_scene, source.token(), says) == CallErrc::stopped);
    CHECK(says.text.starts_with(" after 0: "));
}
