// SPDX-License-Identifier: MIT
// Goal: a failure keeps its error code, makes its text on demand, and the more severe of two
// counts. It states which side decided it. Method: examples; every row of the tables of errors.
#include <belay/core/failure.hpp>
#include <belay/core/http_failure.hpp>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/page.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<Failure> && sizeof(Failure) == 24);
static_assert(belay::detail::more_severe({.cause = Cause::lost}, {.cause = Cause::unauthorized})
                  .cause == Cause::unauthorized);
static_assert(belay::detail::more_severe({.cause = Cause::lost, .code = 1},
                                         {.cause = Cause::lost, .code = 2})
                      .code == 1,
              "of equals the first counts");

TEST_CASE("Failure::from keeps the code and classifies it", "[core][failure][unit]") {
    const std::error_code code{ETIMEDOUT, std::system_category()};
    const Failure f = Failure::from(code, 3s);
    CHECK(f.cause == Cause::timed_out);
    CHECK(f.error() == code);
    CHECK(f.retry_after == 3s);
    CHECK(f.message() == "timed_out: " + code.message());
}

TEST_CASE("Failure without a code has no error and a short text", "[core][failure][unit]") {
    CHECK_FALSE(Failure{}.error());
    CHECK(Failure{.cause = Cause::lost}.message() == "lost");
    CHECK(Failure::from({}).cause == Cause::none);
    CHECK(Failure::from({}).message() == "none");
}

TEST_CASE("Failure::from states which side decided the failure", "[core][failure][unit]") {
    using enum belay::detail::FailureOrigin;
    const auto origin = [](const std::error_code& error) { return Failure::from(error).origin; };
    for (const auto ours :
         {std::errc::not_enough_memory, std::errc::too_many_files_open,
          std::errc::too_many_files_open_in_system, std::errc::no_buffer_space,
          std::errc::operation_canceled, std::errc::network_unreachable, std::errc::network_down,
          std::errc::address_not_available, std::errc::address_in_use, std::errc::permission_denied,
          std::errc::operation_not_permitted, std::errc::invalid_argument,
          std::errc::address_family_not_supported, std::errc::protocol_not_supported,
          std::errc::function_not_supported}) {
        CHECK(origin(std::make_error_code(ours)) == local);
        CHECK(origin({static_cast<int>(ours), std::system_category()}) == local);
    }
    CHECK(origin(std::make_error_code(std::errc::connection_refused)) == answered);
    for (const auto theirs : {std::errc::connection_reset, std::errc::host_unreachable,
                              std::errc::timed_out, std::errc::broken_pipe,
                              std::errc::protocol_error, std::errc::no_such_file_or_directory}) {
        CHECK(origin(std::make_error_code(theirs)) == unset);
    }
    CHECK(origin({}) == unset);
    for (const int status : {100, 404, 502, 599}) CHECK(http_failure(status).origin == answered);
    for (const int status : {407, 511}) CHECK(http_failure(status).origin == local);
    CHECK(http_failure(0).origin == unset);
    CHECK(http_failure(200).origin == unset);
}

TEST_CASE("docs/reference/errors.md has the cause and the origin of each errno",
          "[core][failure][golden]") {
    const std::map<std::string, int> numbers = {{"ECONNREFUSED", ECONNREFUSED},
                                                {"EHOSTUNREACH", EHOSTUNREACH},
                                                {"ENETUNREACH", ENETUNREACH},
                                                {"ENETDOWN", ENETDOWN},
                                                {"EADDRNOTAVAIL", EADDRNOTAVAIL},
                                                {"EADDRINUSE", EADDRINUSE},
                                                {"ETIMEDOUT", ETIMEDOUT},
                                                {"EAGAIN", EAGAIN},
                                                {"EMFILE", EMFILE},
                                                {"ENFILE", ENFILE},
                                                {"ENOBUFS", ENOBUFS},
                                                {"ENOMEM", ENOMEM},
                                                {"EACCES", EACCES},
                                                {"EPERM", EPERM},
                                                {"EINVAL", EINVAL},
                                                {"EAFNOSUPPORT", EAFNOSUPPORT},
                                                {"ENOSYS", ENOSYS},
                                                {"EPROTONOSUPPORT", EPROTONOSUPPORT},
                                                {"EPROTO", EPROTO},
                                                {"EBADMSG", EBADMSG},
                                                {"ECANCELED", ECANCELED},
                                                {"EPROTOTYPE", EPROTOTYPE}};
    const auto meaning = [](int number) {
        const Failure failure = Failure::from({number, std::generic_category()});
        constexpr const char* origins[] = {"unset", "answered", "silent", "local"};
        return std::pair{std::string{to_string(failure.cause)},
                         std::string{origins[static_cast<int>(failure.origin)]}};
    };
    std::set<int> listed;
    for (const auto& row : belay_test::table_of_page("reference/errors.md", "| `errno` |")) {
        std::istringstream names{row[0]};
        std::string name;
        while (std::getline(names >> std::ws, name, ',')) {
            const auto found = numbers.find(name);
            if (found == numbers.end()) continue;
            INFO(name);
            CHECK(meaning(found->second) == std::pair{row[1], row[2]});
            CHECK(listed.insert(found->second).second);
        }
    }
    CHECK(listed.size() == numbers.size());
    for (int number = 1; number < 200; ++number) {
        if (listed.contains(number)) continue;
        CHECK(meaning(number) == std::pair{std::string{"lost"}, std::string{"unset"}});
    }
}

TEST_CASE("Failure::Origin is a condition that a category of the user can state",
          "[core][failure][unit]") {
    static constexpr detail::ErrorText texts[] = {
        {"ours", Cause::lost, Failure::Origin::local},
        {"late", Cause::timed_out, Failure::Origin::silent},
        {"said no", Cause::refused, Failure::Origin::answered},
        {"lost", Cause::lost},
    };
    static const detail::TableCategory category{"test", texts};
    for (int i = 1; i <= 4; ++i) {
        const Failure failure = Failure::from({i, category});
        CHECK(failure.origin == texts[i - 1].origin);
        CHECK(failure.error() == texts[i - 1].origin);
        CHECK(failure.error() == texts[i - 1].cause);
    }
    CHECK(Failure::from({5, category}).origin == Failure::Origin::unset);
    CHECK(make_error_condition(Failure::Origin::local).message() == "this side");
    CHECK(make_error_condition(Failure::Origin{9}).message() == "unknown");
}
