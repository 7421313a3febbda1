// SPDX-License-Identifier: MIT
// Goal: a failure is never taken for a success, for any type. Types with their own tests are
// recognized, AnswerTraits are used, and other types do not compile (see the .fail.cpp files).
// Method: types in the form of other libraries, and the real ones where they are installed; in
// retry and Pipeline, blocking and in coroutines.
#include <belay/call/outcome.hpp>

#include <array>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/bytes.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/call/retry_forms.hpp"
#include "support/call/retry_rules.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

#if __has_include(<boost/system/error_code.hpp>)
#    include <boost/system/error_code.hpp>
#endif

using namespace belay;
using namespace std::chrono_literals;
using belay_test::as_it_is;
using belay_test::AsyncSleeper;
using belay_test::steady;
using belay_test::timed_out;

namespace belay_test::answers {

// In the form of libcurl's, which is the same in C.
enum CurlCode { curl_ok = 0, curl_couldnt_connect = 7, curl_login_denied = 67 };

// In the form of absl's and gRPC's.
struct Status {
    int code = 0;
    std::string text{};
    [[nodiscard]] bool ok() const { return code == 0; }
};
// In the form of cpp-httplib's, which has no name for the type of its value.
struct Reply {
    std::unique_ptr<int> body;
    int code = 0;
    explicit operator bool() const noexcept { return body != nullptr; }
    [[nodiscard]] std::error_code error() const {
        return body ? std::error_code{} : std::make_error_code(std::errc::permission_denied);
    }
};
// In the form of Boost's, with a category of its own.
struct Kind {
    [[nodiscard]] std::string message(int) const { return "mine"; }
};
struct Code {
    int number = 0;
    [[nodiscard]] int value() const { return number; }
    [[nodiscard]] Kind category() const { return {}; }
    explicit operator bool() const { return number != 0; }
};
// A type with the same names that is no error.
struct Reading {
    bool good = true;
    [[nodiscard]] double value() const { return 1; }
    [[nodiscard]] std::string category() const { return "temperature"; }
    explicit operator bool() const { return good; }
};
struct Sample {
    [[nodiscard]] double value() const { return 1; }
    [[nodiscard]] std::string category() const { return "temperature"; }
};
struct CodeWithoutTest {
    [[nodiscard]] int value() const { return 1; }
    [[nodiscard]] const std::error_category& category() const { return std::generic_category(); }
};
struct OnlyNot {
    bool operator!() const { return true; }
};
template <class T>
struct Box {
    T content;
};
struct OnlyBool {
    explicit operator bool() const { return true; }
};
struct OnlyMutableBool {
    explicit operator bool() { return true; }
};
struct OnlyCode {
    operator std::error_code() const { return {}; }
};
struct OkOfSomething {
    bool ok(int) const { return true; }
};
struct OkField {
    bool ok = false;
};
struct OnlyHasValue {
    bool has_value() const { return true; }
};

}  // namespace belay_test::answers

using namespace belay_test::answers;

template <>
struct belay::AnswerTraits<CurlCode> {
    static Cause failed(const CurlCode& code) {
        if (code == curl_login_denied) return Cause::unauthorized;
        return code == curl_ok ? Cause::none : Cause::lost;
    }
};
template <class T>
struct belay::AnswerTraits<Box<T>> {
    static bool failed(const Box<T>& box) { return box.content == T{}; }
};

