// SPDX-License-Identifier: MIT
/// \file belay/posix/http_check.hpp
/// check::http: is an HTTP client right? For tests of clients; posix.hpp does not include it.
#pragma once

#include <optional>  // std::optional

#include <belay/posix/detail/http_checker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace check {

/// Asks an HTTP client what an HttpLike must bear, and answers the first rule that it breaks;
/// nothing if it keeps all.
///
///     struct Rig {
///         MyLoop loop;
///         Mine http{loop};
///         void run_once() { loop.poll(1ms); }
///     };
///     const auto broken = check::http([] { return std::make_unique<Rig>(); });
///     if (broken) std::puts(to_string(*broken));
///
/// `make()` gives a pointer to something new that has `http`, an HttpLike that goes through no
/// proxy, and `run_once()`, which lets the client do what there is to do on this thread, and
/// otherwise waits a millisecond or so, not longer.
///
/// The server is the check's own: on free ports of 127.0.0.1, good and bad, in plain HTTP/1.1. It
/// runs between the calls of `run_once()`, so this must not wait for an answer. What only TLS and
/// names have is not asked. A client that moves is moved away, and ended before its handles.
///
/// Pre:    127.0.0.1 has three free ports.
/// Errors: the rule.   Throws: std::bad_alloc, and what the client and `make` throw.
/// Blocks: by `run_once()`: for a second or so if everything is right, longer for one that stalls.
template <class Make>
[[nodiscard]] std::optional<HttpRule> http(Make make) {
    if constexpr (requires {
                      make()->http;
                      make()->run_once();
                  }) {
        return posix::detail::HttpChecker<Make>{make}.run();
    } else {
        static_assert(
            !sizeof(Make),
            "check::http: make must be callable and give a pointer to what has 'http' and "
            "'run_once()': [] { return std::make_unique<Rig>(); }");
        return std::nullopt;
    }
}

}}}  // namespace belay::check
