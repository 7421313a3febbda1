// SPDX-License-Identifier: MIT
// Goal: endpoints in the usual notation are parsed, and other text is rejected. Look-ups map their
// errors. Method: examples and properties.
#include <belay/posix/endpoint.hpp>

#include <belay/posix/detail/addresses.hpp>

#include <sys/resource.h>  // setrlimit

#include "support/catch.hpp"

using namespace belay;
using posix::Endpoint;

TEST_CASE("Endpoint::parse reads host and port", "[posix][posix_endpoint][unit]") {
    CHECK(Endpoint::parse("127.0.0.1:9000").value() == Endpoint{"127.0.0.1", 9000});
    CHECK(Endpoint::parse("[::1]:9000").value() == Endpoint{"::1", 9000});
    CHECK(Endpoint::parse("localhost:9000").value() == Endpoint{"localhost", 9000});
    CHECK(Endpoint::parse("a:0").value() == Endpoint{"a", 0});
    CHECK(Endpoint::parse("a:65535").value() == Endpoint{"a", 65535});
    CHECK(Endpoint::parse("a:00080").value() == Endpoint{"a", 80});
}

TEST_CASE("Endpoint::parse rejects text that is not host:port", "[posix][posix_endpoint][unit]") {
    using namespace std::string_view_literals;
    for (const std::string_view wrong :
         {""sv,         ":"sv,          "a"sv,     "a:"sv,        ":9000"sv, "a:65536"sv,
          "a:123456"sv, "a:-1"sv,       "a:+1"sv,  "a: 1"sv,      "a:1 "sv,  "a:0x10"sv,
          "::1:9000"sv, "[::1]9000"sv,  "[::1"sv,  "::1]:9000"sv, "[a]:1"sv, "[]:9000"sv,
          "a b:1"sv,    "http://a:1"sv, "u@a:1"sv, "a\0b:1"sv}) {
        CAPTURE(wrong);
        CHECK(Endpoint::parse(wrong).error() == std::errc::invalid_argument);
    }
}

TEST_CASE("Endpoint::to_string returns text that parse accepts",
          "[posix][posix_endpoint][property]") {
    CHECK(rc::check("parse(to_string(e)) == e", [](std::uint16_t port, bool v6) {
        const Endpoint e{v6 ? "fe80::1" : "example.org", port};
        RC_ASSERT(Endpoint::parse(e.to_string()).value() == e);
    }));
    CHECK(rc::check("parse accepts or rejects any text", [](const std::string& text) {
        const Result<Endpoint> e = Endpoint::parse(text);
        if (e) RC_ASSERT(Endpoint::parse(e->to_string()).value() == *e);
    }));
}

TEST_CASE("Addresses::resolve finds numeric addresses of both families",
          "[posix][posix_endpoint][unit]") {
    posix::detail::Addresses a;
    REQUIRE_FALSE(a.resolve({"127.0.0.1", 80}, false));
    CHECK(a.first()->ai_family == AF_INET);
    REQUIRE_FALSE(a.resolve({"::1", 80}, false));
    CHECK(a.first()->ai_family == AF_INET6);
    CHECK(a.first()->ai_next == nullptr);
}

TEST_CASE("Addresses::resolve reports an unknown host as refused",
          "[posix][posix_endpoint][fault]") {
    posix::detail::Addresses a;
    const std::error_code error = a.resolve({"no such host", 80}, false);
    REQUIRE(error);
    CHECK(cause_of(error) == Cause::refused);
    CHECK(error.category().name() == std::string{"belay.resolve"});
    CHECK_FALSE(error.message().empty());
    CHECK(a.first() == nullptr);
}

TEST_CASE("Addresses::resolve looks up no part of a host's name",
          "[posix][posix_endpoint][fault]") {
    posix::detail::Addresses a;
    const std::string host{"127.0.0.1\0.example", 18};
    CHECK(cause_of(a.resolve({host, 80}, false)) == Cause::refused);
    CHECK(a.first() == nullptr);
}

TEST_CASE("Addresses::resolve reports a local lack of resources as the system's error",
          "[posix][posix_endpoint][fault]") {
    using posix::detail::resolve_error;
    const std::error_code memory = resolve_error(EAI_MEMORY);
    CHECK(memory == std::errc::not_enough_memory);
    CHECK(memory.category() == std::generic_category());
    errno = EMFILE;
    CHECK(resolve_error(EAI_SYSTEM) == std::errc::too_many_files_open);
    CHECK(resolve_error(EAI_NONAME) == std::errc::too_many_files_open);
    errno = ENFILE;
    CHECK(resolve_error(EAI_AGAIN) == std::errc::too_many_files_open_in_system);
    // The error of an earlier call does not count.
    posix::detail::Addresses a;
    CHECK(cause_of(a.resolve({"no such host", 80}, false)) == Cause::refused);
    errno = 0;
    CHECK(cause_of(resolve_error(EAI_AGAIN)) == Cause::refused);
}

TEST_CASE("Addresses::resolve without descriptors reports that, and no unknown host",
          "[posix][posix_endpoint][regression]") {
    rlimit old{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &old) == 0);
    rlimit none = old;
    none.rlim_cur = 3;
    posix::detail::Addresses a;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const std::error_code name = a.resolve({"localhost", 80}, false);
    const std::error_code numeric = a.resolve({"127.0.0.1", 80}, false);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &old) == 0);
    // Else a breaker would count it as a failure of the peer.
    CHECK(name == std::errc::too_many_files_open);
    CHECK(cause_of(name) == Cause::overloaded);
    CHECK_FALSE(numeric);
}
