// SPDX-License-Identifier: MIT
// Goal: an error of a storage of the user's own has the same message as belay's. Method: a category
// and words that belay does not have.
#include <belay/journal/advised_error.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {

struct OwnWords {
    static constexpr const char* nowhere = "the shelf";
    template <class Error>
    static const char* advice(const Error& error) noexcept {
        return belay::detail::advice_in(
            {{std::errc::io_error, "mend it"}, {Cause::overloaded, "wait"}}, error.code,
            "look at it");
    }
};
using OwnError = part::AdvisedError<OwnWords>;

struct OwnCategory : std::error_category {
    const char* name() const noexcept override { return "own"; }
    std::string message(int) const override { return "the shelf is full"; }
    std::error_condition default_error_condition(int) const noexcept override {
        return make_error_condition(Cause::overloaded);
    }
};

}  // namespace

TEST_CASE("AdvisedError takes a code of your own category, and your own advice",
          "[journal][advised_error][unit]") {
    static const OwnCategory category;
    const OwnError full{{1, category}, "left", "3 books"};
    CHECK(full.message() == "left: the shelf is full (3 books): wait.");
    CHECK(OwnError{full.code, "left", {}, "buy another"}.message() ==
          "left: the shelf is full: buy another.");
    CHECK(OwnError{full.code}.message() == "the shelf: the shelf is full: wait.");
    CHECK(std::string{OwnError{{2, std::system_category()}, {}}.advice()} == "look at it");
    CHECK(std::string{OwnError{std::make_error_code(std::errc::io_error), {}}.advice()} ==
          "mend it");
    CHECK(full);
    CHECK(std::error_code{full}.value() == 1);
    CHECK_FALSE(OwnError{});
}