static_assert(detail::Unsupported<std::errc> && detail::Unsupported<std::byte>);
static_assert(detail::Unsupported<OnlyBool> && detail::Unsupported<OnlyMutableBool>);
static_assert(detail::Unsupported<OnlyCode> && detail::Unsupported<OkOfSomething>);
static_assert(detail::Unsupported<std::ifstream> && detail::Unsupported<std::exception_ptr>);
static_assert(detail::Unsupported<std::function<void()>> && detail::Unsupported<OnlyHasValue>);
static_assert(!detail::Unsupported<CurlCode> && !detail::Unsupported<Status>);
static_assert(!detail::Unsupported<Reply> && !detail::Unsupported<Code>);
static_assert(!detail::Unsupported<std::unique_ptr<int>> && detail::Unsupported<OkField>);
static_assert(!detail::Unsupported<std::shared_ptr<void>> && !detail::Unsupported<double>);
static_assert(!detail::Unsupported<Outcome<int>>);
static_assert(!detail::Unsupported<std::vector<bool>>);
static_assert(detail::Unsupported<Reading> && !detail::Unsupported<Sample>);
static_assert(detail::Unsupported<CodeWithoutTest> && detail::Unsupported<OnlyNot>);
template <class R>
constexpr auto kind = detail::answer_kind<R>();
template <class R>
constexpr bool is_plain = kind<R> == detail::AnswerKind::plain;
template <class R>
constexpr bool is_classified = kind<R> == detail::AnswerKind::classified;
template <class R>
constexpr bool is_number = kind<R> == detail::AnswerKind::number;
template <class R>
constexpr bool is_named = kind<R> == detail::AnswerKind::named;
template <class R>
constexpr bool is_unsupported = kind<R> == detail::AnswerKind::unsupported;

// A type that reports failures is classified inside an optional or a result, and rejected inside of
// other types.
template <class R>
constexpr bool is_inside = kind<R> == detail::AnswerKind::inside;
template <class E>
constexpr bool is_classified_inside =
    is_inside<std::pair<E, std::string>> && is_inside<std::tuple<std::string, E>> &&
    is_inside<std::array<E, 2>> && is_inside<std::variant<std::string, E>> &&
    is_classified<std::optional<E>> && is_classified<Result<E>> && is_inside<std::vector<E>> &&
    is_inside<std::map<int, E>> && is_inside<std::shared_ptr<E>> &&
    is_inside<std::unique_ptr<std::vector<E>>> &&
    is_inside<std::optional<std::tuple<std::variant<E>>>> && is_inside<Result<std::vector<E>>>;
static_assert(is_classified_inside<std::error_code> && is_classified_inside<Status>);
static_assert(is_classified_inside<CurlCode> && is_classified_inside<Result<int>>);
static_assert(is_classified_inside<Result<void>>);
// A type that can only be moved.
static_assert(is_classified<std::optional<Reply>>);
// A type that does not compile alone does not compile inside of others.
template <class E>
constexpr bool is_refused_inside =
    detail::Unsupported<std::pair<E, std::string>> &&
    detail::Unsupported<std::tuple<std::string, E>> && detail::Unsupported<std::array<E, 2>> &&
    detail::Unsupported<std::variant<std::string, E>> && detail::Unsupported<std::optional<E>> &&
    detail::Unsupported<Result<E>> && detail::Unsupported<std::vector<E>> &&
    detail::Unsupported<std::shared_ptr<E>>;
static_assert(is_refused_inside<std::error_condition> && is_refused_inside<std::exception_ptr>);
static_assert(is_refused_inside<std::errc> && is_refused_inside<CallErrc>);
static_assert(is_refused_inside<Cause> && is_refused_inside<Failure>);
static_assert(is_refused_inside<OkField> && is_refused_inside<OnlyHasValue>);
// An Outcome has the verdict on its value already.
static_assert(is_classified<Outcome<Status>> && is_classified<Outcome<CurlCode>>);

TEST_CASE("A type with ok() fails when ok() is false, and is returned unchanged",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto fails = [&] { return Status{++calls, "no"}; };
    const auto lost = form.run(steady(1s, 3), sleeper, fails, as_it_is);
    CHECK_FALSE(lost.has_value());
    CHECK(lost.error() == CallErrc::gave_up);
    CHECK(lost.last()->code == 3);
    CHECK(lost.last()->text == "no");

    calls = 0;
    const auto works = [&] { return Status{++calls < 3 ? 14 : 0}; };
    CHECK(form.run(steady(1s, 3), sleeper, works, as_it_is).value().ok());
    CHECK(calls == 3);
}

