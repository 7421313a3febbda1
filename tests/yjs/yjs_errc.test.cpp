// SPDX-License-Identifier: MIT
// Goal: every error has a text and a cause. Method: all values, and values out of range.
#include <belay/yjs/yjs_error.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("YjsErrc has a text and a cause for every value", "[yjs][yjs_errc][unit]") {
    for (int i = 1; i <= static_cast<int>(YjsErrc::document_full); ++i) {
        const std::error_code code = static_cast<YjsErrc>(i);
        CHECK(code.message() != "unknown error");
        CHECK(cause_of(code) != Cause::none);
        CHECK(cause_of(code) != Cause::lost);
        CHECK(std::string{code.category().name()} == "belay.yjs");
    }
    const std::error_code beyond{static_cast<int>(YjsErrc::document_full) + 1,
                                 belay::detail::yjs_category()};
    CHECK(beyond.message() == "unknown error");
    CHECK(make_error_code(YjsErrc::malformed_update) == Cause::protocol);
    CHECK(make_error_code(YjsErrc::document_full) == Cause::permanent);
}
