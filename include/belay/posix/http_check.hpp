// SPDX-License-Identifier: MIT
/// \file belay/posix/http_check.hpp
/// check::http: checks that an HTTP client is correct. For tests of clients; posix.hpp does not
/// include it.
#pragma once

#include <optional>  // std::optional

#include <belay/posix/detail/http_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Tests an HTTP client against the rules of HttpLike, and returns the first broken rule, if any.
///
///     struct Rig {
///         MyLoop loop;
///         Mine http{loop};
///         void run_once() { loop.poll(1ms); }
///     };
///     const auto broken = check::http([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` returns a pointer to a new object with two members:
/// - `http`, an HttpLike that uses no proxy;
/// - `run_once()`, which lets the client do its pending work on this thread, and otherwise waits
///   for about a millisecond, not longer.
///
/// The check has its own server on free ports of 127.0.0.1, in plain HTTP/1.1. Some of its answers
/// are correct, others are faulty. The server runs between the calls of `run_once()`, so
/// `run_once()` must not wait for an answer. Features that only TLS and names have are not checked.
/// A client that can be moved is moved away, and destroyed before its handles.
///
/// Pre:    127.0.0.1 has three free ports.
/// Errors: the rule.   Throws: std::bad_alloc, and what the client and `make` throw.
/// Blocks: by `run_once()`: for about a second if everything is right, longer if the client stalls.
template <class Make>
[[nodiscard]] std::optional<HttpRule> http(Make make) {
    if constexpr (requires {
                      make()->http;
                      make()->run_once();
                  }) {
        return posix::detail::HttpChecker<Make>{make}.run();
    } else {
        static_assert(!sizeof(Make),
                      "check::http: make must be callable and return a pointer to an object with "
                      "'http' and 'run_once()': [] { return std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