TEST_CASE("A type that tests as bool and has error() fails when it is false, with that error",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto ask = [&](int works_at) {
        return [&calls, works_at] {
            return Reply{++calls == works_at ? std::make_unique<int>(calls) : nullptr, calls};
        };
    };
    auto reply = form.run(steady(1s, 3), sleeper, ask(3), as_it_is);
    CHECK(*reply.value().body == 3);
    // The cause of its error is one that a retry does not repair.
    calls = 0;
    const Policy stops{steady(1s, 3), StopOn{Cause::forbidden}};
    const auto denied = form.run(stops, sleeper, ask(0), as_it_is);
    CHECK_FALSE(denied);
    CHECK(denied.error() == std::errc::permission_denied);
    CHECK(denied.last()->code == 1);
}

TEST_CASE("A type with value() and category() fails when it tests true",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto own = form.run(
        steady(1s, 3), sleeper, [&] { return Code{++calls}; }, as_it_is);
    CHECK_FALSE(own);
    CHECK(own.last()->number == 3);
#if __has_include(<boost/system/error_code.hpp>)
    namespace errc = boost::system::errc;
    calls = 0;
    const auto fails = [&] {
        ++calls;
        return errc::make_error_code(errc::connection_refused);
    };
    const std::error_code rejected = form.run(steady(1s, 3), sleeper, fails, as_it_is);
    CHECK(rejected == std::errc::connection_refused);
    CHECK(calls == 3);
    // Boost classifies this cause, and a success has none.
    const auto denied = [&] {
        ++calls;
        return errc::make_error_code(errc::permission_denied);
    };
    const Policy stops{steady(1s, 3), StopOn{Cause::forbidden}};
    CHECK(form.run(stops, sleeper, denied, as_it_is) == std::errc::permission_denied);
    CHECK(calls == 4);
    const auto works = [&] { return boost::system::error_code{}; };
    CHECK_FALSE(form.run(stops, sleeper, works, as_it_is));
    const auto no_use = [](boost::system::error_code) { return Cause::permanent; };
    CHECK(form.run(StopOn{Cause::permanent}, sleeper, denied,
                   [&](auto fn) { return fails_if(fn, no_use); }) == std::errc::permission_denied);
    CHECK(calls == 5);
#endif
}

#if __has_include(<boost/system/error_code.hpp>)
namespace {
// A category in which 0 is a failure, and some other values are none.
struct HttpCategory final : boost::system::error_category {
    const char* name() const noexcept override { return "http"; }
    std::string message(int) const override { return "status"; }
    bool failed(int status) const noexcept override { return status < 200 || status >= 300; }
};
const HttpCategory http;
}  // namespace

TEST_CASE("A code that its own category treats as no failure is returned as no error",
          "[call][answer_traits][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto answers = [&](int status) {
        return [&calls, status] {
            ++calls;
            return boost::system::error_code{status, http};
        };
    };
    CHECK_FALSE(form.run(steady(1s, 3), sleeper, answers(200), as_it_is));
    CHECK(calls == 1);
    CHECK(form.run(steady(1s, 3), sleeper, answers(0), as_it_is) == CallErrc::gave_up);
    CHECK(calls == 4);
    const Policy stops{steady(1s, 3), StopOn{Cause::lost}};
    CHECK(form.run(stops, sleeper, answers(0), as_it_is) == CallErrc::gave_up);
    CHECK(calls == 5);
    CHECK(form.run(steady(1s, 3), sleeper, answers(503), as_it_is).value() == 503);
}
#endif

