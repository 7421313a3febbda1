// SPDX-License-Identifier: MIT
// Goal: any error code maps to one Cause; users' categories take part; names and numbers are
// fixed. Method: examples.
#include <belay/core/failure.hpp>

#include "support/catch.hpp"

#if __has_include(<boost/system/error_code.hpp>)
#    include <boost/system/error_code.hpp>
#endif

using namespace belay;

namespace {

enum class AppErrc { banned = 1, slow = 2 };
constexpr detail::ErrorText app_errors[] = {{"you are banned", Cause::forbidden},
                                            {"too slow", Cause::timed_out}};
const std::error_category& app_category() {
    static const detail::TableCategory category{"app", app_errors};
    return category;
}

struct Foreign final : std::error_category {
    const char* name() const noexcept override { return "foreign"; }
    std::string message(int) const override { return "foreign"; }
};

}  // namespace

TEST_CASE("Cause names and numbers are fixed, by rising severity", "[core][cause][golden]") {
    STATIC_REQUIRE(static_cast<int>(Cause::none) == 0);
    STATIC_REQUIRE(static_cast<int>(Cause::unauthorized) == 10);
    STATIC_REQUIRE(Cause::planned < Cause::lost);
    STATIC_REQUIRE(Cause::lost < Cause::overloaded);
    STATIC_REQUIRE(Cause::permanent < Cause::unauthorized);
    STATIC_REQUIRE(to_string(Cause::timed_out) == "timed_out");
    STATIC_REQUIRE(to_string(Cause::unauthorized) == "unauthorized");
    STATIC_REQUIRE(to_string(static_cast<Cause>(11)) == "unknown");
    STATIC_REQUIRE(to_string(static_cast<Cause>(255)) == "unknown");
}

TEST_CASE("cause_of classifies the system's errors", "[core][cause][unit]") {
    CHECK(cause_of({}) == Cause::none);
    CHECK(cause_of({ECONNREFUSED, std::system_category()}) == Cause::refused);
    CHECK(cause_of({ETIMEDOUT, std::generic_category()}) == Cause::timed_out);
    CHECK(cause_of({EMFILE, std::system_category()}) == Cause::overloaded);
    CHECK(cause_of({ENOMEM, std::system_category()}) == Cause::overloaded);
    CHECK(cause_of({ENETDOWN, std::system_category()}) == Cause::refused);
    CHECK(cause_of({EPROTO, std::system_category()}) == Cause::protocol);
    CHECK(cause_of({EACCES, std::system_category()}) == Cause::forbidden);
    CHECK(cause_of({EINVAL, std::system_category()}) == Cause::permanent);
    CHECK(cause_of({ECONNRESET, std::system_category()}) == Cause::lost);
}

TEST_CASE("cause_of uses the category of a foreign error, and lost otherwise",
          "[core][cause][unit]") {
    CHECK(cause_of({1, app_category()}) == Cause::forbidden);
    CHECK(cause_of({2, app_category()}) == Cause::timed_out);
    CHECK(cause_of({3, app_category()}) == Cause::lost);
    CHECK(cause_of({-1, app_category()}) == Cause::lost);
    const Foreign foreign;
    CHECK(cause_of({7, foreign}) == Cause::lost);
    CHECK((std::error_code{1, app_category()} == Cause::forbidden));
    CHECK((std::error_code{1, app_category()} != Cause::lost));
}

#if __has_include(<boost/system/error_code.hpp>)
TEST_CASE("cause_of classifies Boost's codes", "[core][cause][unit]") {
    namespace errc = boost::system::errc;
    const auto cause = [](errc::errc_t e) { return cause_of(errc::make_error_code(e)); };
    CHECK(cause(errc::permission_denied) == Cause::forbidden);
    CHECK(cause(errc::timed_out) == Cause::timed_out);
    CHECK(cause_of(boost::system::error_code{ECONNREFUSED, boost::system::system_category()}) ==
          Cause::refused);
    CHECK(cause_of(boost::system::error_code{}) == Cause::none);
}
#endif

TEST_CASE("TableCategory returns its texts, and unknown error for other values",
          "[core][cause][unit]") {
    CHECK(app_category().message(1) == "you are banned");
    CHECK(app_category().message(0) == "unknown error");
    CHECK(app_category().message(99) == "unknown error");
    CHECK(make_error_condition(Cause::corrupt).message() == "corrupt");
    CHECK(std::string{detail::cause_category().name()} == "belay.cause");
}
