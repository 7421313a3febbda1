// SPDX-License-Identifier: MIT
// Goal: a Result has a value or an error, and never neither. Access to a missing one aborts.
// Method: examples.
#include <belay/core/result.hpp>

#include <memory>
#include <string>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;

namespace {

std::error_code lost() { return std::make_error_code(std::errc::connection_reset); }

struct ThrowingMove {
    ThrowingMove() = default;
    ThrowingMove(ThrowingMove&&) noexcept(false) {}
};
static_assert(std::is_nothrow_constructible_v<Result<std::string>, std::string&&>);
static_assert(!std::is_nothrow_constructible_v<Result<ThrowingMove>, ThrowingMove&&>);
static_assert(std::is_nothrow_move_constructible_v<Result<std::unique_ptr<int>>>);
static_assert(!std::is_default_constructible_v<Result<int>>, "a Result is never empty");
static_assert(!std::is_convertible_v<Result<int>, bool>, "no silent conversion");

}  // namespace

TEST_CASE("Result of an optional can be made from nullopt, and is then a success without a value",
          "[core][result][unit]") {
    const auto made = []() -> Result<std::optional<std::string>> { return std::nullopt; };
    REQUIRE(made().has_value());
    CHECK_FALSE(made().value().has_value());
    CHECK_FALSE(made().error());
    static_assert(!std::is_convertible_v<std::nullopt_t, Result<int>>);
    static_assert(!std::is_convertible_v<std::nullopt_t, Result<std::string>>);
    static_assert(!std::is_convertible_v<std::nullopt_t, Result<void>>);
}

TEST_CASE("Result holds a value", "[core][result][unit]") {
    Result<std::string> r{"text"};
    REQUIRE(r.has_value());
    CHECK(r);
    CHECK(*r == "text");
    CHECK(r->size() == 4);
    CHECK_FALSE(r.error());
    CHECK(std::as_const(r).value() == "text");
    CHECK(r.value_or("other") == "text");
    CHECK(std::move(r).value() == "text");
}

TEST_CASE("Result holds an error", "[core][result][unit]") {
    const Result<int> r = lost();
    CHECK_FALSE(r);
    CHECK(r.error() == std::errc::connection_reset);
    CHECK(r.value_or(7) == 7);
    CHECK(Result<bool>{lost()}.has_value() == false);
    CHECK(Result<bool>{false}.has_value());
}

TEST_CASE("Result holds a move-only value", "[core][result][unit]") {
    Result<std::unique_ptr<int>> r{std::make_unique<int>(5)};
    const std::unique_ptr<int> taken = std::move(r).value();
    CHECK(*taken == 5);
    Result<std::unique_ptr<int>> error = lost();
    CHECK(*std::move(error).value_or(std::make_unique<int>(6)) == 6);
}

TEST_CASE("Result<void> is success, or the error", "[core][result][unit]") {
    CHECK(Result<void>{});
    CHECK(Result<void>{std::error_code{}});
    const Result<void> r = lost();
    CHECK_FALSE(r);
    CHECK(r.error() == std::errc::connection_reset);
    Result<void>{}.value();
}

TEST_CASE("Result aborts when the requested value or error is missing", "[core][result][unit]") {
    const std::string text =
        belay_test::aborts_with([] { static_cast<void>(Result<int>{lost()}.value()); });
    CHECK(text.find("Result::value: the result must have a value; error(): " + lost().message() +
                    " (has_value())") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              Result<void>{lost()}.value();
          }).find("must not have an error; error(): " + lost().message()) != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Result<int>{std::error_code{}});
          }).find("the error must not be 0") != std::string::npos);
}