TEST_CASE("AnswerTraits defines the failures of a type, and their causes",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto down = [&] { return ++calls, curl_couldnt_connect; };
    const auto lost = form.run(steady(1s, 3), sleeper, down, as_it_is);
    CHECK(calls == 3);
    CHECK_FALSE(lost);
    CHECK(lost.error() == CallErrc::gave_up);
    CHECK(*lost.last() == curl_couldnt_connect);

    const auto denied = [&] { return ++calls, curl_login_denied; };
    const Policy stops{steady(1s, 3), StopOn{Cause::unauthorized}};
    CHECK_FALSE(form.run(stops, sleeper, denied, as_it_is));
    CHECK(calls == 4);
    const auto back = [&] { return ++calls < 6 ? curl_couldnt_connect : curl_ok; };
    CHECK(form.run(stops, sleeper, back, as_it_is).value() == curl_ok);
    CHECK(calls == 6);

    // AnswerTraits may be specialized for a template. A predicate has precedence over them.
    const auto box = [&] { return ++calls, Box<int>{0}; };
    calls = 0;
    CHECK_FALSE(form.run(steady(1s, 3), sleeper, box, as_it_is));
    CHECK(calls == 3);
    const auto fine = [](const Box<int>&) { return false; };
    const auto classified = [&](auto fn) { return fails_if(fn, fine); };
    CHECK(form.run(steady(1s, 3), sleeper, box, classified).has_value());
    CHECK(calls == 4);
}

TEST_CASE("Layers detect failures of types with AnswerTraits, and of types with their own tests",
          "[call][answer_traits][unit]") {
    AsyncSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{60s}};
    int calls = 0;
    const auto down = [&] { return ++calls, curl_couldnt_connect; };
    const Pipeline guarded{Retrying{steady(1s, 2)}, Shared{breaker}};
    CHECK_FALSE(guarded(sleeper, down));
    CHECK(breaker.state(sleeper.now()) == BreakerState::open);
    // The breaker rejects the call, so there is no last value.
    const auto rejected = Pipeline{Shared{breaker}}(sleeper, down);
    CHECK(rejected.error() == CallErrc::call_rejected);
    CHECK(rejected.last() == nullptr);
    CHECK(calls == 2);

    const Pipeline falls_back{Fallback{[] { return curl_ok; }}};
    CHECK(falls_back(sleeper, down).value() == curl_ok);
    const Pipeline status{
        Fallback{[](const Failure& why) { return Status{why.cause == Cause::lost ? 0 : 1}; }}};
    CHECK(status(sleeper, [] { return Status{5}; }).has_value());

    // The second call succeeds, so the failure of the first does not count.
    calls = 0;
    const auto once = [&](Attempt) -> Task<Status> { co_return Status{++calls == 1 ? 14 : 0}; };
    const Pipeline hedged{Timeout{1s}, Hedge{50ms, 1}};
    CHECK(belay_test::await(hedged, sleeper, once).value().ok());
    CHECK(calls == 2);
    const auto hangs = [&](Attempt) -> Task<Status> {
        co_await sleeper.async_sleep_until(after(sleeper.now(), 5s));
        co_return Status{};
    };
    const auto late = belay_test::await(Pipeline{Timeout{1s}}, sleeper, hangs);
    CHECK(late.error() == std::errc::timed_out);
    CHECK(late.last() == nullptr);
}

// A value that could be constructed from an error.
namespace {
struct FromError {
    FromError() = default;
    // NOLINT(google-explicit-constructor): the conversion is under test.
    FromError(std::error_code) {}
};
}  // namespace

TEST_CASE("retry never turns an error into a success by a conversion",
          "[call][answer_traits][regression]") {
    AsyncSleeper sleeper;
    SECTION("a call that was never made") {
        StopSource source;
        source.request_stop();
        const auto result = retry(
            steady(1s, 3), sleeper, [] { return FromError{}; }, source.token());
        CHECK_FALSE(result.has_value());
        CHECK(result.error() == CallErrc::stopped);
    }
    SECTION("an optional that stays empty") {
        const auto result =
            retry(steady(1s, 3), sleeper, [] { return std::optional<FromError>{}; });
        CHECK_FALSE(result.has_value());
        CHECK(result.error() == CallErrc::gave_up);
    }
}

