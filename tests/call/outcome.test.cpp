// SPDX-License-Identifier: MIT
// Goal: an Outcome has a value after a success only, keeps the last one otherwise, and converts
// to a Result. Its use by retry and Pipeline: fails_if.test.cpp, answer_traits.test.cpp. Method:
// examples.
#include <belay/call/outcome.hpp>

#include <memory>
#include <string>

#include <belay/call/attempt.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using belay_test::timed_out;

namespace {

using Text = Outcome<std::string>;
template <class O>
concept LastDangles = requires { std::declval<O>().last(); };
// An error type without a value for "no error".
struct Why {
    explicit Why(std::error_code c) : code{c} {}
    std::error_code code;
};

}  // namespace

static_assert(std::is_convertible_v<Text, Result<std::string>>);
static_assert(std::is_convertible_v<const Text&, Result<std::string>>);
static_assert(!std::is_convertible_v<Text, bool> && std::is_constructible_v<bool, Text>);
static_assert(LastDangles<Text&> && LastDangles<const Text&>);
static_assert(!LastDangles<Text> && !LastDangles<const Text>);
static_assert(std::is_nothrow_move_constructible_v<Text>);
static_assert(std::is_nothrow_move_constructible_v<Outcome<std::unique_ptr<int>>>);
static_assert(!std::is_copy_constructible_v<Outcome<std::unique_ptr<int>>>);
// A Result of these types could not distinguish the value from the error.
static_assert(!std::is_convertible_v<Outcome<std::error_code>, Result<std::error_code>>);

TEST_CASE("Outcome::message has the cause, also of a failure without an error",
          "[call][outcome][regression]") {
    const std::error_code gave_up = CallErrc::gave_up;
    CHECK(Text::failure("", gave_up, Cause::refused).message() == "refused: " + gave_up.message());
    CHECK(Text{timed_out}.message() == "timed_out: " + timed_out.message());
    const Failure lost{.cause = Cause::lost};
    CHECK(Outcome<int, Failure>{lost}.message() == "lost");
}

TEST_CASE("Outcome::value exists after a success only", "[call][outcome][unit]") {
    Text good = Text::success("news");
    CHECK(good);
    CHECK(good.has_value());
    CHECK(good.value() == "news");
    CHECK(*good == "news");
    CHECK(good->size() == 4);
    CHECK(*good.last() == "news");
    CHECK_FALSE(good.error());
    good.value() += "!";
    CHECK(std::as_const(good).value_or("none") == "news!");
    CHECK(std::move(good).value_or("none") == "news!");

    const Text bad = Text::failure("sorry", timed_out);
    CHECK_FALSE(bad);
    CHECK_FALSE(bad.has_value());
    CHECK(bad.error() == timed_out);
    CHECK(*bad.last() == "sorry");
    CHECK(bad.value_or("none") == "none");

    const Text none{timed_out};
    CHECK_FALSE(none);
    CHECK(none.error() == timed_out);
    CHECK(none.last() == nullptr);
    CHECK(Text{timed_out}.value_or("none") == "none");
}

TEST_CASE("An Outcome converts to a Result", "[call][outcome][unit]") {
    const Text good = Text::success("news");
    const Result<std::string> result = good;
    CHECK(result.value() == "news");
    CHECK(*good == "news");
    const Result<std::string> failed = Text::failure("sorry", timed_out);
    CHECK(failed.error() == timed_out);
    const Result<std::string> empty = Text{timed_out};
    CHECK(empty.error() == timed_out);
    const Result<std::unique_ptr<int>> moved =
        Outcome<std::unique_ptr<int>>::success(std::make_unique<int>(5));
    CHECK(*moved.value() == 5);
}

TEST_CASE("An Outcome's error may be of any type", "[call][outcome][unit]") {
    using Own = Outcome<int, Why>;
    const Own good = Own::success(5, Why{std::error_code{}});
    CHECK(good.value() == 5);
    const Own bad = Own::failure(6, Why{timed_out});
    CHECK(*bad.last() == 6);
    CHECK(bad.error().code == timed_out);
}

TEST_CASE("Outcome::cause is that of its error, or the given one", "[call][outcome][unit]") {
    CHECK(Text::success("news").cause() == Cause::none);
    CHECK(Text{timed_out}.cause() == Cause::timed_out);
    CHECK(Text::failure("sorry", timed_out).cause() == Cause::timed_out);
    CHECK(Text::failure("sorry", timed_out, Cause::overloaded).cause() == Cause::overloaded);
    CHECK(Text(timed_out, Cause::overloaded).cause() == Cause::overloaded);
    // cause_of has no overload for this error, and it is a failure nevertheless.
    CHECK(Outcome<int, Why>{Why{timed_out}}.cause() == Cause::lost);
    CHECK_FALSE(Text::failure("sorry", {}).has_value());
    CHECK(Text::failure("sorry", {}, Cause::none).cause() == Cause::lost);
}
