// SPDX-License-Identifier: MIT
// Goal: each error of rooms in PostgreSQL has a text, a cause and advice. Method: all values, and
// the states of PostgreSQL.
#include <belay/postgres/error.hpp>

#include <string>

#include "support/catch.hpp"

using namespace belay;
using postgres::Errc;

TEST_CASE("postgres::Errc: each error has a text and advice", "[postgres][error][unit]") {
    for (int i = 1; i <= static_cast<int>(Errc::rejected); ++i) {
        const std::error_code code = static_cast<Errc>(i);
        CHECK(code.message() != "unknown error");
        CHECK(cause_of(code) != Cause::none);
        const char* advice = detail::postgres_category().advice(code);
        REQUIRE(advice != nullptr);
        CHECK(*advice != '\0');
    }
    CHECK(std::error_code{static_cast<Errc>(11)}.message() == "unknown error");
}

TEST_CASE("postgres::Errc: a state of PostgreSQL has its meaning", "[postgres][error][unit]") {
    CHECK(detail::code_of_postgres("53100") == Errc::no_space);
    CHECK(detail::code_of_postgres("53300") == Errc::not_ready);
    CHECK(detail::code_of_postgres("40P01") == Errc::no_answer);
    CHECK(detail::code_of_postgres("25006") == Errc::read_only);
    CHECK(detail::code_of_postgres("42P01") == Errc::no_tables);
    CHECK(detail::code_of_postgres("42601") == Errc::rejected);
}