TEST_CASE("AnswerTraits of a type are used when it is returned as const",
          "[call][answer_traits][regression]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto result = form.run(
        steady(1s, 3), sleeper,
        [&]() -> const Status {
            ++calls;
            return Status{14};
        },
        as_it_is);
    CHECK(calls == 3);
    CHECK_FALSE(result.has_value());
}

namespace {

// The last value of a run of three attempts, or the first value that is a success.
template <class R>
auto three_times(belay_test::RetryForm form, R value) {
    AsyncSleeper sleeper;
    int calls = 0;
    auto result = form.run(
        steady(1s, 3), sleeper, [&calls, value] { return ++calls, value; }, as_it_is);
    CHECK(calls == (result ? 1 : 3));
    return result;
}

}  // namespace

TEST_CASE("A failure inside an optional or a result fails the call",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    const auto both = [form](const auto& good, const auto& bad) {
        CHECK(three_times(form, good).has_value());
        const auto result = three_times(form, bad);
        CHECK_FALSE(result.has_value());
        CHECK(result.last() != nullptr);
        return result.error();
    };
    CHECK(both(std::optional{Status{}}, std::optional{Status{14}}) == CallErrc::gave_up);
    CHECK(both(Result<Status>{Status{}}, Result<Status>{Status{14}}) == CallErrc::gave_up);
}

TEST_CASE("fails_if decides which failures inside a container fail the call",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    int calls = 0;
    const auto fetch = [&] { return std::vector<Result<int>>(++calls < 3 ? 2 : 3, timed_out); };
    const auto too_few = [&](auto fn) {
        return fails_if(fn, [](const std::vector<Result<int>>& all) { return all.size() < 3; });
    };
    CHECK(form.run(steady(1s, 5), sleeper, fetch, too_few).value().size() == 3);
    CHECK(calls == 3);
}

TEST_CASE("Numbers, bools and empty optionals inside a result or a container are data",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    CHECK(three_times(form, Result<int>{-1}).value() == -1);
    CHECK(three_times(form, std::optional{503}).value() == 503);
    CHECK(three_times(form, Result<bool>{false}).value() == false);
    CHECK(three_times(form, Result<std::optional<int>>{std::optional<int>{}}).has_value());
    CHECK(three_times(form, std::vector{-1, 0}).has_value());
    CHECK(three_times(form, std::vector{false}).has_value());
    CHECK(three_times(form, Bytes{}).has_value());
    CHECK(three_times(form, std::map<std::string, int>{{"a", -1}}).has_value());
    // An optional or a result that is not inside another type fails without a value, too.
    CHECK(three_times(form, std::optional<Status>{}).error() == CallErrc::gave_up);
    CHECK(three_times(form, Result<Status>{timed_out}).error() == timed_out);
}

TEST_CASE("any_value makes every value a success, and an exception stays a failure",
          "[call][answer_traits][unit]") {
    BELAY_TEST_EACH_RETRY_FORM;
    AsyncSleeper sleeper;
    const auto any = [](auto fn) { return any_value(fn); };
    const Result<int> number = form.run(
        steady(1s, 3), sleeper, [] { return -1; }, any);
    CHECK(number.value() == -1);
    CHECK(form.run(
                  steady(1s, 3), sleeper, [] { return false; }, any)
              .value() == false);
    CHECK(form.run(
                  steady(1s, 3), sleeper, [] { return Status{14}; }, any)
              .value()
              .code == 14);
    CHECK(form.run(
                  steady(1s, 3), sleeper, [] { return std::optional<int>{}; }, any)
              .value() == std::nullopt);
#if defined(__cpp_exceptions)
    int calls = 0;
    const auto throws = [&]() -> int { throw ++calls; };
    CHECK_THROWS_AS(form.run(steady(1s, 3), sleeper, throws, any), int);
    CHECK(calls == 3);
#endif
}
